use super::*;
use crate::analysis::summarise;
use crate::analysis::testing::{Builder, trio};

fn compared(records: &[Record]) -> Comparison {
    let summaries: Vec<Summary> = records.iter().map(summarise).collect();
    let runs: Vec<Run<'_>> =
        (records.iter().zip(&summaries)).map(|(record, summary)| Run { record, summary }).collect();
    compare(&runs)
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
    let out = c.rows.iter().find(|r| r.metric == "out for").unwrap();
    let cells: Vec<String> = out.cells.iter().map(Cell::to_string).collect();
    assert_eq!(cells, ["(a)", "5.8 s (b)", "0.8 s (bound 0.75 s)"]);
    let headline = c.headline.as_deref();
    assert_eq!(
        headline,
        Some(
            "vertical is faster while nothing breaks; horizontal fails fewer visitors when parts die (40 against 1,200); garage cannot carry the load."
        )
    );
    assert_eq!(c.footnotes.len(), 2);
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
fn one_and_six_targets_work_and_a_lost_write_is_always_said() {
    let c = compared(&[Builder::new("solo").writes(0..9_000, 100).read_back(3).build()]);
    assert!(c.sentences.iter().any(|s| s.contains("solo lost 3")), "{:?}", c.sentences);
    let many: Vec<Record> = (0..6).map(|i| Builder::new(&format!("rung-{i}")).build()).collect();
    let c = compared(&many);
    assert!(c.rows.iter().all(|r| r.cells.len() == 6));
}
