//! Thresholds while the run goes on: how they stand so far, and, for `--abort-on-fail`, whether one is
//! lost.
//!
//! A threshold that is looked at again and again with the data so far is missed by chance sooner or
//! later. So only the whole plan decides: once more requests broke it than may of all that will be
//! planned, it is lost for certain, and the end of the run can only confirm it.

use super::watch::{SoFar, Standing};
use crate::base::Nanos;
use crate::objective::{Aggregation, Metric, Threshold, ThresholdError, Tripped};
use crate::plan::Plan;
use crate::record::{Cell, Snapshot, Tag};
use std::collections::BTreeSet;

/// The planned number is random: this many standard deviations above the mean are allowed for.
const SIGMAS: f64 = 5.0;

/// Those of a plan that are about a share of the requests.
#[derive(Default)]
pub(super) struct Thresholds {
    watched: Vec<Watched>,
    aborts: bool,
}

/// A threshold, which requests it is about, and how many of them broke it.
struct Watched {
    threshold: Threshold,
    limit: Nanos,
    phases: BTreeSet<u16>,
    requests: BTreeSet<u16>,
    /// The share that may break it.
    allowed: f64,
    /// Of all that will be planned; `None` where the target decides how many that are.
    may_break: Option<u64>,
    broke: u64,
    ended: u64,
}

impl Thresholds {
    /// # Errors
    /// When a threshold cannot be read: a plan that was changed by hand.
    pub fn new(plan: &Plan) -> Result<Thresholds, ThresholdError> {
        let thresholds: Vec<Threshold> =
            plan.thresholds.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let watched = thresholds.into_iter().filter_map(|t| Watched::of(t, plan)).collect();
        Ok(Thresholds { watched, aborts: plan.abort_on_fail })
    }

    pub fn add(&mut self, snapshot: &Snapshot) {
        for watched in &mut self.watched {
            watched.add(snapshot);
        }
    }

    /// The first threshold that is lost, and by how much, where that is to end the run.
    pub fn lost(&self) -> Option<Tripped> {
        let lost = self.watched.iter().find(|w| self.aborts && w.is_lost())?;
        Some(Tripped {
            expression: lost.threshold.expression.clone(),
            seen: format!(
                "{} requests broke it, {} may of all that are planned",
                lost.broke,
                lost.may_break.unwrap_or(0)
            ),
        })
    }

    /// The worst first.
    pub fn so_far(&self) -> Vec<SoFar> {
        let mut all: Vec<SoFar> =
            self.watched.iter().filter(|w| w.ended > 0).map(Watched::so_far).collect();
        all.sort_by_key(|so_far| std::cmp::Reverse(so_far.standing));
        all
    }
}

/// Whether it can be known before the end of such a plan that this threshold is missed.
pub fn can_be_lost(threshold: &Threshold, plan: &Plan) -> bool {
    Watched::of(threshold.clone(), plan).is_some_and(|w| w.may_break.is_some())
}

impl Watched {
    fn of(threshold: Threshold, plan: &Plan) -> Option<Watched> {
        let allowed = threshold.may_break()?;
        let scope = &threshold.scope;
        let load = &plan.load;
        let numbered = |n: usize| n as u16;
        let phases: BTreeSet<u16> = (load.phases.iter().enumerate())
            .filter(|(_, p)| scope.has_phase(&p.name, p.measured))
            .map(|(i, _)| numbered(i))
            .collect();
        let requests: BTreeSet<u16> = (load.requests.iter().enumerate())
            .filter(|(_, r)| scope.has_request(&r.name))
            .map(|(i, _)| numbered(i))
            .collect();
        let may_break = match allowed > 0.0 {
            false => Some(0),
            true => planned_at_most(plan, &phases, &requests).map(|most| (allowed * most) as u64),
        };
        let limit = Nanos(threshold.limit.max(0.0) as u64);
        Some(Watched { threshold, limit, phases, requests, allowed, may_break, broke: 0, ended: 0 })
    }

    fn is_lost(&self) -> bool {
        self.may_break.is_some_and(|most| self.broke > most)
    }

    fn so_far(&self) -> SoFar {
        let share = self.broke as f64 / self.ended.max(1) as f64;
        let standing = match (self.is_lost(), share <= self.allowed) {
            (true, _) => Standing::Lost,
            (_, true) => Standing::Held,
            (_, false) => Standing::Missed,
        };
        SoFar { expression: self.threshold.expression.clone(), standing, share }
    }

    fn add(&mut self, snapshot: &Snapshot) {
        let is_time = matches!(self.threshold.metric, Metric::ResponseTime | Metric::ServiceTime);
        for cell in &snapshot.cells {
            if self.is_about(cell.request, cell.phase) {
                self.ended += match self.threshold.metric {
                    Metric::ServiceTime => 0,
                    _ => cell.ledger.ended(),
                };
                self.broke += match self.threshold.metric {
                    Metric::InTime => cell.ledger.ended().saturating_sub(cell.in_time),
                    Metric::Errors => cell.ledger.ended().saturating_sub(cell.ledger.ok),
                    Metric::ResponseTime if self.is_quantile() => errors(cell),
                    _ => 0,
                };
            }
        }
        for (tag, histogram) in snapshot.histograms.iter().filter(|_| is_time) {
            let (request, phase) = match (self.threshold.metric, tag) {
                (Metric::ResponseTime, Tag::Response { request, phase })
                | (Metric::ServiceTime, Tag::Service { request, phase }) => (*request, *phase),
                _ => continue,
            };
            if self.is_about(request, phase) {
                self.broke += histogram.count_above(self.limit);
                if self.threshold.metric == Metric::ServiceTime {
                    self.ended += histogram.count();
                }
            }
        }
    }

    fn is_quantile(&self) -> bool {
        matches!(self.threshold.aggregation, Aggregation::Quantile(_))
    }

    fn is_about(&self, request: u16, phase: u16) -> bool {
        self.phases.contains(&phase) && self.requests.contains(&request)
    }
}

/// What ended without a response time broke every limit of one, as in the judgement at the end.
fn errors(cell: &Cell) -> u64 {
    cell.ledger.http_error + cell.ledger.transport_error
}

/// More than that many requests will not be planned, but for once in a million runs; `None` of a
/// closed loop that is limited by time alone, where the target decides.
fn planned_at_most(plan: &Plan, phases: &BTreeSet<u16>, requests: &BTreeSet<u16>) -> Option<f64> {
    let load = &plan.load;
    // Who asks again may do so in a later phase.
    let is_counted = |i: usize| load.retry.is_some() || phases.contains(&(i as u16));
    let scheduled: f64 = (load.phases.iter().enumerate())
        .filter(|(i, _)| is_counted(*i))
        .map(|(_, p)| p.expected_requests())
        .sum();
    let limited = load.requests_max.map(|most| most as f64);
    let firsts = match (load.is_closed(), limited) {
        (true, most) => most?,
        (false, Some(most)) => scheduled.min(most),
        (false, None) => scheduled,
    };
    let attempts = load.retry.map_or(1.0, |retry| f64::from(retry.attempts));
    let weight_of = |n: usize| load.requests.get(n).map_or(0.0, |r| r.weight);
    let all: f64 = (0..load.requests.len()).map(weight_of).sum();
    let wanted: f64 = requests.iter().map(|n| weight_of(usize::from(*n))).sum();
    let mean = firsts * attempts * if all > 0.0 { wanted / all } else { 1.0 };
    Some(mean + SIGMAS * mean.sqrt() + SIGMAS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Histogram;
    use crate::plan::{Arrivals, HostFacts, LoadPlan, PhasePlan, RequestPlan};
    use crate::record::Ledger;

    /// A second of warm-up and nine of load at 100/s, three of four requests of which are `a`.
    fn plan(threshold: &str) -> Plan {
        let warm = PhasePlan {
            measured: false,
            ..PhasePlan::level("warm-up", Nanos::ZERO, Nanos::SECOND, 100.0)
        };
        let phases =
            vec![warm, PhasePlan::level("load", Nanos::SECOND, Nanos::from_secs(9), 100.0)];
        let a = RequestPlan { weight: 3.0, ..RequestPlan::get("a", "h", "/") };
        let requests = vec![a, RequestPlan::get("b", "h", "/")];
        let load = LoadPlan::new(Arrivals::Constant, phases, requests, Vec::new());
        let plan = Plan::of_load("t".into(), "p".into(), HostFacts::default(), load);
        Plan { thresholds: vec![threshold.into()], abort_on_fail: true, ..plan }
    }

    /// So many requests of that phase: ok ones that took a second, and errors.
    fn told(phase: u16, request: u16, slow: u64, errors: u64) -> Snapshot {
        let mut response = Histogram::new();
        (0..slow).for_each(|_| response.record(Nanos::SECOND));
        let n = slow + errors;
        let ledger = Ledger { planned: n, ok: slow, http_error: errors, ..Ledger::default() };
        Snapshot {
            cells: vec![Cell { phase, request, ledger, ..Cell::default() }],
            histograms: vec![(Tag::Response { request, phase }, response)],
            ..Snapshot::default()
        }
    }

    #[test]
    fn it_is_lost_once_no_rest_of_the_run_could_make_up_for_it() {
        // 900 are planned, at most 900 + 5 × 30 + 5; of 1,055, ten may.
        let mut thresholds = Thresholds::new(&plan("response_time: p(99)<200ms")).unwrap();
        thresholds.add(&told(0, 0, 500, 500));
        assert_eq!(thresholds.lost(), None, "the warm-up does not count");
        assert_eq!(thresholds.so_far(), []);
        thresholds.add(&told(1, 0, 6, 4));
        assert_eq!(thresholds.lost(), None);
        let so_far = &thresholds.so_far()[0];
        assert_eq!((so_far.standing, so_far.share), (Standing::Missed, 1.0));
        thresholds.add(&told(1, 1, 0, 1));
        assert_eq!(thresholds.so_far()[0].standing, Standing::Lost);
        let seen = thresholds.lost().unwrap();
        assert_eq!(seen.expression, "response_time: p(99)<200ms");
        assert_eq!(seen.seen, "11 requests broke it, 10 may of all that are planned");
    }

    #[test]
    fn each_kind_of_threshold_counts_what_breaks_it() {
        let lost_by = |threshold: &str, snapshot: &Snapshot| {
            let mut thresholds = Thresholds::new(&plan(threshold)).unwrap();
            thresholds.add(snapshot);
            thresholds.lost().is_some()
        };
        let (slow, failed) = (told(1, 0, 100, 0), told(1, 0, 0, 100));
        for (threshold, by_slow, by_failed) in [
            ("in_time: rate>0.95", true, true),
            ("errors: rate<0.05", false, true),
            ("errors{request:a}: rate<0.05", false, true),
            ("errors{request:b}: rate<0.05", false, false),
            ("errors{phase:warm-up}: rate<0.05", false, false),
            ("errors: rate<=0", false, true),
            ("response_time: max<500ms", true, false),
            ("response_time: p(50)<200ms", false, false),
        ] {
            assert_eq!(lost_by(threshold, &slow), by_slow, "{threshold}");
            assert_eq!(lost_by(threshold, &failed), by_failed, "{threshold}");
        }
    }

    #[test]
    fn what_only_the_end_tells_is_not_watched() {
        let can = |text: &str, plan: &Plan| can_be_lost(&text.parse().unwrap(), plan);
        let open = plan("errors: rate<0.1");
        for text in ["throughput: rate>1", "recovery_time: max<1s", "response_time: avg<1s"] {
            assert!(!can(text, &open), "{text}");
        }
        let mut closed = open.clone();
        closed.load.arrivals = Arrivals::Closed { connections: 1, think: Nanos::ZERO };
        assert!(!can("errors: rate<0.1", &closed) && can("errors: rate<=0", &closed));
        closed.load.requests_max = Some(1000);
        assert!(can("errors: rate<0.1", &closed));
        let unasked = Plan { abort_on_fail: false, ..open };
        let mut thresholds = Thresholds::new(&unasked).unwrap();
        thresholds.add(&told(1, 0, 0, 900));
        assert_eq!(thresholds.lost(), None, "the run goes on to its end");
        assert_eq!(thresholds.so_far()[0].standing, Standing::Lost);
    }
}
