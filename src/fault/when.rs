//! When a fault fires: at an instant of the run, or some time after something happened.

use crate::base::Nanos;
use crate::base::units::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Repetitions and random times are drawn by the plan, so that this is all that is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum When {
    /// Since the start of the run.
    At {
        #[serde(with = "duration")]
        at: Nanos,
    },
    /// So long after the trigger, the first time that it happens.
    After {
        after: Trigger,
        #[serde(with = "duration", default)]
        wait: Nanos,
    },
}

/// What a fault can wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Another node than before leads this role.
    LeaderChanged(String),
    /// The fault of this name, or one of its series, was injected.
    Injected(String),
    /// The fault of this name, or one of its series, was healed.
    Healed(String),
    /// This member was taken out by the balancer, or any member of this role.
    MemberDown(String),
}

impl When {
    /// The instant by plan, since the start of the run; `None` where it depends on what happens.
    pub fn planned(&self) -> Option<Nanos> {
        match self {
            When::At { at } => Some(*at),
            When::After { .. } => None,
        }
    }
}
