// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels that the VM boots: Debian's, downloaded and unpacked, never installed, and one built for debugging.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use walkdir::WalkDir;

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::kmod::{self, Module};
use crate::step::Step;
use crate::{command, debug, host};

/// The layout of a kernel's folder in the cache; another number makes them anew.
const LAYOUT: u32 = 1;

/// The modules that the guest gets, as prefixes of their paths, beside those that they need.
const MODULES: &[&str] = &[
    "kernel/arch/x86/crypto/",
    "kernel/crypto/",
    "kernel/drivers/char/virtio_console",
    "kernel/drivers/net/bonding/",
    "kernel/drivers/net/dummy",
    "kernel/drivers/net/geneve",
    "kernel/drivers/net/ifb",
    "kernel/drivers/net/ipvlan/",
    "kernel/drivers/net/macvlan",
    "kernel/drivers/net/netdevsim/",
    "kernel/drivers/net/nlmon",
    "kernel/drivers/net/tap",
    "kernel/drivers/net/tun",
    "kernel/drivers/net/veth",
    "kernel/drivers/net/virtio_net",
    "kernel/drivers/net/vrf",
    "kernel/drivers/net/vxlan",
    "kernel/drivers/net/wireguard/",
    "kernel/drivers/virtio/virtio_pci",
    "kernel/net/8021q/",
    "kernel/net/bridge/",
    "kernel/net/core/",
    "kernel/net/ipv4/",
    "kernel/net/ipv6/",
    "kernel/net/llc/",
    "kernel/net/netfilter/",
    "kernel/net/netlink/",
    "kernel/net/packet/",
    "kernel/net/sched/",
    "kernel/net/unix/",
    "kernel/net/xdp/",
    "kernel/net/xfrm/",
];

/// A kernel that is supported, by the name that `--kernel` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Version {
    /// Linux 6.12, from bookworm-backports
    #[value(name = "6.12")]
    V6_12,
    /// Linux 6.1, from bookworm
    #[value(name = "6.1")]
    V6_1,
    /// Linux 6.12 with checkers for memory, locks and more, in user mode
    Debug,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V6_12, Self::V6_1, Self::Debug];

    /// Whether this is the kernel with the checkers.
    pub(crate) fn is_debug(self) -> bool {
        self == Self::Debug
    }

    /// How many CPUs a guest gets: as many as `asked`, or else `usual`, which the debug kernel may not have.
    pub(crate) fn cpus(self, asked: Option<u32>, usual: u32) -> Result<u32> {
        let cpus = asked.unwrap_or(if self.is_debug() { 1 } else { usual });
        ensure!(
            cpus == 1 || !self.is_debug(),
            "{cpus} CPUs: the debug kernel is user-mode Linux, which has one only"
        );
        Ok(cpus)
    }

    /// The memory of a guest that runs all tests, in MiB. What the checkers note of each block is more than the block.
    pub(crate) fn test_memory(self) -> u32 {
        if self.is_debug() { 2048 } else { 1024 }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V6_12 => "6.12",
            Self::V6_1 => "6.1",
            Self::Debug => "debug",
        }
    }

    fn suite(self) -> Option<&'static str> {
        match self {
            Self::V6_12 | Self::Debug => Some(apt::BACKPORTS),
            Self::V6_1 => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kernel in the cache.
pub(crate) struct Kernel {
    pub(crate) version: Version,
    /// What `uname -r` says in the guest.
    pub(crate) release: String,
    folder: PathBuf,
}

impl Kernel {
    /// The kernel, fetched or built where it is not yet in the cache.
    pub(crate) fn get(version: Version) -> Result<Self> {
        let cache = Cache::open()?;
        let mut entry = format!("linux-{version}-{LAYOUT}");
        if version.is_debug() {
            entry = format!("{entry}-{}", debug::fingerprint());
        }
        let folder = cache.entry(&entry, |folder| make(&cache, version, folder))?;
        let release = fs::read_to_string(folder.join("release"))?;
        Ok(Self {
            version,
            release,
            folder,
        })
    }

    /// Builds a module for it and gives its path.
    pub(crate) fn build(&self, module: Module) -> Result<PathBuf> {
        let headers = headers(&self.folder, &self.release);
        kmod::build(&headers, Some(&self.image()), module)
    }

    /// The kernel as an uncompressed ELF image, which boots faster than the compressed one.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The folder that holds the guest's `lib/modules/RELEASE`, as depmod wants it.
    pub(crate) fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }
}

fn headers(folder: &Path, release: &str) -> PathBuf {
    folder
        .join("root/usr/src")
        .join(format!("linux-headers-{release}"))
}

/// Puts a kernel into `folder`.
fn make(cache: &Cache, version: Version, folder: &Path) -> Result<()> {
    if !host::is_bookworm() {
        bail!(
            "Linux {version} is fetched from Debian 12's archive, and this machine is not Debian 12"
        );
    }
    let release = if version.is_debug() {
        debug::build(cache, folder, |release| headers(folder, release))?
    } else {
        fetch(cache, version, folder)?
    };
    fs::write(folder.join("release"), release)?;
    Ok(())
}

/// Fetches a stock kernel and gives its release.
fn fetch(cache: &Cache, version: Version, folder: &Path) -> Result<String> {
    let apt = Apt::open(cache)?;
    let mut step = Step::new(format!("fetching Linux {version}"));
    step.now("");
    let suite = version.suite();
    let image = apt.dependencies("linux-image-cloud-amd64", suite)?;
    let image = apt::only(&image, "linux-image-")?;
    let release = image.trim_start_matches("linux-image-");
    let own_headers = format!("linux-headers-{release}");
    let needed = apt.dependencies(&own_headers, suite)?;
    let common = apt::only(&needed, "linux-headers-")?;
    let kbuild = apt::only(&needed, "linux-kbuild-")?;
    let packages = [image, &own_headers, common, kbuild].map(str::to_owned);

    let root = folder.join("root");
    apt.unpack(&packages, suite, &root, &mut step)?;
    mend_headers(&headers(folder, release), common)?;
    step.now("extracting the kernel");
    fs::write(
        folder.join("vmlinux"),
        extract(&fs::read(
            root.join("boot").join(format!("vmlinuz-{release}")),
        )?)?,
    )?;
    step.now("choosing the modules");
    choose_modules(&root, &folder.join("modules"), release)?;
    fs::remove_dir_all(root.join("boot"))?;
    fs::remove_dir_all(root.join("lib/modules"))?;
    Ok(release.to_owned())
}

/// The headers' makefile includes the common one by its path once installed; ours lies beside it.
fn mend_headers(headers: &Path, common: &str) -> Result<()> {
    let makefile =
        format!("include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../{common}/Makefile\n");
    let path = headers.join("Makefile");
    fs::write(&path, makefile).with_context(|| format!("cannot write {}", path.display()))
}

/// The uncompressed kernel inside a boot image, whose header tells where it is
/// (Documentation/arch/x86/boot.rst, fields `setup_sects`, `payload_offset` and `payload_length`).
pub(crate) fn extract(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image
            .get(at..at + 4)
            .context("the boot image is cut short")?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let sectors = *image.get(0x1f1).context("the boot image is cut short")? as usize;
    let start = (sectors + 1) * 512 + word(0x248)?;
    // The payload ends with its uncompressed size, which the programs below take for garbage.
    let end = start + word(0x24c)?.saturating_sub(4);
    let payload = image
        .get(start..end)
        .context("the boot image is cut short")?;
    let program = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x02, 0x21, 0x4c, 0x18, ..] => "lz4",
        _ => bail!("the kernel is compressed in an unknown way"),
    };
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, payload)?;
    command::output(host::tool(program).arg("-dc").arg(file.path()))
}

/// Copies the modules that the guest needs, uncompressed, from an unpacked kernel to `target`.
fn choose_modules(root: &Path, target: &Path, release: &str) -> Result<()> {
    let tree = root.join("lib/modules").join(release);
    let files = || {
        WalkDir::new(&tree)
            .into_iter()
            .filter_map(Result::ok)
            .map(walkdir::DirEntry::into_path)
    };
    let compressed: Vec<PathBuf> = files()
        .filter(|path| path.extension().is_some_and(|end| end == "xz"))
        .collect();
    for some in compressed.chunks(500) {
        command::output(host::tool("xz").args(["-d", "-T0"]).args(some))?;
    }
    depmod(root, release)?;
    let dependencies = parse_modules_dep(&fs::read_to_string(tree.join("modules.dep"))?);
    let mut chosen = BTreeSet::new();
    for (module, needed) in &dependencies {
        if MODULES.iter().any(|prefix| module.starts_with(prefix)) {
            chosen.insert(module.as_str());
            chosen.extend(needed.iter().map(String::as_str));
        }
    }
    let lists = [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ];
    for path in chosen.into_iter().chain(lists) {
        let to = target.join("lib/modules").join(release).join(path);
        fs::create_dir_all(to.parent().context("a module at the root")?)?;
        fs::copy(tree.join(path), to).with_context(|| format!("cannot copy {path}"))?;
    }
    Ok(())
}

/// Writes the metadata of the modules below `root`.
pub(crate) fn depmod(root: &Path, release: &str) -> Result<()> {
    command::output(host::tool("depmod").arg("-b").arg(root).arg(release))?;
    Ok(())
}

/// Each module's path with all that it needs, from lines like `kernel/a.ko: kernel/b.ko kernel/c.ko`.
fn parse_modules_dep(text: &str) -> BTreeMap<String, Vec<String>> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(module, needed)| {
            (
                module.to_owned(),
                needed.split_whitespace().map(str::to_owned).collect(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_what_they_need() {
        let dependencies =
            parse_modules_dep("kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko:\n");
        assert_eq!(dependencies["kernel/a.ko"], ["kernel/b.ko", "kernel/c.ko"]);
        assert!(dependencies["kernel/b.ko"].is_empty());
    }

    #[test]
    fn images_that_are_none_are_refused() {
        assert!(extract(b"short").is_err());
        assert!(extract(&vec![0; 0x1000]).is_err());
    }
}
