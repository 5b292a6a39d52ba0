// SPDX-License-Identifier: MIT OR Apache-2.0
//! The debug kernel: user-mode Linux, built once from Debian's sources with the checkers that `debug.config` names.
//!
//! As with stock kernels, one that is in the cache stays, whatever Debian has by now.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::step::Step;
use crate::{command, host};

/// What is asked of the kernel's configuration.
const FRAGMENT: &str = include_str!("../debug.config");
/// A file of ours that goes into the kernel.
const STACK_TRACES: &str = include_str!("../debug.stacktrace.c");
/// The folder that it goes to.
const ITS_FOLDER: &str = "arch/um/kernel";
/// Its line of the makefile there, and what makes room for it: the functions that it replaces get other names.
const ITS_RULES: &str = "
obj-y += lunatik_stacktrace.o
CFLAGS_stacktrace.o += -Dsave_stack_trace=slow_stack_trace -Dsave_stack_trace_tsk=slow_stack_trace_tsk
";
const PACKAGE: &str = "linux-source-6.12";

/// The parts of the built sources that modules are built with.
const KEPT: &[&str] = &[
    "Makefile",
    ".config",
    "Module.symvers",
    "include",
    "scripts",
    "arch/um",
    "arch/x86",
];

/// Of what a kernel is made: another one is built where this differs.
pub(crate) fn fingerprint() -> String {
    let mut hasher = DefaultHasher::new();
    (PACKAGE, STACK_TRACES, ITS_RULES, ARGUMENTS).hash(&mut hasher);
    asked(FRAGMENT).for_each(|line| line.hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

/// Fetches, configures and builds the kernel; `folder` gets `vmlinux` and `modules` as a stock kernel's has them,
/// and what modules are built with goes where `headers` says for its release. Gives the release.
pub(crate) fn build(
    cache: &Cache,
    folder: &Path,
    headers: impl Fn(&str) -> PathBuf,
) -> Result<String> {
    let mut step = Step::new("building the debug kernel, which is done once and takes minutes");
    step.now("");
    let source = folder.join("source");
    unpack(cache, folder, &source, &mut step)?;

    step.now("configuring");
    configure(&source)?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    command::lines(make(&source).arg(format!("-j{jobs}")), |line| {
        step.now(line.trim());
    })?;

    step.now("keeping what is needed");
    let release = command::text(make(&source).args(["-s", "kernelrelease"]))?;
    let release = release.trim();
    // Its symbols for traces are inside.
    command::output(
        host::tool("strip")
            .arg("-o")
            .arg(folder.join("vmlinux"))
            .arg(source.join("vmlinux")),
    )?;
    let modules = folder.join("modules/lib/modules").join(release);
    fs::create_dir_all(modules.join("kernel"))?;
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        fs::copy(source.join(list), modules.join(list))
            .with_context(|| format!("the build made no {list}"))?;
    }
    keep_headers(&source, &headers(release))?;
    fs::remove_dir_all(&source)?;
    Ok(release.to_owned())
}

fn unpack(cache: &Cache, folder: &Path, source: &Path, step: &mut Step) -> Result<()> {
    let package = folder.join("package");
    Apt::open(cache)?.unpack(&[PACKAGE.to_owned()], Some(apt::BACKPORTS), &package, step)?;
    step.now("unpacking the sources");
    fs::create_dir(source)?;
    command::output(
        host::tool("tar")
            .args(["--strip-components=1", "-C"])
            .arg(source)
            .arg("-xf")
            .arg(package.join(format!("usr/src/{PACKAGE}.tar.xz"))),
    )?;
    fs::remove_dir_all(package)?;
    let place = source.join(ITS_FOLDER);
    fs::write(place.join("lunatik_stacktrace.c"), STACK_TRACES)?;
    let mut makefile = File::options().append(true).open(place.join("Makefile"))?;
    makefile.write_all(ITS_RULES.as_bytes())?;
    Ok(())
}

/// The smallest configuration and what the fragment asks for, all of which must then be there.
fn configure(source: &Path) -> Result<()> {
    let fragment = source.join("debug.config");
    fs::write(&fragment, FRAGMENT)?;
    command::output(make(source).arg("tinyconfig"))?;
    let mut merge = host::tool("sh");
    merge.args(["scripts/kconfig/merge_config.sh", "-m", ".config"]);
    command::output(merge.arg(&fragment).current_dir(source))?;
    command::output(make(source).arg("olddefconfig"))?;
    let missing = missing(FRAGMENT, &fs::read_to_string(source.join(".config"))?);
    ensure!(
        missing.is_empty(),
        "the debug kernel cannot be configured as debug.config asks; not so:\n{}",
        missing.join("\n")
    );
    Ok(())
}

/// Arguments of every make.
const ARGUMENTS: &[&str] = &[
    "ARCH=um",
    "KBUILD_BUILD_USER=lunatik",
    "KBUILD_BUILD_HOST=lunatik",
    // With gcc 12 the plain functions are the checked ones (on a PC they are not), and what keeps the marks around
    // objects must not be stopped by them.
    "CFLAGS_slub.o=-Dmemset=__memset -Dmemcpy=__memcpy",
];

fn make(source: &Path) -> Command {
    let mut make = host::tool("make");
    make.arg("-C").arg(source).args(ARGUMENTS);
    // A make that runs us, or cargo's job server, is no business of Kbuild.
    make.env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .env("LC_ALL", "C");
    make
}

/// The options of `fragment`, without its comments.
fn asked(fragment: &str) -> impl Iterator<Item = &str> {
    let is_option = |line: &&str| line.starts_with("CONFIG_") || line.starts_with("# CONFIG_");
    fragment.lines().filter(is_option)
}

/// The lines of `fragment` that `config` does not have.
fn missing<'a>(fragment: &'a str, config: &str) -> Vec<&'a str> {
    asked(fragment)
        .filter(|line| {
            let unset = line
                .strip_prefix("# ")
                .and_then(|rest| rest.strip_suffix(" is not set"));
            // An option whose own conditions do not hold has no line at all.
            let absent = |name: &str| !config.lines().any(|line| has_value(line, name));
            !unset.map_or_else(|| config.lines().any(|other| other == *line), absent)
        })
        .collect()
}

/// Whether a configuration's line gives the option `name` a value.
fn has_value(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('='))
}

/// Moves what modules are built with from the built sources to `headers`.
fn keep_headers(source: &Path, headers: &Path) -> Result<()> {
    for part in KEPT {
        let to = headers.join(part);
        fs::create_dir_all(to.parent().context("headers at the root")?)?;
        fs::rename(source.join(part), to).with_context(|| format!("cannot keep {part}"))?;
    }
    for entry in WalkDir::new(headers) {
        let entry = entry?;
        let path = entry.path();
        let of_kernel = path.starts_with(headers.join("arch"));
        let product = path
            .extension()
            .is_some_and(|end| end == "o" || end == "a" || of_kernel && (end == "c" || end == "S"));
        if product && entry.file_type().is_file() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_did_not_take_are_told() {
        let fragment = "# a comment\n\nCONFIG_A=y\nCONFIG_B=12\n# CONFIG_C is not set\n# CONFIG_D is not set\n";
        let good = "CONFIG_A=y\nCONFIG_B=12\n# CONFIG_C is not set\nCONFIG_DD=y\n";
        assert!(missing(fragment, good).is_empty());
        let bad = "# CONFIG_A is not set\nCONFIG_B=123\nCONFIG_C=m\nCONFIG_D=y\n";
        assert_eq!(
            missing(fragment, bad),
            [
                "CONFIG_A=y",
                "CONFIG_B=12",
                "# CONFIG_C is not set",
                "# CONFIG_D is not set"
            ]
        );
    }

    #[test]
    fn the_fragment_is_well_formed() {
        let odd = FRAGMENT.lines().find(|line| {
            let option = line.strip_prefix("CONFIG_");
            let unset = line.starts_with("# ") || *line == "#";
            !(line.is_empty() || unset || option.is_some_and(|rest| rest.contains('=')))
        });
        assert_eq!(odd, None);
    }
}
