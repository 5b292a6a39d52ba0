// SPDX-License-Identifier: MIT OR Apache-2.0
//! One thing wrong with a message.

use lunatik_sys::{LUNATIK_CODE_MAX, lunatik_attr, lunatik_cmd};

use super::{
    make,
    message::{Attribute, Body, Family, Message, NLA_F_NESTED, NLM_F_DUMP, NLM_F_REQUEST},
    spec::{self, Form, Named, Operation},
    values,
};
use crate::random::Random;

/// What must be refused, unless it is a dump: these are not looked at as closely.
fn refuse(message: &mut Message, why: &'static str) {
    if message.flags & NLM_F_DUMP == 0 {
        message.refuse = Some(why);
    }
}

/// Makes one thing wrong, if what it would need is there.
pub(super) fn once(random: &mut Random, operation: &'static Operation, message: &mut Message) {
    match random.below(14) {
        0..=2 => header(random, operation, message),
        3 => length(random, message),
        4 => tail(random, message),
        5..=6 => strange(random, operation, message),
        7 => state(random, operation, message),
        8 => limit(random, message),
        9 if operation.takes(lunatik_attr::LUNATIK_A_ARG) => {
            let at = message.attributes.len();
            message.attributes.extend(values::broken(random));
            // With what was there before, TABLE and END might match again.
            let arg = lunatik_attr::LUNATIK_A_ARG.as_u16();
            let mut index = 0;
            message.attributes.retain(|one| {
                index += 1;
                index > at || one.plain() != arg
            });
            refuse(message, "a broken value");
        }
        10 => {
            for _ in 0..random.within(1, 4) {
                let bits = 1 << random.below(8);
                message.flips.push((random.below(1 << 16), bits));
            }
        }
        _ => attribute(random, operation, message),
    }
}

fn header(random: &mut Random, operation: &Operation, message: &mut Message) {
    match random.below(10) {
        0 => {
            message.version = random.choose(&[0, 2, 255]);
            refuse(message, "a wrong version");
        }
        1 => {
            let first = lunatik_cmd::LUNATIK_CMD_STATE_CREATED_NTF.as_u8();
            let last = lunatik_cmd::__LUNATIK_CMD_MAX.as_u8();
            message.command = random.choose(&[0, first, last - 1, last, 127, 255]);
            refuse(message, "no such operation");
        }
        2 => {
            message.reserved = random.choose(&[1, 0xffff]);
            refuse(message, "reserved bytes");
        }
        3 => {
            message.flags |= random.choose(&[0x400, 0x800, 0x1000, 0x8000, 0x10, 0x20]);
            refuse(message, "unknown flags");
        }
        4 => message.flags |= random.choose(&[0x100, 0x200]),
        5 => {
            message.flags ^= NLM_F_DUMP;
            if !operation.dump && operation.command != lunatik_cmd::LUNATIK_CMD_GETSTATE {
                message.refuse = Some("no dump");
            }
        }
        6 => message.flags &= !NLM_F_REQUEST,
        // The kernel does not look at it.
        7 => message.port = random.choose(&[1, 0x7fff_ffff, u32::MAX]),
        8 => message.flags |= 8,
        _ => {
            message.family = Family::Other(random.choose(&[0, 1, 2, 3, 4, 15, 999, u16::MAX]));
        }
    }
}

fn length(random: &mut Random, message: &mut Message) {
    message.length =
        Some(random.choose(&[0, 1, 15, 16, 17, 19, 20, 21, 24, 200, 70_000, u32::MAX]));
}

fn tail(random: &mut Random, message: &mut Message) {
    if random.chance(50) {
        let length = random.within(1, 3);
        message.tail = random.bytes(length);
        refuse(message, "bytes after the attributes");
    } else {
        let length = random.choose(&[4, 8, 100, 5000]);
        message.tail = random.bytes(length);
    }
}

/// Attributes that do not belong there.
fn strange(random: &mut Random, operation: &Operation, message: &mut Message) {
    // All there are and some that are not.
    let kinds = usize::from(lunatik_attr::__LUNATIK_A_MAX.as_u16()) + 8;
    let kind = u16::try_from(random.below(kinds)).expect("small");
    let kind = random.choose(&[kind, kind, kind, 0, 0x3fff]);
    let unknown = spec::form(kind).is_none() || !operation.takes(lunatik_attr::from(kind));
    if !unknown {
        return attribute(random, operation, message);
    }
    let length = random.choose(&[0, 1, 4, 4, 8, 100]);
    let payload = random.bytes(length);
    let at = random.below(message.attributes.len() + 1);
    let times = if random.chance(5) { 3000 } else { 1 };
    let attribute = Attribute::bytes(kind, payload);
    let several = std::iter::repeat_n(attribute, times);
    message.attributes.splice(at..at, several);
    refuse(message, "an attribute that the operation does not take");
}

/// The naming of the state.
fn state(random: &mut Random, operation: &Operation, message: &mut Message) {
    if operation.state == Named::No {
        return header(random, operation, message);
    }
    let name = lunatik_attr::LUNATIK_A_STATE_NAME;
    let id = lunatik_attr::LUNATIK_A_STATE_ID;
    let is_name = |one: &Attribute| one.plain() == name.as_u16() || one.plain() == id.as_u16();
    let known = operation.state == Named::Known;
    let (why, instead): (_, Vec<Attribute>) = match random.below(8) {
        0 => ("no state", vec![]),
        1 => ("name and id", vec![make::name(random), make::id(random)]),
        2 if known => ("no such name", vec![Attribute::text(name, "nobody")]),
        3 if known => (
            "no such id",
            vec![Attribute::u32(id, random.choose(&[0, 1 << 30, u32::MAX]))],
        ),
        4 => (
            "a name that is none",
            vec![Attribute::text(
                name,
                random.choose(&["", "/", "s0/", "../s1", "s\n", "s\x7f", "s\u{e9}", "\x1b["]),
            )],
        ),
        5 => {
            let long = random.choose(&[64, 65, 255, 4000, 60_000]);
            ("a long name", vec![Attribute::text(name, "s".repeat(long))])
        }
        6 => {
            // Ends before its attribute does.
            message.attributes.retain(|one| !is_name(one));
            message.attributes.push(Attribute::text(name, "s1\0s2"));
            return;
        }
        _ => ("an unterminated name", vec![Attribute::bytes(name, *b"s0")]),
    };
    message.attributes.retain(|one| !is_name(one));
    message.attributes.extend(instead);
    refuse(message, why);
}

/// Figures outside what is allowed.
fn limit(random: &mut Random, message: &mut Message) {
    let mut wrong = None;
    for attribute in &mut message.attributes {
        match lunatik_attr::from(attribute.plain()) {
            lunatik_attr::LUNATIK_A_TIMEOUT => {
                let us = random.choose(&[0, 3_000_000_000, u32::MAX]);
                *attribute = Attribute::u32(attribute.kind, us);
                wrong = Some("TIMEOUT outside the limits");
            }
            lunatik_attr::LUNATIK_A_MAX_ALLOC => {
                let bytes = random.choose(&[0, 1, 32_767, (64 << 20) + 1, u32::MAX]);
                *attribute = Attribute::u32(attribute.kind, bytes);
                wrong = Some("MAX_ALLOC outside the limits");
            }
            lunatik_attr::LUNATIK_A_FLAGS => {
                let bits = random.choose(&[16, 1 << 31, u32::MAX]);
                *attribute = Attribute::u32(attribute.kind, bits);
                wrong = Some("unknown FLAGS");
            }
            lunatik_attr::LUNATIK_A_CONTEXT => {
                let context = random.choose(&[2, 1 << 16, u32::MAX]);
                *attribute = Attribute::u32(attribute.kind, context);
                wrong = Some("an unknown CONTEXT");
            }
            lunatik_attr::LUNATIK_A_CODE if random.chance(20) => {
                let part = Attribute::bytes(attribute.kind, vec![b' '; 65_500]);
                let parts = LUNATIK_CODE_MAX as usize / 65_500 + 1;
                let parts = std::iter::repeat_n(part, parts);
                message.attributes.extend(parts);
                return refuse(message, "too much CODE");
            }
            _ => {}
        }
    }
    if let Some(why) = wrong {
        refuse(message, why);
    }
}

/// One attribute, in its form.
fn attribute(random: &mut Random, operation: &Operation, message: &mut Message) {
    if message.attributes.is_empty() {
        return tail(random, message);
    }
    let at = random.below(message.attributes.len());
    let kind = message.attributes[at].plain();
    let form = spec::form(kind).unwrap_or(Form::Bytes);
    let attribute = &mut message.attributes[at];
    let why = match random.below(9) {
        0 => {
            message.attributes.remove(at);
            let still = message.attributes.iter().any(|one| one.plain() == kind);
            let required = operation.required.contains(&lunatik_attr::from(kind));
            (required && !still).then_some("an attribute is missing")
        }
        1 => {
            let copy = attribute.clone();
            let many = if encoded(std::slice::from_ref(&copy)) < 500 {
                400
            } else {
                2
            };
            let times = random.choose(&[1, 1, 2, many]);
            let copies = std::iter::repeat_n(copy, times);
            message.attributes.splice(at..at, copies);
            (!spec::repeats(kind)).then_some("an attribute is there twice")
        }
        2 => {
            let right = match form {
                Form::U32 => 4,
                Form::U64 => 8,
                _ => 0,
            };
            let length = random.choose(&[0, 1, 2, 3, 5, 7, 9, 16, 1000]);
            attribute.body = Body::Bytes(random.bytes(length));
            (right != 0).then_some("an integer of a wrong length")
        }
        3 => {
            attribute.body = Body::Bytes(Vec::new());
            (form != Form::Bytes).then_some("an empty attribute")
        }
        4 => {
            let length = random.choose(&[62_000, 65_531]);
            attribute.body = Body::Bytes(vec![b'x'; length]);
            (kind != lunatik_attr::LUNATIK_A_CODE.as_u16()).then_some("a huge attribute")
        }
        5 => {
            attribute.length = Some(random.choose(&[0, 1, 3, u16::MAX]));
            let rest = 40_000;
            let short = encoded(&message.attributes) < rest;
            short.then_some("an attribute's length lies")
        }
        6 => {
            attribute.length = Some(random.choose(&[4, 5, 6, 8, 12]));
            None
        }
        7 => {
            attribute.kind ^= NLA_F_NESTED;
            Some("a wrong nested flag")
        }
        _ => {
            attribute.padding = 0xff;
            attribute.kind |= if random.chance(20) { 1 << 14 } else { 0 };
            None
        }
    };
    if let Some(why) = why {
        refuse(message, why);
    }
}

/// About how long they are.
fn encoded(attributes: &[Attribute]) -> usize {
    attributes
        .iter()
        .map(|one| match &one.body {
            Body::Bytes(bytes) => 8 + bytes.len(),
            Body::Nest(inner) => 8 + encoded(inner),
            _ => 8,
        })
        .sum()
}
