//! Floor 1: what a fault *is*: kind, magnitude, selector (blast radius) and window.
//! How it is done belongs to `chaos`; whether the target can bear it is for `plan` to check.

mod kind;
mod lever;
mod selector;
mod when;
mod words;

pub use kind::{FaultKind, LinkBy, MemoryBy, Need, OnLink, ThrottleBy};
pub use lever::{Direction, Lever, LinkEffect, LinkRule, NodeRule, PacketEffect, PacketRule};
pub use selector::{Selector, SelectorError};
pub use when::{Trigger, When};

use crate::base::Nanos;
use crate::base::units::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault of a plan: what, on whom, when and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Unique within the plan; thresholds and the report use it.
    pub name: String,
    /// The name under which it is written in the profile: several of a plan may come from one that
    /// is repeated or random.
    #[serde(default)]
    pub series: String,
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Resolved when the fault fires.
    pub on: Selector,
    #[serde(flatten)]
    pub when: When,
    /// Until it is healed. For kill, terminate and power-off this is the assumed repair time.
    #[serde(with = "duration")]
    pub lasts: Nanos,
}

/// How much may be broken at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultLimits {
    /// Faults in force at the same time; one more is skipped.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// The role of which a majority must be left by every fault that takes nodes away.
    #[serde(default)]
    pub keep_quorum: Option<String>,
}
