// SPDX-License-Identifier: MIT OR Apache-2.0
use std::io::{self, Write};

use lunatik::{Error, Info};
use serde::Serialize;

use super::loaded;
use crate::{context::Context, failure::Result, units};

/// Show the module, what the namespace uses, and its limits
///
/// Unlike the other commands this one does not load the module; the exit status
/// is 3 when it is not loaded.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        if loaded() == Some(false) {
            return Err(Error::ModuleMissing.into());
        }
        let status = Status {
            info: context.session()?.info()?,
            bpf: lunatik_bpf::available(),
        };
        context.out.print(&status, |out| write(out, &status))
    }
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    info: Info,
    /// Whether eBPF programs can call the module.
    bpf: bool,
}

fn write(out: &mut dyn Write, Status { info, bpf }: &Status) -> io::Result<()> {
    writeln!(out, "module: loaded")?;
    writeln!(out, "version: {}", info.version)?;
    writeln!(out, "lua_version: {}", info.lua_version)?;
    writeln!(out, "states: {} of {}", info.states, info.max_states)?;
    writeln!(
        out,
        "alloc: {} of {}",
        units::round(info.alloc),
        units::round(info.max_total_alloc)
    )?;
    writeln!(out, "max_alloc: {}", units::exact(info.max_alloc))?;
    writeln!(out, "timeout: {}", units::limit(info.timeout))?;
    writeln!(out, "max_timeout: {}", units::limit(info.max_timeout))?;
    writeln!(
        out,
        "softirq_timeout: {}",
        units::limit(info.softirq_timeout)
    )?;
    writeln!(
        out,
        "max_softirq_timeout: {}",
        units::limit(info.max_softirq_timeout)
    )?;
    let bpf = if *bpf {
        "yes"
    } else {
        "no, the module has no BTF"
    };
    writeln!(out, "bpf: {bpf}")
}
