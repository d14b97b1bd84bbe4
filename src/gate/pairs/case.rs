//! What was compared, beside what it came to: the whole of a gate's `summary.json`.

use super::PairGate;
use crate::analysis::SCHEMA;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateCase {
    pub a: String,
    pub b: String,
    pub profile: String,
    /// The measured part of each run.
    pub measured_s: f64,
    /// Of the schedule that both were given; `None` in a closed loop.
    pub offered_per_s: Option<f64>,
    /// What was allowed, and what it took.
    pub budget_s: f64,
    pub took_s: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatedPairs {
    pub schema: u32,
    /// `gate`.
    pub kind: String,
    #[serde(flatten)]
    pub case: GateCase,
    #[serde(flatten)]
    pub gate: PairGate,
}

/// What `kind` is in a gate's summary.
pub const KIND: &str = "gate";

impl GatedPairs {
    pub fn new(case: GateCase, gate: PairGate) -> GatedPairs {
        GatedPairs { schema: SCHEMA, kind: KIND.into(), case, gate }
    }
}
