// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds `src/bindings.rs` to the UAPI header. Needs libclang.
//!
//! After a change of the header:
//! `LUNATIK_BINDINGS=write cargo test -p lunatik-sys --test bindings`

use std::{env, fs, path::Path};

use bindgen::{Builder, EnumVariation, Formatter, RustTarget};

const HEADER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../kmod/include/uapi/linux/lunatik.h"
);
const BINDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");

fn generate() -> String {
    Builder::default()
        .header(HEADER)
        .allowlist_item("_*(LUNATIK|lunatik)_.*")
        .blocklist_item("_UAPI_.*")
        .default_enum_style(EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .clang_arg("-fparse-all-comments")
        .generate_cstr(true)
        .use_core()
        .layout_tests(false)
        .disable_header_comment()
        .raw_line("// SPDX-License-Identifier: MIT OR Apache-2.0")
        .raw_line("// Generated from linux/lunatik.h by tests/bindings.rs.")
        .rust_target(RustTarget::stable(85, 0).expect("a Rust version that bindgen knows"))
        .formatter(Formatter::Prettyplease)
        .generate()
        .expect("bindgen reads the header")
        .to_string()
}

#[test]
fn bindings_are_those_of_the_header() {
    let fresh = generate();
    if env::var_os("LUNATIK_BINDINGS").is_some_and(|value| value == "write") {
        fs::write(BINDINGS, &fresh).expect("src/bindings.rs is writable");
    }
    let kept = fs::read_to_string(Path::new(BINDINGS)).unwrap_or_default();
    assert!(
        kept == fresh,
        "src/bindings.rs differs from the header; regenerate it with \
         `LUNATIK_BINDINGS=write cargo test -p lunatik-sys --test bindings`"
    );
}
