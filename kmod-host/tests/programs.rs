// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases of the programs, each a test.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

fn trials() -> Result<Vec<Trial>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kmod-host");
    let mut trials = Vec::new();
    for program in kmod_host::build(&folder)? {
        let program = Arc::new(program);
        for case in program.cases()? {
            let name = format!("{}::{case}", program.name);
            let program = Arc::clone(&program);
            trials.push(Trial::test(name, move || {
                program
                    .run(&case)
                    .map_err(|error| Failed::from(format!("{error:#}")))
            }));
        }
    }
    Ok(trials)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
