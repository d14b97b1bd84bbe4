//! Snapshots and events → what a watcher sees. Two histograms, and one more for each second that
//! is not complete yet: bounded, however long the run.

use super::target_now::TargetNow;
use super::thresholds::Thresholds;
use super::watch::{HEAT_EDGES, HeatSecond, Percentiles, Progress};
use crate::base::bars::{Bar, bars};
use crate::base::{Histogram, Nanos};
use crate::plan::{LoadPlan, Plan};
use crate::record::{Cause, Ledger, Outcome, Snapshot, Tag};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Rows of the histogram that is shown.
const BARS: usize = 8;
/// Seconds of which some workers have reported and others not; the oldest give way.
const PENDING: usize = 8;
/// Causes that are shown at most.
const CAUSES: usize = 12;
/// Seconds of the heat map.
const HEAT_SECONDS: usize = 60;

/// Collects what happened in each second, keeps the last complete one and the sum.
pub(super) struct Tally {
    workers: u32,
    /// The last second of each worker that has ended.
    ended_workers: Vec<u32>,
    pending: BTreeMap<u32, Second>,
    shown: Second,
    /// The last complete second, until someone has looked at it.
    live: Option<Second>,
    last_second: Percentiles,
    /// Which phases are measured.
    measured: Vec<bool>,
    so_far: Histogram,
    so_far_shown: (Percentiles, Vec<Bar>),
    /// Over the whole run.
    ledger: Ledger,
    causes: HashMap<(Outcome, Cause), u64>,
    in_flight: BTreeMap<u32, u32>,
    heat: VecDeque<HeatSecond>,
}

/// What all workers told of one second.
#[derive(Default)]
pub(super) struct Second {
    reports: u32,
    planned: u64,
    pub ended: u64,
    pub ok: u64,
    pub in_time: u64,
    pub response: Option<Histogram>,
    pub start_lag: Option<Histogram>,
}

impl Tally {
    pub fn new(workers: u32, load: &LoadPlan) -> Self {
        Tally {
            workers,
            ended_workers: Vec::new(),
            pending: BTreeMap::new(),
            shown: Second::default(),
            live: None,
            last_second: Percentiles::default(),
            measured: load.phases.iter().map(|p| p.measured).collect(),
            so_far: Histogram::new(),
            so_far_shown: Default::default(),
            ledger: Ledger::default(),
            causes: HashMap::new(),
            in_flight: BTreeMap::new(),
            heat: VecDeque::new(),
        }
    }

    pub fn snapshot(&mut self, snapshot: &Snapshot) {
        self.in_flight.insert(snapshot.worker, snapshot.in_flight + snapshot.waiting);
        for (outcome, cause, n) in &snapshot.causes {
            *self.causes.entry((*outcome, *cause)).or_default() += n;
        }
        let index = (snapshot.at.0 / Nanos::SECOND.0) as u32;
        let second = self.pending.entry(index).or_default();
        second.reports += 1;
        for cell in &snapshot.cells {
            second.planned += cell.ledger.planned;
            second.ended += cell.ledger.ended();
            self.ledger.add(&cell.ledger);
            second.ok += cell.ledger.ok;
            second.in_time += cell.in_time;
        }
        for (tag, histogram) in &snapshot.histograms {
            if *tag == Tag::StartLag {
                second.start_lag.get_or_insert_default().merge(histogram);
            }
            let Tag::Response { phase, .. } = tag else { continue };
            second.response.get_or_insert_default().merge(histogram);
            if self.measured.get(usize::from(*phase)).is_some_and(|measured| *measured) {
                self.so_far.merge(histogram);
            }
        }
        if snapshot.is_last {
            self.ended_workers.push(index);
        }
        self.show(index);
    }

    /// A second of which every worker that was still there has reported is complete.
    fn show(&mut self, index: u32) {
        let gone = self.ended_workers.iter().filter(|at| **at < index).count() as u32;
        let reports = self.pending.get(&index).map_or(0, |second| second.reports);
        if reports + gone >= self.workers {
            let second = self.pending.remove(&index).unwrap_or_default();
            self.pending.retain(|i, _| *i > index);
            self.last_second =
                second.response.as_ref().map_or_else(Percentiles::default, Percentiles::of);
            self.heat.push_back(second.response.as_ref().map_or_else(HeatSecond::default, heat_of));
            if self.heat.len() > HEAT_SECONDS {
                self.heat.pop_front();
            }
            let Second { reports, planned, ended, ok, in_time, .. } = second;
            self.shown = Second { reports, planned, ended, ok, in_time, ..Second::default() };
            self.live = Some(second);
            self.so_far_shown = (Percentiles::of(&self.so_far), bars(&self.so_far, BARS));
        }
        while self.pending.len() > PENDING {
            self.pending.pop_first();
        }
    }

    /// The last complete second, once.
    pub fn take_live(&mut self) -> Option<Second> {
        self.live.take()
    }

    pub fn progress(
        &self,
        plan: &Plan,
        target: &TargetNow,
        thresholds: &Thresholds,
        elapsed: Nanos,
    ) -> Progress {
        let load = &plan.load;
        let shown = &self.shown;
        Progress {
            target: plan.target.clone(),
            profile: plan.profile.clone(),
            phases: load.phases.iter().map(|phase| phase.name.clone()).collect(),
            phase_index: match elapsed >= load.end() {
                false => load.phase_at(elapsed),
                true => load.phases.len(),
            },
            elapsed,
            total: load.end(),
            requests: load.requests_max.map(|most| (self.ledger.ended(), most)),
            offered_per_s: shown.planned as f64,
            completed_per_s: shown.ok as f64,
            in_time_share: (shown.ended > 0).then(|| shown.in_time as f64 / shown.ended as f64),
            last_second: self.last_second,
            so_far: self.so_far_shown.0,
            bars: self.so_far_shown.1.clone(),
            ledger: self.ledger,
            causes: self.most_frequent(),
            nodes: target.nodes(),
            faults: target.faults(elapsed),
            in_flight: self.in_flight.values().sum(),
            heat: self.heat.iter().copied().collect(),
            thresholds: thresholds.so_far(),
        }
    }

    /// Statuses of ok answers, then reasons of the others, so many of each.
    fn most_frequent(&self) -> Vec<(Outcome, Cause, u64)> {
        let mut all: Vec<_> = self.causes.iter().map(|((o, c), n)| (*o, *c, *n)).collect();
        all.sort_by_key(|(outcome, cause, n)| (std::cmp::Reverse(*n), *outcome, *cause));
        let (mut named, mut others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(outcome, ..)| *outcome == Outcome::Ok);
        named.truncate(CAUSES);
        others.truncate(CAUSES);
        named.extend(others);
        named
    }
}

fn heat_of(response: &Histogram) -> HeatSecond {
    let mut above = HEAT_EDGES.map(|edge| response.count_above(edge)).into_iter();
    let mut before = response.count();
    std::array::from_fn(|_| {
        let rest = above.next().unwrap_or(0);
        std::mem::replace(&mut before, rest) - rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Arrivals, PhasePlan, RequestPlan};
    use crate::record::Cell;

    fn load() -> LoadPlan {
        let warm = PhasePlan {
            measured: false,
            ..PhasePlan::level("warm-up", Nanos::ZERO, Nanos::SECOND, 100.0)
        };
        let phases =
            vec![warm, PhasePlan::level("load", Nanos::SECOND, Nanos::from_secs(9), 100.0)];
        LoadPlan::new(Arrivals::Constant, phases, vec![RequestPlan::get("a", "h", "/")], Vec::new())
    }

    fn snapshot(worker: u32, second: u64, phase: u16, ms: u64) -> Snapshot {
        let mut response = Histogram::new();
        for _ in 0..50 {
            response.record(Nanos::from_millis(ms));
        }
        let ledger = Ledger { planned: 51, ok: 50, http_error: 1, ..Ledger::default() };
        Snapshot {
            worker,
            at: Nanos(Nanos::from_secs(second).0 + 999_000_000),
            cells: vec![Cell {
                second: second as u32,
                phase,
                ledger,
                in_time: 50,
                ..Cell::default()
            }],
            histograms: vec![(Tag::Response { request: 0, phase }, response)],
            causes: vec![(Outcome::HttpError, Cause::Status(503), 1)],
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_is_measured_adds_up_and_the_warm_up_does_not_count() {
        let mut tally = Tally::new(2, &load());
        for worker in 0..2 {
            tally.snapshot(&snapshot(worker, 0, 0, 900));
        }
        assert_eq!(tally.so_far_shown.0.p50, None);
        assert!(tally.last_second.p50.is_some());
        for second in 1..4 {
            tally.snapshot(&snapshot(0, second, 1, 10));
            tally.snapshot(&snapshot(1, second, 1, 20));
        }
        let (so_far, bars) = &tally.so_far_shown;
        assert!(so_far.max.unwrap() < Nanos::from_millis(21), "{so_far:?}");
        assert_eq!(bars.iter().map(|b| b.count).sum::<u64>(), 300);
        assert_eq!(tally.ledger.planned, 8 * 51);
        let refused = (Outcome::HttpError, Cause::Status(503), 8);
        assert_eq!(tally.most_frequent(), [refused]);
        let ok: Vec<_> = (200..300).map(|s| (Outcome::Ok, Cause::Status(s), 1_000)).collect();
        tally.snapshot(&Snapshot { causes: ok, ..Snapshot::default() });
        assert_eq!(tally.most_frequent().len(), CAUSES + 1);
        assert_eq!(tally.most_frequent().last(), Some(&refused));
    }

    #[test]
    fn the_heat_of_a_second_is_by_decade() {
        let mut h = Histogram::new();
        for (n, ms) in [(1, 9), (2, 50), (3, 60_000)] {
            (0..n).for_each(|_| h.record(Nanos::from_millis(ms)));
        }
        h.record(Nanos::from_micros(20));
        assert_eq!(heat_of(&h), [1, 1, 2, 0, 3]);
        let mut tally = Tally::new(1, &load());
        (0..100).for_each(|second| tally.snapshot(&snapshot(0, second, 1, 20)));
        assert_eq!((tally.heat.len(), tally.heat[59]), (HEAT_SECONDS, [0, 0, 50, 0, 0]));
    }

    #[test]
    fn a_second_is_complete_without_the_workers_that_have_ended() {
        let mut tally = Tally::new(2, &load());
        tally.snapshot(&snapshot(0, 1, 1, 10));
        assert_eq!(tally.shown.planned, 0);
        tally.snapshot(&Snapshot { is_last: true, ..snapshot(1, 1, 1, 10) });
        assert_eq!(tally.shown.planned, 102);
        tally.snapshot(&snapshot(0, 2, 1, 10));
        assert_eq!(tally.shown.planned, 51);
    }

    #[test]
    fn seconds_that_never_complete_do_not_pile_up() {
        let mut tally = Tally::new(2, &load());
        for second in 0..100 {
            tally.snapshot(&snapshot(0, second, 1, 10));
        }
        assert!(tally.pending.len() <= PENDING);
    }
}
