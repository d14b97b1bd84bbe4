//! Floor 1: what "good" means. Verdicts and their order, objectives and thresholds; no measuring
//! here.

mod budget;
mod guard;
mod threshold;

pub use budget::Budget;
pub use guard::{Guard, GuardError, Guards, Reading, Tripped};
pub use threshold::{Aggregation, Comparator, Metric, Scope, Threshold, ThresholdError};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run, a comparison or a gate comes to. Declared from best to worst, so that the worst of
/// several is their maximum: Invalid dominates, then Fail, then Inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Inconclusive,
    Fail,
    /// The measurement may not be believed.
    Invalid,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Fail => "fail",
            Verdict::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().to_uppercase())
    }
}

/// How one objective came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    Pass,
    Fail,
    Inconclusive,
    /// Nothing was measured that it could be judged by; never a pass.
    NoData,
}

/// An objective beside what was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// As it was written: `in_time: rate>0.99`.
    pub expression: String,
    pub observed: Option<f64>,
    pub verdict: Met,
    /// What the verdict rests on, where it is about a share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// The share of the requests that broke an objective, with one-sided bounds of 95 % each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The share that may.
    pub allowed: f64,
    pub share: f64,
    pub low: f64,
    pub high: f64,
    pub requests: u64,
    pub seconds: u32,
    /// By how much bursts thin the evidence; 1 when what breaks it comes independently.
    pub design_effect: f64,
    /// Requests with which the share seen would decide; `None` when it did, or never will because it
    /// lies on the allowed share.
    pub needed: Option<u64>,
}

impl Evidence {
    /// As many independent requests would say as much.
    pub fn effective(&self) -> f64 {
        self.requests as f64 / self.design_effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_is_the_maximum() {
        let order = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail, Verdict::Invalid];
        assert!(order.is_sorted());
        assert_eq!(serde_json::to_string(&Verdict::Invalid).unwrap(), "\"invalid\"");
        assert_eq!(serde_json::to_string(&Met::NoData).unwrap(), "\"no_data\"");
    }
}
