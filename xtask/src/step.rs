// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees while something takes long, on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A step of work that says nothing until there is something to do.
///
/// On a terminal it is a spinner that leaves no trace; elsewhere, one line when the work starts.
pub(crate) struct Step {
    what: String,
    bar: Option<ProgressBar>,
}

impl Step {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            bar: None,
        }
    }

    /// Tells what is being done right now, which starts the step if need be.
    pub(crate) fn now(&mut self, detail: &str) {
        let what = &self.what;
        let bar = self.bar.get_or_insert_with(|| {
            if !std::io::stderr().is_terminal() {
                eprintln!("{what} ...");
            }
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.expect("the template is well-formed"))
                .with_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(detail.to_owned());
    }
}

impl Step {
    /// Starts the step where it can be seen and leaves no trace.
    pub(crate) fn quietly(&mut self) {
        if std::io::stderr().is_terminal() {
            self.now("");
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
