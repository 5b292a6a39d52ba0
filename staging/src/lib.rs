// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the module's sources and Lua's into one folder, where they are built: by Kbuild, or for the tests in
//! `kmod-host/`.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use walkdir::WalkDir;

/// Lua's own headers that ours of the same name in `kmod/lua/` replace: its configuration, and its interpreter's jumps.
const REPLACED: &[&str] = &["luaconf.h", "ljumptab.h"];

/// Makes `folder` hold `Kbuild`, `kmod/` and, in `kmod/lua/src/`, Lua: what is the same stays untouched, so that
/// only changes are built anew, and sources that are gone are removed. Tells whether something changed.
pub fn stage(folder: &Path) -> Result<bool> {
    update(&sources(&workspace()?, &lua()?)?, folder)
}

/// Makes `folder` hold the sources of the module that tests load beside ours, `tests/probe/`, in the same way.
pub fn stage_probe(folder: &Path) -> Result<bool> {
    let files = ["main.c", "stack.c", "stall.c", "irq.c", "call.c", "probe.h"];
    stage_small("tests/probe", &files, folder)
}

/// The same for the module that benchmarks load beside ours, `bench/hook/`.
pub fn stage_hook(folder: &Path) -> Result<bool> {
    stage_small("bench/hook", &["lunatik_hook.c"], folder)
}

/// A module of few source files.
fn stage_small(from: &str, sources: &[&str], folder: &Path) -> Result<bool> {
    let from = workspace()?.join(from);
    let files = sources.iter().chain(&["Kbuild"]);
    let files = files.map(|name| (PathBuf::from(name), from.join(name)));
    update(&files.collect::<BTreeMap<_, _>>(), folder)
}

/// The folder of the workspace that this was built from.
fn workspace() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the crate lies outside a workspace")?;
    Ok(folder.to_owned())
}

/// The folder of the package `lua-src` that holds the sources of the Lua that runs in the kernel.
fn lua() -> Result<PathBuf> {
    let metadata = MetadataCommand::new().current_dir(workspace()?).exec()?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == "lua-src");
    let manifest = &package
        .context("the package lua-src is not in the lock file")?
        .manifest_path;
    Ok(manifest
        .parent()
        .context("a manifest without a folder")?
        .join("lua-5.5.1")
        .into())
}

/// The files to stage, by their path in the staging folder.
fn sources(workspace: &Path, lua: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let kbuild = workspace.join("Kbuild");
    let mut sources = BTreeMap::from([(PathBuf::from("Kbuild"), kbuild)]);
    for entry in WalkDir::new(workspace.join("kmod")) {
        let entry = entry?;
        if entry.file_type().is_file() {
            sources.insert(
                entry.path().strip_prefix(workspace)?.to_owned(),
                entry.path().to_owned(),
            );
        }
    }
    for entry in
        fs::read_dir(lua).with_context(|| format!("no Lua sources in {}", lua.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if is_source(&path) && !REPLACED.iter().any(|&replaced| name == replaced) {
            sources.insert(Path::new("kmod/lua/src").join(name), path.clone());
        }
    }
    Ok(sources)
}

fn is_source(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| ["c", "h", "S", "lua"].map(OsStr::new).contains(&end))
}

fn update(sources: &BTreeMap<PathBuf, PathBuf>, staging: &Path) -> Result<bool> {
    let mut changed = false;
    for (path, source) in sources {
        let target = staging.join(path);
        let text = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&target).is_ok_and(|staged| staged == text) {
            continue;
        }
        fs::create_dir_all(target.parent().context("a source at the root")?)?;
        fs::write(&target, text)?;
        changed = true;
    }
    for entry in WalkDir::new(staging) {
        let path = entry?.into_path();
        let staged = path.strip_prefix(staging)?;
        let made_by_kbuild = staged.to_string_lossy().ends_with(".mod.c");
        if is_source(staged) && !made_by_kbuild && !sources.contains_key(staged) {
            fs::remove_file(path)?;
            changed = true;
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_touches_only_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.c"), "a").unwrap();
        fs::write(path("b.c"), "b").unwrap();
        let staging = path("staging");
        let source = |name: &str| (PathBuf::from("kmod").join(name), path(name));
        let both = BTreeMap::from([source("a.c"), source("b.c")]);
        assert!(update(&both, &staging).unwrap());
        assert!(!update(&both, &staging).unwrap());
        let modified = || {
            staging
                .join("kmod/a.c")
                .metadata()
                .unwrap()
                .modified()
                .unwrap()
        };
        let before = modified();
        for product in ["a.o", "lunatik.mod.c"] {
            fs::write(staging.join(product), "").unwrap();
        }
        assert!(update(&BTreeMap::from([source("a.c")]), &staging).unwrap());
        assert_eq!(modified(), before);
        assert!(!staging.join("kmod/b.c").exists());
        assert!(staging.join("a.o").exists() && staging.join("lunatik.mod.c").exists());
    }
}
