// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel would send, for tests.

use lunatik_sys::{lunatik_attr, lunatik_cmd};
use neli::consts::nl::NlmF;

/// The family's number.
pub(crate) const FAMILY: u16 = 31;

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("short")
}

pub(crate) fn message(kind: u16, flags: NlmF, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(length(16 + payload.len()).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(u16::from(flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message of the family.
pub(crate) fn reply(flags: NlmF, sequence: u32, cmd: lunatik_cmd, attrs: &[u8]) -> Vec<u8> {
    let payload = [&[cmd.as_u8(), 1, 0, 0], attrs].concat();
    message(FAMILY, flags, sequence, &payload)
}

pub(crate) fn tlv(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(
        u16::try_from(4 + payload.len())
            .expect("short")
            .to_ne_bytes(),
    );
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn attr(attr: lunatik_attr, payload: &[u8]) -> Vec<u8> {
    tlv(attr.as_u16(), payload)
}

/// An attribute of other attributes.
pub(crate) fn nest(kind: lunatik_attr, parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x8000 | kind.as_u16(), &parts.concat())
}

/// What describes a state without hooks: integers of 32 bits are 7, those of 64 are 9.
pub(crate) fn description() -> Vec<u8> {
    let u32 = |kind| attr(kind, &7u32.to_ne_bytes());
    let u64 = |kind| attr(kind, &9u64.to_ne_bytes());
    [
        attr(lunatik_attr::LUNATIK_A_STATE_NAME, b"fw\0"),
        u32(lunatik_attr::LUNATIK_A_STATE_ID),
        u32(lunatik_attr::LUNATIK_A_MAX_ALLOC),
        u32(lunatik_attr::LUNATIK_A_CURR_ALLOC),
        u32(lunatik_attr::LUNATIK_A_PEAK_ALLOC),
        u32(lunatik_attr::LUNATIK_A_CONTEXT),
        u32(lunatik_attr::LUNATIK_A_FLAGS),
        u32(lunatik_attr::LUNATIK_A_TIMEOUT),
        u32(lunatik_attr::LUNATIK_A_REFERENCES),
        u32(lunatik_attr::LUNATIK_A_SUBSCRIBERS),
        u64(lunatik_attr::LUNATIK_A_RUNS),
        u64(lunatik_attr::LUNATIK_A_ERRORS),
        u64(lunatik_attr::LUNATIK_A_DEADLINE_KILLS),
        u64(lunatik_attr::LUNATIK_A_RUN_TIME),
        u64(lunatik_attr::LUNATIK_A_CREATED),
        u32(lunatik_attr::LUNATIK_A_REPLICAS),
        u32(lunatik_attr::LUNATIK_A_TIMERS),
    ]
    .concat()
}

/// An error, or for 0 an ACK, that does not repeat the request.
pub(crate) fn error(sequence: u32, errno: i32, tlvs: &[u8]) -> Vec<u8> {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    // The header of a request of 100,000 bytes.
    payload.extend(100_000u32.to_ne_bytes());
    payload.extend([0; 12]);
    payload.extend(tlvs);
    message(2, NlmF::CAPPED | NlmF::ACK_TLVS, sequence, &payload)
}

/// The end of an answer in several messages.
pub(crate) fn done(sequence: u32, errno: i32, tlvs: &[u8]) -> Vec<u8> {
    let payload = [&(-errno).to_ne_bytes(), tlvs].concat();
    message(3, NlmF::MULTI, sequence, &payload)
}
