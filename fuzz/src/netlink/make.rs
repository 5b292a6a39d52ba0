// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to do next: messages mostly.

use lunatik_sys::{
    LUNATIK_DATA_MAX, LUNATIK_MAX_ALLOC_MIN, lunatik_attr, lunatik_context, lunatik_flag,
};

use super::{
    message::{Attribute, Body, Family, Message, NLM_F_ACK, NLM_F_DUMP},
    mutate,
    scripts::{QUICK, SLOW},
    spec::{Named, OPERATIONS, Operation},
    values,
};
use crate::random::Random;

/// Sockets of each thread.
pub(super) const SOCKETS: usize = 4;
/// Few, so that requests meet.
const NAMES: usize = 8;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Send a datagram, and read what comes for it or not.
    Send {
        socket: usize,
        messages: Vec<Message>,
        read: Read,
    },
    /// Send a datagram of any bytes.
    Noise { socket: usize, bytes: Vec<u8> },
    /// Close the socket, whatever it has not read, and open one of the same port id.
    Reopen { socket: usize },
    /// Join or leave a multicast group.
    Group {
        socket: usize,
        group: usize,
        join: bool,
    },
    /// Set an option that answers depend on.
    Option {
        socket: usize,
        which: Setting,
        on: bool,
    },
    /// Read.
    Read { socket: usize, read: Read },
}

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    All,
    /// One datagram.
    One,
    /// All, with a buffer that cuts most messages.
    Cut,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    ExtendedAck,
    CapAck,
}

/// What the case is.
pub(super) fn step(random: &mut Random) -> Step {
    let socket = random.below(SOCKETS);
    match random.below(100) {
        0..=1 => Step::Reopen { socket },
        2 => Step::Group {
            socket,
            group: random.below(2),
            join: random.chance(50),
        },
        3 => Step::Option {
            socket,
            which: random.choose(&[Setting::ExtendedAck, Setting::CapAck]),
            on: random.chance(50),
        },
        4 => {
            let read = random.choose(&[Read::All, Read::One, Read::Cut]);
            Step::Read { socket, read }
        }
        5 => {
            let length = random.choose(&[1, 15, 16, 17, 20, 64, 1000]);
            let bytes = random.bytes(length);
            Step::Noise { socket, bytes }
        }
        _ => Step::Send {
            socket,
            messages: messages(random),
            read: match random.below(40) {
                0 => Read::Nothing,
                1 => Read::One,
                2 => Read::Cut,
                _ => Read::All,
            },
        },
    }
}

fn messages(random: &mut Random) -> Vec<Message> {
    let count = match random.below(10) {
        0..=2 => 1,
        3..=6 => random.within(2, 12),
        _ => random.within(13, 64),
    };
    (0..count).map(|_| message(random)).collect()
}

fn message(random: &mut Random) -> Message {
    let operation = operation(random);
    let mut message = right(random, operation);
    match random.below(100) {
        0..=54 => {}
        55..=96 => mutate::once(random, operation, &mut message),
        _ => {
            message.attributes.clear();
            let length = random.below(200);
            message.tail = random.bytes(length);
        }
    }
    if random.chance(10) {
        message.flags &= !NLM_F_ACK;
    }
    message
}

fn operation(random: &mut Random) -> &'static Operation {
    let all: usize = OPERATIONS.iter().map(|one| one.weight).sum();
    let mut at = random.below(all);
    for operation in OPERATIONS {
        if at < operation.weight {
            return operation;
        }
        at -= operation.weight;
    }
    unreachable!("less than the sum")
}

/// A message that the family takes.
pub(super) fn right(random: &mut Random, operation: &'static Operation) -> Message {
    let mut message = Message::new(operation.name, operation.command.as_u8());
    message.family = Family::Ours;
    if operation.dump {
        message.flags |= NLM_F_DUMP;
    }
    let attributes = &mut message.attributes;
    match operation.state {
        Named::No => {}
        Named::Known if random.chance(30) => attributes.push(id(random)),
        Named::Known | Named::New => attributes.push(name(random)),
    }
    let slow = random.rarely(60);
    for kind in operation.required {
        attribute(random, *kind, operation, slow, attributes);
    }
    for kind in operation.optional {
        if random.chance(35) {
            attribute(random, *kind, operation, slow, attributes);
        }
    }
    let softirq = operation.takes(lunatik_attr::LUNATIK_A_CONTEXT) && context(attributes);
    if operation.has_timeout() {
        // What runs until its deadline need not run for long.
        let (least, most) = if slow { (100, 1500) } else { (2000, 20_000) };
        let us = u32::try_from(random.within(least, most)).expect("small");
        let kind = lunatik_attr::LUNATIK_A_TIMEOUT;
        // A softirq state's limit is not for these, and a slow machine does not raise it.
        attributes.push(if slow || softirq {
            Attribute::u32(kind, us)
        } else {
            Attribute::new(kind, Body::Time(us))
        });
    }
    // Their order means nothing, but for CODE and ARG among themselves.
    if random.chance(10)
        && !attributes
            .iter()
            .any(|one| super::spec::repeats(one.plain()))
    {
        attributes.reverse();
    }
    message
}

pub(super) fn name(random: &mut Random) -> Attribute {
    let name = format!("s{}", random.below(NAMES));
    Attribute::text(lunatik_attr::LUNATIK_A_STATE_NAME, name)
}

pub(super) fn id(random: &mut Random) -> Attribute {
    let back = u32::try_from(random.below(2 * NAMES)).expect("small");
    Attribute::new(lunatik_attr::LUNATIK_A_STATE_ID, Body::Recent(back))
}

fn attribute(
    random: &mut Random,
    kind: lunatik_attr,
    operation: &Operation,
    slow: bool,
    out: &mut Vec<Attribute>,
) {
    match kind {
        lunatik_attr::LUNATIK_A_CODE => code(random, slow, out),
        lunatik_attr::LUNATIK_A_ARG => out.extend(values::right(random)),
        lunatik_attr::LUNATIK_A_FLAGS => {
            #[expect(clippy::cast_possible_truncation, reason = "any will do")]
            let any = random.bits() as u32;
            let some = random.choose(&[0, u32::MAX, u32::MAX, any]);
            out.push(Attribute::u32(kind, operation.flags & some));
        }
        lunatik_attr::LUNATIK_A_CONTEXT => {
            let contexts = [
                lunatik_context::LUNATIK_CONTEXT_PROCESS,
                lunatik_context::LUNATIK_CONTEXT_SOFTIRQ,
            ];
            out.push(Attribute::u32(kind, random.choose(&contexts).0));
        }
        lunatik_attr::LUNATIK_A_MAX_ALLOC => {
            let size = random.choose(&[LUNATIK_MAX_ALLOC_MIN, 40_000, 65_536, 200_000, 1 << 20]);
            out.push(Attribute::u32(kind, size));
        }
        lunatik_attr::LUNATIK_A_CHUNK_NAME => {
            let name = random.choose(&["=x", "@file.lua", "code\nmore", "=\u{fc}\x01"]);
            let length = random.choose(&[name.len(), 1, 2]);
            let name = &name.as_bytes()[..length.min(name.len())];
            out.push(Attribute::text(kind, name));
        }
        lunatik_attr::LUNATIK_A_DATA | lunatik_attr::LUNATIK_A_MESSAGE => {
            let length = match random.below(30) {
                0 => LUNATIK_DATA_MAX as usize,
                1 => 0,
                2..=5 => random.below(3000),
                _ => random.below(20),
            };
            out.push(Attribute::bytes(kind, random.bytes(length)));
        }
        lunatik_attr::LUNATIK_A_SESSION if random.chance(80) => {
            out.push(Attribute::new(kind, Body::Port(random.below(64))));
        }
        lunatik_attr::LUNATIK_A_SESSION => {
            #[expect(clippy::cast_possible_truncation, reason = "any will do")]
            out.push(Attribute::u32(kind, random.bits() as u32));
        }
        lunatik_attr::LUNATIK_A_SEQUENCE => {
            let from = random.choose(&[0, 1, 5, 100, u64::MAX]);
            out.push(Attribute::bytes(kind, from.to_ne_bytes()));
        }
        other => unreachable!("{other:?}"),
    }
}

/// Gives a state that has a replica for each CPU the context that this needs; whether
/// it is to have that context.
fn context(attributes: &mut Vec<Attribute>) -> bool {
    let find = |attributes: &[Attribute], kind: lunatik_attr| {
        let found = attributes.iter().find(|one| one.plain() == kind.as_u16());
        found.and_then(Attribute::as_u32).unwrap_or_default()
    };
    let kind = lunatik_attr::LUNATIK_A_CONTEXT;
    let softirq = lunatik_context::LUNATIK_CONTEXT_SOFTIRQ.0;
    let flags = find(attributes, lunatik_attr::LUNATIK_A_FLAGS);
    if flags & lunatik_flag::LUNATIK_F_PERCPU.0 != 0 {
        attributes.retain(|one| one.plain() != kind.as_u16());
        attributes.push(Attribute::u32(kind, softirq));
    }
    find(attributes, kind) == softirq
}

fn code(random: &mut Random, slow: bool, out: &mut Vec<Attribute>) {
    let kind = lunatik_attr::LUNATIK_A_CODE;
    let script = random.pick(if slow { SLOW } else { QUICK }).as_bytes();
    match random.below(200) {
        // In pieces, one of them maybe empty.
        0..=19 => {
            let (a, b) = script.split_at(random.below(script.len() + 1));
            out.push(Attribute::bytes(kind, a));
            out.push(Attribute::bytes(kind, b));
        }
        20..=23 => {
            let length = random.below(300);
            out.push(Attribute::bytes(kind, random.bytes(length)));
        }
        24 => {
            let mut long = script.to_vec();
            long.resize(65_000, b' ');
            out.push(Attribute::bytes(kind, long));
        }
        _ => out.push(Attribute::bytes(kind, script)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn states_of_replicas_are_softirq_states() {
        let mut random = Random::new(5, 0);
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let message = right(&mut random, &OPERATIONS[0]);
            let find = |kind: lunatik_attr| {
                let mut attributes = message.attributes.iter();
                let found = attributes.find(|one| one.plain() == kind.as_u16());
                found.and_then(Attribute::as_u32)
            };
            let flags = find(lunatik_attr::LUNATIK_A_FLAGS).unwrap_or_default();
            let percpu = flags & lunatik_flag::LUNATIK_F_PERCPU.0 != 0;
            seen.insert((find(lunatik_attr::LUNATIK_A_CONTEXT), percpu));
        }
        let (process, softirq) = (Some(0), Some(1));
        let all = [
            (None, false),
            (process, false),
            (softirq, false),
            (softirq, true),
        ];
        assert_eq!(seen, all.into());
    }
}
