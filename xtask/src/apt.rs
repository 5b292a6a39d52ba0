// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian packages, with lists of our own: backports can be asked without a change to the machine's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cache::Cache;
use crate::command;
use crate::step::Step;

/// The suite that the machine's own sources must name.
const SUITE: &str = "bookworm";
/// Where the newer kernel and a QEMU that boots it come from.
pub(crate) const BACKPORTS: &str = "bookworm-backports";

/// apt with sources and lists in a temporary folder, derived from the machine's own entries.
pub(crate) struct Apt {
    folder: TempDir,
}

impl Apt {
    /// Reads the package lists of bookworm, its security updates and its backports. The cache's lock must be held.
    pub(crate) fn open(cache: &Cache) -> Result<Self> {
        let mut step = Step::new("reading Debian's package lists");
        step.now("");
        let archives = archives()?;
        let main = archives.iter().find(|archive| archive.suite == SUITE);
        let main =
            main.context("the machine's package sources have no entry for Debian 12 (bookworm)")?;
        let backports = Archive {
            suite: BACKPORTS.to_owned(),
            ..main.clone()
        };

        let apt = Self {
            folder: cache.temporary()?,
        };
        for folder in ["sources", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.path(folder))?;
        }
        let wanted = archives.iter().filter(|archive| archive.suite != BACKPORTS);
        let sources: String = wanted.chain([&backports]).map(Archive::source).collect();
        fs::write(apt.path("sources/lunatik.sources"), sources)?;
        command::output(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `program` of the apt family, reading our sources and lists instead of the machine's.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.configure(&mut command);
        command
    }

    fn configure(&self, command: &mut Command) {
        for (option, value) in [
            ("Dir::Etc::SourceList", PathBuf::from("/dev/null")),
            ("Dir::Etc::SourceParts", self.path("sources")),
            ("Dir::State::Lists", self.path("lists")),
            ("Dir::Cache", self.path("cache")),
        ] {
            command
                .arg("-o")
                .arg(format!("{option}={}", value.display()));
        }
        // The folder is ours alone: apt's own unprivileged user cannot read it, and says so at length.
        command.args([
            "-o",
            "APT::Sandbox::User=root",
            "-o",
            "DPkg::Lock::Timeout=600",
        ]);
    }

    /// The packages that `package` depends on, as `suite` has it (or the machine's own suites).
    pub(crate) fn dependencies(&self, package: &str, suite: Option<&str>) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        let output =
            command::text(
                command
                    .args(release(suite))
                    .args(["depends", "--important", package]),
            )?;
        Ok(parse_dependencies(&output))
    }

    /// Downloads `packages` and unpacks them into `root`, without installing them.
    pub(crate) fn unpack(
        &self,
        packages: &[String],
        suite: Option<&str>,
        root: &Path,
        step: &mut Step,
    ) -> Result<()> {
        let archives = tempfile::tempdir_in(self.folder.path())?;
        let mut download = self.command("apt-get");
        download
            .args(release(suite))
            .args(["-o", "APT::Status-Fd=1", "download"])
            .args(packages);
        command::lines(download.current_dir(archives.path()), |line| {
            step.now(&status(line));
        })?;
        for entry in fs::read_dir(archives.path())? {
            let archive = entry?.path();
            step.now(&format!(
                "unpacking {}",
                archive.file_name().unwrap_or_default().display()
            ));
            command::output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(root))?;
        }
        Ok(())
    }

    /// Installs `packages` on this machine.
    pub(crate) fn install(&self, packages: &[&str], suite: Option<&str>) -> Result<()> {
        let what = format!("installing: {}", packages.join(", "));
        let mut step = Step::new(&what);
        step.now("");
        let mut command = as_root("apt-get");
        self.configure(&mut command);
        command.args(release(suite)).args([
            "-o",
            "APT::Status-Fd=1",
            "install",
            "-y",
            "--no-install-recommends",
        ]);
        command::lines(command.args(packages), |line| step.now(&status(line)))?;
        drop(step);
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            eprintln!("{what}: done");
        }
        Ok(())
    }
}

/// `program`, through sudo where we are not root.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", program]);
        command
    } else {
        let mut command = Command::new("sudo");
        command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", program]);
        command
    }
}

/// Whether packages may be installed: as root, or through sudo without a password.
pub(crate) fn may_install() -> bool {
    command::output(as_root("true").arg("--version")).is_ok()
}

fn release(suite: Option<&str>) -> Vec<&str> {
    suite.map_or_else(Vec::new, |suite| vec!["-t", suite])
}

/// What to show of a line that apt printed with `APT::Status-Fd`, such as `dlstatus:1:35.2:Retrieving file 2 of 4`.
fn status(line: &str) -> String {
    match line.splitn(4, ':').collect::<Vec<_>>()[..] {
        ["dlstatus" | "pmstatus", _, percent, what] => {
            format!("{} % {what}", percent.split('.').next().unwrap_or(percent))
        }
        _ => line.to_owned(),
    }
}

/// One package archive of the machine.
#[derive(Clone, Debug, PartialEq)]
struct Archive {
    uri: String,
    suite: String,
    component: String,
    signed_by: Option<String>,
}

impl Archive {
    /// The archive as an entry of a `.sources` file.
    fn source(&self) -> String {
        let Self {
            uri,
            suite,
            component,
            signed_by,
        } = self;
        let signed_by = signed_by
            .as_ref()
            .map_or_else(String::new, |keys| format!("Signed-By: {keys}\n"));
        format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {component}\n{signed_by}\n")
    }
}

/// Debian's archives among the machine's sources; their lists are fetched where they are missing.
fn archives() -> Result<Vec<Archive>> {
    let found = index_targets()?;
    if found.iter().any(|archive| archive.suite == SUITE) {
        return Ok(found);
    }
    // Other sources of the machine may be out of reach, which makes apt-get fail: what counts is what it found.
    let updated = command::output(as_root("apt-get").args(["-qq", "update"]));
    let found = index_targets()?;
    if !found.iter().any(|archive| archive.suite == SUITE) {
        updated.context("no package list of Debian 12 (bookworm) could be fetched")?;
    }
    Ok(found)
}

fn index_targets() -> Result<Vec<Archive>> {
    const FORMAT: &str =
        "$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)";
    let output = command::text(Command::new("apt-get").args(["indextargets", "--format", FORMAT]))?;
    let mut archives = Vec::new();
    for line in output.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let ["Packages", origin, uri, suite, component, entry] = fields[..] else {
            continue;
        };
        if origin != "Debian" || component != "main" || !suite.starts_with(SUITE) {
            continue;
        }
        let archive = Archive {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            component: component.to_owned(),
            signed_by: signed_by(entry)?,
        };
        if !archives.contains(&archive) {
            archives.push(archive);
        }
    }
    Ok(archives)
}

/// The keyring that the machine's own entry names, `entry` being `FILE:LINE`.
fn signed_by(entry: &str) -> Result<Option<String>> {
    let Some((path, line)) = entry.rsplit_once(':') else {
        return Ok(None);
    };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line: usize = line
        .parse()
        .with_context(|| format!("apt names a strange line of its sources: {entry}"))?;
    Ok(parse_signed_by(&text, line))
}

/// `Signed-By` of the entry that covers `line` (from 1) of a sources file of either kind.
fn parse_signed_by(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let at = line.saturating_sub(1).min(lines.len());
    if let Some((_, rest)) = lines.get(at)?.split_once("signed-by=") {
        return rest.split([' ', ']']).next().map(str::to_owned);
    }
    let start = lines[..at]
        .iter()
        .rposition(|line| line.trim().is_empty())
        .map_or(0, |blank| blank + 1);
    let stanza = lines[start..]
        .iter()
        .skip_while(|line| line.trim().is_empty())
        .take_while(|line| !line.trim().is_empty());
    let value = stanza
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case("signed-by"))?
        .1;
    // A key given in place, over several lines, is not supported: apt's own trust then decides.
    let value = value.trim();
    value.starts_with('/').then(|| value.to_owned())
}

/// The packages of apt-cache's `  Depends: NAME` lines, each once.
fn parse_dependencies(output: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in output.lines() {
        let name = line
            .trim_start_matches([' ', '|'])
            .strip_prefix("Depends: ");
        if let Some(name) = name
            .filter(|name| !name.starts_with('<'))
            .map(str::to_owned)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The one dependency of a metapackage that starts with `prefix`.
pub(crate) fn only<'a>(dependencies: &'a [String], prefix: &str) -> Result<&'a str> {
    let mut found = dependencies.iter().filter(|name| name.starts_with(prefix));
    let first = found
        .next()
        .with_context(|| format!("no package {prefix}* among {dependencies:?}"))?;
    ensure!(
        found.next().is_none(),
        "several packages {prefix}* among {dependencies:?}"
    );
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyring_of_either_kind_of_entry() {
        let deb822 = "Types: deb\nURIs: file:/a\nSigned-By: /a.gpg\n\nTypes: deb\nURIs: file:/b\nsigned-by: /b.gpg\n";
        assert_eq!(parse_signed_by(deb822, 1).as_deref(), Some("/a.gpg"));
        assert_eq!(parse_signed_by(deb822, 5).as_deref(), Some("/b.gpg"));
        assert_eq!(parse_signed_by(deb822, 7).as_deref(), Some("/b.gpg"));
        let list = "deb file:/a x main\ndeb [arch=amd64 signed-by=/c.gpg] file:/b x main\n";
        assert_eq!(parse_signed_by(list, 1), None);
        assert_eq!(parse_signed_by(list, 2).as_deref(), Some("/c.gpg"));
    }

    #[test]
    fn dependencies_are_named_once() {
        let output = "linux-headers-x\n  Depends: linux-kbuild-6.12\n |Depends: a\n  Depends: <virtual>\n  Depends: a\n";
        assert_eq!(parse_dependencies(output), ["linux-kbuild-6.12", "a"]);
    }

    #[test]
    fn metapackages_name_one_kernel() {
        let dependencies = [
            "linux-image-6.12.95+deb12-cloud-amd64".to_owned(),
            "kmod".to_owned(),
        ];
        assert_eq!(
            only(&dependencies, "linux-image-").unwrap(),
            "linux-image-6.12.95+deb12-cloud-amd64"
        );
        assert!(only(&dependencies, "linux-headers-").is_err());
    }

    #[test]
    fn status_lines_lose_their_numbers() {
        assert_eq!(
            status("dlstatus:1:35.2:Retrieving file 2 of 4"),
            "35 % Retrieving file 2 of 4"
        );
        assert_eq!(
            status("Reading package lists..."),
            "Reading package lists..."
        );
    }
}
