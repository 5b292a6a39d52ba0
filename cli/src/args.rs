// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use clap::{Parser, Subcommand};

use crate::{context::Context, data, failure::Result, log, module, netns::Netns, run, state};

const EXAMPLES: &str = "\
Examples:
  lunatikctl newstate fw --max-alloc 256K
  lunatikctl dostring fw 'return 6 * 7'
  lunatikctl -j list
  lunatikctl -n blue show fw
  lunatikctl close fw

Exit status:
  0  success
  1  failure
  2  wrong usage
  3  the module is not there
  4  not permitted
  5  no such state";

/// Manages Lua states inside the Linux kernel, one set of states per network
/// namespace.
#[derive(Debug, Parser)]
#[command(name = "lunatikctl", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The network namespace to act in: a name as `ip netns` has it, a path, or
    /// pid:N for that of a process
    #[arg(short, long, value_name = "NETNS", global = true)]
    pub(crate) netns: Option<Netns>,

    /// Print JSON, errors too
    ///
    /// `receive` and `log` print one document a line. Where Lua and JSON differ:
    /// a string that is not UTF-8 is {"bytes": "c3ff"} in hexadecimal, a table
    /// with keys other than 1 to n and other than strings is {"table": [[key,
    /// value], ...]}, and a value that cannot leave the kernel is {"text":
    /// "function: 0x..."}.
    #[arg(short, long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Newstate(state::new::Args),
    Dostring(run::dostring::Args),
    Dofile(run::dofile::Args),
    Senddata(data::send::Args),
    Receive(data::receive::Args),
    Close(state::close::Args),
    List(state::list::Args),
    Show(state::show::Args),
    Log(log::Args),
    Load(module::load::Args),
    Unload(module::unload::Args),
    Status(module::status::Args),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Newstate(args) => args.run(context),
            Self::Dostring(args) => args.run(context),
            Self::Dofile(args) => args.run(context),
            Self::Senddata(args) => args.run(context),
            Self::Receive(args) => args.run(context),
            Self::Close(args) => args.run(context),
            Self::List(args) => args.run(context),
            Self::Show(args) => args.run(context),
            Self::Log(args) => args.run(context),
            Self::Load(args) => args.run(context),
            Self::Unload(args) => args.run(context),
            Self::Status(args) => args.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
