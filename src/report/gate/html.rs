//! Pairs as a page: the decision, its table, and for each measure a dot for every pair.

use super::pairs;
use crate::analysis::Summary;
use crate::gate::{self, GatedPairs, MeasureResult};
use crate::objective::Verdict;
use crate::report::html::{
    Frame, figure, named_rows, scroll, significant, validity, verdict_card, without_scripts,
};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeSet;

/// What is drawn.
#[derive(Debug, Serialize)]
struct PairData {
    measures: Vec<MeasureData>,
    /// The number of the last pair.
    last: usize,
}

/// Everything in percent or percentage points, as `unit` says.
#[derive(Debug, Serialize)]
struct MeasureData {
    id: String,
    unit: &'static str,
    pairs: Vec<usize>,
    changes: Vec<f64>,
    change: f64,
    low: f64,
    high: f64,
    /// With the sign of what is worse.
    margin: f64,
    outlier: Option<usize>,
}

/// `runs` are those whose records are at hand, with their names.
pub fn gate_html(g: &GatedPairs, runs: &[(String, Summary)]) -> String {
    let (case, gate) = (&g.case, &g.gate);
    let title = format!("{} against {}", case.b, case.a);
    let numbers = judged(g);
    let data = PairData {
        last: numbers.last().copied().unwrap_or(0),
        measures: gate.measures.iter().map(|m| measure_data(m, &numbers)).collect(),
    };
    let frame = Frame {
        title: &title,
        meta: pairs::subject(g),
        sections: vec![
            ("verdict", "Verdict"),
            ("numbers", "Numbers"),
            ("charts", "Pair by pair"),
            ("validity", "Validity"),
        ],
        main: html! {
            (verdict(g))
            section #numbers {
                h2 { "What changed, measure by measure" }
                p.caption { "A is " (case.a) ", B is " (case.b) ". A change is of B against A, in runs close in time." }
                @let rows: Vec<_> = gate.measures.iter().map(pairs::cells).collect();
                (scroll("What changed, measure by measure", named_rows(&pairs::HEAD, &rows)))
                @for note in pairs::notes(g) { p.caption { (note) } }
            }
            (charts(g))
            (believed(g, runs))
        },
        about: vec![
            "one file, works offline; summary.json and the records beside it hold every number"
                .into(),
        ],
        script: include_str!("pairs.js"),
    };
    frame.render(&data)
}

fn verdict(g: &GatedPairs) -> Markup {
    let gate = &g.gate;
    let line = format!("{}  {} pairs judged", gate.verdict, gate.pairs);
    let lead = match gate.verdict {
        Verdict::Pass => "No measure that decides is worse.".into(),
        Verdict::Fail => format!("{} is worse than {}.", g.case.b, g.case.a),
        Verdict::Inconclusive => "It cannot be told yet.".into(),
        Verdict::Invalid => "These pairs say nothing.".to_string(),
    };
    let sentences: Vec<String> =
        std::iter::once(lead).chain(gate.reasons.iter().cloned()).collect();
    verdict_card(gate.verdict, &line, &[], &sentences)
}

fn charts(g: &GatedPairs) -> Markup {
    html! {
        section #charts {
            h2 { "Pair by pair" }
            p.caption {
                "A dot is a pair of runs, in the order in which they were run: how much more or less B had than A. The square is all pairs together, its bar and the grey band the 95 % interval. Beyond the dashed line it is worse by more than the margin: worse is what has its whole interval there, not worse what has none of it there. A diamond lies far from the others."
            }
            (without_scripts())
            @if g.gate.measures.is_empty() { p.caption { "No measure could be compared." } }
            div.beside {
                @for m in &g.gate.measures {
                    (figure(&id(m), m.measure.label(), &pairs::line(m), None))
                }
            }
        }
    }
}

fn believed(g: &GatedPairs, runs: &[(String, Summary)]) -> Markup {
    let checked: Vec<(Markup, &Summary)> =
        runs.iter().map(|(name, summary)| (html! { (name) }, summary)).collect();
    html! {
        section #validity {
            h2 { "May these numbers be believed?" }
            @if g.gate.left_out.is_empty() {
                p { "No run was left out." }
            } @else {
                ul {
                    @for l in &g.gate.left_out { li { "pair " (l.pair) " is left out, " (l.side) ": " (l.why) } }
                }
            }
            @if checked.is_empty() {
                p.caption { "The records of the runs, which hold their checks, are not beside this page." }
            } @else {
                (validity(&checked))
            }
        }
    }
}

fn id(m: &MeasureResult) -> String {
    format!("pairs-{}", m.measure.name())
}

/// The numbers of the pairs that were judged: all that were run but those left out.
fn judged(g: &GatedPairs) -> Vec<usize> {
    let out: BTreeSet<usize> = g.gate.left_out.iter().map(|l| l.pair).collect();
    (1..=g.gate.pairs + out.len()).filter(|n| !out.contains(n)).collect()
}

fn measure_data(m: &MeasureResult, numbers: &[usize]) -> MeasureData {
    let percent = |share: f64| significant(share * 100.0);
    let worse = if gate::is_more_better(m.measure) { -1.0 } else { 1.0 };
    MeasureData {
        id: id(m),
        unit: gate::unit(m.measure),
        pairs: numbers.to_vec(),
        changes: m.changes.iter().copied().map(percent).collect(),
        change: percent(m.change),
        low: percent(m.low),
        high: percent(m.high),
        margin: percent(m.margin * worse),
        outlier: m.outlier,
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{gated, measure};
    use super::*;
    use crate::analysis::stats::PairVerdict;
    use crate::analysis::testing::with_trio;
    use crate::gate::{LeftOut, Measure};

    #[test]
    fn every_pair_that_was_judged_is_a_dot_under_its_own_number() {
        let mut g = gated(
            Verdict::Fail,
            vec![
                measure(Measure::P99, PairVerdict::Regression, 0.163),
                measure(Measure::Throughput, PairVerdict::Equivalent, -0.01),
            ],
        );
        g.gate.left_out =
            ['A', 'B'].map(|side| LeftOut { pair: 3, side, why: "late".into() }).into();
        let numbers = judged(&g);
        assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8, 9]);
        let [p99, throughput] = [0, 1].map(|at| measure_data(&g.gate.measures[at], &numbers));
        assert_eq!((p99.pairs.len(), p99.changes[0], p99.margin), (8, 16.3, 10.0));
        assert_eq!((throughput.margin, throughput.unit), (-10.0, "%"), "less of it is worse");
    }

    #[test]
    fn the_page_says_the_verdict_without_scripts_and_names_stay_names() {
        let mut g =
            gated(Verdict::Fail, vec![measure(Measure::P99, PairVerdict::Regression, 0.163)]);
        g.case.b = "</script><b>x".into();
        with_trio(|_, runs| {
            let page = gate_html(&g, &[("pair-01-a".into(), runs[0].summary.clone())]);
            assert!(page.len() < 3_000_000, "{}", page.len());
            let before_scripts = &page[..page.find("<script").unwrap()];
            for text in ["FAIL", "response p99 is worse", "+16.3 %", "pair-01-a", "no doubt"] {
                assert!(before_scripts.contains(text), "{text}");
            }
            assert!(!page.contains("<b>x"));
        });
    }
}
