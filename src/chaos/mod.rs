//! Floor 5: injectors, one fault kind a file, and the thread that fires them on the run's clock.
//!
//! Chaos does not know that there is load. It sees the target through [`Stand`], which `run` makes
//! from the fleet. Every injection is healed: on schedule, or when the run ends early.

mod kill;
mod pause;
mod power_off;
mod restart;
mod schedule;
mod select;
mod throttle;

pub use schedule::{Chaos, Permission};

use crate::base::Nanos;
use crate::fault::FaultKind;

/// What was done, when, how, and what was seen by looking afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// `CLOCK_MONOTONIC` right before the change: when an injection begins to be felt.
    pub began: Nanos,
    /// Right after its effect was seen: when a heal is complete.
    pub ended: Nanos,
    pub mechanism: String,
    pub proof: String,
}

/// A node as chaos sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub name: String,
    pub role: &'static str,
    pub server: String,
    pub is_alive: bool,
}

/// What can be done to a target. Errors are sentences for the record.
pub trait Stand: Send + Sync {
    fn nodes(&self) -> Vec<NodeView>;
    /// The node that leads a role now.
    fn leader(&self, role: &str) -> Option<String>;
    fn kill_node(&self, node: &str) -> Result<Done, String>;
    /// SIGTERM, and wait for the exit.
    fn terminate_node(&self, node: &str) -> Result<Done, String>;
    fn start_node(&self, node: &str) -> Result<Done, String>;
    fn pause_node(&self, node: &str) -> Result<Done, String>;
    fn resume_node(&self, node: &str) -> Result<Done, String>;
    fn freeze_server(&self, server: &str) -> Result<Done, String>;
    fn thaw_server(&self, server: &str) -> Result<Done, String>;
    fn kill_server(&self, server: &str) -> Result<Done, String>;
    fn start_server(&self, server: &str) -> Result<Done, String>;
    /// The share of its own CPU that the server keeps; 1 restores it.
    fn set_server_share(&self, server: &str, share: f64) -> Result<Done, String>;
    /// The share of its cores that the server keeps, at least one core; 1 restores them.
    fn set_server_cores(&self, server: &str, share: f64) -> Result<Done, String>;
}

/// Whom a fault hits, resolved when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub nodes: Vec<String>,
    /// The servers that hold them.
    pub servers: Vec<String>,
    /// The selection named servers rather than processes.
    pub is_server_wide: bool,
    /// The role whose leader was chosen, when it was chosen as such.
    pub leader_of: Option<String>,
}

impl Hit {
    /// For the event: the node, or the server where it is hit as one.
    pub fn object(&self) -> String {
        let names = if self.is_server_wide { &self.servers } else { &self.nodes };
        names.join(" ")
    }
}

/// One kind of fault. A new one is a file of this shape and a line in [`injector`].
trait Injector {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String>;
    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String>;
    /// Whether healing may begin; asked again until it may, within a bound.
    fn may_heal(&self, _hit: &Hit, _stand: &dyn Stand) -> bool {
        true
    }
}

fn injector(kind: &FaultKind) -> Box<dyn Injector> {
    match kind {
        FaultKind::Kill => Box::new(kill::Kill),
        FaultKind::PowerOff => Box::new(power_off::PowerOff),
        FaultKind::Pause => Box::new(pause::Pause),
        FaultKind::Restart => Box::new(restart::Restart),
        FaultKind::Throttle { to, by } => Box::new(throttle::Throttle { to: *to, by: *by }),
    }
}

/// Does one thing to each name; the first failure ends it. It began with the first and ended with
/// the last.
fn each(
    names: &[String],
    mut action: impl FnMut(&str) -> Result<Done, String>,
) -> Result<Done, String> {
    let mut all: Option<Done> = None;
    for name in names {
        let done = action(name)?;
        all = Some(match all {
            None => done,
            Some(before) => Done {
                began: before.began,
                proof: format!("{}, {}", before.proof, done.proof),
                ..done
            },
        });
    }
    all.ok_or_else(|| "nothing was selected".to_string())
}
