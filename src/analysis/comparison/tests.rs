use super::*;
use crate::analysis::summarise;
use crate::analysis::testing::{Builder, trio};
use crate::fault::FaultKind;
use std::ops::Range;

fn compared(records: &[Record]) -> Comparison {
    let summaries: Vec<Summary> = records.iter().map(summarise).collect();
    let runs: Vec<Run<'_>> =
        (records.iter().zip(&summaries)).map(|(record, summary)| Run { record, summary }).collect();
    compare(&runs)
}

/// The cells of the first row of a metric.
fn cells(c: &Comparison, metric: &str) -> Vec<String> {
    let row = c.rows.iter().find(|r| r.metric == metric);
    row.map(|r| r.cells.iter().map(Cell::to_string).collect()).unwrap_or_default()
}

#[test]
fn the_same_target_twice_is_no_difference() {
    for target in ["vertical", "horizontal", "garage"] {
        let drowned = |b: Builder| if target == "garage" { b.overloaded(6..20) } else { b };
        let c = compared(&[
            drowned(Builder::new(target)).build(),
            drowned(Builder::new(target)).cost_ms(1.8).build(),
        ]);
        assert!(c.sentences[0].starts_with("No difference"), "{:?}", c.sentences);
        assert_eq!(c.headline, None);
        assert_eq!(c.verdict, Verdict::Pass, "{:?}", c.reasons);
        assert_eq!(c.targets[1], format!("{target} (2)"));
    }
}

#[test]
fn overload_is_named_with_what_was_exhausted_and_has_no_percentile() {
    let c = compared(&trio());
    let peak = c.rows.iter().position(|r| r.label == "peak 200/s").unwrap();
    assert_eq!(c.rows[peak].cells[0].to_string(), "1 %  FAIL");
    assert_eq!(c.rows[peak + 1].cells[0], Cell::Overloaded);
    let said = c.sentences.join("\n");
    assert!(said.contains("garage answered 55 % of the peak, but only 1 % in time (main-1 was out of CPU, 98 % of its 0.20 cores used)"), "{said}");
}

#[test]
fn equal_budgets_are_compared_and_faults_counted_only_where_attributable() {
    let c = compared(&trio());
    let said = c.sentences.join("\n");
    assert!(
        said.contains("Same 0.90 cores: while nothing breaks (peak), vertical is faster"),
        "{said}"
    );
    assert!(said.contains("When a server dies, requests not in time: horizontal 40, vertical 1,200 (vertical has no other app)"), "{said}");
    assert!(said.contains("By arithmetic, vertical carries 1.4 × more than horizontal"), "{said}");
    assert_eq!(cells(&c, "recovered"), ["(a)", "within 6 s (b)", "within 1 s"]);
    assert_eq!(cells(&c, "noticed after"), ["(a)", "–", "0.75 s (bound 0.75 s)"]);
    let headline = c.headline.as_deref();
    assert_eq!(
        headline,
        Some(
            "vertical is faster while nothing breaks; horizontal keeps more visitors when parts die (not in time: horizontal 40, vertical 1,200); garage cannot carry the load."
        )
    );
    assert_eq!(c.footnotes.len(), 3);
    assert_eq!(c.verdict, Verdict::Pass, "{:?}", c.reasons);
}

#[test]
fn an_invalid_run_makes_no_claims() {
    let mut records = trio();
    records[1] = Builder::new("vertical").start_lag_ms(40.0).build();
    let c = compared(&records);
    assert_eq!(c.verdict, Verdict::Invalid);
    assert_eq!(c.sentences.len(), 1);
    assert!(c.reasons[0].starts_with("vertical: the generator started late"), "{:?}", c.reasons);
}

#[test]
fn different_work_or_load_is_inconclusive() {
    let two = |b: Builder| compared(&[Builder::new("garage").build(), b.build()]);
    let c = two(Builder::new("vertical").cost_ms(1.9));
    assert_eq!(c.verdict, Verdict::Inconclusive);
    assert!(c.reasons[0].contains("1.90 ms of CPU on vertical"), "{:?}", c.reasons);
    let mut other = Builder::new("vertical").build();
    other.manifest.plan.seed = 2;
    let c = compared(&[Builder::new("garage").build(), other]);
    assert!(c.reasons[0].contains("different seeds"), "{:?}", c.reasons);
}

#[test]
fn runs_of_other_machines_make_no_claim_that_the_machine_may_have_made() {
    let mut records = trio();
    records[1].manifest.plan.host.cores = 8;
    let c = compared(&records);
    assert_eq!(c.verdict, Verdict::Inconclusive);
    assert!(c.reasons[0].contains("measured on other machines"), "{:?}", c.reasons);
    let said = [c.sentences.join("\n"), c.headline.unwrap_or_default()].concat();
    for claim in
        ["is faster:", "vertical carries", "No difference", "CPU for 1,000", "cannot carry"]
    {
        assert!(!said.contains(claim), "{claim}: {said}");
    }
    assert!(said.contains("When a server dies"), "{said}");
    assert_eq!(c.header.machines.len(), 3);
    assert!(c.header.machines[1].starts_with("vertical: 8 cores"), "{:?}", c.header.machines);
    assert!(compared(&trio()).header.machines.is_empty());
}

#[test]
fn one_and_six_targets_work_and_a_lost_write_is_always_said() {
    let c = compared(&[Builder::new("solo").writes(0..9_000, 100).read_back(3).build()]);
    assert!(c.sentences.iter().any(|s| s.contains("solo lost 3")), "{:?}", c.sentences);
    let many: Vec<Record> = (0..6).map(|i| Builder::new(&format!("rung-{i}")).build()).collect();
    let c = compared(&many);
    assert!(c.rows.iter().all(|r| r.cells.len() == 6));
}

#[test]
fn a_dead_leader_is_told_by_its_write_outage() {
    let c = compared(&[
        Builder::new("vertical")
            .answered(10..15, 0.0)
            .leader_killed_at(10.0, 90.0)
            .writes(0..10_000, 50)
            .writes(15_200..20_000, 50)
            .build(),
        Builder::new("horizontal")
            .leader_killed_at(10.0, 0.8)
            .writes(0..10_000, 50)
            .writes(10_950..20_000, 50)
            .build(),
    ]);
    let row = c.rows.iter().find(|r| r.metric == "writes out for").unwrap();
    assert_eq!(row.label, "database leader");
    assert_eq!(cells(&c, "writes out for"), ["5.2 s (b)", "1.0 s"]);
    assert_eq!(cells(&c, "new leader"), ["–", "0.80 s (bound 1.65 s)"]);
    let said = c.sentences.join("\n");
    assert!(said.contains("When the database leader is killed, no write is acknowledged for: horizontal 1.0 s (a new leader after 0.80 s), vertical 5.2 s (5 s of it is the assumed repair time)."), "{said}");
}

#[test]
fn a_record_that_ends_at_once_is_invalid_and_not_a_panic() {
    let mut record = trio().remove(2);
    record.series.clear();
    record.nodes.clear();
    record.latency.clear();
    record.history.clear();
    record.is_sealed = false;
    let c = compared(&[record.clone(), record]);
    assert_eq!(c.verdict, Verdict::Invalid);
    assert_eq!(c.headline, None);
}

fn leader_lost(target: &str, failover_s: f64, writes_from_ms: u64, step_ms: u64) -> Builder {
    Builder::new(target)
        .leader_killed_at(10.0, failover_s)
        .writes(0..10_000, step_ms)
        .writes(writes_from_ms..20_000, step_ms)
}

#[test]
fn a_write_outage_below_the_resolution_is_an_upper_bound_and_no_claim() {
    // A write every 200 ms: gaps up to 1.2 s come about by chance.
    let c = compared(&[
        leader_lost("vertical", 90.0, 11_100, 200).build(),
        leader_lost("horizontal", 0.7, 10_800, 200).build(),
    ]);
    let shown = cells(&c, "writes out for");
    assert!(shown.iter().all(|cell| cell.starts_with("under 1.")), "{shown:?}");
    assert_eq!(cells(&c, "new leader"), ["–", "0.70 s (bound 1.65 s)"]);
    assert!(c.findings.iter().all(|f| f.topic != Topic::WriteOutage), "{:?}", c.sentences);
}

#[test]
fn recovery_is_told_in_whole_seconds_and_one_step_is_no_claim() {
    let story = |late: Range<u32>| {
        Builder::new("horizontal")
            .fault("lose-app", FaultKind::PowerOff, "server:app-1", 10.25, "app-1")
            .share(late, 0.5)
            .build()
    };
    let c = compared(&[story(10..12), story(10..11)]);
    assert_eq!(cells(&c, "recovered"), ["within 2 s", "within 1 s"]);
    assert!(c.findings.iter().all(|f| f.topic != Topic::FaultRecovery), "{:?}", c.sentences);
}

#[test]
fn a_late_bunch_long_after_the_fault_is_not_its_recovery() {
    let lost = || {
        Builder::new("horizontal").fault(
            "lose-app",
            FaultKind::PowerOff,
            "server:app-1",
            10.25,
            "app-1",
        )
    };
    let c = compared(&[lost().build(), lost().share(17..18, 0.97).build()]);
    assert_eq!(cells(&c, "recovered"), ["held", "within 8 s (b)"]);
    assert!(c.sentences[0].starts_with("No difference"), "{:?}", c.sentences);
}

#[test]
fn one_bunch_of_late_requests_is_no_difference_between_a_target_and_itself() {
    let lost = |share| {
        Builder::new("horizontal")
            .fault("lose-app", FaultKind::PowerOff, "server:app-1", 10.25, "app-1")
            .share(10..11, share)
            .build()
    };
    // 4 and 40 of 2,000: four and a half standard deviations, and yet one event.
    let c = compared(&[lost(0.98), lost(0.825)]);
    assert!(c.sentences[0].starts_with("No difference"), "{:?}", c.sentences);
    // Likewise in a calm phase: one stall of 0.2 s.
    let c = compared(&[
        Builder::new("vertical").build(),
        Builder::new("vertical").share(7..8, 0.85).build(),
    ]);
    assert!(c.sentences[0].starts_with("No difference"), "{:?}", c.sentences);
}

#[test]
fn a_tail_that_the_quota_alone_makes_is_no_speed() {
    let mut records = vec![Builder::new("vertical").build(), Builder::new("horizontal").build()];
    let speed = |c: &Comparison| c.findings.iter().any(|f| f.topic == Topic::Speed);
    assert!(speed(&compared(&records)));
    for record in &mut records {
        record.manifest.plan.host.quota_stall = Nanos::from_millis(60);
    }
    assert!(!speed(&compared(&records)), "26 and 63 ms are less than one stall apart");
}

#[test]
fn a_throttle_names_the_server_and_the_cores_that_it_took() {
    let slow = |target, node| {
        let to = FaultKind::Throttle { to: 0.25, by: crate::fault::ThrottleBy::Quota };
        Builder::new(target).fault("brown-out", to, "server:app-1", 10.25, node)
    };
    let c = compared(&[
        slow("vertical", "main-1").share(10..16, 0.1).build(),
        slow("horizontal", "app-1").build(),
    ]);
    let at = c.rows.iter().position(|r| r.label == "server of app-1").unwrap();
    assert_eq!(
        (c.rows[at].metric.as_str(), c.rows[at + 1].label.trim()),
        ("in time", "at 25 % CPU")
    );
    assert_eq!(cells(&c, "cores taken"), ["0.68", "0.08"]);
    let said = c.sentences.join("\n");
    assert!(said.contains("With the server of app-1 at 25 % CPU, all is in time again: horizontal within 1 s, vertical within 6 s (5 s of it is the fault's own length)."), "{said}");
}

#[test]
fn hits_are_multiplied_by_the_servers_that_hold_the_role() {
    let c = compared(&trio());
    assert_eq!(cells(&c, "× app servers"), ["(a)", "1,200 × 1 = 1,200", "40 × 4 = 160"]);
}

#[test]
fn the_headline_adds_up_deaths_of_the_same_targets_only() {
    let story = |target: &str, node: &str, share| {
        let throttle = FaultKind::Throttle { to: 0.25, by: crate::fault::ThrottleBy::Quota };
        Builder::new(target)
            .fault("lose-app", FaultKind::PowerOff, "server:app-1", 10.0, node)
            .fault("brown-out", throttle, "server:app-1", 16.0, node)
            .answered(10..13, share)
            .answered(16..18, 0.0)
    };
    let c = compared(&[
        story("vertical", "main-1", 0.0).build(),
        story("horizontal", "app-1", 0.9).build(),
        story("garage", "main-1", 0.0).overloaded(6..20).build(),
    ]);
    let headline = c.headline.unwrap();
    assert!(headline.contains("(not in time: horizontal 60, vertical 600)"), "{headline}");
}

#[test]
fn work_is_compared_on_phases_that_are_calm_in_both() {
    // The base load costs more per request in the quiet phase; the garage has no other calm one.
    let idle = |b: Builder| {
        let mut record = b.build();
        for row in record.nodes.iter_mut().filter(|r| r.node != "brunt" && r.second < 6) {
            row.server_cpu_ns += 20_000_000;
        }
        record
    };
    let c =
        compared(&[idle(Builder::new("garage").overloaded(6..20)), idle(Builder::new("vertical"))]);
    assert!(!c.reasons.iter().any(|r| r.contains("a request took")), "{:?}", c.reasons);
    let last = c.rows.last().unwrap();
    assert_eq!(last.label, "CPU-s per 1,000 answers, calm");
    assert_eq!(last.cells[0].to_string(), last.cells[1].to_string());
}

#[test]
fn what_was_asked_must_have_been_the_same() {
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 5] = [
        ("requests", |r| r.manifest.plan.load.requests[0].path.push('x')),
        ("time-outs", |r| r.manifest.plan.load.timeout = Nanos::from_secs(9)),
        ("faults", |r| r.manifest.plan.faults.clear()),
        ("costs per request", |r| r.manifest.plan.cost_per_request = Nanos(1)),
        ("quota periods", |r| r.manifest.plan.host.period = Nanos::from_millis(100)),
    ];
    for (what, change) in changes {
        let story = || leader_lost("vertical", 0.7, 10_800, 50).build();
        let mut other = story();
        change(&mut other);
        let c = compared(&[story(), other]);
        let seen = c.reasons.iter().any(|r| r.contains(&format!("different {what};")));
        assert!(seen, "{what}: {:?}", c.reasons);
        assert_ne!(c.verdict, Verdict::Pass);
    }
    let mut other = Builder::new("horizontal").build();
    other.manifest.plan.load.requests[0].route = 1;
    assert_eq!(compared(&[Builder::new("vertical").build(), other]).verdict, Verdict::Pass);
}

#[test]
fn several_changes_are_said_in_either_order() {
    for order in [["vertical", "horizontal"], ["horizontal", "vertical"]] {
        let c = compared(&order.map(|target| Builder::new(target).build()));
        let said = c
            .notes
            .iter()
            .any(|n| n.starts_with("horizontal also has") && n.contains("One change at a time"));
        assert!(said, "{:?}", c.notes);
    }
}

#[test]
fn what_the_data_check_did_not_see_is_printed() {
    let mut record = Builder::new("vertical").writes(0..9_000, 100).read_back(0).build();
    record.history[0].key = 2;
    let c = compared(&[record]);
    assert_eq!(cells(&c, "acked / lost"), ["90 / 0 of 89"]);
    assert_eq!(cells(&c, "unchecked"), ["1"]);
    assert_eq!(c.verdict, Verdict::Inconclusive);
    assert_eq!(c.footnotes, Vec::<String>::new(), "nothing died");
}
