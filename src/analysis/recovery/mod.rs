//! What each fault did: when it was noticed, who took over, when it was as before again, whom it hit.
//!
//! Requests are counted by the second of their intended start, so recovery is told in steps of one
//! second. Definitions follow the glossary and "time to detect, fail over, recover" of common
//! practice: all from the instant of injection, on one clock.

mod after_heal;
mod cost;
mod hold;
mod outage;
#[cfg(test)]
mod tests;
mod times;

pub use after_heal::{Recovery, after_heal};
pub use hold::held_from;
pub use times::Failover;

use super::summary::FaultSummary;
use super::timeline::Timeline;
use crate::base::Nanos;
use crate::fault::{Fault, FaultKind};
use crate::plan::Plan;
use crate::record::{Event, EventKind, Record};
use crate::target::Role;

/// A fault as it really happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    pub injected_ns: u64,
    pub healed_ns: Option<u64>,
    /// The next injection, or the end of the load.
    pub until_ns: u64,
    pub nodes: Vec<String>,
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
    let nodes = hit_nodes(plan, &fault.kind, &objects);
    let healed_ns = of_fault(EventKind::FaultHealed).map(|e| e.at_ns).max();
    let until_ns = observed_until(record, timeline, injected_ns);
    describe(&mut summary, of_fault(EventKind::FaultInjected).next(), &objects, plan, &nodes);
    let takes_away = fault.kind.takes_away();
    let none = FaultSummary::default();
    let mut impact = Impact { injected_ns, healed_ns, until_ns, nodes, takes_away, summary: none };
    times::add(&mut summary, record, plan, &impact);
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
    nodes: &[String],
) {
    summary.node = objects.join(" ");
    let detail = injected.map_or("", |e| e.detail.as_str());
    summary.mechanism = detail_value(detail, "mechanism");
    summary.proof = detail_value(detail, "proof");
    let mut roles: Vec<String> =
        nodes.iter().filter_map(|n| role_of(plan, n)).map(|r| r.name().to_string()).collect();
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

/// Nodes that a fault on these nodes or servers stops or slows: all of the server, where it hits one.
fn hit_nodes(plan: &Plan, kind: &FaultKind, objects: &[&str]) -> Vec<String> {
    let is_whole_server = matches!(kind, FaultKind::PowerOff | FaultKind::Throttle { .. });
    let mut nodes = Vec::new();
    for object in objects {
        let server = plan
            .servers
            .iter()
            .find(|s| s.name == *object || is_whole_server && s.nodes.iter().any(|n| n == object));
        let is_node = plan.nodes.iter().any(|n| n.name == *object);
        match server {
            Some(server) if is_whole_server || !is_node => nodes.extend(server.nodes.clone()),
            _ => nodes.push((*object).to_string()),
        }
    }
    nodes
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
