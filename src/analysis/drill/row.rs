//! One fault of one drill, as the card has it.

use super::{DrillOutcome, Drilled};
use crate::analysis::comparison::Run;
use crate::analysis::data::Staleness;
use crate::analysis::recovery::{Failover, Recovery};
use crate::analysis::summary::{FaultSummary, Outage, Summary};
use crate::objective::Verdict;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What happened, what it did to whom, and whether it came back. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillRow {
    pub drill: String,
    /// Which of the drill's runs, from 1, where there are several.
    pub trial: Option<u32>,
    /// The fault's own name, where the drill has several.
    pub fault: Option<String>,
    pub about: String,
    pub seed: u64,
    pub kind: String,
    pub broke: Broke,
    pub skipped: Option<String>,
    /// By a balancer or directory that took it out, or by the election of a new leader.
    pub noticed_after_s: Option<f64>,
    pub out: Out,
    pub came_back: ComeBack,
    /// Of a fault that hits a database: its phases.
    pub failover: Option<Failover>,
    /// At the latest, by the settings alone.
    pub detection_bound_s: Option<f64>,
    pub election_bound_s: Option<f64>,
    /// What was seen when it was healed, where that was nothing.
    pub no_effect: Option<String>,
    pub heal_failed: Option<String>,
    pub failed_requests: u64,
    /// Answered, but not in time.
    pub late_requests: u64,
    /// Planned from the injection to the next fault, or to the end.
    pub of_requests: u64,
    /// The same loss as minutes in which nobody gets anything.
    pub lost_minutes: Option<f64>,
    /// Share of such minutes that 30 days have room for.
    pub of_30_days: Option<f64>,
    pub lost_writes: Option<u64>,
    pub duplicated_writes: Option<u64>,
    pub acknowledged_writes: u64,
    /// Acknowledged and not read back, or not recorded at all: nothing is known about them.
    pub unchecked_writes: u64,
    /// Of the reads of all of the run.
    pub staleness: Option<Staleness>,
    /// Answers that no order of the operations explains were seen under so many keys.
    pub illegal_keys: Option<u64>,
    /// Requests that visitors had to ask again, of all of the run.
    pub repeated_requests: u64,
    /// All attempts ÷ first attempts once the fault was gone.
    pub amplification_after: Option<f64>,
    pub is_attributable: bool,
    /// What the cores did in a measured second of the run, where they were slow.
    pub slow_machine: Option<String>,
    pub verdict: Option<Verdict>,
    pub reasons: Vec<String>,
}

/// More names than these are told by their number.
const NAMES_MAX: usize = 2;

/// What was hit, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Broke {
    /// Nodes, servers or links.
    pub what: String,
    /// `killed`, `at 25 % of its CPU`.
    pub how: String,
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.what.split(' ').collect();
        let what = match names.len() {
            0..=NAMES_MAX => names.join(" and "),
            n if self.what.contains("->") => format!("{n} links"),
            n => format!("{n} at once ({} to {})", names[0], names[n - 1]),
        };
        write!(f, "{what}: {}", self.how)
    }
}

/// How long what was out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Out {
    /// Until the hypothesis held for good, in steps of one second; 0 when it held throughout, `None`
    /// when it never held again.
    pub until_in_time_s: Option<f64>,
    /// The longest time without an acknowledged write, where it is longer than chance.
    pub writes_s: Option<f64>,
    pub reads_s: Option<f64>,
    /// Of a database that failed over: its first acknowledgement under the new leader.
    pub first_write_after_s: Option<f64>,
}

/// Whether it came back, and by itself or only once the fault was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum ComeBack {
    /// The hypothesis held throughout.
    Held,
    BeforeHeal,
    AfterHeal {
        after_s: f64,
    },
    /// Not while it was watched, so long after the heal.
    Never,
    /// The load ended before it could be told.
    NotEnoughTime,
    #[default]
    Unknown,
}

impl DrillRow {
    /// `kill-leader`, `kill-leader 3`, `two-faults: second`.
    pub fn label(&self) -> String {
        let trial = self.trial.map_or(String::new(), |n| format!(" {n}"));
        let fault = self.fault.as_ref().map_or(String::new(), |name| format!(": {name}"));
        format!("{}{trial}{fault}", self.drill)
    }
}

pub(super) fn rows(drill: &Drilled<'_>) -> Vec<DrillRow> {
    let DrillOutcome::Ran(runs) = &drill.outcome else { return Vec::new() };
    let mut rows = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for fault in &run.summary.faults {
            rows.push(DrillRow {
                trial: (runs.len() > 1).then_some(index as u32 + 1),
                fault: (run.summary.faults.len() > 1).then(|| fault.name.clone()),
                ..row(drill, run, fault)
            });
        }
    }
    rows
}

fn row(drill: &Drilled<'_>, run: &Run<'_>, fault: &FaultSummary) -> DrillRow {
    let (s, plan) = (run.summary, &run.record.manifest.plan);
    let base = DrillRow {
        drill: drill.name.into(),
        about: drill.about.into(),
        seed: s.seed,
        kind: fault.kind.clone(),
        broke: broke(plan, fault),
        slow_machine: s.slow_machine(0.0).map(String::from),
        verdict: Some(s.verdict),
        reasons: s.reasons.clone(),
        acknowledged_writes: s.data.acknowledged,
        lost_writes: s.data.lost,
        duplicated_writes: s.data.duplicated,
        unchecked_writes: unchecked(s),
        staleness: s.data.staleness.clone(),
        illegal_keys: s.data.linearizability.as_ref().map(|l| l.illegal),
        repeated_requests: run.record.series.iter().map(|row| row.repeated).sum(),
        amplification_after: s.comeback.as_ref().and_then(|c| c.amplification_after),
        ..DrillRow::default()
    };
    if fault.skipped.is_some() {
        return DrillRow { skipped: fault.skipped.clone(), ..base };
    }
    DrillRow {
        noticed_after_s: noticed(fault),
        out: Out {
            until_in_time_s: fault.recovery_time_s,
            writes_s: visible(fault.write_outage),
            reads_s: visible(fault.read_outage),
            first_write_after_s: fault.failover.as_ref().and_then(|f| f.first_write_after_s),
        },
        came_back: came_back(fault, s),
        failover: fault.failover.clone(),
        detection_bound_s: fault.detection_bound_s,
        election_bound_s: fault.election_bound_s,
        no_effect: (fault.had_no_effect).then(|| fault.heal_proof.clone()).flatten(),
        heal_failed: fault.heal_failed.clone(),
        failed_requests: fault.failed_requests,
        late_requests: fault.late_requests,
        of_requests: fault.requests_until_next,
        lost_minutes: fault.budget.map(|b| b.minutes),
        of_30_days: fault.budget.and_then(|b| b.of_30_days),
        is_attributable: fault.attributable,
        ..base
    }
}

fn broke(plan: &Plan, fault: &FaultSummary) -> Broke {
    let planned = plan.faults.iter().find(|f| f.name == fault.name);
    Broke { what: fault.node.clone(), how: planned.map_or(fault.kind.clone(), |f| f.kind.words()) }
}

/// Where nothing at all was read back, `lost` says so.
fn unchecked(s: &Summary) -> u64 {
    s.data.lost.map_or(0, |_| s.data.unchecked) + s.data.not_recorded
}

/// By whoever showed it first.
fn noticed(fault: &FaultSummary) -> Option<f64> {
    let by_databases = fault.failover.as_ref().and_then(|f| f.noticed_after_s);
    let all = [fault.detected_after_s, fault.failed_over_after_s, by_databases];
    all.into_iter().flatten().min_by(f64::total_cmp)
}

fn visible(outage: Option<Outage>) -> Option<f64> {
    outage.filter(Outage::is_visible).map(|o| o.longest_s)
}

/// What never held again may have been watched for too short a time after the heal to say so.
fn came_back(fault: &FaultSummary, s: &Summary) -> ComeBack {
    let is_too_early = matches!(s.recovery, Some(Recovery::NotEnoughTime { .. }));
    match (fault.recovery_time_s, fault.recovery_after_heal_s) {
        (None, _) if is_too_early => ComeBack::NotEnoughTime,
        (None, _) => ComeBack::Never,
        (Some(0.0), _) => ComeBack::Held,
        (Some(_), Some(after_s)) => ComeBack::AfterHeal { after_s },
        (Some(_), None) => ComeBack::BeforeHeal,
    }
}
