// SPDX-License-Identifier: MIT OR Apache-2.0
use lunatik_bpf::xdp::{self, Attachment};

use super::{Attached, argument, id, id_for_packets, list, on_device};
use crate::{context::Context, failure::Result};

/// Put a state before a device's receive path, by XDP
///
/// A small eBPF program hands each packet that the device receives to the function
/// that the state's script registered for XDP. Without the state, or when its
/// function fails, packets go on as if there were no program.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl xdp attach fw --dev eth0
  lunatikctl -n blue xdp attach fw --dev veth0 --mode generic
  lunatikctl xdp list
  lunatikctl xdp detach fw --dev eth0")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Attach(Attach),
    Detach(Detach),
    List(List),
}

/// Attach a state to a device
///
/// It stays attached until it is detached or the device goes; closing the state
/// does not detach it.
#[derive(Debug, clap::Args)]
struct Attach {
    /// The state
    name: String,

    /// The device
    #[arg(short, long, value_name = "DEVICE")]
    dev: String,

    /// Where the program runs
    #[arg(short, long, value_enum, default_value_t = Mode::Auto)]
    mode: Mode,

    /// An integer for the state's function
    #[arg(long, value_name = "INTEGER", default_value = "0", hide_default_value = true,
        allow_negative_numbers = true, value_parser = argument)]
    arg: i64,

    /// Take the place of the XDP program that the device has, whose ever it is
    #[arg(short, long)]
    force: bool,
}

/// Detach a state from a device
#[derive(Debug, clap::Args)]
struct Detach {
    /// The state; without it, whatever state is attached, even one that was closed
    name: Option<String>,

    /// The device
    #[arg(short, long, value_name = "DEVICE")]
    dev: String,
}

/// List the devices of the namespace that states are attached to
///
/// STATE is the name of the state, PROG the id of the eBPF program, ARG the integer
/// for the state's function.
#[derive(Debug, clap::Args)]
struct List {}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// In the driver if it can, else in the kernel's core
    Auto,
    /// In the driver
    Native,
    /// In the kernel's core
    Generic,
}

impl From<Mode> for Option<xdp::Mode> {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => None,
            Mode::Native => Some(xdp::Mode::Native),
            Mode::Generic => Some(xdp::Mode::Generic),
        }
    }
}

impl Args {
    pub(crate) fn run(self, context: &mut Context) -> Result<()> {
        match self.command {
            Command::Attach(args) => args.run(context),
            Command::Detach(args) => args.run(context),
            Command::List(args) => args.run(context),
        }
    }
}

impl Attach {
    fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        let target = lunatik_bpf::Target {
            state: id_for_packets(&session, &self.name)?,
            arg: self.arg,
        };
        on_device(&session, &self.dev, || {
            xdp::attach(&self.dev, self.mode.into(), target, self.force)
        })
    }
}

impl Detach {
    fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        let state = self.name.as_deref().map(|name| id(&session, name));
        let state = state.transpose()?;
        on_device(&session, &self.dev, || xdp::detach(&self.dev, state))
    }
}

impl Attached for Attachment {
    fn target(&self) -> lunatik_bpf::Target {
        self.target
    }

    fn program(&self) -> u32 {
        self.program
    }
}

impl List {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    fn run(self, context: &mut Context) -> Result<()> {
        list(context, xdp::list, ["DEVICE", "MODE"], &[], |attachment| {
            [
                attachment.device.clone(),
                format!("{:?}", attachment.mode).to_lowercase(),
            ]
        })
    }
}
