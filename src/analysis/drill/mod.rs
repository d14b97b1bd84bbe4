//! What a few drills say together: one row a fault, beside a control run without any. The go/no-go
//! card before it is judged. Nothing is judged here, and nothing is put into words.

mod row;
#[cfg(test)]
mod tests;

pub use row::{Broke, ComeBack, DrillRow, Out};

use super::comparison::Run;
use super::recovery::{Hypothesis, WINDOW_S};
use super::timeline::{Timeline, share};
use super::trials::{FaultTrials, fault_trials};
use crate::fault::FaultKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// What the JSON says that it is.
pub const KIND: &str = "drill";
/// What an error budget is counted over.
pub const BUDGET_DAYS: f64 = 30.0;

/// A drill as it was asked for, and what came of it.
pub struct Drilled<'a> {
    pub name: &'a str,
    /// Of the profile, in one line.
    pub about: &'a str,
    pub outcome: DrillOutcome<'a>,
}

pub enum DrillOutcome<'a> {
    /// The target lacks what it would be done to.
    DoesNotFit(&'a str),
    /// It was not run, and why.
    NotRun(&'a str),
    /// Its runs: one, or as many as there were trials.
    Ran(Vec<Run<'a>>),
}

/// What `gate` makes of a card. Declared from best to worst: what was seen to go wrong outweighs
/// what could not be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Go,
    GoWithRisks,
    /// Too little was measured, or what was may not be believed.
    #[default]
    CannotSay,
    NoGo,
}

/// One thing that speaks against an unconditional go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What it alone would come to.
    pub decision: Decision,
    /// The drill it is about; none when it is about all.
    pub drill: Option<String>,
    pub text: String,
}

/// Everything that the meeting before the campaign needs to see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillCard {
    pub schema: u32,
    pub kind: String,
    pub target: String,
    pub seed: u64,
    /// Until `gate` has judged: cannot say.
    pub decision: Decision,
    /// The worst first.
    pub reasons: Vec<Reason>,
    /// What the share in time is held against, and what it leaves as a budget.
    pub in_time_needed: f64,
    /// Minutes of nothing at all that this share allows in 30 days.
    pub budget_minutes: f64,
    pub control: Option<Control>,
    pub rows: Vec<DrillRow>,
    /// Of a single drill that was repeated: how the figures of each of its faults are distributed.
    pub trials: Vec<FaultTrials>,
    pub not_tested: Vec<NotTested>,
    /// Kinds of fault that none of the drills injected.
    pub kinds_not_tested: Vec<String>,
}

/// The run without faults: what everything else is beside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub requests: u64,
    pub in_time_share: Option<f64>,
    pub failed_requests: u64,
    /// The worst share in time of any two seconds in a row.
    pub worst_share: Option<f64>,
    /// The hypothesis broke without any fault, and not by chance.
    pub is_noisy: bool,
    pub is_valid: bool,
    /// What the cores did in a measured second of it, where they were slow.
    pub slow_machine: Option<String>,
    pub reasons: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotTested {
    pub what: String,
    /// Of the profile, in one line.
    pub about: Option<String>,
    pub why: String,
    /// The target lacks what it would be done to; else it was not run, or its fault was skipped.
    pub does_not_fit: bool,
}

/// Puts the card together. `control` is absent where it was not run.
pub fn drill_card(control: Option<&Run<'_>>, drills: &[Drilled<'_>]) -> DrillCard {
    let runs = || {
        drills.iter().flat_map(|d| match &d.outcome {
            DrillOutcome::Ran(runs) => runs.as_slice(),
            _ => &[],
        })
    };
    let plan = control.into_iter().chain(runs()).map(|run| &run.record.manifest.plan).next();
    let needed = plan.map_or(1.0, |p| p.hypothesis_in_time);
    let rows: Vec<DrillRow> = drills.iter().flat_map(|drill| row::rows(drill)).collect();
    let repeated = drills.iter().find_map(|d| match &d.outcome {
        DrillOutcome::Ran(runs) if runs.len() > 1 => Some(runs),
        _ => None,
    });
    DrillCard {
        schema: SCHEMA,
        kind: KIND.into(),
        target: plan.map_or(String::new(), |p| p.target.clone()),
        seed: plan.map_or(0, |p| p.seed),
        decision: Decision::default(),
        reasons: Vec::new(),
        in_time_needed: needed,
        budget_minutes: (1.0 - needed) * BUDGET_DAYS * 24.0 * 60.0,
        control: control.map(control_of),
        trials: repeated.map_or(Vec::new(), |runs| trials_of(runs)),
        not_tested: not_tested(drills, &rows),
        kinds_not_tested: kinds_not_tested(&rows),
        rows,
    }
}

fn trials_of(runs: &[Run<'_>]) -> Vec<FaultTrials> {
    let faults = runs[0].summary.faults.iter();
    faults.map(|f| fault_trials(runs.iter().map(|run| run.summary), &f.name)).collect()
}

fn control_of(run: &Run<'_>) -> Control {
    let s = run.summary;
    let timeline = Timeline::of(run.record);
    let first = s.phases.iter().find(|p| p.measured).map_or(0, |p| p.start_s.ceil() as u32);
    let last = s.phases.last().map_or(0, |p| p.end_s.floor() as u32);
    let windows = || (first..(last + 1).saturating_sub(WINDOW_S)).map(|s| s..s + WINDOW_S);
    let hypothesis = Hypothesis::of_run(run.record, &timeline);
    Control {
        requests: s.ledger.planned,
        in_time_share: share(s.in_time, s.ledger.planned),
        failed_requests: s.ledger.planned - s.ledger.ok,
        worst_share: windows().filter_map(|w| timeline.in_time_share(w)).min_by(f64::total_cmp),
        is_noisy: windows().any(|window| hypothesis.is_broken_in(&timeline, window)),
        is_valid: s.verdict != crate::objective::Verdict::Invalid,
        slow_machine: s.slow_machine(0.0).map(String::from),
        reasons: s.reasons.clone(),
    }
}

fn not_tested(drills: &[Drilled<'_>], rows: &[DrillRow]) -> Vec<NotTested> {
    let of_drill = |drill: &Drilled<'_>| {
        let (why, does_not_fit) = match drill.outcome {
            DrillOutcome::DoesNotFit(why) => (why, true),
            DrillOutcome::NotRun(why) => (why, false),
            DrillOutcome::Ran(_) => return None,
        };
        Some(NotTested {
            what: drill.name.into(),
            about: Some(drill.about.into()),
            why: why.into(),
            does_not_fit,
        })
    };
    let skipped = rows.iter().filter_map(|row| {
        let why = row.skipped.clone()?;
        Some(NotTested { what: row.label(), about: None, why, does_not_fit: false })
    });
    drills.iter().filter_map(of_drill).chain(skipped).collect()
}

fn kinds_not_tested(rows: &[DrillRow]) -> Vec<String> {
    let seen: BTreeSet<&str> =
        rows.iter().filter(|row| row.skipped.is_none()).map(|row| row.kind.as_str()).collect();
    FaultKind::NAMES.into_iter().filter(|name| !seen.contains(name)).map(String::from).collect()
}
