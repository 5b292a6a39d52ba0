// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM to be booted: a kernel, the module, and a file system made for it.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use walkdir::WalkDir;

use crate::artifacts::{self, Programs};
use crate::guest::{FAILED_LOG, Guest, Log};
use crate::init::INIT;
use crate::initramfs::{self, Tree};
use crate::kernel::{self, Kernel};
use crate::kmod::{self, Module};
use crate::machine::{Machine, Pace};
use crate::step::Step;
use crate::{cache, host, qemu, uml};

/// A VM to be booted.
pub(crate) struct Vm<'a> {
    kernel: &'a Kernel,
    smp: u32,
    memory: u32,
    pace: Pace,
    files: Vec<(PathBuf, PathBuf)>,
    programs: Vec<(PathBuf, PathBuf)>,
    traffic: bool,
    verbose: bool,
}

impl<'a> Vm<'a> {
    /// A VM with one CPU and 512 MiB.
    pub(crate) fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            smp: 1,
            memory: 512,
            pace: Pace::Emulated,
            files: Vec::new(),
            programs: Vec::new(),
            traffic: false,
            verbose: false,
        }
    }

    pub(crate) fn smp(mut self, smp: u32) -> Self {
        self.smp = smp;
        self
    }

    /// In MiB.
    pub(crate) fn memory(mut self, memory: u32) -> Self {
        self.memory = memory;
        self
    }

    /// What makes it go, if not emulation.
    pub(crate) fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Copies a file or folder to the guest's /files.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        let real =
            fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
        let name = path
            .file_name()
            .or(real.file_name())
            .context("a file without a name")?;
        let target = Path::new("/files").join(name);
        ensure!(
            self.files.iter().all(|(_, other)| *other != target),
            "two files named {}",
            name.display()
        );
        self.files.push((real, target));
        Ok(self)
    }

    /// Copies a program that was built here, with its libraries, to `target` in the guest.
    pub(crate) fn program(mut self, path: &Path, target: impl Into<PathBuf>) -> Self {
        self.programs.push((path.to_owned(), target.into()));
        self
    }

    /// Adds clients and servers for traffic, which make the boot a second longer.
    pub(crate) fn traffic(mut self, traffic: bool) -> Self {
        self.traffic = traffic;
        self
    }

    /// Shows the kernel's log on standard error as it comes.
    pub(crate) fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Builds what the guest gets and boots it, up to where the module is loaded.
    ///
    /// To be called on the main thread, with which the VM dies.
    pub(crate) fn boot(mut self) -> Result<Guest> {
        let version = self.kernel.version;
        let folder = host::workspace()?.join("target/vm");
        fs::create_dir_all(&folder)?;
        // Until the archive is written, nobody else may build anew what goes into it.
        let lock = cache::lock(&folder.join("lock"))?;
        let module = self.kernel.build(Module::Lunatik)?;
        let Programs {
            lunatikctl,
            lua_module,
        } = artifacts::programs()?;
        self = self.program(&lunatikctl, "/usr/bin/lunatikctl");
        self = self.program(&lua_module, "/usr/lib/x86_64-linux-gnu/lua/5.4/lunatik.so");

        sweep(&folder)?;
        let run = tempfile::Builder::new().prefix(RUN).tempdir_in(&folder)?;
        let initramfs = run.path().join("initramfs");
        self.write_initramfs(&folder, &module, &initramfs)?;
        drop(lock);

        let mut step = Step::new(format!("booting Linux {version}"));
        step.quietly();
        let machine = Machine {
            image: &self.kernel.image(),
            initramfs: &initramfs,
            smp: self.smp,
            memory: self.memory,
            pace: self.pace,
        };
        let (process, ports) = if version.is_debug() {
            uml::start(&machine, run.path())?
        } else {
            qemu::start(&machine, run.path())?
        };
        let log = Log::new(folder.join(format!("{version}.log")), self.verbose)?;
        // The guest is up when this returns, and needs no file of this folder any more.
        Guest::await_ready(process, ports, log)
    }

    fn write_initramfs(&self, folder: &Path, module: &Path, path: &Path) -> Result<()> {
        let mut tree = Tree::default();
        let stripped = folder.join(STRIPPED);
        tree.program(&artifacts::stripped(&this_program(), &stripped)?, INIT);
        for (program, target) in &self.programs {
            tree.program(&artifacts::stripped(program, &stripped)?, target);
        }
        tree.resolve()?;
        for (file, target) in &self.files {
            tree.copy(file, target)?;
        }
        let own = Path::new("/lib/modules").join(&self.kernel.release);
        let modules = self
            .modules(folder, module)?
            .join("lib/modules")
            .join(&self.kernel.release);
        for entry in fs::read_dir(&modules)? {
            let entry = entry?;
            // The kernel's own modules are in the base.
            if entry.file_name() != "kernel" {
                tree.copy(&entry.path(), own.join(entry.file_name()))?;
            }
        }
        let mut archive = File::create(path)?;
        io::copy(&mut File::open(self.base(folder)?)?, &mut archive)?;
        if self.traffic {
            let clients = kept(folder, "traffic", &this_program(), initramfs::traffic)?;
            io::copy(&mut File::open(clients)?, &mut archive)?;
        }
        let mut archive = io::BufWriter::with_capacity(1 << 20, archive);
        tree.write(&mut archive)?;
        archive.into_inner()?;
        Ok(())
    }

    /// The kernel's modules and ours in one folder, with metadata for modprobe.
    fn modules(&self, folder: &Path, module: &Path) -> Result<PathBuf> {
        let release = &self.kernel.release;
        let root = folder.join("modules");
        let tree = root.join("lib/modules").join(release);
        let ours = tree.join("extra/lunatik.ko");
        let stripped = NamedTempFile::new_in(folder)?;
        kmod::strip(module, stripped.path())?;
        let same =
            fs::read(&ours).is_ok_and(|old| fs::read(stripped.path()).is_ok_and(|new| old == new));
        if same && tree.join("modules.dep").exists() {
            return Ok(root);
        }
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        let original = self.kernel.modules();
        for entry in WalkDir::new(&original) {
            let entry = entry?;
            let target = root.join(entry.path().strip_prefix(&original)?);
            if entry.file_type().is_dir() {
                fs::create_dir_all(target)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        fs::create_dir_all(tree.join("extra"))?;
        fs::copy(stripped.path(), &ours)?;
        kernel::depmod(&root, release)?;
        Ok(root)
    }

    /// The archive of what stays the same: programs of this machine and modules of the kernel.
    fn base(&self, folder: &Path) -> Result<PathBuf> {
        let name = format!("base-{}", self.kernel.version);
        kept(folder, &name, &self.kernel.image(), || {
            let mut tree = initramfs::base()?;
            let modules = Path::new("lib/modules")
                .join(&self.kernel.release)
                .join("kernel");
            tree.copy(
                &self.kernel.modules().join(&modules),
                Path::new("/").join(&modules),
            )?;
            Ok(tree)
        })
    }
}

/// The archive `name`, made anew when the machine's packages, xtask or `source` have changed.
fn kept(
    folder: &Path,
    name: &str,
    source: &Path,
    make: impl FnOnce() -> Result<Tree>,
) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    for path in [Path::new("/var/lib/dpkg/status"), &this_program(), source] {
        if let Ok(metadata) = path.metadata() {
            (
                path,
                metadata.len(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            )
                .hash(&mut hasher);
        }
    }
    let prefix = format!("{name}-");
    let path = folder.join(format!("{prefix}{:016x}", hasher.finish()));
    if path.exists() {
        return Ok(path);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_file(entry.path())?;
        }
    }
    let temporary = NamedTempFile::new_in(folder)?;
    make()?.write(io::BufWriter::with_capacity(1 << 20, temporary.as_file()))?;
    temporary.persist(&path)?;
    Ok(path)
}

/// What each run has for itself, as long as its guest boots.
const RUN: &str = "run-";
/// Copies of programs without debugging information.
const STRIPPED: &str = "stripped";

/// Removes what killed runs left and what is a week old.
fn sweep(folder: &Path) -> Result<()> {
    // Other runs remove what is theirs meanwhile.
    let older = |path: &Path, hours| {
        let modified = path.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| {
            time.elapsed()
                .is_ok_and(|age| age > Duration::from_hours(hours))
        })
    };
    let stripped = folder.join(STRIPPED);
    fs::create_dir_all(&stripped)?;
    for entry in fs::read_dir(folder)?.chain(fs::read_dir(&stripped)?) {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with(RUN) && older(&path, 1) {
            fs::remove_dir_all(path)?;
        } else if (path.starts_with(&stripped) && path.is_file() || name.starts_with(FAILED_LOG))
            && older(&path, WEEK)
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// In hours.
const WEEK: u64 = 7 * 24;

/// The program that runs now, also where a newer one has taken its place.
fn this_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}
