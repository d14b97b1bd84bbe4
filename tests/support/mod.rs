//! A load from the library, run to its end, with what must hold of any run.

#![allow(dead_code, reason = "each test uses some of it")]

use brunt::base::{Histogram, Nanos, clock};
use brunt::plan::{Arrivals, LoadPlan, PhasePlan, RequestPlan, RoutePlan};
use brunt::record::{Cause, Ledger, Outcome, Snapshot, Tag};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// `GET /` at a rate, or in a closed loop, for so long.
pub fn plan(address: SocketAddr, arrivals: Arrivals, rate: f64, lasts: Nanos) -> LoadPlan {
    let phase = PhasePlan::level("main", Nanos::ZERO, lasts, rate);
    let request = RequestPlan::get("root", "test", "/");
    let routes = vec![RoutePlan::Fixed(address)];
    LoadPlan { shards: 8, ..LoadPlan::new(arrivals, vec![phase], vec![request], routes) }
}

/// All snapshots of a run, added up.
#[derive(Default)]
pub struct Seen {
    pub ledger: Ledger,
    pub retried: u64,
    pub response: Histogram,
    pub service: Histogram,
    pub causes: Vec<(Outcome, Cause, u64)>,
}

impl Seen {
    fn add(&mut self, snapshot: &Snapshot) {
        for cell in &snapshot.cells {
            self.ledger.add(&cell.ledger);
            self.retried += cell.retried;
        }
        for (tag, histogram) in &snapshot.histograms {
            match tag {
                Tag::Response { .. } => self.response.merge(histogram),
                Tag::Service { .. } => self.service.merge(histogram),
                _ => {}
            }
        }
        self.causes.extend(&snapshot.causes);
    }

    pub fn cause(&self, cause: Cause) -> u64 {
        self.causes.iter().filter(|(_, c, _)| *c == cause).map(|(.., n)| n).sum()
    }

    /// A quantile of the response time.
    pub fn response_at(&self, q: f64) -> Nanos {
        Nanos(self.response.hdr().value_at_quantile(q))
    }
}

/// How many values are above a limit.
pub fn above(histogram: &Histogram, limit: Nanos) -> u64 {
    let all = histogram.hdr().iter_recorded();
    all.filter(|v| v.value_iterated_to() > limit.0).map(|v| v.count_since_last_iteration()).sum()
}

/// Longer than its plan, its time-out and a slow machine's hesitation a run may not take.
const HESITATION: Duration = Duration::from_secs(10);

/// Runs a load to its end, which has to come in time, with its ledger closed.
pub fn run(load: LoadPlan, workers: u32) -> Seen {
    let bound = load.end().duration() + load.timeout.duration() + HESITATION;
    let started = Instant::now();
    let (sink, snapshots) = std::sync::mpsc::channel();
    let epoch = clock::now() + Nanos::from_millis(5);
    let generator = brunt::generator::start(load, workers, &[], epoch, sink).expect("a load");
    while !generator.is_finished() {
        assert!(started.elapsed() < bound, "the generator hangs");
        std::thread::sleep(Duration::from_millis(2));
    }
    generator.join().expect("no worker failed");
    let mut seen = Seen::default();
    snapshots.into_iter().for_each(|snapshot| seen.add(&snapshot));
    assert!(seen.ledger.is_closed(), "{:?}", seen.ledger);
    assert_eq!(seen.service.count(), seen.ledger.ok, "{:?}", seen.ledger);
    seen
}
