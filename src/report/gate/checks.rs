//! A verdict as a list of checks, each of which passed, failed, could not be told or may not be
//! believed: what CI counts.

use super::pairs;
use crate::analysis::stats::PairVerdict;
use crate::analysis::{Doubt, Level, Recovery, Summary};
use crate::gate::{self, GatedPairs, HistoryGate, HistoryMeasure, MeasureResult};
use crate::objective::{Evidence, Met, Objective, Verdict};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checks {
    /// `brunt gate vertical`.
    pub title: String,
    /// What all of them were checked under: the profile.
    pub class: String,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub took_s: f64,
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub name: String,
    pub result: CheckResult,
    /// The numbers, in a line.
    pub seen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    Passed,
    Failed,
    /// It could not be told, or the verdict does not wait for it.
    Open,
    /// The measurement may not be believed, or there is no data.
    Invalid,
}

impl CheckResult {
    pub fn word(self) -> &'static str {
        match self {
            CheckResult::Passed => "pass",
            CheckResult::Failed => "FAIL",
            CheckResult::Open => "undecided",
            CheckResult::Invalid => "INVALID",
        }
    }
}

/// The measurement itself is the first check: without it the others mean nothing.
fn validity(invalid: &[String], open: &[String], otherwise: &str) -> Check {
    let (result, seen) = match (invalid, open) {
        ([], []) => (CheckResult::Passed, otherwise.into()),
        ([], open) => (CheckResult::Open, open.join("; ")),
        (invalid, _) => (CheckResult::Invalid, invalid.join("; ")),
    };
    Check { name: "measurement".into(), result, seen }
}

pub fn checks_of_pairs(gated: &GatedPairs) -> Checks {
    let (case, gate) = (&gated.case, &gated.gate);
    let invalid = if gate.verdict == Verdict::Invalid { gate.reasons.clone() } else { Vec::new() };
    let believed = format!("{} pairs, {} runs left out", gate.pairs, gate.left_out.len());
    let missing = gate.not_judged.iter().map(|m| Check {
        name: m.measure.label().into(),
        result: CheckResult::Open,
        seen: format!("not judged: {}", m.why),
    });
    let mut checks = vec![validity(&invalid, &[], &believed)];
    checks.extend(gate.measures.iter().map(of_measure));
    checks.extend(missing);
    Checks {
        title: format!("brunt gate {} against {}", case.b, case.a),
        class: case.profile.clone(),
        verdict: gate.verdict,
        reasons: gate.reasons.clone(),
        took_s: case.took_s,
        checks,
    }
}

fn of_measure(m: &MeasureResult) -> Check {
    Check { name: m.measure.label().into(), result: of_result(m.result), seen: pairs::line(m) }
}

pub fn checks_of_run(s: &Summary) -> Checks {
    let told = |is: &dyn Fn(&Doubt) -> bool| -> Vec<String> {
        let doubts = s.validity.doubts.iter().filter(|d| is(d));
        doubts.map(|d| format!("{}; {}", d.seen, d.remedy)).collect()
    };
    let invalid = told(&|d| d.level == Level::Invalid);
    let open = told(&gate::is_open);
    let believed = format!("{} requests planned, {} ok", s.ledger.planned, s.ledger.ok);
    let mut checks = vec![validity(&invalid, &open, &believed)];
    checks.extend(s.objectives.iter().map(of_objective));
    checks.extend(s.recovery.as_ref().filter(|_| s.must_recover).map(|r| of_recovery(s, r)));
    Checks {
        title: format!("brunt gate {}", s.target),
        class: s.profile.clone(),
        verdict: s.verdict,
        reasons: s.reasons.clone(),
        took_s: s.duration_s,
        checks,
    }
}

/// The same checks, and those against baselines; the worse verdict is that of both.
pub fn with_baselines(mut checks: Checks, history: &HistoryGate) -> Checks {
    checks.verdict = checks.verdict.max(history.verdict);
    let new = history.reasons.iter().filter(|reason| !checks.reasons.contains(reason));
    let new: Vec<String> = new.cloned().collect();
    checks.reasons.extend(new);
    checks.checks.extend(history.measures.iter().map(of_history));
    checks.checks.extend(history.not_judged.iter().map(|m| Check {
        name: format!("{} against baselines", m.measure.label()),
        result: CheckResult::Open,
        seen: format!("not judged: {}", m.why),
    }));
    if history.measures.is_empty() {
        checks.checks.push(Check {
            name: "baselines".into(),
            result: CheckResult::Open,
            seen: history.reasons.join("; "),
        });
    }
    checks
}

fn of_history(m: &HistoryMeasure) -> Check {
    let unit = gate::unit(m.measure);
    Check {
        name: format!("{} against baselines", m.measure.label()),
        result: of_result(m.result),
        seen: format!(
            "{} → {}, {:+.1} {unit}, chance reaches {:.1} {unit}, margin {:.1} {unit}",
            pairs::value(m.measure, m.baseline),
            pairs::value(m.measure, m.seen),
            m.change * 100.0,
            m.chance * 100.0,
            m.margin * 100.0
        ),
    }
}

fn of_result(result: PairVerdict) -> CheckResult {
    match result {
        PairVerdict::Regression => CheckResult::Failed,
        PairVerdict::Equivalent | PairVerdict::Improvement => CheckResult::Passed,
        PairVerdict::Inconclusive => CheckResult::Open,
    }
}

fn of_recovery(s: &Summary, recovery: &Recovery) -> Check {
    let (result, seen) = match (recovery, gate::unrecovered(s)) {
        (_, Some((Verdict::Fail, why))) => (CheckResult::Failed, why),
        (_, Some((_, why))) => (CheckResult::Open, why),
        (Recovery::Held { after_heal_s }, None) => {
            (CheckResult::Passed, format!("well again {after_heal_s:.0} s after the last heal"))
        }
        (_, None) => (CheckResult::Passed, "well again".into()),
    };
    Check { name: "recovery".into(), result, seen }
}

fn of_objective(o: &Objective) -> Check {
    Check {
        name: o.expression.clone(),
        result: match o.verdict {
            Met::Pass => CheckResult::Passed,
            Met::Fail => CheckResult::Failed,
            Met::Inconclusive => CheckResult::Open,
            Met::NoData => CheckResult::Invalid,
        },
        seen: match (&o.evidence, o.verdict) {
            (_, Met::NoData) => "no data".into(),
            (Some(evidence), _) => evidence_text(evidence),
            (None, _) => {
                o.observed.map_or("not observed".into(), |value| format!("observed {value}"))
            }
        },
    }
}

/// `0.4 % of 12000 broke it [0.3, 0.6], 1 % may`.
fn evidence_text(e: &Evidence) -> String {
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let mut text = format!(
        "{} % of {} broke it [{}, {}], {} % may",
        percent(e.share),
        e.requests,
        percent(e.low),
        percent(e.high),
        percent(e.allowed)
    );
    if e.design_effect > 1.05 {
        text.push_str(&format!(", in bursts: as much evidence as {:.0} apart", e.effective()));
    }
    if let Some(needed) = e.needed {
        text.push_str(&format!(", about {needed} would decide"));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gate::{GateCase, GateRule, Measure, PairGate};

    pub fn measure(measure: Measure, result: PairVerdict, change: f64) -> MeasureResult {
        MeasureResult {
            measure,
            result,
            decides: !measure.is_time(),
            a: if measure.is_time() { 41.2e6 } else { 1.92 },
            b: if measure.is_time() { 41.2e6 } else { 1.92 } * (1.0 + change),
            change,
            low: change - 0.045,
            high: change + 0.047,
            p_holm: 0.004,
            margin: 0.1,
            detectable: Some(0.038),
            pairs_needed: Some(12),
            changes: vec![change; 8],
            outlier: None,
        }
    }

    pub fn gated(verdict: Verdict, measures: Vec<MeasureResult>) -> GatedPairs {
        let case = GateCase {
            a: "old|er".into(),
            b: "new".into(),
            profile: "gate".into(),
            measured_s: 12.5,
            offered_per_s: Some(100.0),
            budget_s: 300.0,
            took_s: 231.4,
        };
        let gate = PairGate {
            verdict,
            reasons: match verdict {
                Verdict::Pass => Vec::new(),
                _ => vec!["response p99 is worse: +16.3 %".into()],
            },
            rule: GateRule::new(7),
            pairs: 8,
            fewest_pairs: 8,
            left_out: Vec::new(),
            measures,
            not_judged: Vec::new(),
        };
        GatedPairs::new(case, gate)
    }

    #[test]
    fn every_measure_is_a_check_after_the_measurement_itself() {
        let checks = checks_of_pairs(&gated(
            Verdict::Fail,
            vec![
                measure(Measure::Cpu, PairVerdict::Equivalent, 0.01),
                measure(Measure::P99, PairVerdict::Regression, 0.163),
                measure(Measure::P50, PairVerdict::Inconclusive, 0.05),
            ],
        ));
        let results: Vec<_> = checks.checks.iter().map(|c| (c.name.as_str(), c.result)).collect();
        assert_eq!(
            results,
            [
                ("measurement", CheckResult::Passed),
                ("CPU per 1000 ok", CheckResult::Passed),
                ("response p99", CheckResult::Failed),
                ("response p50", CheckResult::Open),
            ]
        );
        assert!(checks.checks[2].seen.contains("+16.3 % [+11.8, +21.0]"), "{:?}", checks.checks[2]);
        let invalid = checks_of_pairs(&gated(Verdict::Invalid, Vec::new()));
        assert_eq!(invalid.checks[0].result, CheckResult::Invalid);
    }
}
