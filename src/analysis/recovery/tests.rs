//! What a fault did, told from small hand-made records.

use super::*;
use crate::analysis::summary::FaultSummary;
use crate::analysis::testing::{Builder, power_off_story};
use crate::fault::FaultKind;

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

#[test]
fn what_was_late_is_told_from_what_failed_and_goodput_is_held_against_the_calm_share() {
    let f = fault(&power_off_story().build());
    assert_eq!((f.failed_requests, f.late_requests), (100, 60));
    // Seconds 10 to 14 have 1,000 visitors, of whom all but 160 were in time.
    assert_eq!(f.lost_goodput, Some(160));
    let half_before = fault(&power_off_story().share(2..10, 0.5).build());
    assert_eq!(half_before.lost_goodput, Some(0), "no fewer than the share before");
}

#[test]
fn one_who_asks_again_is_one_visitor() {
    let mut record = power_off_story().build();
    for row in record.series.iter_mut().filter(|r| r.second == 10) {
        (row.planned, row.timeout, row.repeated) = (300, 200, 100);
    }
    let f = fault(&record);
    assert_eq!((f.failed_requests, f.lost_goodput), (200, Some(160)));
}

#[test]
fn the_calm_seconds_of_a_second_fault_begin_after_the_first() {
    let record = power_off_story()
        .fault("again", FaultKind::Kill, "database/leader", 16.0, "database-1")
        .share(10..15, 0.0)
        .build();
    let found = impacts(&record, &Timeline::of(&record));
    // Nothing between the heal at 15.25 s and 16 s is a whole second.
    assert_eq!(found[1].0.lost_goodput, None);
}

#[test]
fn the_budget_is_spent_by_the_workbooks_formula() {
    let spent = fault(&power_off_story().build()).budget.unwrap();
    assert_eq!((spent.slo, spent.requests), (0.99, 160));
    // 2,960 of the measured phases leave 29.6; 160 are 5.4 times as many.
    assert!((spent.of_load.unwrap() - 160.0 / 29.6).abs() < 1e-9);
    // Half of one second and 30 % of the next.
    assert!((spent.minutes - 0.8 / 60.0).abs() < 1e-12);
    assert!((spent.minutes_in_30_days - 432.0).abs() < 1e-9);
    assert!((spent.of_30_days.unwrap() - 0.8 / 60.0 / 432.0).abs() < 1e-12);
}

#[test]
fn the_phases_of_a_failover_are_told_apart() {
    let record = Builder::new("horizontal")
        .leader_killed_at(10.0, 0.8)
        .event(10.5, EventKind::BecameReplica, "database-3", "2")
        .event(9.0, EventKind::BecameReplica, "database-3", "1")
        .writes(0..10_000, 50)
        // Still acknowledged by the old one, or by none that counts.
        .writes(10_300..10_301, 50)
        .writes(10_900..20_000, 50)
        .build();
    let f = fault(&record);
    let phases = f.failover.unwrap();
    assert_eq!(phases.noticed_after_s, Some(0.5));
    assert_eq!(phases.noticed_by.as_deref(), Some("database-3 follows another"));
    assert_eq!(phases.leader_after_s, Some(0.8));
    assert!((phases.first_write_after_s.unwrap() - 0.905).abs() < 1e-9, "{phases:?}");
    assert_eq!(phases.first_read_after_s, None);
    assert!((f.election_bound_s.unwrap() - 1.651).abs() < 1e-9, "{:?}", f.election_bound_s);
    assert_eq!(f.detection_bound_s, None, "no app was hit");
    let app = fault(&power_off_story().build());
    assert_eq!((app.failover, app.election_bound_s), (None, None));
    assert_eq!(app.detection_bound_s, Some(0.75));
}

#[test]
fn without_a_new_leader_the_first_write_ends_the_gap() {
    let record = Builder::new("vertical")
        .fault("kill", FaultKind::Kill, "database/leader", 10.0, "database-1")
        .writes(0..10_000, 50)
        .writes(14_000..20_000, 50)
        .build();
    let f = fault(&record);
    assert!((f.failover.unwrap().first_write_after_s.unwrap() - 4.005).abs() < 1e-9);
    let outage = f.write_outage.unwrap();
    let (expected, unavailable) = (outage.expected_gap_s.unwrap(), outage.unavailable_s.unwrap());
    assert!((expected - 10.0 / 120.0).abs() < 1e-9, "{outage:?}");
    assert!((unavailable - (outage.longest_s - expected)).abs() < 1e-9);
    assert_eq!((outage.from_s, outage.until_s), (Some(0.0), Some(4.005)));
}

fn of_kind(target: &str, kind: &str, on: &str, object: &str) -> Builder {
    let kind: FaultKind = toml::from_str(&format!("kind = \"{kind}\"")).unwrap();
    Builder::new(target).fault("f", kind, on, 10.0, object)
}

#[test]
fn a_fault_on_all_apps_has_their_role_and_is_noticed() {
    let record = of_kind("horizontal", "kill", "app", "app-1 app-2 app-3 app-4")
        .event(10.6, EventKind::MemberDown, "balancer-1", "app-3")
        .build();
    let f = fault(&record);
    assert_eq!(f.roles, ["app"]);
    assert_eq!((f.detected_after_s, f.detection_bound_s), (Some(0.6), Some(0.75)));
}

#[test]
fn a_fault_on_links_is_noticed_at_either_end() {
    let cut = |object| of_kind("horizontal", "partition", "app->balancer", object);
    let record = cut("app-1->balancer-1 app-2->balancer-1")
        .event(10.7, EventKind::MemberDown, "balancer-1", "app-2")
        .build();
    let f = fault(&record);
    assert_eq!(
        (f.roles.as_slice(), f.detected_after_s),
        (["balancer".into()].as_slice(), Some(0.7))
    );
    assert_eq!(f.detection_bound_s, Some(0.75));
}

#[test]
fn a_leader_that_is_cut_off_is_followed_by_one_of_those_it_no_longer_reaches() {
    let cut_off = "database-1->database-2 database-1->database-3";
    let record = of_kind("horizontal", "partition", "database/leader->database", cut_off)
        .event(1.0, EventKind::BecameLeader, "database-1", "1")
        .event(10.9, EventKind::BecameLeader, "database-3", "2")
        .build();
    let f = fault(&record);
    assert_eq!(f.failed_over_after_s, Some(0.9));
    let phases = f.failover.unwrap();
    assert_eq!(phases.noticed_by.as_deref(), Some("database-3 became the leader"));
    assert!(f.election_bound_s.unwrap() > 1.651, "silence takes longer: {:?}", f.election_bound_s);
}

#[test]
fn memory_taken_from_one_node_is_taken_from_its_server() {
    let f = fault(&of_kind("vertical", "memory\"\nto = \"1MiB", "app-1", "app-1").build());
    assert_eq!(f.roles, ["app", "database"]);
}

/// Healed with this proof of what it did.
fn healed_with(builder: Builder, proof: &str) -> FaultSummary {
    let mut record = builder.build();
    for event in record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed) {
        event.detail = format!("mechanism=cpu quota; proof={proof}");
    }
    fault(&record)
}

#[test]
fn what_a_fault_did_is_told_when_it_is_healed() {
    let throttled =
        |object| of_kind("horizontal", "throttle\"\nto = 0.5\nby = \"quota", "app", object);
    let none = "no effect: never throttled in 5.0 s, used 3 ms; now 0.1 cores";
    let f = healed_with(throttled("app-1"), none);
    assert_eq!((f.heal_proof.as_deref(), f.had_no_effect), (Some(none), true));
    let some = "throttled for 2.1 s of 5.0 s; now 0.1 cores";
    assert!(!healed_with(throttled("app-1"), some).had_no_effect);
    let one_of_two = format!("{some}, {none}");
    assert!(!healed_with(throttled("app-1 app-2"), &one_of_two).had_no_effect);
    assert!(healed_with(throttled("app-1 app-2"), &format!("{none}, {none}")).had_no_effect);
    // Two nodes of one server are throttled once.
    let server =
        of_kind("vertical", "throttle\"\nto = 0.5\nby = \"quota", "server:app-1", "main-1");
    assert!(healed_with(server, none).had_no_effect);
    let silent = fault(&power_off_story().build());
    assert_eq!((silent.heal_proof, silent.had_no_effect, silent.heal_failed), (None, false, None));
}

#[test]
fn what_could_not_be_healed_says_why() {
    let mut record = power_off_story().build();
    for event in record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed) {
        (event.kind, event.detail) = (EventKind::HealFailed, "app-1 did not become ready".into());
    }
    assert_eq!(fault(&record).heal_failed.as_deref(), Some("app-1 did not become ready"));
}

#[test]
fn a_few_late_requests_in_the_last_second_are_no_missing_recovery() {
    let record = power_off_story().share(19..20, 0.985).build();
    assert_eq!(fault(&record).recovery_time_s, Some(1.75), "a last second alone is no window");
}
