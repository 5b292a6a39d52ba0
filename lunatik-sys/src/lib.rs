// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw constants and types of Lunatik's generic netlink family, generated from
//! the kernel module's UAPI header, `linux/lunatik.h`. The header says what each
//! of them means on the wire; the crate `lunatik` is the client built on them.
//!
//! Each C enum is a newtype with one constant per member, which keeps the
//! header's name:
//!
//! ```
//! use lunatik_sys::{LUNATIK_GENL_NAME, lunatik_attr, lunatik_cmd};
//!
//! assert_eq!(LUNATIK_GENL_NAME, c"lunatik_family");
//! assert_eq!(lunatik_cmd::LUNATIK_CMD_NEWSTATE.as_u8(), 1);
//! assert_eq!(u16::from(lunatik_attr::LUNATIK_A_STATE_NAME), 1);
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[rustfmt::skip]
#[expect(
    non_camel_case_types,
    missing_docs,
    clippy::pedantic,
    reason = "names and comments are the header's"
)]
mod bindings;

pub use bindings::*;

/// Numbers that are narrower on the wire than C's enums are.
macro_rules! narrow {
    ($($enum:ident: $int:ident, $as:ident;)*) => {$(
        impl $enum {
            /// The number as it travels.
            #[must_use]
            #[expect(clippy::cast_possible_truncation, reason = "the header's numbers are small")]
            pub const fn $as(self) -> $int {
                self.0 as $int
            }
        }

        impl From<$enum> for $int {
            fn from(value: $enum) -> $int {
                value.$as()
            }
        }

        impl From<$int> for $enum {
            fn from(value: $int) -> $enum {
                $enum(value.into())
            }
        }
    )*};
}

narrow! {
    lunatik_cmd: u8, as_u8;
    lunatik_attr: u16, as_u16;
    lunatik_value: u16, as_u16;
}
