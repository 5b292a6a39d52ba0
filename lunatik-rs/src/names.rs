// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel numbers and people call by names.

/// Gives an enumeration its names; one that has none is shown as its number.
macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal,)* }) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.pad($name),)*
                    Self::Unknown(number) => f.pad_integral(true, "", &number.to_string()),
                }
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            /// Its name.
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

pub(crate) use names;
