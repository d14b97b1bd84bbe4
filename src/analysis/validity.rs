//! May these numbers be believed? Every doubt is a value with a remedy; the limits and where they
//! come from stand here. A target that was slow never makes a run invalid; a generator that was
//! late does (invariant 11).

use super::load::BRUNT;
use super::summary::{PhaseSummary, Summary, TimeSummary};
use super::timeline::Timeline;
use crate::base::{Nanos, Quantile};
use crate::plan::{Arrivals, Plan};
use crate::record::{Cause, EventKind, Outcome, Record, Tag};
use crate::target::Role;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A start lag up to this is what sleeping until an instant costs; never a reason for doubt.
pub const LAG_HARMLESS: Nanos = Nanos::from_millis(1);
/// Start lag p99 ÷ response p99 of the calm phases beyond which the lag is a part of the result
/// (Nighthawk's and Lancet's practice; brunt's research on generator health).
pub const LAG_OF_P99: f64 = 0.1;
/// Start lag p99 ÷ the in-time limit beyond which the share in time is the generator's doing.
pub const LAG_OF_LIMIT: f64 = 0.1;
/// Generator CPU ÷ its cores: doubt, and invalid. Beyond three quarters, queueing inside the
/// generator begins to show.
pub const CPU_DOUBT: f64 = 0.75;
pub const CPU_INVALID: f64 = 0.95;
/// Share of the machine's time that the hypervisor took, on average and in the worst second; a
/// tenth of a second is enough to make requests late.
pub const STEAL_DOUBT: f64 = 0.01;
pub const STEAL_WORST_DOUBT: f64 = 0.1;
/// Hiccups ÷ response times at the same quantile (jHiccup's use).
pub const HICCUP_OF_RESPONSE: f64 = 0.1;
/// CPU per request away from its calibration.
pub const WORK_OFF: f64 = 0.1;
/// Planned requests that the generator must have noticed (Nighthawk's send-rate threshold).
pub const NOTICED: f64 = 0.99;

/// How bad a doubt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The numbers stand, with a warning.
    Doubt,
    /// Comparing with another run is not justified.
    Inconclusive,
    Invalid,
}

/// What a doubt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    StartLag,
    Generator,
    Hiccups,
    Steal,
    NoAnswers,
    SteadyState,
    Work,
    Ledger,
    DataCheck,
    Record,
    Heal,
    Manifest,
    Guard,
}

/// One reason to distrust the numbers, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    pub about: About,
    pub level: Level,
    pub seen: String,
    pub remedy: String,
}

/// The generator's and the machine's own state, beside the doubts that follow from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub start_lag_p99_ns: Option<Nanos>,
    pub hiccup_p999_ns: Option<Nanos>,
    /// All that ran on brunt's cores (generator, keeper, relay) ÷ those cores, over the measured
    /// seconds.
    pub generator_core_share: Option<f64>,
    /// Mean over the measured seconds.
    pub steal_share: Option<f64>,
    /// Of the worst measured second.
    #[serde(default)]
    pub steal_worst_share: Option<f64>,
    /// Observed ÷ calibrated CPU per request − 1, where nothing is cached.
    pub work_off: Option<f64>,
    pub doubts: Vec<Doubt>,
}

impl Health {
    pub fn worst(&self) -> Option<Level> {
        self.doubts.iter().map(|d| d.level).max()
    }
}

/// Fills in the health of a summary that is otherwise complete.
pub fn examine(record: &Record, s: &Summary, measured: &[Range<u32>]) -> Health {
    let mut health = measure(record, s, measured);
    let plan = &record.manifest.plan;
    let mut doubts = Vec::new();
    doubts.extend(no_answers(s));
    doubts.extend(open_ledger(s));
    if !matches!(plan.load.arrivals, Arrivals::Closed { .. }) {
        doubts.extend(start_lag(&health, s, plan));
        doubts.extend(unnoticed(record, s));
    }
    doubts.extend(generator(&health, plan));
    doubts.extend(hiccups(record, s));
    doubts.extend(steal(&health));
    doubts.extend(steady_state(record, s));
    doubts.extend(work(&health, plan));
    doubts.extend(data_check(s));
    doubts.extend(partly_checked(s));
    doubts.extend(from_events(record));
    let unsealed = "the record was not sealed: brunt was killed, and counts of the last seconds are \
                    missing";
    let cut = record.cut_short.as_deref().or((!record.is_sealed).then_some(unsealed));
    doubts.extend(cut.map(|why| {
        doubt(About::Record, Level::Invalid, why, "run it again and let it come to its end")
    }));
    doubts.extend(
        record
            .manifest
            .doubts
            .iter()
            .map(|text| doubt(About::Manifest, Level::Doubt, text, "run again without it")),
    );
    health.doubts = doubts;
    health
}

fn doubt(about: About, level: Level, seen: impl Into<String>, remedy: &str) -> Doubt {
    Doubt { about, level, seen: seen.into(), remedy: remedy.into() }
}

fn measure(record: &Record, s: &Summary, measured: &[Range<u32>]) -> Health {
    let plan = &record.manifest.plan;
    let brunt_cores = plan.host.brunt_cpus.len().max(1) as f64;
    let q = |tag: &Tag, q| record.latency.get(tag).and_then(|h| h.quantile(Quantile(q)));
    let is_cached = plan.nodes.iter().any(|n| matches!(n.role, Role::Cache | Role::Cdn));
    let steal = steal_shares(record, measured);
    Health {
        start_lag_p99_ns: q(&Tag::StartLag, 0.99),
        hiccup_p999_ns: q(&Tag::Hiccup, 0.999),
        generator_core_share: mean_per_second(record, measured, BRUNT, |r| r.server_cpu_ns)
            .map(|ns| ns / 1e9 / brunt_cores),
        steal_share: (!steal.is_empty()).then(|| steal.iter().sum::<f64>() / steal.len() as f64),
        steal_worst_share: steal.iter().copied().reduce(f64::max),
        work_off: (s.cpu.observed_ms.zip(s.cpu.calibrated_ms))
            .map(|(seen, expected)| seen / expected - 1.0)
            // A cache saves work, which is what it is for; only more than expected is a finding.
            .filter(|off| !is_cached || *off > 0.0),
        doubts: Vec::new(),
    }
}

/// One per measured second.
fn steal_shares(record: &Record, measured: &[Range<u32>]) -> Vec<f64> {
    let is_measured = |second: u32| measured.iter().any(|r| r.contains(&second));
    let rows = record.nodes.iter().filter(|r| is_measured(r.second));
    rows.filter_map(|r| r.steal_share).collect()
}

fn mean_per_second(
    record: &Record,
    measured: &[Range<u32>],
    node: &str,
    value: fn(&crate::record::NodeRow) -> u64,
) -> Option<f64> {
    let is_measured = |second: u32| measured.iter().any(|r| r.contains(&second));
    let rows: Vec<u64> = (record.nodes.iter())
        .filter(|r| r.node == node && is_measured(r.second))
        .map(value)
        .collect();
    (!rows.is_empty()).then(|| rows.iter().sum::<u64>() as f64 / rows.len() as f64)
}

fn no_answers(s: &Summary) -> Option<Doubt> {
    (s.ledger_run.ok == 0 && s.ledger_run.http_error == 0).then(|| {
        doubt(
            About::NoAnswers,
            Level::Invalid,
            format!("not one answer in the whole run, {} planned", s.ledger_run.planned),
            "check the address and that the target is up",
        )
    })
}

fn open_ledger(s: &Summary) -> Option<Doubt> {
    (!s.ledger_run.is_closed()).then(|| {
        doubt(
            About::Ledger,
            Level::Invalid,
            format!(
                "the ledger does not close: {} planned, {} ended",
                s.ledger_run.planned,
                s.ledger_run.ended()
            ),
            "the record is incomplete or brunt has a bug; run again, and report it if it stays",
        )
    })
}

fn start_lag(health: &Health, s: &Summary, plan: &Plan) -> Option<Doubt> {
    let lag = health.start_lag_p99_ns.filter(|lag| *lag > LAG_HARMLESS)?;
    let remedy = "give brunt a core of its own, lower the rate, or stop what else runs here";
    let response = busiest_calm(s).and_then(|times| times.highest()).map(|(_, at)| at);
    let of_response = response.map_or(0.0, |r| lag.0 as f64 / r.0.max(1) as f64);
    let of_limit = lag.0 as f64 / plan.load.in_time.0.max(1) as f64;
    let level = match of_response > LAG_OF_P99 || of_limit > LAG_OF_LIMIT {
        true => Level::Invalid,
        false => Level::Doubt,
    };
    let seen = format!(
        "the generator started late: p99 {lag}, {:.0} % of the response times of a calm phase",
        of_response * 100.0
    );
    Some(doubt(About::StartLag, level, seen, remedy))
}

/// Response times of the calm phase with the most requests, to which most of what the whole run's
/// histograms hold belongs.
fn busiest_calm(s: &Summary) -> Option<&TimeSummary> {
    let calm = s.phases.iter().filter(|p| p.is_calm && !p.is_overloaded);
    calm.map(|p| &p.response_time_ns).max_by_key(|times| times.count)
}

fn unnoticed(record: &Record, s: &Summary) -> Option<Doubt> {
    let stopped: u64 = (record.causes.iter())
        .filter(|(outcome, cause, _)| *outcome == Outcome::NeverSent && *cause == Cause::Stopped)
        .map(|(_, _, n)| n)
        .sum();
    let planned = s.ledger_run.planned;
    ((planned - stopped.min(planned)) as f64).lt(&(planned as f64 * NOTICED)).then(|| {
        doubt(
            About::StartLag,
            Level::Invalid,
            format!("{stopped} of {planned} requests were never due: the run was cut short"),
            "let the run end, or shorten the profile",
        )
    })
}

fn generator(health: &Health, plan: &Plan) -> Option<Doubt> {
    let share = health.generator_core_share.filter(|share| *share > CPU_DOUBT)?;
    let is_closed = matches!(plan.load.arrivals, Arrivals::Closed { .. });
    let level = if share > CPU_INVALID && !is_closed { Level::Invalid } else { Level::Doubt };
    let seen = format!("brunt's own cores were {:.0} % busy", share * 100.0);
    Some(doubt(About::Generator, level, seen, "lower the rate or give brunt more cores"))
}

/// At the highest quantile that both can name: few runs have the samples for a p99.9. Faults make
/// response times long, so only a calm phase is held against the stalls.
fn hiccups(record: &Record, s: &Summary) -> Option<Doubt> {
    let stalls = TimeSummary::of(record.latency.get(&Tag::Hiccup)?);
    let calm = busiest_calm(s)?;
    let (name, hiccup, response) = ["p9999", "p999", "p99", "p95", "p90"]
        .into_iter()
        .find_map(|name| Some((name, stalls.named(name)?, calm.named(name)?)))?;
    let is_much = hiccup > LAG_HARMLESS && hiccup.0 as f64 > response.0 as f64 * HICCUP_OF_RESPONSE;
    is_much.then(|| {
        doubt(
            About::Hiccups,
            Level::Doubt,
            format!(
                "the machine stalled brunt: {name} of the stalls {hiccup}, of the response times in a calm phase {response}"
            ),
            "stop what else runs here; tails below this are the machine's",
        )
    })
}

fn steal(health: &Health) -> Option<Doubt> {
    let (mean, worst) = health.steal_share.zip(health.steal_worst_share)?;
    (mean > STEAL_DOUBT || worst > STEAL_WORST_DOUBT).then(|| {
        doubt(
            About::Steal,
            Level::Doubt,
            format!(
                "the hypervisor took {:.1} % of the machine's time, {:.0} % in the worst second",
                mean * 100.0,
                worst * 100.0
            ),
            "run at a quieter time or on a machine of your own",
        )
    })
}

/// The first measured phase is where the hypothesis has to hold before anything is broken.
fn steady_state(record: &Record, s: &Summary) -> Option<Doubt> {
    let first_fault = record.events.iter().find(|e| e.kind == EventKind::FaultInjected)?;
    let held = record.manifest.plan.hypothesis_in_time;
    let first_fault_s = first_fault.at_ns as f64 / 1e9;
    let phase = s.phases.iter().find(|p| p.measured && p.end_s <= first_fault_s);
    let share = match phase {
        Some(phase) => phase.in_time_share(),
        None => Timeline::of(record).in_time_share(0..first_fault_s as u32),
    };
    let name = phase.map_or("the time before the first fault", |p: &PhaseSummary| p.name.as_str());
    match share {
        Some(share) if share >= held => None,
        Some(share) => Some(doubt(
            About::SteadyState,
            Level::Invalid,
            format!(
                "the steady state did not hold before the first fault: {:.1} % in time in {name}, at least {:.1} % expected",
                share * 100.0,
                held * 100.0
            ),
            "lower the rate, allow more time, or give the target more CPU",
        )),
        None => Some(doubt(
            About::SteadyState,
            Level::Invalid,
            "no request was planned before the first fault, so the steady state is unknown",
            "put a measured phase before the first fault",
        )),
    }
}

fn work(health: &Health, plan: &Plan) -> Option<Doubt> {
    let off = health.work_off.filter(|off| plan.is_bundled && off.abs() > WORK_OFF)?;
    let seen = format!("work per request is {:+.0} % off its calibration", off * 100.0);
    Some(doubt(
        About::Work,
        Level::Inconclusive,
        seen,
        "run again on a quiet machine; brunt calibrates at the start of each command",
    ))
}

fn data_check(s: &Summary) -> Option<Doubt> {
    (s.data.acknowledged > 0 && s.data.lost.is_none()).then(|| {
        doubt(
            About::DataCheck,
            Level::Doubt,
            format!(
                "{} acknowledged writes were not read back: nothing is known about lost data",
                s.data.acknowledged
            ),
            "let the run end, with the target up",
        )
    })
}

/// What was looked at only in part may not pass as "nothing lost".
fn partly_checked(s: &Summary) -> Option<Doubt> {
    let d = &s.data;
    let mut seen = Vec::new();
    if d.lost.is_some() && d.unchecked > 0 {
        let (n, all) = (d.unchecked, d.acknowledged);
        seen.push(format!("{n} of {all} acknowledged writes were not read back"));
    }
    if d.not_recorded > 0 {
        seen.push(format!("{} checked operations did not fit brunt's buffers", d.not_recorded));
    }
    (!seen.is_empty()).then(|| {
        doubt(
            About::DataCheck,
            Level::Inconclusive,
            format!("{}: nothing is known about them", seen.join(", and ")),
            "let the run end with the target up, or lower the rate of writes",
        )
    })
}

fn from_events(record: &Record) -> Vec<Doubt> {
    let seen = |e: &crate::record::Event| format!("{} {}", e.subject, e.detail).trim().to_string();
    (record.events.iter())
        .filter_map(|e| match e.kind {
            EventKind::HealFailed => Some(doubt(
                About::Heal,
                Level::Doubt,
                format!("healing was incomplete: {}", seen(e)),
                "look with brunt heal",
            )),
            EventKind::GuardTripped => Some(doubt(
                About::Guard,
                Level::Inconclusive,
                format!("a guard ended the run: {}", seen(e)),
                "see the guard's limit in the profile",
            )),
            EventKind::Note if e.subject == "doubt" => {
                Some(doubt(About::Manifest, Level::Doubt, &e.detail, "run one brunt at a time"))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, power_off_story};

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
}
