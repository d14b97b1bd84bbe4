//! Each doubt has its case.

use super::machine::STEAL_DOUBT;
use super::*;
use crate::analysis::summarise;
use crate::analysis::testing::{Builder, power_off_story};
use crate::base::Histogram;
use crate::plan::Arrivals;
use crate::record::{Cause, Event, EventKind, NOT_STEADY, Outcome};

fn levels(record: &Record) -> Vec<(About, Level)> {
    summarise(record).validity.doubts.iter().map(|d| (d.about, d.level)).collect()
}

#[test]
fn a_sound_run_leaves_no_doubt() {
    assert_eq!(levels(&power_off_story().build()), []);
}

#[test]
fn a_late_generator_invalidates_only_where_it_matters() {
    let lag = |ms| Builder::new("vertical").start_lag_ms(ms).build();
    assert_eq!(levels(&lag(0.4)), []);
    assert_eq!(levels(&lag(1.5)), [(About::StartLag, Level::Doubt)]);
    assert_eq!(levels(&lag(30.0)), [(About::StartLag, Level::Invalid)]);
}

#[test]
fn every_doubt_has_its_case() {
    let sound = || Builder::new("vertical");
    let generator = |share| levels(&sound().generator_share(share).build());
    assert_eq!(generator(0.8), [(About::Generator, Level::Doubt)]);
    assert_eq!(generator(0.97), [(About::Generator, Level::Invalid)]);
    assert_eq!(levels(&sound().steal(0.03).build()), [(About::Steal, Level::Doubt)]);
    assert_eq!(levels(&sound().slow(9.0, 12..14).build()), [(About::Pace, Level::Doubt)]);
    assert_eq!(levels(&sound().slow(1.4, 0..60).build()), [], "a turbo mode");
    assert_eq!(levels(&sound().cost_ms(1.4).build()), [(About::Work, Level::Inconclusive)]);
    let mut record = sound().build();
    record.is_sealed = false;
    record.manifest.doubts.push("another brunt runs".into());
    record.series[0].ok += 1;
    assert_eq!(
        levels(&record),
        [
            (About::Ledger, Level::Invalid),
            (About::Record, Level::Invalid),
            (About::Manifest, Level::Doubt)
        ]
    );
}

#[test]
fn faults_that_were_refused_for_want_of_a_steady_state_make_a_run_invalid() {
    let mut record = power_off_story().build();
    record.events.retain(|e| !matches!(e.kind, EventKind::FaultInjected | EventKind::FaultHealed));
    let skipped = |detail: String| Event {
        at_ns: 10_000_000_000,
        kind: EventKind::FaultSkipped,
        subject: "lose-app".into(),
        object: String::new(),
        lateness_ns: None,
        detail,
    };
    record.events.push(skipped("no node leads `database` now".into()));
    let about = |record: &Record| {
        let doubts = summarise(record).validity.doubts;
        doubts.into_iter().find(|d| d.about == About::SteadyState)
    };
    assert_eq!(about(&record), None, "that is of the target, not of its state");
    record.events.push(skipped(format!("{NOT_STEADY}: 80.0 % in time in phase `quiet`")));
    let doubt = about(&record).unwrap();
    assert_eq!(doubt.level, Level::Invalid);
    assert!(doubt.seen.ends_with("so that lose-app was not injected"), "{}", doubt.seen);
    let mut second = power_off_story().build();
    second.events.push(skipped(format!("{NOT_STEADY}: 80.0 % in time in phase `quiet`")));
    assert_eq!(about(&second), None, "the first one was injected, and broke it");
}

#[test]
fn no_answer_and_no_steady_state_are_invalid() {
    let dead = Builder::new("vertical").all_refused().build();
    assert!(levels(&dead).contains(&(About::NoAnswers, Level::Invalid)));
    let shaky = power_off_story().share(2..6, 0.9).build();
    assert_eq!(levels(&shaky), [(About::SteadyState, Level::Invalid)]);
}

#[test]
fn writes_that_were_read_back_in_part_leave_a_doubt() {
    let sound = || Builder::new("vertical").writes(0..9_000, 100).read_back(0);
    assert_eq!(levels(&sound().build()), []);
    let partly = (About::DataCheck, Level::Inconclusive);
    let mut record = sound().build();
    record.history[0].key = 2;
    assert_eq!(levels(&record), [partly], "key 2 was not read back");
    let mut record = sound().build();
    record.operations_lost = 1;
    assert_eq!(levels(&record), [partly]);
    assert_eq!(summarise(&record).data.not_recorded, 1);
}

#[test]
fn stalls_are_seen_without_ten_thousand_requests() {
    let stalled = |ms| {
        let mut record = Builder::new("vertical").build();
        let stalls = record.latency.entry(Tag::Hiccup).or_default();
        (0..20_000).for_each(|_| stalls.record(Nanos::from_millis(ms)));
        levels(&record)
    };
    assert_eq!(stalled(1), []);
    assert_eq!(stalled(8), [(About::Hiccups, Level::Doubt)]);
}

#[test]
fn one_second_stolen_is_seen_although_the_mean_is_small() {
    let mut record = Builder::new("vertical").build();
    let row = record.nodes.iter_mut().find(|r| r.node == BRUNT && r.second == 8).unwrap();
    row.steal_share = Some(0.15);
    let health = summarise(&record).validity;
    assert!(health.steal_share.unwrap() < STEAL_DOUBT);
    assert_eq!(levels(&record), [(About::Steal, Level::Doubt)]);
    assert!(health.doubts[0].seen.contains("15 % in the worst second"), "{:?}", health.doubts);
}

#[test]
fn requests_that_were_noticed_late_or_never_are_a_rate_that_was_not_offered() {
    let noticed = |late: usize| {
        let mut record = Builder::new("vertical").build();
        let n = record.latency[&Tag::StartLag].count() as usize;
        let mut lag = Histogram::new();
        (0..n).for_each(|i| lag.record(Nanos::from_millis(if i < late { 150 } else { 0 })));
        record.latency.insert(Tag::StartLag, lag);
        levels(&record).contains(&(About::StartLag, Level::Invalid))
    };
    let all = Builder::new("vertical").build().latency[&Tag::StartLag].count() as usize;
    assert!(!noticed(all / 200));
    assert!(noticed(all / 50));
    let mut record = Builder::new("vertical").build();
    record.causes.push((Outcome::NeverSent, Cause::Stopped, all as u64 / 50));
    assert_eq!(levels(&record), [(About::StartLag, Level::Invalid)]);
}

#[test]
fn gaps_that_are_not_the_plans_invalidate() {
    // A mean gap of 5 ms, so a gap may be off by 500 µs.
    let with = |share: f64, off_us: u64| {
        let mut record = Builder::new("vertical").build();
        let (mut planned, mut due) = (Histogram::new(), Histogram::new());
        for i in 0..1000u64 {
            let gap = 10_000 * i / 1000;
            planned.record(Nanos::from_micros(gap));
            let off = if (i as f64) >= 1000.0 * (1.0 - share) { off_us } else { 0 };
            due.record(Nanos::from_micros(gap + off));
        }
        record.latency.insert(Tag::PlannedGap, planned);
        record.latency.insert(Tag::DueGap, due);
        levels(&record)
    };
    assert_eq!(with(0.5, 400), [], "within the slack");
    assert_eq!(with(0.04, 5000), [], "within the limit");
    assert_eq!(with(0.08, 5000), [(About::Gaps, Level::Invalid)]);
    let mut closed = Builder::new("vertical").build();
    closed.manifest.plan.load.arrivals = Arrivals::Closed { connections: 1, think: Nanos::ZERO };
    assert_eq!(levels(&closed), [], "without gaps nothing is said of them");
}

/// One row a second for each worker, with these shares of a core.
fn with_workers(mut record: Record, shares: &[f64]) -> Record {
    for second in 0..20 {
        for (index, share) in shares.iter().enumerate() {
            record.nodes.push(NodeRow {
                second,
                node: format!("worker-{index}"),
                server: BRUNT.into(),
                role: WORKER.into(),
                alive: true,
                cpu_ns: (share * 1e9) as u64,
                ..NodeRow::default()
            });
        }
    }
    record
}

#[test]
fn one_saturated_worker_shows_although_the_others_idle() {
    let busy = |shares: &[f64], lag_ms: f64| {
        levels(&with_workers(Builder::new("vertical").start_lag_ms(lag_ms).build(), shares))
    };
    assert_eq!(busy(&[0.2, 0.3, 0.1], 0.3), []);
    assert_eq!(busy(&[0.2, 0.8, 0.1], 0.3), [(About::Generator, Level::Doubt)]);
    assert_eq!(busy(&[0.2, 0.99, 0.1], 0.3), [(About::Generator, Level::Invalid)]);
    assert_eq!(busy(&[0.2, 0.99, 0.1], 0.05), [], "it polls, and is on time");
}

#[test]
fn a_closed_loop_that_the_generator_limits_is_a_lower_bound() {
    let summary = |share| {
        let mut record = with_workers(Builder::new("vertical").build(), &[share]);
        record.manifest.plan.load.arrivals =
            Arrivals::Closed { connections: 8, think: Nanos::ZERO };
        summarise(&record).validity
    };
    assert!(!summary(0.8).is_lower_bound);
    let health = summary(0.99);
    assert!(health.is_lower_bound);
    assert_eq!(health.worst(), Some(Level::Doubt));
    assert!(health.doubts[0].seen.contains("lower bound"), "{:?}", health.doubts);
}

#[test]
fn a_workers_cpu_is_not_the_targets() {
    let plain = summarise(&Builder::new("vertical").build());
    let with = summarise(&with_workers(Builder::new("vertical").build(), &[0.5, 0.5]));
    assert_eq!(plain.cpu, with.cpu);
    assert_eq!(with.validity.busiest_worker_share, Some(0.5));
}

#[test]
fn in_flight_must_be_rate_times_service_time() {
    // 200/s of 200 ms are 40 in flight; 40/s are 8.
    let with = |factor: f64| {
        let mut record = Builder::new("vertical").build();
        for (tag, histogram) in &mut record.latency {
            if matches!(tag, Tag::Service { .. }) {
                let n = histogram.count();
                histogram.reset();
                (0..n).for_each(|_| histogram.record(Nanos::from_millis(200)));
            }
        }
        for row in &mut record.series {
            row.in_flight = (row.planned as f64 * 0.2 * factor) as u32;
        }
        levels(&record)
    };
    assert_eq!(with(1.0), []);
    assert_eq!(with(1.15), []);
    assert_eq!(with(1.5), [(About::LittlesLaw, Level::Doubt)]);
    assert_eq!(with(0.5), [(About::LittlesLaw, Level::Doubt)]);
}
