//! A measure of pairs in words: the same ones in text and in Markdown.

use crate::analysis::stats::PairVerdict;
use crate::base::Nanos;
use crate::gate::{self, GatedPairs, Measure, MeasureResult};
use crate::objective::Verdict;

pub const HEAD: [&str; 9] =
    ["", "A", "B", "change", "95 % interval", "margin", "detects", "p (Holm)", ""];

/// One row of the table.
pub fn cells(m: &MeasureResult) -> [String; 9] {
    let unit = gate::unit(m.measure);
    let signed = |share: f64| format!("{:+.1}", share * 100.0);
    [
        m.measure.label().into(),
        value(m.measure, m.a),
        value(m.measure, m.b),
        format!("{} {unit}", signed(m.change)),
        format!("[{}, {}]", signed(m.low), signed(m.high)),
        format!("{:.1} {unit}", m.margin * 100.0),
        m.detectable.map_or("–".into(), |least| format!("{:.1} {unit}", least * 100.0)),
        format!("{:.3}", m.p_holm),
        word(m).into(),
    ]
}

/// The same in a line.
pub fn line(m: &MeasureResult) -> String {
    let [_, a, b, ..] = cells(m);
    format!("{a} → {b}, {}: {}", gate::change_text(m), word(m))
}

pub fn value(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Cpu => format!("{value:.3} s"),
        Measure::Errors => format!("{:.2} %", value * 100.0),
        Measure::Throughput => format!("{value:.1}/s"),
        _ => Nanos(value.max(0.0) as u64).to_string(),
    }
}

fn word(m: &MeasureResult) -> &'static str {
    match (m.result, m.decides) {
        (PairVerdict::Regression, _) => "WORSE",
        (PairVerdict::Equivalent, _) => "not worse",
        (PairVerdict::Improvement, _) => "better",
        (PairVerdict::Inconclusive, true) => "UNDECIDED",
        (PairVerdict::Inconclusive, false) => "undecided",
    }
}

/// What was run.
pub fn subject(g: &GatedPairs) -> String {
    let (case, gate) = (&g.case, &g.gate);
    let rate = case.offered_per_s.map_or("a closed loop".into(), |rate| format!("{rate:.0}/s"));
    format!(
        "profile {}, seed {}, {} pairs, {:.1} s at {rate} each, took {:.0} s of {:.0} s",
        case.profile, gate.rule.seed, gate.pairs, case.measured_s, case.took_s, case.budget_s
    )
}

/// What this many pairs could not have shown, what was left out, and what was not judged.
pub fn notes(g: &GatedPairs) -> Vec<String> {
    let gate = &g.gate;
    let detect = gate.rule.detect;
    let blind: Vec<String> = (gate.measures.iter())
        .filter(|m| gate::unit(m.measure) == "%" && !m.can_detect(detect))
        .map(|m| {
            let least = m.detectable.map_or("no change".into(), |d| format!("{:.0} %", d * 100.0));
            let pairs =
                m.pairs_needed.map_or(String::new(), |n| format!(", about {n} pairs needed"));
            format!("{} ({least} would{pairs})", m.measure.label())
        })
        .collect();
    let mut notes = Vec::new();
    if !blind.is_empty() {
        notes.push(format!(
            "not shown by this budget: a change of {:.0} % would often go unseen in {}",
            detect * 100.0,
            blind.join(", ")
        ));
    }
    for m in gate.measures.iter().filter_map(|m| Some((m.measure.label(), m.outlier?))) {
        notes.push(format!("{}: pair {} lies far from the others", m.0, m.1));
    }
    notes.extend(
        gate.not_judged.iter().map(|m| format!("{} not judged: {}", m.measure.label(), m.why)),
    );
    notes.extend(
        gate.left_out.iter().map(|l| format!("pair {} left out, {}: {}", l.pair, l.side, l.why)),
    );
    let silent = gate.measures.iter().any(|m| !m.decides && m.result == PairVerdict::Inconclusive);
    if silent && gate.verdict == Verdict::Pass {
        notes.push(
            "the verdict does not wait for undecided times; name one with --margin to make it wait"
                .into(),
        );
    }
    notes
}
