//! One fault, many times: where in a heartbeat it falls is chance, so that a single figure says
//! little. Each figure over all trials. What never happened is longer than everything that did, and
//! is counted as that; it is not left out.

use super::stats::rank_interval;
use super::summary::{FaultSummary, Outage, Summary};
use serde::{Deserialize, Serialize};

const CONFIDENCE: f64 = 0.95;

/// One figure in one trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    Seen(f64),
    /// It was to be expected, and did not happen while it was watched.
    Never,
    /// The fault was not injected, or there is nothing of the kind to be seen.
    Absent,
}

/// A figure over all trials. A quantile that is a trial in which it never happened is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Trials that say something, those in which it never happened among them.
    pub n: u64,
    pub never: u64,
    pub absent: u64,
    pub median: Option<f64>,
    pub p95: Option<f64>,
    pub max: Option<f64>,
    /// Distribution-free, of the median, from order statistics.
    pub median_interval: Option<MedianInterval>,
    /// In the order of the trials.
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MedianInterval {
    pub low: Option<f64>,
    /// `None`: without bound, since it never happened in too many trials.
    pub high: Option<f64>,
    /// With which probability it holds the median, exactly; at least 95 %.
    pub coverage: f64,
}

impl Spread {
    pub fn of(points: Vec<Point>) -> Spread {
        let mut sorted: Vec<f64> = points
            .iter()
            .filter_map(|point| match point {
                Point::Seen(value) => Some(*value),
                Point::Never => Some(f64::INFINITY),
                Point::Absent => None,
            })
            .collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as u64;
        let never = points.iter().filter(|p| **p == Point::Never).count() as u64;
        let at = |rank: u64| {
            let value = sorted.get(usize::try_from(rank).ok()?.checked_sub(1)?)?;
            value.is_finite().then_some(*value)
        };
        let median_interval = rank_interval(n, 0.5, CONFIDENCE).map(|ranks| MedianInterval {
            low: at(ranks.low),
            high: at(ranks.high),
            coverage: ranks.coverage,
        });
        Spread {
            n,
            never,
            absent: points.len() as u64 - n,
            median: at(nearest_rank(n, 0.5)),
            p95: at(nearest_rank(n, 0.95)),
            max: at(n),
            median_interval,
            points,
        }
    }
}

/// The rank of the smallest value that at least this share do not exceed: one that was measured,
/// never one between two.
fn nearest_rank(n: u64, q: f64) -> u64 {
    (q * n as f64 - 1e-9).ceil().max(1.0) as u64
}

/// What all trials of one fault say together, in seconds since the injection, or counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultTrials {
    pub fault: String,
    pub trials: u64,
    pub detected: Spread,
    pub leader: Spread,
    pub first_write: Spread,
    pub first_read: Spread,
    pub write_outage: Spread,
    pub read_outage: Spread,
    pub recovery: Spread,
    pub failed_requests: Spread,
    pub late_requests: Spread,
    pub lost_writes: Spread,
}

/// Of the fault of this name in every one of the runs; one that lacks it counts as absent.
pub fn fault_trials<'a>(runs: impl Iterator<Item = &'a Summary>, fault: &str) -> FaultTrials {
    let faults: Vec<Option<&FaultSummary>> = runs
        .map(|run| run.faults.iter().find(|f| f.name == fault && f.injected_at_s.is_some()))
        .collect();
    let spread = |figure: &dyn Fn(&FaultSummary) -> Point| {
        Spread::of(faults.iter().map(|f| f.map_or(Point::Absent, figure)).collect())
    };
    // Where nobody reports it in any trial, there is nothing to be seen; else it was missed.
    let reported = |value: &dyn Fn(&FaultSummary) -> Option<f64>| {
        let is_reported = faults.iter().flatten().any(|f| value(f).is_some());
        let otherwise = if is_reported { Point::Never } else { Point::Absent };
        spread(&|f| value(f).map_or(otherwise, Point::Seen))
    };
    FaultTrials {
        fault: fault.into(),
        trials: faults.len() as u64,
        detected: reported(&|f| f.detected_after_s),
        leader: reported(&|f| f.failed_over_after_s),
        first_write: spread(&first_write),
        first_read: spread(&first_read),
        write_outage: spread(&|f| outage(f.write_outage)),
        read_outage: spread(&|f| outage(f.read_outage)),
        recovery: spread(&|f| f.recovery_time_s.map_or(Point::Never, Point::Seen)),
        failed_requests: spread(&|f| Point::Seen(f.failed_requests as f64)),
        late_requests: spread(&|f| Point::Seen(f.late_requests as f64)),
        lost_writes: spread(&|f| f.lost_writes.map_or(Point::Absent, |n| Point::Seen(n as f64))),
    }
}

fn first_write(fault: &FaultSummary) -> Point {
    let first = fault.failover.as_ref().and_then(|f| f.first_write_after_s);
    first.map_or_else(|| absent_or_never(fault.write_outage), Point::Seen)
}

fn first_read(fault: &FaultSummary) -> Point {
    let first = fault.failover.as_ref().and_then(|f| f.first_read_after_s);
    first.map_or_else(|| absent_or_never(fault.read_outage), Point::Seen)
}

/// Without a first one after it: operations went on, or never came back.
fn absent_or_never(outage: Option<Outage>) -> Point {
    if outage.is_some_and(|o| o.is_open) { Point::Never } else { Point::Absent }
}

/// One that did not end is longer than it was watched.
fn outage(outage: Option<Outage>) -> Point {
    match outage {
        Some(outage) if outage.is_open => Point::Never,
        Some(outage) => Point::Seen(outage.longest_s),
        None => Point::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, power_off_story};

    fn seen(values: impl IntoIterator<Item = u32>) -> Vec<Point> {
        values.into_iter().map(|v| Point::Seen(f64::from(v))).collect()
    }

    #[test]
    fn quantiles_are_measured_values_and_the_median_has_an_interval() {
        let spread = Spread::of(seen((1..=20).rev()));
        assert_eq!((spread.median, spread.p95, spread.max), (Some(10.0), Some(19.0), Some(20.0)));
        // Ranks 6 and 15 of 20 hold the median with 95.9 % (Conover, table of order statistics).
        let interval = spread.median_interval.unwrap();
        assert_eq!((interval.low, interval.high), (Some(6.0), Some(15.0)));
        assert!((interval.coverage - 0.9586).abs() < 1e-4, "{interval:?}");
        assert_eq!(spread.points[0], Point::Seen(20.0));
    }

    #[test]
    fn few_trials_have_no_interval_and_none_have_nothing() {
        assert_eq!(Spread::of(seen(1..=5)).median_interval, None);
        assert!(Spread::of(seen(1..=6)).median_interval.is_some());
        let none = Spread::of(vec![Point::Absent; 3]);
        assert_eq!((none.n, none.absent, none.median, none.max), (0, 3, None, None));
    }

    #[test]
    fn what_never_happened_is_longer_than_everything_that_did() {
        let mut points = seen(1..=17);
        points.extend([Point::Never; 3]);
        let spread = Spread::of(points.clone());
        assert_eq!((spread.n, spread.never), (20, 3));
        assert_eq!((spread.median, spread.p95, spread.max), (Some(10.0), None, None));
        assert_eq!(spread.median_interval.unwrap().high, Some(15.0));
        points.extend([Point::Never; 20]);
        let mostly_never = Spread::of(points);
        assert_eq!(mostly_never.median, None);
        assert_eq!(mostly_never.median_interval.unwrap().high, None);
    }

    #[test]
    fn the_figures_of_a_fault_over_all_runs() {
        let leader = |after| {
            Builder::new("horizontal")
                .writes(0..10_000, 50)
                .writes(10_000 + (after * 1000.0) as u64 + 55..20_000, 50)
                .leader_killed_at(10.0, after)
                .build()
        };
        let mut runs: Vec<Summary> =
            [2.0, 3.0, 4.0].iter().map(|after| summarise(&leader(*after))).collect();
        runs[1].faults[0].failed_over_after_s = None;
        runs[2].faults[0].recovery_time_s = None;
        let trials = fault_trials(runs.iter(), "lose-leader");
        let Spread { n, never, median, max, .. } = trials.leader;
        assert_eq!((n, never, median, max), (3, 1, Some(4.0), None));
        assert_eq!((trials.recovery.never, trials.recovery.max), (1, None));
        assert!((trials.first_write.median.unwrap() - 3.06).abs() < 1e-9, "{trials:?}");
        // Nobody reports it, no read was checked, nothing was read back.
        for spread in [&trials.detected, &trials.first_read, &trials.lost_writes] {
            assert_eq!((spread.n, spread.absent), (0, 3));
        }
        runs.push(summarise(&power_off_story().build()));
        let trials = fault_trials(runs.iter(), "lose-leader");
        assert_eq!((trials.trials, trials.failed_requests.absent), (4, 1));
    }

    #[test]
    fn a_figure_that_some_trials_lack_is_counted_in_each_and_left_out_of_none() {
        let mut runs: Vec<Summary> = (0..4)
            .map(|_| {
                let story = Builder::new("horizontal").writes(0..10_000, 50);
                summarise(&story.writes(10_500..20_000, 50).leader_killed_at(10.0, 0.4).build())
            })
            .collect();
        runs[0].faults[0].skipped = Some("no node leads".into());
        runs[0].faults[0].injected_at_s = None;
        runs[1].faults[0].failed_over_after_s = None;
        runs[2].faults[0].lost_writes = Some(3);
        let trials = fault_trials(runs.iter(), "lose-leader");
        let counts = |s: &Spread| (s.n, s.never, s.absent);
        assert_eq!(counts(&trials.leader), (3, 1, 1));
        assert_eq!(counts(&trials.lost_writes), (1, 0, 3), "the others were not read back");
        assert_eq!(counts(&trials.recovery), (3, 0, 1));
        for spread in [&trials.leader, &trials.lost_writes, &trials.recovery, &trials.detected] {
            assert_eq!(spread.points.len() as u64, trials.trials);
            assert_eq!(spread.n + spread.absent, trials.trials);
        }
    }

    #[test]
    fn each_trials_seed_moves_the_fault_by_up_to_a_heartbeat() {
        let facts = crate::plan::HostFacts {
            stack_cpus: vec![1, 2],
            unit_cores: 0.5,
            period: crate::base::Nanos::from_millis(20),
            network: (77, 1),
            port: 17_170,
            ..Default::default()
        };
        let target = crate::target::load("horizontal").unwrap();
        let profile = crate::profile::load("drill-kill-leader").unwrap();
        let plan = |seed| crate::plan::compile(&target, &profile, seed, &facts).unwrap();
        let app = plan(1).nodes.into_iter().find(|n| n.role == crate::target::Role::App);
        let heartbeat = app.unwrap().settings.app.heartbeat.as_secs_f64();
        let moved_s: Vec<f64> = (1..=20)
            .map(|seed| plan(seed).faults[0].when.planned().unwrap().as_secs_f64() - 11.0)
            .collect();
        assert!(moved_s.iter().all(|s| (0.0..heartbeat).contains(s)), "{moved_s:?}");
        // Of 20 uniform draws, none in one given fifth: 1 % of all sets of seeds.
        for fifth in 0..5 {
            let part = heartbeat / 5.0;
            let is_in = |s: &&f64| (**s / part) as u32 == fifth;
            assert!(moved_s.iter().any(|s| is_in(&s)), "{fifth}: {moved_s:?}");
        }
    }
}
