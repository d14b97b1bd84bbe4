use super::*;
use crate::analysis::testing::{Builder, power_off_story};
use crate::analysis::{Summary, summarise};
use crate::record::Record;

fn with_run(record: &Record, see: impl FnOnce(Run<'_>)) {
    let summary: Summary = summarise(record);
    see(Run { record, summary: &summary });
}

fn ran<'a>(name: &'a str, runs: Vec<Run<'a>>) -> Drilled<'a> {
    Drilled { name, about: "a test", outcome: DrillOutcome::Ran(runs) }
}

fn heal_at(record: &mut Record, at_ns: u64) {
    use crate::record::EventKind::FaultHealed;
    for event in record.events.iter_mut().filter(|e| e.kind == FaultHealed) {
        event.at_ns = at_ns;
    }
}

#[test]
fn a_row_says_what_broke_whom_it_hit_and_what_it_cost() {
    with_run(&power_off_story().build(), |run| {
        let card = drill_card(None, &[ran("server-lost", vec![run])]);
        let row = &card.rows[0];
        assert_eq!(
            (row.broke.what.as_str(), row.broke.how.as_str()),
            ("app-1", "silent, as without power")
        );
        assert_eq!((row.noticed_after_s, row.out.until_in_time_s), (Some(0.75), Some(1.75)));
        assert_eq!((row.failed_requests, row.late_requests), (100, 60));
        assert!((row.lost_minutes.unwrap() - 160.0 / 200.0 / 60.0).abs() < 1e-9);
        assert_eq!(row.came_back, ComeBack::BeforeHeal);
        assert!((card.budget_minutes - (1.0 - card.in_time_needed) * 43_200.0).abs() < 1e-6);
        assert!(!card.kinds_not_tested.contains(&"power-off".into()));
        assert!(card.kinds_not_tested.contains(&"loss".into()));
    });
}

#[test]
fn how_it_came_back_is_told_apart() {
    let came_back = |builder: Builder, healed_s: u64| {
        let mut record = builder.build();
        heal_at(&mut record, healed_s * 1_000_000_000);
        let mut found = ComeBack::Unknown;
        with_run(&record, |run| {
            found = drill_card(None, &[ran("d", vec![run])]).rows[0].came_back;
        });
        found
    };
    assert_eq!(came_back(power_off_story(), 15), ComeBack::BeforeHeal);
    assert_eq!(came_back(power_off_story().answered(10..20, 1.0), 15), ComeBack::Held);
    let until_healed = power_off_story().answered(10..16, 0.1);
    assert_eq!(came_back(until_healed, 15), ComeBack::AfterHeal { after_s: 1.0 });
    assert_eq!(came_back(power_off_story().answered(10..20, 0.1), 15), ComeBack::Never);
}

#[test]
fn what_was_not_done_is_told_with_its_reason() {
    let mut record = power_off_story().build();
    record.events.retain(|e| e.subject != "lose-app");
    with_run(&record, |run| {
        let drills = [
            ran("server-lost", vec![run]),
            Drilled {
                name: "kill-balancer",
                about: "b",
                outcome: DrillOutcome::DoesNotFit("no role `balancer`"),
            },
            Drilled { name: "x", about: "y", outcome: DrillOutcome::NotRun("interrupted") },
        ];
        let card = drill_card(None, &drills);
        let told: Vec<(&str, &str)> =
            card.not_tested.iter().map(|n| (n.what.as_str(), n.why.as_str())).collect();
        assert_eq!(told[0], ("kill-balancer", "no role `balancer`"));
        assert!(card.not_tested[0].does_not_fit && !card.not_tested[1].does_not_fit);
        assert_eq!(told[1], ("x", "interrupted"));
        assert!(told[2].0 == "server-lost" && told[2].1.contains("ended before"), "{told:?}");
        assert!(card.kinds_not_tested.contains(&"power-off".into()));
    });
}

#[test]
fn the_control_run_gives_the_worst_that_happens_anyway() {
    with_run(&Builder::new("horizontal").share(12..13, 0.9).build(), |run| {
        let card = drill_card(Some(&run), &[]);
        let control = card.control.unwrap();
        assert_eq!(control.worst_share, Some(0.95));
        assert!(control.is_valid, "{:?}", control.reasons);
        assert_eq!(control.failed_requests, 0);
    });
}

#[test]
fn several_runs_of_one_drill_are_trials() {
    with_run(&power_off_story().build(), |run| {
        let card = drill_card(None, &[ran("server-lost", vec![run, run])]);
        assert_eq!(card.rows[1].label(), "server-lost 2");
        assert_eq!((card.trials.len(), card.trials[0].trials), (1, 2));
    });
}

#[test]
fn every_kind_of_fault_has_its_name_in_the_list() {
    for name in FaultKind::NAMES {
        let keys = "to = 0.5\ncores = 1.0\nrate = \"1MiB\"\ndelay = \"1ms\"\nbytes = \"1B\"\nshare = 0.5\n";
        let number = keys.replace("0.5\n", "5\n");
        let sized = keys.replace("to = 0.5", "to = \"1MiB\"");
        let read = |keys: &str| {
            toml::from_str::<FaultKind>(&format!("kind = \"{name}\"\n{keys}")).map(|k| k.name())
        };
        let found = [read(keys), read(&number), read(&sized)].into_iter().find_map(Result::ok);
        assert_eq!(found, Some(name));
    }
}
