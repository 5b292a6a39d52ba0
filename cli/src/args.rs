// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::{
    attach, context::Context, data, failure::Result, log, module, netns::Netns, run, state,
};

const GLOBAL: &str = "Global options";

const AFTER_HELP: &str = "\
Examples:
  lunatikctl newstate fw --max-alloc 256K
  lunatikctl dostring fw 'return 6 * 7'
  lunatikctl -j list
  lunatikctl -n blue show fw
  lunatikctl close fw

JSON:
  A string that is not UTF-8 is {\"bytes\": \"c3ff\"}, in hexadecimal. A table whose
  keys are 1 to n is an array, one whose keys are strings an object, another one
  {\"table\": [[KEY, VALUE], ...]}. A value that cannot leave the kernel, such as a
  function, is {\"text\": \"function: ...\"}. An error is {\"error\": {\"message\",
  \"code\", ...}} on standard error, with \"traceback\" where Lua has one.

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
#[command(name = "lunatikctl", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// The network namespace to act in: a name as `ip netns` has it, a path, or
    /// pid:N for that of a process
    #[arg(short, long, value_name = "NETNS", global = true, help_heading = GLOBAL)]
    pub(crate) netns: Option<Netns>,

    /// Print JSON, errors too
    #[arg(short, long, global = true, help_heading = GLOBAL)]
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
    Xdp(attach::xdp::Args),
    Tc(attach::tc::Args),
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
            Self::Xdp(args) => args.run(context),
            Self::Tc(args) => args.run(context),
            Self::Load(args) => args.run(context),
            Self::Unload(args) => args.run(context),
            Self::Status(args) => args.run(context),
        }
    }
}

/// Whether `arguments`, which are wrong, ask for JSON.
pub(crate) fn ask_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments
        .into_iter()
        .skip(1)
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "-j" || argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from(["lunatikctl"].into_iter().chain(line.split(' ')))
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            "-n blue -j show fw",
            "show -j fw -n blue",
            "show fw --netns=blue --json",
        ] {
            let cli = parse(line).expect(line);
            assert!(cli.json, "{line}");
            assert_eq!(cli.netns, Some(Netns::Named("blue".into())), "{line}");
        }
    }

    #[test]
    fn arguments_of_scripts_are_strings() {
        for line in [
            "dostring fw - x -5 --timeout 2s",
            "dostring --timeout 2s fw - x -5",
            "dostring --timeout 2s fw - -- x -5",
            "dofile fw - x -5 --timeout 2s",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let cli = parse("dostring fw - -5 -- --timeout").expect("is well-formed");
        let Command::Dostring(args) = cli.command else {
            unreachable!("it is dostring");
        };
        assert_eq!(args.arguments, ["-5", "--timeout"]);
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "show",
            "newstate fw --max-alloc 5G",
            "newstate fw --timeout 5",
            "newstate fw --context irq",
            "receive fw --count 0",
            "log fw --from 0",
            "list fw",
            "-n pid:x list",
            "load max_states",
            "xdp",
            "xdp attach fw",
            "xdp attach fw --dev eth0 --mode fast",
            "tc attach fw --dev eth0",
            "tc attach fw ingress --dev eth0 --priority 0",
            "tc attach fw ingress --dev eth0 --arg 1.5",
            "nonsense",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn json_is_asked_for_before_the_scripts_arguments() {
        let ask = |line: &str| ask_json(line.split(' ').map(OsString::from));
        assert!(ask("lunatikctl list --json nonsense"));
        assert!(ask("lunatikctl -j"));
        assert!(!ask("lunatikctl dostring fw -- -j"));
        assert!(!ask("-j list"));
    }
}
