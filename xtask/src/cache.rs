// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was fetched once and is kept: `$LUNATIK_CACHE`, `$XDG_CACHE_HOME/lunatik` or `~/.cache/lunatik`.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The folder of everything that was fetched.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn open() -> Result<Self> {
        let folder = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = folder("LUNATIK_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|home| home.join("lunatik")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/lunatik")))
            .context("none of LUNATIK_CACHE, XDG_CACHE_HOME and HOME is set: where to keep what is fetched?")?;
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        Ok(Self {
            root: fs::canonicalize(root)?,
        })
    }

    /// The entry `name`, made by `make` in a temporary folder first where it is missing, so that an
    /// interrupted run leaves no half entry and two runs make it once.
    pub(crate) fn entry(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.root.join(name);
        if entry.exists() {
            return Ok(entry);
        }
        let _lock = self.lock()?;
        if entry.exists() {
            return Ok(entry);
        }
        let temporary = self.temporary()?;
        make(temporary.path())?;
        fs::rename(temporary.keep(), &entry)?;
        Ok(entry)
    }

    /// Waits until no other run fetches anything, which lasts as long as the file that is returned.
    pub(crate) fn lock(&self) -> Result<File> {
        let lock = lock(&self.root.join("lock"))?;
        // What interrupted runs left.
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(lock)
    }

    /// A folder for as long as the lock is held.
    pub(crate) fn temporary(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.root)?)
    }
}

const UNFINISHED: &str = ".unfinished-";

/// Waits for the file lock at `path`, which lasts as long as the file that is returned.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another xtask to release {}", path.display());
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    Ok(file)
}
