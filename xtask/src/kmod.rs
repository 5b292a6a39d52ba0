// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building the module: our sources and Lua's are staged in one folder, where Kbuild works.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::btf::Btf;
use crate::step::Step;
use crate::{cache, command, host};

/// Lines of a build that look like warnings and tell of the machine, not of the module.
const HARMLESS: &[&str] = &[
    // Debian builds its kernels with a compiler of another patch level than the machine may have.
    "warning: the compiler differs from the one used to build the kernel",
    // 6.1's headers come without the vmlinux that BTF is made from; we find it elsewhere.
    "Skipping BTF generation for",
];

/// The headers of the running kernel.
pub(crate) fn running_headers() -> Result<PathBuf> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let folder = Path::new("/lib/modules").join(&release).join("build");
    if !folder.exists() {
        bail!(
            "{} is missing: install the headers of the running kernel (Debian: linux-headers-{release}), \
             or name another kernel's with --kernel-dir",
            folder.display()
        );
    }
    Ok(folder)
}

/// What can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// `lunatik.ko`
    Lunatik,
    /// `lunatik.ko` without its time limit, which only a measurement of that limit's cost may load
    Untimed,
    /// `lunatik_probe.ko`, which tells tests what the kernel tells nobody else
    Probe,
    /// `lunatik_hook.ko`, whose hook does nothing, as a measure of others
    Hook,
}

impl Module {
    fn file(self) -> &'static str {
        match self {
            Self::Lunatik | Self::Untimed => "lunatik.ko",
            Self::Probe => "lunatik_probe.ko",
            Self::Hook => "lunatik_hook.ko",
        }
    }

    /// What its build folder's name has behind the kernel's release.
    fn suffix(self) -> &'static str {
        match self {
            Self::Lunatik => "",
            Self::Untimed => ".untimed",
            Self::Probe => ".probe",
            Self::Hook => ".hook",
        }
    }

    fn stage(self, folder: &Path) -> Result<bool> {
        match self {
            Self::Lunatik | Self::Untimed => staging::stage(folder),
            Self::Probe => staging::stage_probe(folder),
            Self::Hook => staging::stage_hook(folder),
        }
    }
}

/// Builds a module for the kernel whose headers are in `headers` and gives its path. `image` is that kernel as
/// an ELF file, if the caller has it.
pub(crate) fn build(headers: &Path, image: Option<&Path>, which: Module) -> Result<PathBuf> {
    let headers = fs::canonicalize(headers)
        .with_context(|| format!("no kernel headers in {}", headers.display()))?;
    let release = fs::read_to_string(headers.join("include/generated/utsrelease.h"))
        .ok()
        .and_then(|text| parse_release(&text))
        .with_context(|| format!("{} holds no configured kernel headers", headers.display()))?;
    let config = fs::read_to_string(headers.join("include/config/auto.conf")).unwrap_or_default();
    let configured = |line| config.lines().any(|other| other == line);
    // User-mode Linux is an architecture of its own, which its headers do not choose by themselves.
    let user_mode = configured("CONFIG_UML=y");
    // The others have no functions for eBPF programs.
    let btf = match which {
        Module::Probe | Module::Hook => Btf::none(),
        Module::Lunatik | Module::Untimed if !configured("CONFIG_DEBUG_INFO_BTF_MODULES=y") => {
            Btf::none()
        }
        Module::Lunatik | Module::Untimed => Btf::of(&headers, &release, image)?,
    };
    let workspace = host::workspace()?;
    let all = workspace.join("target/kmod");
    fs::create_dir_all(&all)?;
    let name = format!("{release}{}", which.suffix());
    let staging = all.join(&name);
    let _lock = cache::lock(&all.join(format!("{name}.lock")))?;
    let module = staging.join(which.file());
    // What the module was built against: make takes a second to find that there is nothing to do.
    let stamp = staging.join(".built-against");
    let modified = headers.join("Module.symvers").metadata()?.modified()?;
    let against = format!("{} {modified:?} {btf}", headers.display());
    let built = fs::read_to_string(&stamp).is_ok_and(|text| text == against);
    if stamp.exists() {
        // An interrupted run must not leave the impression that what it staged has been built.
        fs::remove_file(&stamp)?;
    }
    let changed = which.stage(&staging)?;
    if built && !changed && module.exists() {
        fs::write(&stamp, against)?;
        return Ok(module);
    }

    let mut step = Step::new(format!("building the module for {name}"));
    if module.exists() {
        // Linked anew, so that no older BTF is in it.
        fs::remove_file(&module)?;
    }
    let make = |target: &str| {
        let mut make = host::tool("make");
        make.arg("-C")
            .arg(&headers)
            .arg(format!("M={}", staging.display()))
            .arg(target)
            .args(user_mode.then_some("ARCH=um"))
            .args((which == Module::Untimed).then_some("LUNATIK_UNTIMED=y"));
        // A make that runs us, or cargo's job server, is no business of Kbuild.
        make.env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .env("LC_ALL", "C");
        make
    };
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let output = command::lines(make("modules").arg(format!("-j{jobs}")), |line| {
        if let Some((_, source)) = line.split_once("] ") {
            step.now(
                source
                    .trim_start_matches(&*staging.to_string_lossy())
                    .trim_start_matches('/'),
            );
        }
    })?;
    if output.lines().any(is_warning) {
        // Otherwise the next run would find everything built and nothing to warn of.
        command::output(&mut make("clean"))?;
        bail!("warnings are errors here:\n{}", output.trim_end());
    }
    if !module.exists() {
        bail!(
            "the build made no {}:\n{}",
            module.display(),
            output.trim_end()
        );
    }
    btf.add(&module)?;
    drop(step);
    if let Some(lack) = btf.lack() {
        eprintln!("eBPF programs cannot call this module, for {lack}");
    }
    fs::write(&stamp, against)?;
    Ok(module)
}

/// The release in `#define UTS_RELEASE "6.1.0-56-cloud-amd64"`; kernel.release says something else in Debian's 6.1.
fn parse_release(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("UTS_RELEASE \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn is_warning(line: &str) -> bool {
    line.to_ascii_lowercase().contains("warning")
        && !HARMLESS.iter().any(|harmless| line.contains(harmless))
}

/// Removes debugging information, which Kbuild adds for BTF, from a copy of `module`.
pub(crate) fn strip(module: &Path, copy: &Path) -> Result<()> {
    command::output(
        host::tool("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(copy)
            .arg(module),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        let header = "#define UTS_RELEASE \"6.1.0-56-cloud-amd64\"\n";
        assert_eq!(
            parse_release(header).as_deref(),
            Some("6.1.0-56-cloud-amd64")
        );
        assert_eq!(parse_release("#error"), None);
    }

    #[test]
    fn warnings_are_told_from_noise() {
        assert!(is_warning(
            "kmod/state.c:1:2: warning: unused variable 'x' [-Wunused-variable]"
        ));
        assert!(is_warning(
            "lunatik.o: warning: objtool: longjmp+0x1: return with modified stack frame"
        ));
        assert!(is_warning("WARNING: modpost: missing MODULE_DESCRIPTION()"));
        assert!(!is_warning(
            "warning: the compiler differs from the one used to build the kernel"
        ));
        assert!(!is_warning("  CC [M]  kmod/state.o"));
    }
}
