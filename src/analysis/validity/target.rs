//! Doubts about what was measured: nothing answered, no steady state, work that is not what was
//! calibrated. That a target was slow is none of them.

use super::{About, Doubt, Health, Level, doubt};
use crate::analysis::summary::{PhaseSummary, Summary};
use crate::analysis::timeline::Timeline;
use crate::plan::Plan;
use crate::record::{Event, EventKind, NOT_STEADY, Record};

/// CPU per request away from its calibration.
pub const WORK_OFF: f64 = 0.1;

pub(super) fn no_answers(s: &Summary) -> Option<Doubt> {
    (s.ledger_run.ok == 0 && s.ledger_run.http_error == 0).then(|| {
        doubt(
            About::NoAnswers,
            Level::Invalid,
            format!("not one answer in the whole run, {} planned", s.ledger_run.planned),
            "check the address and that the target is up",
        )
    })
}

/// The first measured phase is where the hypothesis has to hold before anything is broken. Where it did
/// not, the run knew it when a fault was due, and injected none.
pub(super) fn steady_state(record: &Record, s: &Summary) -> Option<Doubt> {
    let is_refused =
        |e: &Event| e.kind == EventKind::FaultSkipped && e.detail.starts_with(NOT_STEADY);
    let is_first = |e: &&Event| e.kind == EventKind::FaultInjected || is_refused(e);
    // After one that was injected it is no wonder.
    if let Some(refused) = record.events.iter().find(is_first).filter(|e| is_refused(e)) {
        return Some(doubt(
            About::SteadyState,
            Level::Invalid,
            format!("{}, so that {} was not injected", refused.detail, refused.subject),
            "lower the rate, allow more time, or give the target more CPU",
        ));
    }
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

pub(super) fn work(health: &Health, plan: &Plan) -> Option<Doubt> {
    let off = health.work_off.filter(|off| plan.is_bundled && off.abs() > WORK_OFF)?;
    let seen = format!("work per request is {:+.0} % off its calibration", off * 100.0);
    Some(doubt(
        About::Work,
        Level::Inconclusive,
        seen,
        "run again on a quiet machine; brunt calibrates at the start of each command",
    ))
}
