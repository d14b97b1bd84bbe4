//! The highest rate that still meets the objectives: which trial comes next, and what all trials
//! together say. Pure functions of the trials so far; who runs them is another module.
//!
//! Doubling until it fails, bisection in the logarithm of the rate, confirmation from below, then
//! an overload to see whether the target comes back (methods §3.1). Two deviations from there, with
//! reasons: a trial that does not decide is repeated twice as long and then *leans* to the side its
//! share is on, because calling it a failure gathers all trials below the boundary and biases the
//! fit; and the answer is the fit of all trials, while the confirmed rate, which is lower by
//! design, is told beside it.
//!
//! Not detected: a capacity that changes during the search (the trials are pooled), and objectives
//! that fail at low rates and hold at high ones.

mod answer;
mod estimate;
mod objective;
mod outlook;
mod progress;
mod reading;
mod scale;
mod search;
#[cfg(test)]
mod simulated;
mod sizing;
mod trial;

pub use answer::{
    Answer, CapacityReport, GroupSize, Interval, SCHEMA, TrialRow, busiest, unbelievable,
};
pub use estimate::{Capacity, estimate};
pub use objective::{BrokenBy, ShareObjective};
pub use outlook::rest;
pub use reading::{readings, recovered_after_s};
pub use scale::{Axis, FitRow, ScalePoint, Scaling, scaling};
pub use search::{Outcome, Recovery, Search, Step, bracket, next};
pub use sizing::{Assumed, Buy, Candidate, Cost, Prices, SizeKind, Sizing, size};
pub use trial::{Flaw, Purpose, Reading, Trial};
