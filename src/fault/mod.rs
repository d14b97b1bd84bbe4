//! Floor 1: what a fault *is*: kind, magnitude, selector (blast radius) and window.
//! How it is done belongs to `chaos`; whether the target can bear it is for `plan` to check.

mod lever;
mod selector;

pub use lever::{Direction, Lever, LinkEffect, LinkRule, NodeRule, PacketEffect, PacketRule};
pub use selector::{Selector, SelectorError};

use crate::base::Nanos;
use crate::base::units::duration;
use serde::{Deserialize, Serialize};

/// What is done to the selected nodes or server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// SIGKILL to the process; healed by starting it again.
    Kill,
    /// The whole server falls silent (frozen, still accepting connections in its kernel), is killed
    /// when the repair time is over, and is started again.
    PowerOff,
    /// The processes are stopped, and continue afterwards as if nothing had happened.
    Pause,
    /// SIGTERM, wait for the exit, start again at once.
    Restart,
    /// CPU taken away from the server: `to` is the share of its own budget that is left.
    Throttle {
        to: f64,
        #[serde(default)]
        by: ThrottleBy,
    },
}

impl FaultKind {
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Kill => "kill",
            FaultKind::PowerOff => "power-off",
            FaultKind::Pause => "pause",
            FaultKind::Restart => "restart",
            FaultKind::Throttle { .. } => "throttle",
        }
    }
}

/// How CPU is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThrottleBy {
    /// A smaller quota per period: full speed, then a stall.
    #[default]
    Quota,
    /// Fewer cores by affinity, at least one.
    Cores,
}

/// One fault of a plan: what, on whom, when and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Unique within the plan; thresholds and the report use it.
    pub name: String,
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Resolved when the fault fires.
    pub on: Selector,
    /// Since the start of the run.
    #[serde(with = "duration")]
    pub at: Nanos,
    /// Until it is healed. For kill and power-off this is the assumed repair time.
    #[serde(with = "duration")]
    pub lasts: Nanos,
}
