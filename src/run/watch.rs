//! What whoever watches a run gets to see. The terminal view implements it.

use crate::base::Nanos;

/// The state of the run, several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub target: String,
    pub profile: String,
    pub phase: String,
    pub elapsed: Nanos,
    pub total: Nanos,
    /// Ended and in all, for a run that ends by its number of requests.
    pub requests: Option<(u64, u64)>,
    /// Over the last second that was reported.
    pub offered_per_s: f64,
    pub completed_per_s: f64,
    /// Share of what ended in that second that was in time; `None` when nothing ended.
    pub in_time_share: Option<f64>,
    pub p99: Option<Nanos>,
    pub nodes_up: usize,
    pub nodes_total: usize,
    pub faults_in_force: Vec<String>,
    pub in_flight: u32,
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
