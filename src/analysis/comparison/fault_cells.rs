//! What the table's cells say about one fault.

use super::cell::{Cell, OutFor};
use super::{Run, short};
use crate::analysis::summary::FaultSummary;
use crate::fault::{Fault, FaultKind, Selector};
use crate::plan::Plan;
use crate::target::Role;

/// What happened, and for how long, as two short lines.
pub fn fault_label(fault: &Fault) -> (String, String) {
    let on = match &fault.on {
        Selector::Leader(role) => format!("{role} leader"),
        Selector::Replica(role) => format!("a {role} replica"),
        Selector::ServerOf(node) => format!("server of {node}"),
        other => other.to_string(),
    };
    let lasts = format!("{} s", short(fault.lasts.as_secs_f64()));
    match &fault.kind {
        FaultKind::PowerOff => ("server lost".into(), format!("  for {lasts}")),
        FaultKind::Kill => (on, format!("  killed, {lasts}")),
        FaultKind::Pause => (on, format!("  frozen, {lasts}")),
        FaultKind::Restart => (on, "  restarted".into()),
        FaultKind::Throttle { to, .. } => (on, format!("  at {:.0} % CPU", to * 100.0)),
        kind => (on, format!("  {}, {lasts}", kind.words())),
    }
}

pub fn hits_database(on: &Selector) -> bool {
    match on {
        Selector::Leader(role)
        | Selector::Replica(role)
        | Selector::Role(role)
        | Selector::Share(role, _) => role == Role::Database.name(),
        Selector::Node(node) => node.starts_with("database-"),
        Selector::Link(_, to) => hits_database(to),
        Selector::ServerOf(_) | Selector::Visitors(_) => false,
    }
}

pub fn fault_of<'a>(run: &Run<'a>, name: &str) -> Option<&'a FaultSummary> {
    run.summary.faults.iter().find(|f| f.name == name)
}

pub type CellOfFault = fn(&Run<'_>, &Fault, &FaultSummary) -> Cell;

pub fn fault_cell(run: &Run<'_>, fault: &Fault, cell: CellOfFault) -> Cell {
    match fault_of(run, &fault.name) {
        None => Cell::Unknown,
        Some(seen) if seen.injected_at_s.is_none() => Cell::NotInjected,
        Some(seen) if !seen.attributable => Cell::AlreadyFailing,
        Some(seen) => cell(run, fault, seen),
    }
}

pub fn hit_cell(_: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    Cell::Hit { not_in_time: seen.not_in_time, of: seen.requests_until_next }
}

/// More servers of a role fail more often.
pub fn scaled_cell(run: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let plan = &run.record.manifest.plan;
    let Some(role) = role_hit(plan, &fault.on) else { return Cell::Unknown };
    let holds = |node: &String| plan.nodes.iter().any(|n| n.name == *node && n.role == role);
    let servers = plan.servers.iter().filter(|s| s.nodes.iter().any(holds)).count();
    Cell::HitTimesServers { not_in_time: seen.not_in_time, servers }
}

/// The role that a fault is aimed at.
pub fn role_hit(plan: &Plan, on: &Selector) -> Option<Role> {
    match on {
        Selector::Role(role)
        | Selector::Share(role, _)
        | Selector::Leader(role)
        | Selector::Replica(role) => Role::parse(role),
        Selector::Node(name) | Selector::ServerOf(name) => {
            plan.nodes.iter().find(|n| n.name == *name).map(|n| n.role)
        }
        Selector::Link(_, to) => role_hit(plan, to),
        Selector::Visitors(_) => None,
    }
}

/// What a throttle took: the same share of a big server is more than of a small one.
pub fn taken_cores(run: &Run<'_>, fault: &Fault, left: f64) -> Option<f64> {
    let seen = fault_of(run, &fault.name).filter(|f| f.injected_at_s.is_some())?;
    let servers = run.record.manifest.plan.servers.iter();
    let hit = servers.filter(|s| seen.node.split(' ').any(|n| *n == s.name));
    Some(hit.map(|s| s.cores).sum::<f64>() * (1.0 - left)).filter(|cores| *cores > 0.0)
}

pub fn in_force_cell(run: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let held = run.record.manifest.plan.hypothesis_in_time;
    seen.in_time_share.map_or(Cell::Unknown, |share| Cell::InTime { share, held: share >= held })
}

pub fn recovered_cell(run: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let observed = seen.recovery_time_s;
    if observed == Some(0.0) {
        return Cell::Held;
    }
    Cell::OutFor(OutFor {
        seconds: observed.unwrap_or_else(|| observed_for(run, seen)),
        is_stepped: true,
        includes_repair: includes_repair(fault, observed),
        at_least: observed.is_none(),
        below_resolution: false,
    })
}

pub fn noticed_cell(_: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let bound_s = seen.detection_bound_s;
    seen.detected_after_s.map_or(Cell::Unknown, |seconds| Cell::After { seconds, bound_s })
}

pub fn leader_cell(_: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let bound_s = seen.election_bound_s;
    seen.failed_over_after_s.map_or(Cell::Unknown, |seconds| Cell::After { seconds, bound_s })
}

pub fn writes_cell(_: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let Some(outage) = seen.write_outage else { return Cell::Unknown };
    let is_visible = outage.is_visible();
    Cell::OutFor(OutFor {
        seconds: outage.known_s(),
        is_stepped: false,
        includes_repair: is_visible && includes_repair(fault, Some(outage.longest_s)),
        at_least: outage.is_open,
        below_resolution: !is_visible,
    })
}

/// From the injection to the end of the load, where nothing better is known.
fn observed_for(run: &Run<'_>, seen: &FaultSummary) -> f64 {
    let end = run.record.manifest.plan.load.end().as_secs_f64();
    let next = (run.summary.faults.iter())
        .filter_map(|f| f.injected_at_s)
        .filter(|at| Some(*at) > seen.injected_at_s)
        .fold(end, f64::min);
    next - seen.injected_at_s.unwrap_or(next)
}

fn includes_repair(fault: &Fault, seconds: Option<f64>) -> bool {
    matches!(fault.kind, FaultKind::Kill | FaultKind::PowerOff)
        && seconds.is_none_or(|s| s >= fault.lasts.as_secs_f64())
}
