//! Floor 5: injectors, one fault kind a file, and the thread that fires them on the run's clock.
//!
//! Chaos does not know that there is load. It sees the target through [`Stand`], which `run` makes
//! from the fleet. Every injection is healed: on schedule, or when the run ends early.

mod ability;
mod hold;
mod kill;
mod limits;
mod power_off;
mod restart;
mod schedule;
mod select;
mod terminate;
#[cfg(test)]
mod tests;

pub use ability::{Ability, abilities};
pub use limits::Limits;
pub use schedule::{Chaos, Permission};

use crate::base::Nanos;
use crate::fault::{FaultKind, Lever};

/// What was done, when, how, and what was seen by looking afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// `CLOCK_MONOTONIC` right before the change: when an injection begins to be felt.
    pub began: Nanos,
    /// Right after its effect was seen: when a heal is complete.
    pub ended: Nanos,
    pub mechanism: String,
    /// What was seen: that it is so; after a hold, what it did (`throttled for 1.2 s of 3 s`).
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

/// A link as chaos sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// A node's name, or `visitors:<region>`.
    pub from: String,
    pub to: String,
}

/// What can be done to a target. Errors are sentences for the record.
pub trait Stand: Send + Sync {
    fn nodes(&self) -> Vec<NodeView>;
    fn links(&self) -> Vec<LinkView>;
    /// The node that leads a role now.
    fn leader(&self, role: &str) -> Option<String>;
    fn kill_node(&self, node: &str) -> Result<Done, String>;
    /// SIGTERM, and wait for the exit; the proof says so when it had to be killed in the end.
    fn terminate_node(&self, node: &str) -> Result<Done, String>;
    fn start_node(&self, node: &str) -> Result<Done, String>;
    /// Waits until a node that was started again answers.
    fn await_ready(&self, node: &str) -> Result<(), String>;
    fn kill_server(&self, server: &str) -> Result<Done, String>;
    fn start_server(&self, server: &str) -> Result<Done, String>;
    /// Writes into the journal, ahead of the instant, that this is about to be held.
    fn prepare(&self, hold: &str, lever: &Lever) -> Result<(), String>;
    /// Puts a lever on; `hold` names it until it is released. Several may be on one resource.
    fn hold(&self, hold: &str, lever: &Lever) -> Result<Done, String>;
    /// Takes it off, and says what it did while it was on. Nothing to do is no error.
    fn release(&self, hold: &str) -> Result<Done, String>;
}

/// Whom a fault hits, resolved when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub nodes: Vec<String>,
    /// The servers that hold them.
    pub servers: Vec<String>,
    /// The links, when the selection named links; then the nodes are those that are dialled.
    pub links: Vec<LinkView>,
    /// The selection named servers rather than processes.
    pub is_server_wide: bool,
    /// The role whose leader was chosen, when it was chosen as such.
    pub leader_of: Option<String>,
}

impl Hit {
    /// For the event: the node, or the server or link where it is hit as one.
    pub fn object(&self) -> String {
        if !self.links.is_empty() {
            let text = |l: &LinkView| format!("{}->{}", l.from, l.to);
            return self.links.iter().map(text).collect::<Vec<_>>().join(" ");
        }
        let names = if self.is_server_wide { &self.servers } else { &self.nodes };
        names.join(" ")
    }

    /// Its nodes that run now, or those that do not; of a server that is hit as one, of all that it
    /// holds.
    fn members(&self, stand: &dyn Stand, alive: bool) -> Vec<String> {
        let all = stand.nodes().into_iter().filter(|n| self.has(n) && n.is_alive == alive);
        all.map(|n| n.name).collect()
    }

    fn has(&self, node: &NodeView) -> bool {
        match self.is_server_wide {
            true => self.servers.contains(&node.server),
            false => self.nodes.contains(&node.name),
        }
    }
}

/// One kind of fault. A new one is a file of this shape and a line in [`injector`]; one that only
/// holds something is just a line in `hold`.
trait Injector: Send {
    /// Ahead of the instant: whatever takes time and changes nothing yet.
    fn prepare(&self, _hit: &Hit, _stand: &dyn Stand) -> Result<(), String> {
        Ok(())
    }
    /// Takes back what was only prepared.
    fn heal_prepared(&self, _hit: &Hit, _stand: &dyn Stand) -> Result<(), String> {
        Ok(())
    }
    /// `is_stopped`: the run is over early, and whatever takes several steps goes no further.
    fn inject(
        &self,
        hit: &Hit,
        stand: &dyn Stand,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Done, String>;
    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String>;
    /// Whether healing may begin; asked again until it may, within a bound.
    fn may_heal(&self, _hit: &Hit, _stand: &dyn Stand) -> bool {
        true
    }
}

/// `name` is the fault's, under which its holds are kept.
fn injector(name: &str, kind: &FaultKind) -> Box<dyn Injector> {
    match kind {
        FaultKind::Kill => Box::new(kill::Kill),
        FaultKind::Terminate => Box::new(terminate::Terminate),
        FaultKind::PowerOff => Box::new(power_off::PowerOff { name: name.into() }),
        FaultKind::Restart => Box::new(restart::Restart),
        kind => Box::new(hold::Holding { name: name.into(), kind: kind.clone() }),
    }
}

/// Does one thing to each; the first failure ends it. It began with the first and ended with the
/// last.
fn each<T: ?Sized, A: std::borrow::Borrow<T>>(
    all: &[A],
    mut action: impl FnMut(&T) -> Result<Done, String>,
) -> Result<Done, String> {
    let done: Result<Vec<Done>, String> = all.iter().map(|one| action(one.borrow())).collect();
    joined(done?)
}

/// As [`each`], for heals: a failure keeps none of the others from being done. All that failed is
/// the error.
fn each_all<T: ?Sized, A: std::borrow::Borrow<T>>(
    all: &[A],
    mut action: impl FnMut(&T) -> Result<Done, String>,
) -> Result<Done, String> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one in all {
        match action(one.borrow()) {
            Ok(one) => done.push(one),
            Err(why) => failed.push(why),
        }
    }
    match failed.is_empty() {
        true => joined(done),
        false => Err(failed.join("; ")),
    }
}

fn joined(all: Vec<Done>) -> Result<Done, String> {
    let total = all.into_iter().reduce(|before, done| Done {
        began: before.began,
        proof: format!("{}, {}", before.proof, done.proof),
        ..done
    });
    total.ok_or_else(|| "nothing was selected".to_string())
}
