//! `capacity.json` as a value: what was searched, each trial, and what they say together.

use super::estimate::estimate;
use super::scale::{Scaling, scaling};
use super::search::Outcome;
use super::sizing::Sizing;
use super::trial::{Flaw, Trial};
use crate::analysis::load::server_loads;
use crate::analysis::summarise::seconds_of;
use crate::analysis::summary::{ServerLoad, Summary};
use crate::analysis::validity::{About, Level, SLOW_SHARE};
use crate::base::Nanos;
use crate::objective::Verdict;
use crate::record::Record;
use serde::{Deserialize, Serialize};

/// Version of `capacity.json`.
pub const SCHEMA: u32 = 1;
/// A server that used this share of its CPU had nothing left: a quota is never used to the last.
const EXHAUSTED: f64 = 0.85;

/// Everything that one command found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    pub schema: u32,
    pub kind: String,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub profile: String,
    pub seed: u64,
    pub objectives: Vec<String>,
    /// One per target and fault, in the order in which they were searched.
    pub answers: Vec<Answer>,
    /// Of several targets that are sizes of one.
    #[serde(default)]
    pub scaling: Option<Scaling>,
    /// Why there is none of several targets.
    #[serde(default)]
    pub no_scaling: Option<String>,
    /// Of an audience.
    #[serde(default)]
    pub sizing: Option<Sizing>,
}

impl CapacityReport {
    /// With what the answers say of each other; not judged yet.
    pub fn new(profile: &str, seed: u64, objectives: Vec<String>, answers: Vec<Answer>) -> Self {
        let whole = answers.iter().filter(|a| a.fault.is_none()).count();
        let (scaling, no_scaling) = match (whole, scaling(&answers)) {
            (0 | 1, _) => (None, None),
            (_, Ok(scaling)) => (Some(scaling), None),
            (_, Err(why)) => (None, Some(why)),
        };
        CapacityReport {
            schema: SCHEMA,
            kind: "capacity".into(),
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            profile: profile.into(),
            seed,
            objectives,
            answers,
            scaling,
            no_scaling,
            sizing: None,
        }
    }
}

/// The capacity of one target, whole or with a fault in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub target: String,
    pub fault: Option<String>,
    pub servers: Vec<GroupSize>,
    /// What a unit was on the machine; `None` where no server has a share.
    #[serde(default)]
    pub unit_cores: Option<f64>,
    pub outcome: Outcome,
    /// The fit of all trials; `None` when they do not lie on both sides of it.
    pub capacity: Option<Interval>,
    /// The objective that breaks first.
    pub limiting: Option<String>,
    /// What had nothing left where it broke; `None` when nothing that is measured was used up.
    pub exhausted: Option<String>,
    /// By arithmetic, from CPU and cost; `None` where the cost is not known.
    pub expected_per_s: Option<f64>,
    pub trials: Vec<TrialRow>,
    /// Doubts about single trials, each kind once.
    pub doubts: Vec<String>,
}

/// A group of equal servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSize {
    pub group: String,
    pub count: u32,
    /// Of each, in units or in cores; with neither it may use all of the target's cores, which is no
    /// size.
    pub units: Option<f64>,
    #[serde(default)]
    pub cores: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub rate_per_s: f64,
    /// 95 %; `None` when the trials are too few to say.
    pub low_per_s: Option<f64>,
    pub high_per_s: Option<f64>,
}

/// A trial and what people want to see of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// Name of its record's folder.
    pub folder: String,
    pub trial: Trial,
    /// Correct answers a second, to requests that were meant to start in it.
    #[serde(default)]
    pub answered_per_s: Option<f64>,
    /// Share of them all that was answered correctly in time.
    #[serde(default)]
    pub in_time: Option<f64>,
    pub p50: Option<Nanos>,
    pub p99: Option<Nanos>,
    pub busiest: Option<ServerLoad>,
}

impl Answer {
    pub fn new(
        target: String,
        fault: Option<String>,
        servers: Vec<GroupSize>,
        outcome: Outcome,
        trials: Vec<TrialRow>,
        seed: u64,
    ) -> Answer {
        let history: Vec<Trial> = trials.iter().map(|row| row.trial.clone()).collect();
        let seen = estimate(&history, seed).filter(|_| is_bracketed(&outcome));
        let (found, exhausted) = match &outcome {
            Outcome::Found { limiting, exhausted, .. } => (limiting.clone(), exhausted.clone()),
            Outcome::FirstFails { limiting, .. } => {
                (limiting.clone(), history.last().and_then(|t| t.exhausted.clone()))
            }
            _ => (None, None),
        };
        let finite = |rate: f64| (rate.is_finite() && rate > 0.0).then_some(rate);
        Answer {
            target,
            fault,
            servers,
            limiting: seen.as_ref().map(|s| s.limiting.clone()).or(found),
            capacity: seen.map(|s| Interval {
                rate_per_s: s.rate_per_s,
                low_per_s: finite(s.low_per_s),
                high_per_s: finite(s.high_per_s),
            }),
            exhausted,
            outcome,
            unit_cores: None,
            expected_per_s: None,
            trials,
            doubts: Vec::new(),
        }
    }

    /// The number to reckon with: the fit, or what held where there is none.
    pub fn rate_per_s(&self) -> Option<f64> {
        self.capacity.map(|c| c.rate_per_s)
    }

    pub fn count(&self) -> u32 {
        self.servers.iter().map(|s| s.count).sum()
    }

    /// The group that has its only server.
    pub fn single(&self) -> Option<&GroupSize> {
        self.servers.iter().find(|s| s.count == 1).filter(|_| self.count() == 1)
    }
}

/// Whether the search saw both sides; of any other end the fit would be an extrapolation.
fn is_bracketed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Found { .. } | Outcome::OutOfTrials { .. } | Outcome::Stopped { .. })
}

/// The busiest server in the phase of this name, and in words if its CPU was used up, with what
/// each of its nodes took of it.
pub fn busiest(record: &Record, phase: &str) -> (Option<ServerLoad>, Option<String>) {
    let phases = &record.manifest.plan.load.phases;
    let Some(phase) = phases.iter().find(|p| p.name == phase) else { return (None, None) };
    let seconds = seconds_of(phase);
    let Some(load) = server_loads(record, seconds.clone()).into_iter().next() else {
        return (None, None);
    };
    if load.cpu_share < EXHAUSTED {
        return (Some(load), None);
    }
    let given_ns = load.cores * f64::from(seconds.end - seconds.start) * 1e9;
    let plan = record.manifest.plan.servers.iter().find(|s| s.name == load.server);
    let shares: Vec<String> = (plan.iter().flat_map(|s| &s.nodes))
        .map(|name| {
            let rows = record.nodes.iter().filter(|r| r.node == *name);
            let used: u64 = rows.filter(|r| seconds.contains(&r.second)).map(|r| r.cpu_ns).sum();
            format!("{name} {:.0} %", used as f64 / given_ns * 100.0)
        })
        .collect();
    let text = format!(
        "the CPU of server {}: {:.0} % of its {:.2} cores used ({})",
        load.server,
        load.cpu_share * 100.0,
        load.cores,
        shares.join(", ")
    );
    (Some(load), Some(text))
}

/// Why a run says nothing about the target. That it answered nothing at all is no such reason: in
/// a search the rate is at fault.
pub fn unbelievable(s: &Summary) -> Option<Flaw> {
    if let Some(fault) = s.faults.iter().find(|f| f.injected_at_s.is_none()) {
        let why = fault.skipped.clone().unwrap_or_else(|| "it did not come to it".into());
        return Some(Flaw::Other(format!("the fault {} was not injected: {why}", fault.name)));
    }
    if let Some(why) = s.slow_machine(SLOW_SHARE) {
        return Some(Flaw::Other(why.into()));
    }
    let invalid = || {
        (s.validity.doubts.iter())
            .filter(|d| d.level == Level::Invalid && d.about != About::NoAnswers)
    };
    let is_generators =
        |about: About| matches!(about, About::StartLag | About::Gaps | About::Generator);
    let first = invalid().find(|d| is_generators(d.about));
    match (first, invalid().next()) {
        (Some(doubt), _) => Some(Flaw::Generator(doubt.seen.clone())),
        (None, Some(doubt)) => Some(Flaw::Other(doubt.seen.clone())),
        (None, None) => None,
    }
}
