//! What each fault did: when it was noticed, who took over, when it was as before again, whom it hit.
//!
//! Requests are counted by the second of their intended start, so recovery is told in steps of one
//! second. Definitions follow the glossary and "time to detect, fail over, recover" of common
//! practice: all from the instant of injection, on one clock.

mod after_heal;
mod cost;
mod hit;
mod hold;
mod outage;
#[cfg(test)]
mod tests;
mod times;

pub use after_heal::{Recovery, after_heal};
pub use hit::Blow;
pub use hold::{Hypothesis, WINDOW_S, held_from};
pub use times::Failover;

use super::summary::FaultSummary;
use super::timeline::Timeline;
use crate::base::Nanos;
use crate::fault::{Fault, Selector};
use crate::plan::Plan;
use crate::record::{Event, EventKind, Record};
use crate::target::Role;

/// How a proof begins that nothing was seen of a fault.
const NO_EFFECT: &str = "no effect";

/// A fault as it really happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    pub injected_ns: u64,
    pub healed_ns: Option<u64>,
    /// The next injection, or the end of the load.
    pub until_ns: u64,
    pub blow: Blow,
    /// Whether what is hit takes no part in anything while it is in force.
    pub takes_away: bool,
    pub summary: FaultSummary,
}

/// Every fault of the plan, in its order.
pub fn impacts(record: &Record, timeline: &Timeline) -> Vec<(FaultSummary, Option<Impact>)> {
    let plan = &record.manifest.plan;
    plan.faults.iter().map(|fault| fault_impact(record, timeline, plan, fault)).collect()
}

fn fault_impact(
    record: &Record,
    timeline: &Timeline,
    plan: &Plan,
    fault: &Fault,
) -> (FaultSummary, Option<Impact>) {
    let mut summary = planned(fault);
    let of_fault =
        |kind| record.events.iter().filter(move |e| e.kind == kind && e.subject == fault.name);
    let Some(injected_ns) = of_fault(EventKind::FaultInjected).map(|e| e.at_ns).min() else {
        summary.skipped = Some(
            of_fault(EventKind::FaultSkipped)
                .next()
                .map_or("the run ended before it was due".into(), |e| e.detail.clone()),
        );
        return (summary, None);
    };
    let objects: Vec<&str> =
        of_fault(EventKind::FaultInjected).map(|e| e.object.as_str()).collect();
    let blow = Blow::of(plan, &fault.kind, &objects);
    let healed_ns = of_fault(EventKind::FaultHealed).map(|e| e.at_ns).max();
    let until_ns = observed_until(record, timeline, injected_ns);
    describe(&mut summary, of_fault(EventKind::FaultInjected).next(), &objects, plan, &blow);
    let proof = of_fault(EventKind::FaultHealed).map(|e| healing_proof(&e.detail)).next_back();
    // What was done to several says so of each.
    summary.had_no_effect =
        (proof.as_deref()).is_some_and(|p| p.matches(NO_EFFECT).count() >= blow.parts.max(1));
    summary.heal_proof = proof.filter(|p| !p.is_empty());
    summary.heal_failed = of_fault(EventKind::HealFailed).map(|e| e.detail.clone()).next_back();
    let takes_away = fault.kind.takes_away();
    let none = FaultSummary::default();
    let mut impact = Impact { injected_ns, healed_ns, until_ns, blow, takes_away, summary: none };
    times::add(&mut summary, record, plan, fault, &impact);
    cost::add(&mut summary, record, timeline, &impact);
    impact.summary = summary.clone();
    (summary, Some(impact))
}

fn planned(fault: &Fault) -> FaultSummary {
    let is_repaired = fault.kind.is_repaired();
    FaultSummary {
        name: fault.name.clone(),
        kind: fault.kind.name().into(),
        node: fault.on.to_string(),
        planned_at_s: fault.when.planned().map(Nanos::as_secs_f64),
        assumed_repair_s: is_repaired.then(|| fault.lasts.as_secs_f64()),
        ..FaultSummary::default()
    }
}

fn describe(
    summary: &mut FaultSummary,
    injected: Option<&Event>,
    objects: &[&str],
    plan: &Plan,
    blow: &Blow,
) {
    summary.node = objects.join(" ");
    let detail = injected.map_or("", |e| e.detail.as_str());
    summary.mechanism = detail_value(detail, "mechanism");
    summary.proof = detail_value(detail, "proof");
    let mut roles: Vec<String> = (blow.nodes.iter())
        .filter_map(|n| role_of(plan, n))
        .map(|r| r.name().to_string())
        .collect();
    roles.sort();
    roles.dedup();
    summary.roles = roles;
}

/// `mechanism=…; proof=…` → the value of one key.
fn detail_value(detail: &str, key: &str) -> String {
    (detail.split("; "))
        .find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
        .unwrap_or_default()
        .to_string()
}

/// The proof comes last in the detail, and may have parts of its own.
fn healing_proof(detail: &str) -> String {
    detail.split_once("proof=").map_or(String::new(), |(_, proof)| proof.to_string())
}

/// Who led the databases when the fault came, as far as events tell; else whom the fault was to hit
/// as the leader.
fn leader_at(record: &Record, plan: &Plan, fault: &Fault, impact: &Impact) -> Option<String> {
    let is_it = |e: &&Event| {
        e.kind == EventKind::BecameLeader
            && e.at_ns <= impact.injected_ns
            && role_of(plan, &e.subject) == Some(Role::Database)
    };
    let told = record.events.iter().filter(is_it).max_by_key(|e| e.at_ns);
    let chosen = matches!(fault.on, Selector::Leader(_)).then(|| impact.blow.nodes.first());
    told.map(|e| e.subject.clone()).or_else(|| chosen.flatten().cloned())
}

fn role_of(plan: &Plan, node: &str) -> Option<Role> {
    plan.nodes.iter().find(|n| n.name == node).map(|n| n.role)
}

/// The next injection of any fault, else the end of the load.
fn observed_until(record: &Record, timeline: &Timeline, injected_ns: u64) -> u64 {
    let load_end = record.manifest.plan.load.end().0;
    let end = load_end.min(u64::from(timeline.end()) * 1_000_000_000).max(injected_ns);
    (record.events.iter())
        .filter(|e| e.kind == EventKind::FaultInjected && e.at_ns > injected_ns)
        .map(|e| e.at_ns)
        .min()
        .map_or(end, |next| next.min(end))
}

fn second_of(ns: u64) -> u32 {
    u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX)
}
