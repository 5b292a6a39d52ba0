// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's BTF: its types and functions, by which eBPF programs find what they may call.
//!
//! Kbuild makes it where the kernel's own BTF lies beside the headers. Debian's 6.1 has no such file, but the same
//! is in the kernel; and it lacks the tool for the second step, which that of a newer kernel does as well.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::step::Step;
use crate::{command, host, kernel};

/// Puts the numbers of types into the module's lists of them.
const RESOLVE: &str = "tools/bpf/resolve_btfids/resolve_btfids";
/// The cache's entry with that tool; another number makes it anew.
const ENTRY: &str = "resolve_btfids-1";

/// How a module gets its BTF.
pub(crate) enum Btf {
    /// Not at all, or from Kbuild.
    NotOurs,
    /// From a kernel, by a tool.
    Make { base: Base, resolve: PathBuf },
    /// It cannot, for this reason.
    Lacking(String),
}

/// What has the kernel's own BTF.
pub(crate) enum Base {
    /// It itself, or an ELF file that it is in.
    File(PathBuf),
    /// A boot image.
    Image(PathBuf),
}

impl Btf {
    /// For what needs none.
    pub(crate) fn none() -> Self {
        Self::NotOurs
    }

    /// For a module of the kernel `release`, which was built with BTF.
    pub(crate) fn of(headers: &Path, release: &str, image: Option<&Path>) -> Result<Self> {
        if headers.join("vmlinux").exists() {
            return Ok(Self::NotOurs);
        }
        let Some(base) = Base::of(release, image) else {
            let what = format!("no vmlinux of {release} was found");
            return Ok(Self::Lacking(what));
        };
        if host::find("pahole").is_none() {
            return Ok(Self::Lacking("there is no pahole here".to_owned()));
        }
        Ok(match resolve_btfids(headers)? {
            Some(resolve) => Self::Make { base, resolve },
            None => Self::Lacking(format!("{release}'s headers have no resolve_btfids")),
        })
    }

    /// Why there is none.
    pub(crate) fn lack(&self) -> Option<&str> {
        match self {
            Self::Lacking(why) => Some(why),
            Self::NotOurs | Self::Make { .. } => None,
        }
    }

    /// Adds it to a module that was just linked.
    pub(crate) fn add(&self, module: &Path) -> Result<()> {
        let Self::Make { base, resolve } = self else {
            return Ok(());
        };
        let extracted;
        let base = match base {
            Base::File(path) => path,
            Base::Image(path) => {
                extracted = tempfile::NamedTempFile::new()?;
                let image =
                    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                fs::write(extracted.path(), kernel::extract(&image)?)?;
                extracted.path()
            }
        };
        command::output(
            host::tool("pahole")
                .env(
                    "LLVM_OBJCOPY",
                    host::find("objcopy").unwrap_or("objcopy".into()),
                )
                .arg("-J")
                .arg("--btf_base")
                .arg(base)
                .arg(module),
        )?;
        command::output(Command::new(resolve).arg("-b").arg(base).arg(module))?;
        Ok(())
    }
}

impl Base {
    /// Where the BTF of the kernel `release` is.
    fn of(release: &str, image: Option<&Path>) -> Option<Self> {
        if let Some(image) = image {
            return Some(Self::File(image.to_owned()));
        }
        let running = rustix::system::uname();
        let own = Path::new("/sys/kernel/btf/vmlinux");
        if running.release().to_bytes() == release.as_bytes() && own.exists() {
            return Some(Self::File(own.to_owned()));
        }
        let boot = Path::new("/boot").join(format!("vmlinuz-{release}"));
        boot.exists().then_some(Self::Image(boot))
    }
}

/// Changes when the module has to be made anew.
impl fmt::Display for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => Ok(()),
            Self::Lacking(_) => write!(f, "without BTF"),
            Self::Make { base, resolve } => {
                let (Base::File(base) | Base::Image(base)) = base;
                write!(f, "{} {}", base.display(), resolve.display())
            }
        }
    }
}

/// The headers' own tool, or Debian's of a newer kernel.
fn resolve_btfids(headers: &Path) -> Result<Option<PathBuf>> {
    let own = headers.join(RESOLVE);
    if own.exists() {
        return Ok(Some(own));
    }
    if !host::is_bookworm() {
        return Ok(None);
    }
    let cache = Cache::open()?;
    let folder = cache.entry(ENTRY, |folder| fetch(&cache, folder))?;
    Ok(Some(folder.join("resolve_btfids")))
}

fn fetch(cache: &Cache, folder: &Path) -> Result<()> {
    let apt = Apt::open(cache)?;
    let mut step = Step::new("fetching resolve_btfids");
    step.now("");
    let suite = Some(apt::BACKPORTS);
    let headers = apt.dependencies("linux-headers-cloud-amd64", suite)?;
    let headers = apt::only(&headers, "linux-headers-")?;
    let needed = apt.dependencies(headers, suite)?;
    let package = apt::only(&needed, "linux-kbuild-")?;
    let root = folder.join("root");
    apt.unpack(&[package.to_owned()], suite, &root, &mut step)?;
    let tool = root.join("usr/lib").join(package).join(RESOLVE);
    fs::copy(&tool, folder.join("resolve_btfids"))
        .with_context(|| format!("{package} has no {RESOLVE}"))?;
    fs::remove_dir_all(root)?;
    Ok(())
}
