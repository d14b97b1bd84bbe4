//! What whoever watches a run gets to see. The terminal view implements it.

use crate::base::bars::Bar;
use crate::base::{Histogram, Nanos, Quantile};
use crate::record::{Cause, Ledger, Outcome};

/// The state of the run, several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub target: String,
    pub profile: String,
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

impl Progress {
    /// The name of the phase that goes on; once all are over, what is in flight is waited for.
    pub fn phase(&self) -> &str {
        self.phases.get(self.phase_index).map_or("drain", String::as_str)
    }

    /// How far it is, as a share: by its requests where those end it, else by the clock.
    pub fn done(&self) -> f64 {
        let (done, all) = self.requests.unwrap_or((self.elapsed.0, self.total.0));
        (done as f64 / all.max(1) as f64).min(1.0)
    }
}

/// Upper edges of all rows of a heat map but the last.
pub const HEAT_EDGES: [Nanos; 4] =
    [Nanos::from_millis(1), Nanos::from_millis(10), Nanos::from_millis(100), Nanos::SECOND];

/// The response times known in one second, up to each edge and above the last.
pub type HeatSecond = [u64; HEAT_EDGES.len() + 1];

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

/// Where a study of several runs stands, as the next of them begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StudyNow {
    /// Counted from 1.
    pub run: usize,
    pub runs: Runs,
    /// What is run: `garage at 508.5/s for 20 s: doubling`.
    pub what: String,
    /// What the runs before it have shown.
    pub so_far: Vec<String>,
    /// What the runs after it will take.
    pub after: Nanos,
}

/// How many runs a study makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    Known(usize),
    /// As far as can be told: what the runs show decides.
    About(usize),
}

impl Default for Runs {
    fn default() -> Self {
        Runs::Known(0)
    }
}

/// A watcher never slows the run: it is called from the conductor's own thread.
pub trait Watcher {
    fn progress(&mut self, progress: &Progress);
    /// Something happened, at an instant of the run: one line for people.
    fn note(&mut self, at: Nanos, text: &str);
    /// The next run of a study begins.
    fn study(&mut self, now: &StudyNow);
    /// Something about a study, between its runs: one line for people.
    fn say(&mut self, text: &str);
}

/// Both see everything.
impl<B: Watcher> Watcher for (Box<dyn Watcher>, B) {
    fn progress(&mut self, progress: &Progress) {
        self.0.progress(progress);
        self.1.progress(progress);
    }

    fn note(&mut self, at: Nanos, text: &str) {
        self.0.note(at, text);
        self.1.note(at, text);
    }

    fn study(&mut self, now: &StudyNow) {
        self.0.study(now);
        self.1.study(now);
    }

    fn say(&mut self, text: &str) {
        self.0.say(text);
        self.1.say(text);
    }
}

/// Watches nothing.
pub struct Silent;

impl Watcher for Silent {
    fn progress(&mut self, _: &Progress) {}
    fn note(&mut self, _: Nanos, _: &str) {}
    fn study(&mut self, _: &StudyNow) {}
    fn say(&mut self, _: &str) {}
}
