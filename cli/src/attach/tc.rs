// SPDX-License-Identifier: MIT OR Apache-2.0
use lunatik_bpf::tc::{self, Attachment};

use super::{Attached, argument, id, id_for_packets, list, on_device};
use crate::{context::Context, failure::Result};

/// Put a state on what enters or leaves a device, by TC
///
/// A small eBPF program, a filter of the device's clsact qdisc, hands each packet to
/// the function that the state's script registered for TC. Without the state, or
/// when its function fails, packets go on to the next filter.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lunatikctl tc attach fw --dev eth0 ingress
  lunatikctl -n blue tc attach fw --dev veth0 egress --priority 10
  lunatikctl tc list
  lunatikctl tc detach fw --dev eth0")]
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

    /// Which packets
    direction: Direction,

    /// The device
    #[arg(short, long, value_name = "DEVICE")]
    dev: String,

    /// The filter's place among the device's, the least first [default: before them]
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    priority: Option<u16>,

    /// An integer for the state's function
    #[arg(long, value_name = "INTEGER", default_value = "0", hide_default_value = true,
        allow_negative_numbers = true, value_parser = argument)]
    arg: i64,
}

/// Detach states from a device
#[derive(Debug, clap::Args)]
struct Detach {
    /// The state; without it, all states that are attached, even those that were
    /// closed
    name: Option<String>,

    /// Which packets; without it, both
    direction: Option<Direction>,

    /// The device
    #[arg(short, long, value_name = "DEVICE")]
    dev: String,
}

/// List the devices of the namespace that states are attached to
///
/// STATE is the name of the state, PRIO the filter's priority, PROG the id of the
/// eBPF program, ARG the integer for the state's function.
#[derive(Debug, clap::Args)]
struct List {}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Direction {
    /// Those that come in
    Ingress,
    /// Those that go out
    Egress,
}

impl From<Direction> for tc::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
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
            tc::attach(&self.dev, self.direction.into(), self.priority, target)
        })
    }
}

impl Detach {
    fn run(self, context: &mut Context) -> Result<()> {
        let session = context.session()?;
        let state = self.name.as_deref().map(|name| id(&session, name));
        let state = state.transpose()?;
        let direction = self.direction.map(tc::Direction::from);
        on_device(&session, &self.dev, || {
            tc::detach(&self.dev, direction, state)
        })
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
        list(
            context,
            tc::list,
            ["DEVICE", "DIRECTION", "PRIO"],
            &[2],
            |attachment| {
                [
                    attachment.device.clone(),
                    format!("{:?}", attachment.direction).to_lowercase(),
                    attachment.priority.to_string(),
                ]
            },
        )
    }
}
