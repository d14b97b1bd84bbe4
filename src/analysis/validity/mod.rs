//! May these numbers be believed? Every doubt is a value with a remedy; the limits and where they
//! come from stand beside each check. A target that was slow never makes a run invalid; a generator
//! that was late does (invariant 11).

mod books;
mod generator;
mod invariant;
mod machine;
mod target;
#[cfg(test)]
mod tests;

use machine::SLOW;
pub use machine::SLOW_SHARE;

use super::load::BRUNT;
use super::summary::{Summary, TimeSummary};
use crate::base::{Nanos, Quantile};
use crate::plan::Plan;
use crate::record::{NodeRow, Record, Tag, WORKER};
use crate::target::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// A start lag up to this is what sleeping until an instant costs; never a reason for doubt.
pub const LAG_HARMLESS: Nanos = Nanos::from_millis(1);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    StartLag,
    /// The gaps between starts.
    Gaps,
    Generator,
    Hiccups,
    Steal,
    /// How fast the cores were.
    Pace,
    NoAnswers,
    SteadyState,
    Work,
    Ledger,
    DataCheck,
    Record,
    Heal,
    Manifest,
    Guard,
    /// Ended by a threshold that could not be met any more.
    Lost,
    LittlesLaw,
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
    /// CPU ÷ one core of the busiest worker, over the measured seconds.
    #[serde(default)]
    pub busiest_worker_share: Option<f64>,
    /// A closed loop that the generator limited: rates are lower bounds, times upper ones.
    #[serde(default)]
    pub is_lower_bound: bool,
    /// Mean over the measured seconds.
    pub steal_share: Option<f64>,
    /// Of the worst measured second.
    #[serde(default)]
    pub steal_worst_share: Option<f64>,
    /// Of the slowest core in the worst measured second: how many times longer than at its best it
    /// took for the same computation.
    #[serde(default)]
    pub slowdown_worst: Option<f64>,
    /// Measured seconds in which a core was slow ([`SLOW`]).
    #[serde(default)]
    pub slow_seconds: Option<u32>,
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
    health.is_lower_bound = generator::is_lower_bound(&health, plan);
    let mut doubts = Vec::new();
    doubts.extend(target::no_answers(s));
    doubts.extend(books::open_ledger(s));
    if !plan.load.is_closed() {
        doubts.extend(generator::start_lag(&health, s, plan));
        doubts.extend(generator::unnoticed(record, s));
        doubts.extend(generator::gaps(record));
    }
    doubts.extend(generator::busy(&health, plan));
    doubts.extend(machine::hiccups(record, s));
    doubts.extend(machine::steal(&health));
    doubts.extend(machine::pace(&health));
    doubts.extend(invariant::little(record, s));
    doubts.extend(target::steady_state(record, s));
    doubts.extend(target::work(&health, plan));
    doubts.extend(books::data_check(s));
    doubts.extend(books::partly_checked(s));
    doubts.extend(books::from_events(record));
    doubts.extend(books::unsealed(record));
    doubts.extend(books::from_manifest(record));
    health.doubts = doubts;
    health
}

fn doubt(about: About, level: Level, seen: impl Into<String>, remedy: &str) -> Doubt {
    Doubt { about, level, seen: seen.into(), remedy: remedy.into() }
}

/// Response times of the calm phase with the most requests, to which most of what the whole run's
/// histograms hold belongs.
fn busiest_calm(s: &Summary) -> Option<&TimeSummary> {
    let calm = s.phases.iter().filter(|p| p.is_calm && !p.is_overloaded);
    calm.map(|p| &p.response_time_ns).max_by_key(|times| times.count)
}

fn measure(record: &Record, s: &Summary, measured: &[Range<u32>]) -> Health {
    let plan = &record.manifest.plan;
    let brunt_cores = plan.host.brunt_cpus.len().max(1) as f64;
    let q = |tag: &Tag, q| record.latency.get(tag).and_then(|h| h.quantile(Quantile(q)));
    let steal = of_seconds(record, measured, |r| r.steal_share);
    let slowdowns = of_seconds(record, measured, |r| r.slowdown);
    let slow = || slowdowns.iter().filter(|s| **s >= SLOW).count() as u32;
    Health {
        start_lag_p99_ns: q(&Tag::StartLag, 0.99),
        hiccup_p999_ns: q(&Tag::Hiccup, 0.999),
        generator_core_share: generator_ns(record, measured).map(|ns| ns / 1e9 / brunt_cores),
        busiest_worker_share: busiest_worker(record, measured),
        is_lower_bound: false,
        steal_share: (!steal.is_empty()).then(|| steal.iter().sum::<f64>() / steal.len() as f64),
        steal_worst_share: steal.iter().copied().reduce(f64::max),
        slowdown_worst: slowdowns.iter().copied().reduce(f64::max),
        slow_seconds: (!slowdowns.is_empty()).then(slow),
        work_off: work_off(plan, s),
        doubts: Vec::new(),
    }
}

fn work_off(plan: &Plan, s: &Summary) -> Option<f64> {
    let is_cached = plan.nodes.iter().any(|n| matches!(n.role, Role::Cache | Role::Cdn));
    (s.cpu.observed_ms.zip(s.cpu.calibrated_ms))
        .map(|(seen, expected)| seen / expected - 1.0)
        // A cache saves work, which is what it is for; only more than expected is a finding.
        .filter(|off| !is_cached || *off > 0.0)
}

/// Rows of one node, or of all whose role it is, in the measured seconds.
fn measured_rows<'a>(
    record: &'a Record,
    measured: &'a [Range<u32>],
    name: &'a str,
) -> impl Iterator<Item = &'a NodeRow> {
    let is_measured = |second: u32| measured.iter().any(|r| r.contains(&second));
    let is_named = move |r: &&NodeRow| r.node == name || r.role == name;
    record.nodes.iter().filter(is_named).filter(move |r| is_measured(r.second))
}

fn mean(values: impl Iterator<Item = u64>) -> Option<f64> {
    let all: Vec<u64> = values.collect();
    (!all.is_empty()).then(|| all.iter().sum::<u64>() as f64 / all.len() as f64)
}

/// CPU of a mean second: all that ran on brunt's cores, or, should it be more because a system did
/// not keep them there, that of brunt's own process and the worker processes.
fn generator_ns(record: &Record, measured: &[Range<u32>]) -> Option<f64> {
    let own = || measured_rows(record, measured, BRUNT);
    let workers: u64 = measured_rows(record, measured, WORKER).map(|r| r.server_cpu_ns).sum();
    let of_workers = workers as f64 / own().count().max(1) as f64;
    let of_cores = mean(own().map(|r| r.server_cpu_ns))?;
    let of_processes = mean(own().map(|r| r.cpu_ns))? + of_workers;
    Some(of_cores.max(of_processes))
}

/// A worker is a thread, and cannot use more than one core.
fn busiest_worker(record: &Record, measured: &[Range<u32>]) -> Option<f64> {
    let mut workers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for row in measured_rows(record, measured, WORKER) {
        workers.entry(&row.node).or_default().push(row.cpu_ns);
    }
    let shares = workers.into_values().filter_map(|ns| mean(ns.into_iter()));
    shares.map(|ns| ns / 1e9).reduce(f64::max)
}

/// One per measured second.
fn of_seconds(
    record: &Record,
    measured: &[Range<u32>],
    value: fn(&NodeRow) -> Option<f64>,
) -> Vec<f64> {
    let is_measured = |second: u32| measured.iter().any(|r| r.contains(&second));
    let rows = record.nodes.iter().filter(|r| is_measured(r.second));
    rows.filter_map(value).collect()
}
