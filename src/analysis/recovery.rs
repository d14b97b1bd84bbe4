//! What each fault did: when it was noticed, who took over, when it was as before again, whom it hit.
//!
//! Requests are counted by the second of their intended start, so recovery is told in steps of one
//! second. Definitions follow the glossary and "time to detect, fail over, recover" of common
//! practice: all from the instant of injection, on one clock.

use super::summary::{FaultSummary, Outage};
use super::timeline::Timeline;
use crate::base::Nanos;
use crate::fault::{Fault, FaultKind};
use crate::plan::Plan;
use crate::record::{Event, EventKind, Operation, OperationKind, Record};
use crate::target::Role;
use std::ops::Range;

/// Seconds over which the hypothesis is checked; one alone would be noise at low rates.
const WINDOW_S: u32 = 2;

/// A fault as it really happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    pub injected_ns: u64,
    pub healed_ns: Option<u64>,
    /// The next injection, or the end of the load.
    pub until_ns: u64,
    pub nodes: Vec<String>,
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
    let mut impact =
        Impact { injected_ns, healed_ns, until_ns, nodes, summary: FaultSummary::default() };
    take_times(&mut summary, record, plan, &impact);
    count_requests(&mut summary, timeline, &impact, plan.hypothesis_in_time);
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

fn take_times(summary: &mut FaultSummary, record: &Record, plan: &Plan, impact: &Impact) {
    let after = |at: u64| (at - impact.injected_ns) as f64 / 1e9;
    let during = |e: &&Event| (impact.injected_ns..impact.until_ns).contains(&e.at_ns);
    summary.injected_at_s = Some(impact.injected_ns as f64 / 1e9);
    summary.healed_at_s = impact.healed_ns.map(|at| at as f64 / 1e9);
    let hits = |node: &String| impact.nodes.contains(node);
    let is_database_hit = impact.nodes.iter().any(|n| role_of(plan, n) == Some(Role::Database));
    let took_over = (record.events.iter().filter(during))
        .filter(|e| e.kind == EventKind::BecameLeader && is_database_hit && !hits(&e.subject))
        .map(|e| e.at_ns)
        .min();
    let seen_down = (record.events.iter().filter(during))
        .filter(|e| e.kind == EventKind::MemberDown && hits(&e.object))
        .map(|e| e.at_ns)
        .min();
    summary.failed_over_after_s = took_over.map(after);
    // A new leader shows that somebody noticed, not when: only a member taken out tells that.
    summary.detected_after_s = seen_down.map(after);
    summary.write_outage = outage(&record.history, impact, is_write, OperationKind::Acknowledged);
    summary.read_outage = outage(&record.history, impact, is_read, OperationKind::Read);
}

fn is_write(kind: OperationKind) -> bool {
    use OperationKind::{Acknowledged, Failed, Indeterminate};
    matches!(kind, Acknowledged | Indeterminate | Failed)
}

fn is_read(kind: OperationKind) -> bool {
    kind == OperationKind::Read
}

fn count_requests(summary: &mut FaultSummary, timeline: &Timeline, impact: &Impact, held: f64) {
    let injected = second_of(impact.injected_ns);
    let until = second_of(impact.until_ns).max(injected + 1);
    summary.attributable = (timeline.in_time_share(injected.saturating_sub(WINDOW_S)..injected))
        .is_some_and(|share| share >= held);
    let recovered = recovered_at(timeline, injected..until, held);
    if let Some(second) = recovered {
        let at_ns = (u64::from(second) * 1_000_000_000).max(impact.injected_ns);
        let after = |from: u64| (at_ns - from) as f64 / 1e9;
        summary.recovery_time_s = Some(after(impact.injected_ns));
        summary.recovery_after_heal_s = impact.healed_ns.filter(|h| *h <= at_ns).map(after);
    }
    // Those that a fault hits without breaking the hypothesis are hit too: count at least while it lasts.
    let healed = impact.healed_ns.map_or(until, |h| second_of(h) + 1);
    let hit = timeline.sum(injected..recovered.unwrap_or(until).max(healed).min(until));
    summary.not_in_time = hit.ledger.planned - hit.in_time.min(hit.ledger.planned);
    summary.failed_requests = hit.ledger.planned - hit.ledger.ok.min(hit.ledger.planned);
    let in_force = timeline.sum(wholly_in_force(impact).unwrap_or(injected..healed.min(until)));
    summary.in_time_share = super::timeline::share(in_force.in_time, in_force.ledger.planned);
    summary.requests_until_next = timeline.sum(injected..until).ledger.planned;
}

/// The whole seconds between injection and heal; the ones at the edges are half calm.
fn wholly_in_force(impact: &Impact) -> Option<Range<u32>> {
    let end = impact.healed_ns.map_or(impact.until_ns, |h| h.min(impact.until_ns));
    let range = second_of(impact.injected_ns + 999_999_999)..second_of(end);
    (!range.is_empty()).then_some(range)
}

fn second_of(ns: u64) -> u32 {
    u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The first second from which every window up to the end holds the hypothesis.
fn recovered_at(timeline: &Timeline, range: Range<u32>, held: f64) -> Option<u32> {
    let end = range.end.min(timeline.end());
    let breaks = |from: u32| {
        let window = from..(from + WINDOW_S).min(end);
        timeline.in_time_share(window).is_some_and(|share| share < held)
    };
    let first = match (range.start..end).rev().find(|second| breaks(*second)) {
        Some(last_broken) => last_broken + 1,
        None => range.start,
    };
    (first < end).then_some(first)
}

/// The longest time without a success between the injection and the next one: what came before
/// is not this fault's doing, and what comes after is its neighbour's.
fn outage(
    history: &[Operation],
    impact: &Impact,
    is_asked: fn(OperationKind) -> bool,
    success: OperationKind,
) -> Option<Outage> {
    let window = impact.injected_ns..impact.until_ns;
    let asked =
        history.iter().filter(|o| is_asked(o.kind) && window.contains(&o.started.0)).count();
    let mut successes: Vec<u64> =
        history.iter().filter(|o| o.kind == success).map(|o| o.ended.0).collect();
    successes.sort_unstable();
    let from = successes.partition_point(|at| *at < window.start);
    if asked < 2 || from == 0 {
        return None;
    }
    let (mut longest, mut last) = (0, window.start);
    for at in successes[from..].iter().take_while(|at| **at < window.end) {
        longest = longest.max(at - last);
        last = *at;
    }
    let at_the_end = window.end - last;
    let longest_s = longest.max(at_the_end) as f64 / 1e9;
    let resolution_s = chance_gap_s(asked, (window.end - window.start) as f64 / 1e9);
    let outage = Outage { longest_s, resolution_s, is_open: false };
    // An end that merely lies between two successes is not an outage that never ended.
    Some(Outage { is_open: at_the_end > longest && outage.is_visible(), ..outage })
}

/// The gap that the longest of `n` exponential gaps exceeds with probability 5 %: mean × (ln n + 3).
fn chance_gap_s(n: usize, window_s: f64) -> f64 {
    window_s / n as f64 * ((n as f64).ln() + 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, power_off_story};

    fn fault(record: &Record) -> FaultSummary {
        impacts(record, &Timeline::of(record)).remove(0).0
    }

    #[test]
    fn recovery_counts_from_the_injection_to_the_first_window_that_holds_for_good() {
        let f = fault(&power_off_story().build());
        assert_eq!(f.injected_at_s, Some(10.25));
        assert_eq!(f.detected_after_s, Some(0.75));
        assert_eq!(f.recovery_time_s, Some(1.75));
        assert_eq!(f.recovery_after_heal_s, None, "it had recovered before the heal");
        assert_eq!(f.assumed_repair_s, Some(5.0));
        assert!(f.attributable);
        assert_eq!((f.not_in_time, f.failed_requests), (100 + 60, 100));
        assert_eq!(f.failed_over_after_s, None);
        assert_eq!((f.mechanism.as_str(), f.proof.as_str()), ("freezer", "frozen"));
    }

    #[test]
    fn what_never_holds_again_has_no_recovery_time() {
        let f = fault(&power_off_story().share(10..20, 0.2).build());
        assert_eq!(f.recovery_time_s, None);
        assert_eq!(f.not_in_time, 8 * 200 * 10 / 10);
    }

    #[test]
    fn a_fault_on_a_target_that_was_failing_is_not_attributable() {
        assert!(!fault(&power_off_story().share(8..10, 0.5).build()).attributable);
    }

    #[test]
    fn a_fault_that_did_not_fire_says_why() {
        let mut record = power_off_story().build();
        record.events.retain(|e| e.subject != "lose-app");
        let f = fault(&record);
        assert!(f.skipped.unwrap().contains("ended before"));
        assert_eq!((f.injected_at_s, f.recovery_time_s), (None, None));
    }

    #[test]
    fn a_write_outage_is_the_longest_gap_between_acknowledgements() {
        let record = power_off_story().writes(0..11_000, 50).writes(14_000..20_000, 50).build();
        let outage = fault(&record).write_outage.unwrap();
        assert!((outage.longest_s - 3.05).abs() < 0.11, "{outage:?}");
        assert!(outage.is_visible() && !outage.is_open);
        let record = power_off_story().writes(0..11_000, 50).build();
        let open = fault(&record).write_outage.unwrap();
        assert!(open.is_open && open.longest_s > 8.0, "{open:?}");
        let record = power_off_story().writes(0..20_000, 50).build();
        assert!(!fault(&record).write_outage.unwrap().is_visible());
    }

    #[test]
    fn a_new_leader_is_detection_and_failover() {
        let record = Builder::new("horizontal").leader_killed_at(10.0, 0.8).build();
        let f = fault(&record);
        assert_eq!(f.failed_over_after_s, Some(0.8));
        assert_eq!(f.detected_after_s, None, "an election does not say when it was noticed");
    }

    #[test]
    fn an_outage_is_not_charged_to_the_neighbouring_fault() {
        let second =
            |b: Builder| b.fault("again", FaultKind::Kill, "database/leader", 15.25, "database-1");
        // Writes are out from 9.25 s (before the first fault) to 10.9 s and from 15 s to 18 s.
        let record = second(power_off_story())
            .writes(0..9_250, 50)
            .writes(10_900..15_000, 50)
            .writes(18_000..20_000, 50)
            .build();
        let found = impacts(&record, &Timeline::of(&record));
        let [first, second] = [0, 1].map(|i| found[i].0.write_outage.unwrap());
        assert!((first.longest_s - 0.655).abs() < 1e-6, "not from 9.25 s, not to 18 s: {first:?}");
        assert!((second.longest_s - 2.755).abs() < 1e-6, "from 15.25 s: {second:?}");
        assert!(!first.is_open && !second.is_open);
    }

    fn heal_at(record: &mut Record, at_ns: u64) {
        for event in record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed) {
            event.at_ns = at_ns;
        }
    }

    #[test]
    fn the_share_under_a_throttle_leaves_out_the_calm_part_of_its_first_and_last_second() {
        let story = |from, to| {
            let mut record = power_off_story().answered(10..20, 1.0).share(from..to, 0.0).build();
            heal_at(&mut record, 14_750_000_000);
            fault(&record).in_time_share
        };
        assert_eq!(story(11, 14), Some(0.0), "10.25 to 14.75 s: only 11, 12 and 13 are whole");
        assert_eq!(story(10, 11), Some(1.0));
    }

    #[test]
    fn a_fault_without_a_whole_second_has_the_share_of_the_seconds_it_touches() {
        let mut record = power_off_story().answered(10..20, 1.0).share(10..11, 0.5).build();
        heal_at(&mut record, 10_750_000_000);
        assert_eq!(fault(&record).in_time_share, Some(0.5));
    }
}
