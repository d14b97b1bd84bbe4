//! Whom a fault hit, and what it cost: requests by the second of their intended start.

use super::hold::{Hypothesis, WINDOW_S, held_from};
use super::{Impact, second_of};
use crate::analysis::summary::{BudgetSpent, FaultSummary};
use crate::analysis::timeline::{Second, Timeline, share};
use crate::objective::Budget;
use crate::record::{EventKind, Record};
use std::ops::Range;

/// What is calm is looked at so far back.
const CALM_S: u32 = 10;

pub(super) fn add(
    summary: &mut FaultSummary,
    record: &Record,
    timeline: &Timeline,
    impact: &Impact,
) {
    let hypothesis = Hypothesis::of_run(record, timeline);
    let breaks = |seconds| hypothesis.is_broken_in(timeline, seconds);
    let injected = second_of(impact.injected_ns);
    let until = second_of(impact.until_ns).max(injected + 1);
    let before = injected.saturating_sub(WINDOW_S)..injected;
    summary.attributable = timeline.in_time_share(before.clone()).is_some() && !breaks(before);
    let recovered = held_from(injected..until.min(timeline.end()), breaks);
    if let Some(second) = recovered {
        let at_ns = (u64::from(second) * 1_000_000_000).max(impact.injected_ns);
        let after = |from: u64| (at_ns - from) as f64 / 1e9;
        summary.recovery_time_s = Some(after(impact.injected_ns));
        summary.recovery_after_heal_s = impact.healed_ns.filter(|h| *h <= at_ns).map(after);
    }
    // Those that a fault hits without breaking the hypothesis are hit too: count at least while it lasts.
    let healed = impact.healed_ns.map_or(until, |h| second_of(h) + 1);
    let hit = injected..recovered.unwrap_or(until).max(healed).min(until);
    let sum = timeline.sum(hit.clone());
    summary.not_in_time = bad(&sum);
    summary.failed_requests = sum.ledger.planned - sum.ledger.ok.min(sum.ledger.planned);
    summary.late_requests = summary.not_in_time.saturating_sub(summary.failed_requests);
    summary.lost_goodput = lost_goodput(record, timeline, impact, &sum);
    summary.budget = Some(budget(record, timeline, hit, hypothesis.needed));
    let in_force = timeline.sum(wholly_in_force(impact).unwrap_or(injected..healed.min(until)));
    summary.in_time_share = share(in_force.in_time, in_force.ledger.planned);
    summary.requests_until_next = timeline.sum(injected..until).ledger.planned;
}

/// Planned, and not in time.
fn bad(sum: &Second) -> u64 {
    sum.ledger.planned - sum.in_time.min(sum.ledger.planned)
}

/// Visitors who would have been answered in time at the calm share, and were not. One who asks again
/// is one visitor.
fn lost_goodput(
    record: &Record,
    timeline: &Timeline,
    impact: &Impact,
    hit: &Second,
) -> Option<u64> {
    let calm = timeline.sum(calm_before(record, impact));
    let expected = share(calm.in_time, calm.visitors())?.min(1.0) * hit.visitors() as f64;
    Some((expected - hit.in_time as f64).max(0.0).round() as u64)
}

/// The whole seconds before the injection, back to the last fault or the start of what is measured.
fn calm_before(record: &Record, impact: &Impact) -> Range<u32> {
    let injected = second_of(impact.injected_ns);
    let is_fault = |kind| matches!(kind, EventKind::FaultInjected | EventKind::FaultHealed);
    let last_fault = (record.events.iter())
        .filter(|e| is_fault(e.kind) && e.at_ns < impact.injected_ns)
        .map(|e| second_of(e.at_ns) + 1)
        .max();
    let phases = &record.manifest.plan.load.phases;
    let measured = phases.iter().find(|p| p.measured).map(|p| second_of(p.start.0 + 999_999_999));
    let from = last_fault.max(measured).unwrap_or(0).max(injected.saturating_sub(CALM_S));
    from.min(injected)..injected
}

/// What it spent of the measured load's own budget, and of that of 30 days.
fn budget(record: &Record, timeline: &Timeline, hit: Range<u32>, slo: f64) -> BudgetSpent {
    let budget = Budget { slo };
    let phases = record.manifest.plan.load.phases.iter().filter(|p| p.measured);
    let planned: u64 =
        phases.map(|p| timeline.sum(crate::analysis::seconds_of(p)).ledger.planned).sum();
    let of_second = |second| {
        let sum = timeline.sum(second..second + 1);
        share(bad(&sum), sum.ledger.planned).unwrap_or(0.0)
    };
    let seconds: f64 = hit.clone().map(of_second).sum();
    let requests = bad(&timeline.sum(hit));
    BudgetSpent {
        slo,
        requests,
        of_load: budget.spent(requests as f64, planned as f64),
        minutes: seconds / 60.0,
        minutes_in_30_days: budget.minutes(),
        of_30_days: (budget.minutes() > 0.0).then(|| seconds / 60.0 / budget.minutes()),
    }
}

/// The whole seconds between injection and heal; the ones at the edges are half calm.
fn wholly_in_force(impact: &Impact) -> Option<Range<u32>> {
    let end = impact.healed_ns.map_or(impact.until_ns, |h| h.min(impact.until_ns));
    let range = second_of(impact.injected_ns + 999_999_999)..second_of(end);
    (!range.is_empty()).then_some(range)
}
