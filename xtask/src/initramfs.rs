// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's file system: programs of this machine with the libraries that they need, in a newc
//! archive that the kernel unpacks.
//!
//! Programs are taken as they are, with what ldd names: the guest then has the very iproute2, nft and Lua
//! that users of Debian have, nothing has to be linked statically, and one libc serves them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use cpio::newc::{Builder, ModeFileType, trailer};
use walkdir::WalkDir;

use crate::{command, host};

/// A tree of files, to be written as an archive.
#[derive(Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    /// Programs and libraries whose own libraries are not yet in.
    unresolved: BTreeSet<PathBuf>,
}

enum Node {
    Folder,
    File {
        source: PathBuf,
        mode: u32,
    },
    Text {
        text: String,
        mode: u32,
    },
    Link(PathBuf),
    /// A character device.
    Device(u32, u32),
}

impl Tree {
    pub(crate) fn folder(&mut self, path: impl AsRef<Path>) {
        self.insert(path.as_ref(), Node::Folder);
    }

    pub(crate) fn text(&mut self, path: impl AsRef<Path>, text: impl Into<String>) {
        self.insert(
            path.as_ref(),
            Node::Text {
                text: text.into(),
                mode: 0o644,
            },
        );
    }

    pub(crate) fn link(&mut self, path: impl AsRef<Path>, target: impl Into<PathBuf>) {
        self.insert(path.as_ref(), Node::Link(target.into()));
    }

    pub(crate) fn device(&mut self, path: impl AsRef<Path>, major: u32, minor: u32) {
        self.insert(path.as_ref(), Node::Device(major, minor));
    }

    /// Copies a file, or a folder with all that is in it, from this machine.
    pub(crate) fn copy(&mut self, source: &Path, path: impl AsRef<Path>) -> Result<()> {
        for entry in WalkDir::new(source).follow_links(true) {
            let entry = entry.with_context(|| format!("cannot read {}", source.display()))?;
            let inside = entry.path().strip_prefix(source)?;
            let target = if inside.as_os_str().is_empty() {
                path.as_ref().to_owned()
            } else {
                path.as_ref().join(inside)
            };
            if entry.file_type().is_dir() {
                self.folder(target);
            } else if entry.file_type().is_file() {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                self.insert(
                    &target,
                    Node::File {
                        source: entry.path().to_owned(),
                        mode,
                    },
                );
            }
        }
        Ok(())
    }

    /// Copies a program or library whose libraries [`Tree::resolve`] is to find.
    pub(crate) fn program(&mut self, source: &Path, path: impl AsRef<Path>) {
        let node = Node::File {
            source: source.to_owned(),
            mode: 0o755,
        };
        self.insert(path.as_ref(), node);
        self.unresolved.insert(source.to_owned());
    }

    /// Copies a program of this machine to the same place in the guest, link by link.
    pub(crate) fn same_program(&mut self, path: &Path) -> Result<()> {
        let real =
            fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
        if place(&real) != place(path) {
            self.link(path, real.clone());
        }
        self.program(&real, &real);
        Ok(())
    }

    /// Adds the libraries of the programs that were added since the last time.
    pub(crate) fn resolve(&mut self) -> Result<()> {
        let programs = std::mem::take(&mut self.unresolved);
        if programs.is_empty() {
            return Ok(());
        }
        // cargo sets a library path of its own for what it runs.
        let output = host::tool("ldd")
            .args(&programs)
            .env_remove("LD_LIBRARY_PATH")
            .env("LC_ALL", "C")
            .output()?;
        for library in parse_ldd(&String::from_utf8_lossy(&output.stdout))? {
            self.copy(&fs::canonicalize(&library)?, &library)?;
        }
        Ok(())
    }

    /// Leaves out what `other` has, which is unpacked first.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.nodes.retain(|path, _| !other.nodes.contains_key(path));
        self
    }

    fn insert(&mut self, path: &Path, node: Node) {
        let path = place(path);
        for folder in path
            .ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            self.nodes.entry(folder.to_owned()).or_insert(Node::Folder);
        }
        self.nodes.insert(path, node);
    }

    /// Whether the guest has something at `path`.
    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.nodes.contains_key(&place(path.as_ref()))
    }

    /// Writes the tree as one archive; archives written one after another unpack one over the other.
    pub(crate) fn write(&self, mut out: impl Write) -> Result<()> {
        // Parents sort before what is in them.
        for (path, node) in &self.nodes {
            let name = path
                .to_str()
                .with_context(|| format!("the name of {} is not UTF-8", path.display()))?;
            let entry = |mode: u32, kind| {
                Builder::new(name)
                    .mode(mode)
                    .nlink(1)
                    .set_mode_file_type(kind)
            };
            let (builder, data) = match node {
                Node::Folder => (entry(0o755, ModeFileType::Directory), Vec::new()),
                Node::File { source, mode } => {
                    let data = fs::read(source)
                        .with_context(|| format!("cannot read {}", source.display()))?;
                    (entry(*mode, ModeFileType::Regular), data)
                }
                Node::Text { text, mode } => (
                    entry(*mode, ModeFileType::Regular),
                    text.clone().into_bytes(),
                ),
                Node::Link(target) => (
                    entry(0o777, ModeFileType::Symlink),
                    target.as_os_str().as_encoded_bytes().to_vec(),
                ),
                Node::Device(major, minor) => {
                    let builder = entry(0o600, ModeFileType::Char)
                        .rdev_major(*major)
                        .rdev_minor(*minor);
                    (builder, Vec::new())
                }
            };
            let size = u32::try_from(data.len()).with_context(|| format!("{name} is too large"))?;
            let mut writer = builder.write(&mut out, size);
            writer.write_all(&data)?;
            writer.finish()?;
        }
        trailer(out)?;
        Ok(())
    }
}

/// Where `path` lies in the archive: without the leading slash, and below `usr` as in Debian.
fn place(path: &Path) -> PathBuf {
    let mut place = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name)
                if place.as_os_str().is_empty() && MERGED.iter().any(|merged| name == *merged) =>
            {
                place.push("usr");
                place.push(name);
            }
            Component::Normal(name) => place.push(name),
            Component::ParentDir => drop(place.pop()),
            _ => {}
        }
    }
    place
}

/// Folders of the root that are links into `usr`.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// The libraries that ldd found, the dynamic loader among them.
fn parse_ldd(output: &str) -> Result<BTreeSet<PathBuf>> {
    let mut libraries = BTreeSet::new();
    for line in output.lines().filter(|line| line.starts_with('\t')) {
        if line.contains("=> not found") {
            bail!("a library is missing on this machine: {}", line.trim());
        }
        let library = line
            .split_once("=> ")
            .map_or(line, |(_, found)| found)
            .trim();
        let library = library.split(" (0x").next().unwrap_or(library);
        if library.starts_with('/') {
            libraries.insert(library.into());
        }
    }
    Ok(libraries)
}

/// Debian's programs that the guest has under their own paths; busybox gives what is not among them.
const PROGRAMS: &[&str] = &[
    // The shells, for scripts and for people.
    "dash", "bash", // iproute2
    "ip", "tc", "ss", "bridge", "genl", "nstat", "rtmon", "devlink", "bpftool", "nft", "ping",
    "lua5.4", // kmod
    "kmod", "modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod", // util-linux
    "su", "runuser", "setpriv", "unshare", "nsenter", "setsid", "flock", "prlimit", "taskset",
    "mount", "umount", "dmesg", "lsns",
];

/// Programs of coreutils and others that scripts use with options that busybox lacks.
const COMMON: &[&str] = &[
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "env",
    "head",
    "id",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nohup",
    "nproc",
    "od",
    "printf",
    "readlink",
    "realpath",
    "rm",
    "seq",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stdbuf",
    "stty",
    "tail",
    "tee",
    "timeout",
    "touch",
    "tr",
    "uname",
    "uniq",
    "wc",
    "yes",
    "grep",
    "sed",
    "find",
    "xargs",
    "diff",
    "cmp",
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const PAM: &str = "auth sufficient pam_rootok.so\nauth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
const PROFILE: &str =
    "PS1='\\u@\\h:\\w\\$ '\n[ -x /usr/bin/dircolors ] || alias ls='ls --color=auto'\n";

/// The part of the guest that stays the same from run to run.
pub(crate) fn base() -> Result<Tree> {
    let mut tree = Tree::default();
    for name in MERGED {
        tree.nodes
            .insert(name.into(), Node::Link(Path::new("usr").join(name)));
        tree.folder(Path::new("/usr").join(name));
    }
    for folder in [
        "/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/etc", "/var/lib", "/var/log", "/files",
        "/mnt",
    ] {
        tree.folder(folder);
    }
    tree.link("/var/run", "/run");
    tree.link("/etc/mtab", "/proc/self/mounts");
    tree.device("/dev/console", 5, 1);
    tree.device("/dev/null", 1, 3);

    for name in PROGRAMS.iter().chain(COMMON) {
        let path =
            host::find(name).with_context(|| format!("this machine has no program {name}"))?;
        tree.same_program(&path)?;
    }
    tree.link("/bin/sh", "dash");
    tree.link("/usr/bin/lua", "lua5.4");
    let busybox = host::find("busybox").context("this machine has no busybox")?;
    tree.copy(&busybox, "/usr/bin/busybox")?;
    for applet in command::text(std::process::Command::new(&busybox).arg("--list-full"))?.lines() {
        let name = Path::new(applet).file_name().unwrap_or_default();
        let taken = ["/usr/bin", "/usr/sbin"]
            .iter()
            .any(|folder| tree.has(Path::new(folder).join(name)));
        if !taken {
            tree.link(Path::new("/usr/bin").join(name), "busybox");
        }
    }

    for library in ["pam_rootok.so", "pam_permit.so", "pam_deny.so"] {
        tree.same_program(&Path::new("/usr/lib/x86_64-linux-gnu/security").join(library))?;
    }
    for service in ["su", "su-l", "runuser", "runuser-l", "other"] {
        tree.text(Path::new("/etc/pam.d").join(service), PAM);
    }
    tree.text("/etc/passwd", PASSWD);
    tree.text("/etc/group", GROUP);
    tree.text("/etc/hosts", "127.0.0.1 localhost lunatik\n::1 localhost\n");
    tree.text("/etc/hostname", "lunatik\n");
    tree.text(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    );
    tree.text("/etc/profile", PROFILE);
    for path in [
        "/etc/protocols",
        "/etc/services",
        "/etc/iproute2",
        "/usr/share/iproute2",
        "/lib/terminfo",
    ] {
        if Path::new(path).exists() {
            tree.copy(Path::new(path), path)?;
        }
    }
    tree.resolve()?;
    Ok(tree)
}

/// Clients and servers for traffic, and their libraries beside those of [`base`], which are larger than it.
pub(crate) fn traffic() -> Result<Tree> {
    let mut tree = Tree::default();
    for name in ["curl", "dig", "dnsmasq", "openssl"] {
        let path =
            host::find(name).with_context(|| format!("this machine has no program {name}"))?;
        tree.same_program(&path)?;
    }
    tree.resolve()?;
    Ok(tree.without(&base()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_several_programs() {
        let output = "/bin/a:\n\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n/bin/b:\n\tstatically linked\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ]
        .map(PathBuf::from);
        assert_eq!(parse_ldd(output).unwrap(), BTreeSet::from(expected));
        assert!(parse_ldd("\tlibx.so => not found\n").is_err());
    }

    #[test]
    fn paths_are_below_usr() {
        assert_eq!(
            place(Path::new("/lib64/ld.so")),
            Path::new("usr/lib64/ld.so")
        );
        assert_eq!(place(Path::new("/etc/../bin/sh")), Path::new("usr/bin/sh"));
        assert_eq!(place(Path::new("/files/bin/x")), Path::new("files/bin/x"));
    }

    #[test]
    fn archives_hold_folders_before_files() {
        let mut tree = Tree::default();
        tree.text("/a/b/c", "text");
        let mut archive = Vec::new();
        tree.write(&mut archive).unwrap();
        let mut names = Vec::new();
        let mut rest = &archive[..];
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(names, ["a", "a/b", "a/b/c"]);
    }
}
