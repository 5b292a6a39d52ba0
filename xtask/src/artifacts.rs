// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cargo builds of this workspace.

use std::env;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::host;
use crate::step::Step;

/// cargo, in the workspace's folder.
pub(crate) fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(host::workspace()?);
    Ok(command)
}

/// What the guest gets of this workspace.
pub(crate) struct Programs {
    pub(crate) lunatikctl: PathBuf,
    pub(crate) lua_module: PathBuf,
}

/// Builds lunatikctl and the Lua module.
pub(crate) fn programs() -> Result<Programs> {
    // One at a time: cargo would unite the features that the packages ask of mlua.
    let cli = build(
        "lunatikctl",
        &[
            "build",
            "--release",
            "--package",
            "lunatik-cli",
            "--bin",
            "lunatikctl",
        ],
    )?;
    let lua = build(
        "the Lua module",
        &["build", "--release", "--package", "lunatik-lua", "--lib"],
    )?;
    let lunatikctl = cli
        .iter()
        .filter(|artifact| artifact.target.name == "lunatikctl")
        .find_map(|artifact| artifact.executable.clone());
    let is_cdylib = |artifact: &&Artifact| {
        artifact.target.kind.contains(&TargetKind::CDyLib) && from_workspace(artifact)
    };
    let library = lua
        .iter()
        .filter(is_cdylib)
        .flat_map(|artifact| &artifact.filenames)
        .find(|path| path.extension() == Some("so"));
    Ok(Programs {
        lunatikctl: lunatikctl.context("cargo built no lunatikctl")?.into(),
        lua_module: library
            .context("cargo built no library of package lunatik-lua")?
            .clone()
            .into(),
    })
}

/// Builds the program that measures.
pub(crate) fn bench() -> Result<PathBuf> {
    let artifacts = build(
        "the benchmarks",
        &["build", "--release", "--package", "lunatik-bench"],
    )?;
    let program = artifacts
        .into_iter()
        .find_map(|artifact| artifact.executable);
    Ok(program.context("cargo built no lunatik-bench")?.into())
}

/// Builds the program that fuzzes.
pub(crate) fn fuzz() -> Result<PathBuf> {
    let artifacts = build(
        "the fuzzers",
        &["build", "--release", "--package", "lunatik-fuzz"],
    )?;
    let program = artifacts
        .into_iter()
        .find_map(|artifact| artifact.executable);
    Ok(program.context("cargo built no lunatik-fuzz")?.into())
}

/// The integration tests' programs, by name, sorted.
pub(crate) fn tests() -> Result<Vec<(String, PathBuf)>> {
    let artifacts = build(
        "the integration tests",
        &["test", "--no-run", "--package", "lunatik-tests"],
    )?;
    let programs = artifacts
        .into_iter()
        .filter(|artifact| artifact.profile.test);
    let mut programs: Vec<(String, PathBuf)> = programs
        .filter_map(|artifact| Some((artifact.target.name, artifact.executable?.into())))
        .collect();
    programs.sort();
    Ok(programs)
}

/// The client library's examples, by name.
pub(crate) fn examples() -> Result<Vec<(String, PathBuf)>> {
    let artifacts = build(
        "the examples",
        &["build", "--package", "lunatik", "--examples"],
    )?;
    Ok(artifacts
        .into_iter()
        .filter_map(|artifact| Some((artifact.target.name, artifact.executable?.into())))
        .collect())
}

fn from_workspace(artifact: &Artifact) -> bool {
    host::workspace().is_ok_and(|folder| artifact.manifest_path.starts_with(folder))
}

/// Runs cargo and gives what it built, or what was there already.
fn build(what: &str, arguments: &[&str]) -> Result<Vec<Artifact>> {
    let mut step = Step::new(format!("building {what}"));
    let mut command = cargo()?;
    command
        .args(arguments)
        .args(["--quiet", "--message-format=json-render-diagnostics"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut artifacts = Vec::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message? {
            if !artifact.fresh {
                step.now(&artifact.target.name);
            }
            artifacts.push(artifact);
        }
    }
    ensure!(child.wait()?.success(), "building {what} failed");
    Ok(artifacts)
}

/// A copy of `program` without debugging information, which is most of it, made once in `folder`.
pub(crate) fn stripped(program: &Path, folder: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program without a name")?;
    let modified = program.metadata()?.modified()?;
    let stamp = modified.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let copy = folder.join(format!("{}-{stamp}", name.display()));
    if !copy.exists() {
        let temporary = tempfile::NamedTempFile::new_in(folder)?;
        let strip = host::tool("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(temporary.path())
            .arg(program)
            .status()?;
        if !strip.success() {
            bail!("strip {}: {strip}", program.display());
        }
        temporary.persist(&copy)?;
    }
    Ok(copy)
}
