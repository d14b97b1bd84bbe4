//! When it was noticed, who took over, when operations went through again: the phases apart, since
//! a sum of them says little.

use super::outage::{Class, outage, successes};
use super::{Impact, leader_at, role_of};
use crate::analysis::bounds;
use crate::analysis::summary::{FaultSummary, Outage};
use crate::fault::Fault;
use crate::plan::Plan;
use crate::record::{Event, EventKind, Record};
use crate::target::Role;
use serde::{Deserialize, Serialize};

/// The phases of a database failover, each in seconds since the injection. `None`: it did not
/// happen, or could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// The first event at a node that was not hit which shows that somebody noticed.
    pub noticed_after_s: Option<f64>,
    /// Which: `database-2 became the leader`.
    pub noticed_by: Option<String>,
    pub leader_after_s: Option<f64>,
    /// The first acknowledgement after the new leader was there; without one, the end of the longest
    /// time without any, where that is longer than chance.
    pub first_write_after_s: Option<f64>,
    /// The end of the longest time without a good read, likewise; `None` when reads went on.
    pub first_read_after_s: Option<f64>,
}

pub(super) fn add(
    summary: &mut FaultSummary,
    record: &Record,
    plan: &Plan,
    fault: &Fault,
    impact: &Impact,
) {
    let after = |at: u64| (at - impact.injected_ns) as f64 / 1e9;
    summary.injected_at_s = Some(impact.injected_ns as f64 / 1e9);
    summary.healed_at_s = impact.healed_ns.map(|at| at as f64 / 1e9);
    let blow = &impact.blow;
    let is_database_hit = blow.nodes.iter().any(|n| role_of(plan, n) == Some(Role::Database));
    let leader = leader_at(record, plan, fault, impact);
    let first = |wanted: &dyn Fn(&Event) -> bool| {
        let during = impact.injected_ns..impact.until_ns;
        let events = record.events.iter().filter(|e| during.contains(&e.at_ns) && wanted(e));
        events.min_by_key(|e| e.at_ns)
    };
    // A node at the end of a link that is hit goes on by itself, and may well take over.
    let is_down = |node: &str| blow.links.is_empty() && blow.hits(node);
    let took_over = first(&|e| {
        e.kind == EventKind::BecameLeader
            && is_database_hit
            && !is_down(&e.subject)
            && leader.as_ref() != Some(&e.subject)
    });
    let seen_down = first(&|e| e.kind == EventKind::MemberDown && blow.touches(&e.object));
    summary.failed_over_after_s = took_over.map(|e| after(e.at_ns));
    // A new leader shows that somebody noticed, not when: only a member taken out tells that.
    summary.detected_after_s = seen_down.map(|e| after(e.at_ns));
    summary.write_outage = outage(&record.history, impact, Class::Write);
    summary.read_outage = outage(&record.history, impact, Class::Read);
    summary.detection_bound_s = bounds::detection_s(plan, fault, blow);
    if !is_database_hit {
        return;
    }
    summary.election_bound_s = leader.and_then(|l| bounds::election_s(plan, fault, blow, &l));
    let noticed = first(&|e| shows_notice(e, plan) && !is_down(&e.subject));
    let noticed = [noticed, seen_down].into_iter().flatten().min_by_key(|e| e.at_ns);
    let first_write = match took_over {
        Some(leader) => first_write_after(record, impact, leader.at_ns).map(after),
        None => end_of(summary.write_outage),
    };
    summary.failover = Some(Failover {
        noticed_after_s: noticed.map(|e| after(e.at_ns)),
        noticed_by: noticed.map(words),
        leader_after_s: summary.failed_over_after_s,
        first_write_after_s: first_write,
        first_read_after_s: end_of(summary.read_outage),
    });
}

/// A change of role at a database shows that the old order no longer holds.
fn shows_notice(event: &Event, plan: &Plan) -> bool {
    matches!(event.kind, EventKind::BecameLeader | EventKind::BecameReplica)
        && role_of(plan, &event.subject) == Some(Role::Database)
}

fn words(event: &Event) -> String {
    match event.kind {
        EventKind::BecameLeader => format!("{} became the leader", event.subject),
        EventKind::BecameReplica => format!("{} follows another", event.subject),
        _ => format!("{} took {} out", event.subject, event.object),
    }
}

fn first_write_after(record: &Record, impact: &Impact, leader_ns: u64) -> Option<u64> {
    let acknowledged = successes(&record.history, Class::Write);
    let at = *acknowledged.get(acknowledged.partition_point(|at| *at < leader_ns))?;
    (at < impact.until_ns).then_some(at)
}

fn end_of(outage: Option<Outage>) -> Option<f64> {
    outage.filter(|o| o.is_visible() && !o.is_open)?.until_s
}
