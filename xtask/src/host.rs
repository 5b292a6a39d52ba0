// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine must have, and how it gets it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::command;
use crate::kernel::Version;

/// A Debian package and how to see that what it gives is there.
struct Need {
    package: &'static str,
    sign: Sign,
}

enum Sign {
    /// A program in the search path.
    Program(&'static str),
    /// A library whose file's name starts so.
    Library(&'static str),
    /// A file at this path.
    File(&'static str),
}

const fn program(package: &'static str, name: &'static str) -> Need {
    Need {
        package,
        sign: Sign::Program(name),
    }
}

const fn library(package: &'static str, name: &'static str) -> Need {
    Need {
        package,
        sign: Sign::Library(name),
    }
}

const fn file(package: &'static str, path: &'static str) -> Need {
    Need {
        package,
        sign: Sign::File(path),
    }
}

/// What it takes to build the module for a kernel whose headers are installed, with what they depend on.
const BUILD: &[Need] = &[program("gcc", "gcc"), program("make", "make")];

/// What it takes to unpack Debian's kernels and to build for them, and what the VM borrows from this machine.
const VM: &[Need] = &[
    program("gcc-12", "gcc-12"),
    program("binutils", "strip"),
    program("pahole", "pahole"),
    program("kmod", "depmod"),
    // lunatikctl has an eBPF program, and libbpf to load it.
    program("clang", "clang"),
    program("pkg-config", "pkg-config"),
    file("libelf-dev", "/usr/include/libelf.h"),
    file("zlib1g-dev", "/usr/include/zlib.h"),
    file("linux-libc-dev", "/usr/include/linux/bpf.h"),
    library("libelf1", "libelf.so.1"),
    library("libssl3", "libcrypto.so.3"),
    program("xz-utils", "xz"),
    program("zstd", "zstd"),
    program("lz4", "lz4"),
    program("libc-bin", "ldd"),
    program("busybox-static", "busybox"),
    program("iproute2", "ip"),
    program("iputils-ping", "ping"),
    program("nftables", "nft"),
    program("bpftool", "bpftool"),
    program("lua5.4", "lua5.4"),
    program("util-linux", "setpriv"),
    file(
        "libpam-modules",
        "/usr/lib/x86_64-linux-gnu/security/pam_rootok.so",
    ),
    file("netbase", "/etc/protocols"),
    program("curl", "curl"),
    program("bind9-dnsutils", "dig"),
    program("dnsmasq-base", "dnsmasq"),
    program("openssl", "openssl"),
];

/// What it takes to build a kernel.
const DEBUG_KERNEL: &[Need] = &[
    program("bc", "bc"),
    program("bison", "bison"),
    program("flex", "flex"),
    file("libc6-dev", "/usr/include/stdio.h"),
];

/// What the tests of this machine need besides: bindgen reads the UAPI header with libclang.
const TESTS: &[Need] = &[library("libclang-dev", "libclang.so")];

const QEMU: &str = "qemu-system-x86";
/// QEMU 7.2, which is what bookworm has, boots Linux 6.12 only 7 times in 10; 10.0 was seen to boot it always.
const QEMU_MAJOR: u32 = 10;

/// Makes sure that the module can be built here.
pub(crate) fn ensure_build() -> Result<()> {
    ensure(&[BUILD], false)
}

/// Makes sure that the module can be built and VMs of `kernels` can run here.
pub(crate) fn ensure_vm(kernels: &[Version]) -> Result<()> {
    ensure_for(kernels, &[])
}

/// Makes sure that every test can run here, on `kernels`.
pub(crate) fn ensure_tests(kernels: &[Version]) -> Result<()> {
    ensure_for(kernels, TESTS)
}

fn ensure_for(kernels: &[Version], besides: &[Need]) -> Result<()> {
    let (debug, stock): (Vec<Version>, Vec<Version>) =
        kernels.iter().partition(|kernel| kernel.is_debug());
    let debug = if debug.is_empty() { &[] } else { DEBUG_KERNEL };
    ensure(&[BUILD, VM, debug, besides], !stock.is_empty())
}

fn ensure(needs: &[&[Need]], qemu: bool) -> Result<()> {
    if env::consts::ARCH != "x86_64" {
        bail!(
            "only x86_64 is supported, this machine is {}",
            env::consts::ARCH
        );
    }
    let lacking = || {
        let missing = needs
            .iter()
            .copied()
            .flatten()
            .filter(|need| !present(need));
        (
            missing.map(|need| need.package).collect::<Vec<_>>(),
            qemu && !qemu_is_good(),
        )
    };
    let (missing, qemu_missing) = lacking();
    if missing.is_empty() && !qemu_missing {
        return Ok(());
    }
    if !(is_bookworm() && apt::may_install()) {
        let newer_qemu =
            format!("{QEMU} ({QEMU_MAJOR}.0 or newer; in Debian 12 from bookworm-backports)");
        let list: Vec<&str> = missing
            .into_iter()
            .chain(qemu_missing.then_some(&*newer_qemu))
            .collect();
        bail!(
            "this machine lacks programs, and packages are installed by themselves only on Debian 12 as root or with sudo.\n\
             Please install (names are Debian's): {}",
            list.join(", ")
        );
    }
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    // Another run may have installed them meanwhile.
    let (missing, qemu_missing) = lacking();
    let apt = Apt::open(&cache)?;
    if !missing.is_empty() {
        apt.install(&missing, None)?;
    }
    if qemu_missing {
        apt.install(&[QEMU], Some(apt::BACKPORTS))?;
    }
    Ok(())
}

fn present(need: &Need) -> bool {
    match need.sign {
        Sign::Program(name) => find(name).is_some(),
        Sign::Library(name) => libraries().any(|file| file.starts_with(name)),
        Sign::File(path) => Path::new(path).exists(),
    }
}

/// The names of the files in the folders of libraries.
fn libraries() -> impl Iterator<Item = String> {
    let llvm = folder("/usr/lib").filter(|path| path.to_string_lossy().contains("/llvm-"));
    let folders = llvm.map(|path| path.join("lib"));
    let folders =
        folders.chain(["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"].map(PathBuf::from));
    folders
        .flat_map(folder)
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
}

/// What is in a folder; nothing where there is none.
fn folder(path: impl AsRef<Path>) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

/// The program `name` in the search path or one of the system's folders, which a user's path may lack.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// `program`, found also where the user's search path lacks the system's folders.
pub(crate) fn tool(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| name.into()))
}

/// Whether this is the Debian whose kernels and packages we know.
pub(crate) fn is_bookworm() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| {
        let has = |wanted| text.lines().any(|line| line.replace('"', "") == wanted);
        has("ID=debian") && has("VERSION_CODENAME=bookworm")
    })
}

fn qemu_is_good() -> bool {
    find("qemu-system-x86_64")
        .and_then(|qemu| command::text(Command::new(qemu).arg("--version")).ok())
        .and_then(|text| parse_qemu_major(&text))
        .is_some_and(|major| major >= QEMU_MAJOR)
}

/// The 10 of `QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)`.
fn parse_qemu_major(text: &str) -> Option<u32> {
    text.split_once("version ")?
        .1
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The folder of the workspace that this xtask was built from.
pub(crate) fn workspace() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies outside a workspace")?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_qemu_major;

    #[test]
    fn qemu_version() {
        assert_eq!(
            parse_qemu_major(
                "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n"
            ),
            Some(10)
        );
        assert_eq!(parse_qemu_major("QEMU emulator version 7.2.17\n"), Some(7));
        assert_eq!(parse_qemu_major("qemu: not found"), None);
    }
}
