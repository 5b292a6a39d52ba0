// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lunatikctl`: Lua states inside the Linux kernel, from the shell.
#![forbid(unsafe_code)]

mod args;
mod attach;
mod context;
mod data;
mod failure;
mod input;
mod log;
mod module;
mod netns;
mod output;
mod run;
mod state;
mod text;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && args::ask_json(std::env::args_os()) => {
            let failure = failure::Failure::from(error);
            output::Output::new(true).fail(&failure);
            return failure.status().into();
        }
        Err(error) => error.exit(),
    };
    let mut context = context::Context::new(cli.netns, cli.json);
    let result = cli.command.run(&mut context);
    match result.and_then(|()| context.out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.out.fail(&failure);
            failure.status().into()
        }
    }
}
