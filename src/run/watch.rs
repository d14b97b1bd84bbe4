//! What whoever watches a run gets to see. The terminal view implements it.

use crate::base::bars::Bar;
use crate::base::{Histogram, Nanos, Quantile};
use crate::record::{Cause, Ledger, Outcome};

/// The state of the run, several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub target: String,
    pub profile: String,
    pub phase: String,
    /// The names of all phases, in order, and the place of the one that goes on, or their number
    /// once all are over.
    pub phases: Vec<String>,
    pub phase_index: usize,
    pub elapsed: Nanos,
    pub total: Nanos,
    /// Ended and in all, for a run that ends by its number of requests.
    pub requests: Option<(u64, u64)>,
    /// Over the last second that was reported.
    pub offered_per_s: f64,
    pub completed_per_s: f64,
    /// Share of what ended in that second that was in time; `None` when nothing ended.
    pub in_time_share: Option<f64>,
    /// Response times of that second, and of the measured phases so far: of the same histograms
    /// that the record gets.
    pub last_second: Percentiles,
    pub so_far: Percentiles,
    /// The latter as bars.
    pub bars: Vec<Bar>,
    /// Over the whole run so far.
    pub ledger: Ledger,
    /// Statuses and reasons, the most frequent first.
    pub causes: Vec<(Outcome, Cause, u64)>,
    pub nodes: Vec<NodeNow>,
    pub faults: Vec<FaultNow>,
    pub in_flight: u32,
    /// The last seconds, the latest last.
    pub heat: Vec<HeatSecond>,
    pub thresholds: Vec<SoFar>,
}

/// The response times known in one second, by decade: up to 1 ms, 10 ms, 100 ms, 1 s, and above.
pub type HeatSecond = [u64; 5];

/// A node as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeNow {
    pub name: String,
    pub is_up: bool,
    pub leads: bool,
    /// What it used of its server's cores in the last second; `None` while that is not known.
    pub cpu_share: Option<f64>,
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultNow {
    pub name: String,
    pub on: String,
    /// Until it is healed.
    pub left: Option<Nanos>,
}

/// How a threshold stands, of what has ended so far.
#[derive(Clone, Debug, PartialEq)]
pub struct SoFar {
    pub expression: String,
    pub standing: Standing,
    /// Of the requests that it is about, those that broke it.
    pub share: f64,
}

/// From best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Held,
    Missed,
    /// Whatever may still come.
    Lost,
}

/// Those of a histogram that a view shows; `None` with fewer than ten samples above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: Option<Nanos>,
    pub p90: Option<Nanos>,
    pub p99: Option<Nanos>,
    pub p999: Option<Nanos>,
    pub max: Option<Nanos>,
}

impl Percentiles {
    pub fn of(h: &Histogram) -> Percentiles {
        let q = |q| h.quantile(Quantile(q));
        Percentiles { p50: q(0.5), p90: q(0.9), p99: q(0.99), p999: q(0.999), max: h.max() }
    }

    /// p99, or the highest value where there were too few for it, with its name.
    pub fn high(&self) -> Option<(&'static str, Nanos)> {
        self.p99.map(|v| ("p99", v)).or(self.max.map(|v| ("max", v)))
    }
}

/// A watcher never slows the run: it is called from the conductor's own thread.
pub trait Watcher {
    fn progress(&mut self, progress: &Progress);
    /// Something happened, at an instant of the run: one line for people.
    fn note(&mut self, at: Nanos, text: &str);
}

/// Watches nothing.
pub struct Silent;

impl Watcher for Silent {
    fn progress(&mut self, _: &Progress) {}
    fn note(&mut self, _: Nanos, _: &str) {}
}
