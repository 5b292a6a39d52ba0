// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments: sequences of values, right and broken ones.

use lunatik_sys::{LUNATIK_STRING_MAX, LUNATIK_TABLE_DEPTH, lunatik_attr, lunatik_value as V};

use super::message::Attribute;
use crate::random::Random;

const ARG: u16 = lunatik_attr::LUNATIK_A_ARG.as_u16();

fn arg(kind: V, payload: &[u8]) -> Attribute {
    Attribute::nest(ARG, vec![Attribute::bytes(kind.as_u16(), payload)])
}

/// A few values.
pub(super) fn right(random: &mut Random) -> Vec<Attribute> {
    let mut args = Vec::new();
    for _ in 0..random.within(1, 4) {
        value(random, 0, true, &mut args);
    }
    args
}

/// A value at this depth; what cannot be a key is left out unless `nil`.
fn value(random: &mut Random, depth: u32, nil: bool, out: &mut Vec<Attribute>) {
    match random.below(10) {
        0 if nil => out.push(arg(V::LUNATIK_V_NIL, &[])),
        1 => out.push(arg(V::LUNATIK_V_BOOLEAN, &[u8::from(random.chance(50))])),
        2..=4 if depth < LUNATIK_TABLE_DEPTH => {
            out.push(arg(V::LUNATIK_V_TABLE, &[]));
            for _ in 0..random.below(4) {
                value(random, depth + 1, false, out);
                value(random, depth + 1, true, out);
            }
            out.push(arg(V::LUNATIK_V_END, &[]));
        }
        5..=7 => {
            let length = match random.below(40) {
                0 => LUNATIK_STRING_MAX as usize,
                1..=4 => random.below(2000),
                _ => random.below(12),
            };
            out.push(arg(V::LUNATIK_V_STRING, &random.bytes(length)));
        }
        _ => out.push(arg(V::LUNATIK_V_INTEGER, &random.bits().to_ne_bytes())),
    }
}

/// A sequence that must be refused.
pub(super) fn broken(random: &mut Random) -> Vec<Attribute> {
    let open = || arg(V::LUNATIK_V_TABLE, &[]);
    let close = || arg(V::LUNATIK_V_END, &[]);
    let one = || arg(V::LUNATIK_V_INTEGER, &1i64.to_ne_bytes());
    let deepest = LUNATIK_TABLE_DEPTH as usize;
    match random.below(15) {
        0 => vec![close()],
        1 => vec![open(), one(), one()],
        2 => vec![open(), one(), close()],
        3 => vec![open(), arg(V::LUNATIK_V_NIL, &[]), one(), close()],
        4 => {
            let depth = random.choose(&[deepest + 1, 100, 3000]);
            let mut all = Vec::new();
            for _ in 1..depth {
                all.extend([open(), one()]);
            }
            all.extend([open()]);
            all.extend((0..depth).map(|_| close()));
            all
        }
        5 => vec![arg(V::LUNATIK_V_TEXT, b"text")],
        6 => vec![arg(V::LUNATIK_V_BOOLEAN, &[random.choose(&[2, 255])])],
        7 => vec![arg(
            V::LUNATIK_V_STRING,
            &vec![b'x'; LUNATIK_STRING_MAX as usize + random.within(1, 4000)],
        )],
        8 => vec![Attribute::nest(ARG, vec![])],
        9 => vec![Attribute::nest(
            ARG,
            vec![
                Attribute::bytes(V::LUNATIK_V_NIL.as_u16(), []),
                Attribute::bytes(V::LUNATIK_V_NIL.as_u16(), []),
            ],
        )],
        10 => {
            let wrong = random.choose(&[0, 1, 4, 7, 9, 16]);
            vec![arg(V::LUNATIK_V_INTEGER, &random.bytes(wrong))]
        }
        11 => {
            let flag = random.choose(&[
                V::LUNATIK_V_NIL,
                V::LUNATIK_V_TABLE,
                V::LUNATIK_V_END,
                V::LUNATIK_V_UNSPEC,
            ]);
            vec![arg(flag, b"data")]
        }
        12 => {
            let kind = random.choose(&[0, V::__LUNATIK_V_MAX.as_u16(), 100, 0x3fff]);
            vec![Attribute::nest(ARG, vec![Attribute::bytes(kind, [])])]
        }
        13 => {
            // Nests in nests.
            let mut inner = Attribute::bytes(V::LUNATIK_V_NIL.as_u16(), []);
            for _ in 0..random.choose(&[1, 8, 500]) {
                inner = Attribute::nest(V::LUNATIK_V_STRING.as_u16(), vec![inner]);
            }
            vec![Attribute::nest(ARG, vec![inner])]
        }
        _ => {
            let mut lie = arg(V::LUNATIK_V_STRING, b"abcd");
            if let super::message::Body::Nest(inner) = &mut lie.body {
                inner[0].length = Some(random.choose(&[0, 3, 4, 9, 1000, u16::MAX]));
            }
            vec![lie]
        }
    }
}
