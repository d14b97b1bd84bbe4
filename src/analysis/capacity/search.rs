//! The search: settings, the next step, the end.

use super::progress::Progress;
use super::reading::BACK_S;
use super::trial::{Purpose, Trial};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How to search. The defaults are those of methods §3.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    pub first_per_s: f64,
    /// The generator's own clean maximum over 2, or what the user allows.
    pub most_per_s: f64,
    /// The bisection ends when high/low is at most this.
    pub precision: f64,
    pub trial_s: f64,
    pub confirm_s: f64,
    pub confirmations: usize,
    /// How often the rate may be lowered by a step of `lower_by` when a confirmation fails.
    pub lowerings: usize,
    pub lower_by: f64,
    /// One-sided error below which a trial counts as decided.
    pub alpha: f64,
    pub overload: f64,
    pub overload_s: f64,
    pub return_to: f64,
    pub recover_within_s: f64,
    /// No search runs longer than this, whatever it sees.
    pub most_trials: usize,
}

#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("{what} is {seen}, it must be {expected}")]
pub struct BadSearch {
    pub what: &'static str,
    pub seen: f64,
    pub expected: &'static str,
}

impl Search {
    pub fn from(first_per_s: f64, most_per_s: f64) -> Search {
        Search {
            first_per_s,
            most_per_s,
            precision: 1.02,
            trial_s: 30.0,
            confirm_s: 60.0,
            confirmations: 5,
            lowerings: 5,
            lower_by: 0.98,
            alpha: 0.05,
            overload: 1.5,
            overload_s: 30.0,
            return_to: 0.8,
            recover_within_s: 300.0,
            most_trials: 100,
        }
    }

    /// As short as a search may be on a machine that others wait for: a recovery is watched for
    /// three trials, or as long as it takes to tell one; a confirmation takes two.
    pub fn short(most_per_s: f64, trial_s: f64, precision: f64, confirmations: usize) -> Search {
        Search {
            precision,
            trial_s,
            confirm_s: 2.0 * trial_s,
            confirmations,
            overload_s: trial_s,
            recover_within_s: (3.0 * trial_s).max(2.0 * f64::from(BACK_S)),
            ..Search::from(most_per_s.min(1.0), most_per_s)
        }
    }

    /// # Errors
    /// The first setting with which the search could not end or not begin.
    pub fn check(&self) -> Result<(), BadSearch> {
        let bad = |what, seen, expected| Err(BadSearch { what, seen, expected });
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !positive(self.first_per_s) {
            return bad("the first rate", self.first_per_s, "a positive number");
        }
        if !positive(self.most_per_s) || self.most_per_s < self.first_per_s {
            return bad("the highest rate", self.most_per_s, "at least the first rate");
        }
        if self.precision.is_nan() || self.precision <= 1.0 {
            return bad("the precision", self.precision, "above 1");
        }
        if !(0.0 < self.lower_by && self.lower_by < 1.0) {
            return bad("the step of lowering", self.lower_by, "between 0 and 1");
        }
        if !positive(self.trial_s) || !positive(self.confirm_s) {
            return bad("the length of a trial", self.trial_s.min(self.confirm_s), "positive");
        }
        Ok(())
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Drain, then load at this rate.
    Measure {
        rate_per_s: f64,
        seconds: f64,
        purpose: Purpose,
    },
    /// Overload, then return; the trial's purpose is [`Purpose::Overload`].
    Overload {
        rate_per_s: f64,
        seconds: f64,
        return_to_per_s: f64,
        recover_within_s: f64,
    },
    Done(Outcome),
}

/// Whether the target came back from overload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Recovery {
    After {
        seconds: f64,
    },
    /// Not within the time given: it stays down at a load it carried before.
    Metastable,
    NotMeasured,
}

/// Why the search ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Outcome {
    /// The capacity lies between these two; see [`super::estimate()`] for the number.
    Found {
        held_per_s: f64,
        failed_per_s: f64,
        /// Held in all confirmations; `None` when no rate did within the lowerings allowed.
        confirmed_per_s: Option<f64>,
        recovery: Recovery,
        limiting: Option<String>,
        exhausted: Option<String>,
    },
    /// Not even the first rate holds.
    FirstFails {
        rate_per_s: f64,
        limiting: Option<String>,
    },
    /// Everything up to the highest rate allowed holds: the capacity is above it.
    AboveMaximum {
        held_per_s: f64,
    },
    /// brunt could not send that much; nothing is said about the target above `held_per_s`.
    GeneratorLimited {
        at_per_s: f64,
        held_per_s: Option<f64>,
        reason: String,
    },
    /// A trial could not be believed.
    Invalid {
        at_per_s: f64,
        reason: String,
    },
    OutOfTrials {
        trials: usize,
        held_per_s: Option<f64>,
    },
    /// Ended from outside, by a signal or a guard.
    Stopped {
        why: String,
        held_per_s: Option<f64>,
    },
}

/// The next step of a search after these trials, in order. The same history gives the same step.
pub fn next(search: &Search, history: &[Trial]) -> Step {
    Progress::after(search, history).step(history.len())
}

/// The highest rate that held and the lowest that failed for good, as the search reckons: what a
/// repetition overruled is neither.
pub fn bracket(search: &Search, history: &[Trial]) -> (Option<f64>, Option<f64>) {
    Progress::after(search, history).bracket()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
