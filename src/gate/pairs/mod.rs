//! Is B worse than A? The decision over interleaved pairs of runs, a pure function of their
//! summaries: validity first, then effect, interval and margin of each measure, Holm over all.

mod case;
mod measure;
#[cfg(test)]
mod simulated;
#[cfg(test)]
pub(super) mod tests;

pub use case::{GateCase, GatedPairs, KIND};
pub use measure::{ABOVE_NEEDED, Measure};

use crate::analysis::stats::{
    Better, Effect, Judged, Metric, PairRule, PairVerdict, Scale, detectable, effect, fewest_pairs,
    judge_pairs, margin_to_detect, needed_pairs,
};
use crate::analysis::{About, Level, SLOW_SHARE, Summary};
use crate::objective::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The change that is looked for when nothing is said.
pub const DETECT: f64 = 0.1;
/// Of the pairs that were run, the share that may be left out as not to be believed.
const LEFT_OUT_MAX: f64 = 0.25;

/// What is asked of the pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateRule {
    /// The change, a share, that must be found: 0.1 is 10 %.
    pub detect: f64,
    /// Margins that were given, as shares (of errors: a difference). Naming a measure also makes the
    /// verdict wait for it.
    pub margins: BTreeMap<Measure, f64>,
    pub seed: u64,
}

impl GateRule {
    pub fn new(seed: u64) -> GateRule {
        GateRule { detect: DETECT, margins: BTreeMap::new(), seed }
    }
}

/// One run of each, close in time.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Counted from 1, in the order in which they were run.
    pub number: usize,
    pub a: &'a Summary,
    pub b: &'a Summary,
}

/// The decision and everything it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairGate {
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub rule: GateRule,
    /// Pairs that were judged.
    pub pairs: usize,
    /// Pairs without which no regression of these measures can be significant.
    pub fewest_pairs: usize,
    pub left_out: Vec<LeftOut>,
    pub measures: Vec<MeasureResult>,
    pub not_judged: Vec<NotJudged>,
}

/// A pair of which a run may not be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub pair: usize,
    /// `A` or `B`.
    pub side: char,
    pub why: String,
}

/// A measure that there is no data for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotJudged {
    pub measure: Measure,
    pub why: String,
}

/// One measure. Changes are of B against A as people read them, +0.16 for 16 % more; of errors,
/// differences of shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureResult {
    pub measure: Measure,
    pub result: PairVerdict,
    /// Whether the verdict waits for it.
    pub decides: bool,
    /// The middle of all runs: geometric mean of a ratio, mean of a difference.
    pub a: f64,
    pub b: f64,
    pub change: f64,
    /// 95 %, of the change.
    pub low: f64,
    pub high: f64,
    /// Sign-flip permutation, Holm over the measures.
    pub p_holm: f64,
    /// From which size a worsening is a regression.
    pub margin: f64,
    /// The smallest true change found in 80 % of comparisons of so many pairs; `None` when none is.
    pub detectable: Option<f64>,
    /// Pairs after which the change looked for would be found so; `None` when no number would do, or
    /// for a difference.
    pub pairs_needed: Option<usize>,
    /// Of each pair that was judged.
    pub changes: Vec<f64>,
    /// The pair that pulls the mean away from the middle.
    pub outlier: Option<usize>,
}

impl MeasureResult {
    /// Whether a change of the size looked for would mostly have been seen.
    pub fn can_detect(&self, size: f64) -> bool {
        self.detectable.is_some_and(|least| least <= size + 1e-12)
    }
}

impl PairGate {
    /// `CPU per 1000 ok +11.6 %`, of what the verdict will wait for: to look at, not to decide by.
    pub fn changes_so_far(&self) -> Vec<String> {
        let text = |m: &MeasureResult| {
            format!("{} {:+.1} {}", m.measure.label(), m.change * 100.0, unit(m.measure))
        };
        self.measures.iter().filter(|m| m.decides).map(text).collect()
    }
}

/// Whether a study that planned so many pairs runs another one: a pair that may not be believed is
/// run again, as long as not too many were left out for any verdict.
pub fn wants_another(planned: usize, ran: usize, believed: usize) -> bool {
    let spare = (planned as f64 * LEFT_OUT_MAX).floor() as usize;
    believed < planned && ran - believed <= spare
}

/// Why a run may not enter a comparison.
pub fn unbelievable(s: &Summary) -> Option<String> {
    // Whichever side it hits.
    if let Some(why) = s.slow_machine(SLOW_SHARE) {
        return Some(why.into());
    }
    let mut doubts = s.validity.doubts.iter();
    let invalid = doubts.find(|d| d.level == Level::Invalid || d.about == About::Guard);
    match invalid {
        Some(doubt) => Some(doubt.seen.clone()),
        None if s.verdict == Verdict::Invalid => Some(s.reasons.join("; ")),
        None if s.ledger.planned == 0 => Some("no request was measured".into()),
        None => None,
    }
}

/// Judges the pairs.
pub fn judge_pair_runs(pairs: &[Pair<'_>], rule: &GateRule) -> PairGate {
    let (left_out, kept) = believed(pairs);
    let mut gate = PairGate {
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        rule: rule.clone(),
        pairs: kept.len(),
        fewest_pairs: fewest_pairs(Measure::USUAL, PairRule::new(rule.seed).alpha),
        left_out,
        measures: Vec::new(),
        not_judged: Vec::new(),
    };
    if let Some(reason) = too_much_left_out(&gate, pairs.len()) {
        (gate.verdict, gate.reasons) = (Verdict::Invalid, vec![reason]);
        return gate;
    }
    let (data, not_judged) = data(&kept, rule);
    gate.not_judged = not_judged;
    gate.measures = measures(&data, &kept, rule);
    gate.fewest_pairs = fewest_pairs(data.len(), PairRule::new(rule.seed).alpha);
    (gate.verdict, gate.reasons) = decide(&gate);
    gate
}

fn believed<'a>(pairs: &[Pair<'a>]) -> (Vec<LeftOut>, Vec<Pair<'a>>) {
    let mut left_out = Vec::new();
    let mut kept = Vec::new();
    for pair in pairs {
        let sides = [('A', pair.a), ('B', pair.b)];
        let doubted: Vec<LeftOut> = sides
            .into_iter()
            .filter_map(|(side, s)| {
                Some(LeftOut { pair: pair.number, side, why: unbelievable(s)? })
            })
            .collect();
        match doubted.is_empty() {
            true => kept.push(*pair),
            false => left_out.extend(doubted),
        }
    }
    (left_out, kept)
}

/// Many runs that may not be believed are a machine that cannot measure this.
fn too_much_left_out(gate: &PairGate, ran: usize) -> Option<String> {
    if ran == 0 {
        return Some("no pair was run".into());
    }
    let lost = ran - gate.pairs;
    if lost as f64 <= ran as f64 * LEFT_OUT_MAX {
        return None;
    }
    let first = gate.left_out.first();
    let why = first
        .map_or(String::new(), |l| format!(", first {} of pair {}: {}", l.side, l.pair, l.why));
    Some(format!("{lost} of {ran} pairs may not be believed{why}"))
}

/// A measure and its values in every pair.
type Values = (Measure, Vec<(f64, f64)>);

/// What can be compared, in order, and why the rest cannot.
fn data(kept: &[Pair<'_>], rule: &GateRule) -> (Vec<Values>, Vec<NotJudged>) {
    let mut data = Vec::new();
    let mut missing = Vec::new();
    let is_named = |measure| rule.margins.contains_key(&measure);
    let mut tail_is_judged = false;
    for measure in Measure::ALL {
        let is_tail = Measure::TAIL.contains(&measure);
        if is_tail && !is_named(measure) && Some(measure) != highest_tail(kept) {
            continue;
        }
        match values(measure, kept) {
            Ok(values) => {
                tail_is_judged |= is_tail;
                data.push((measure, values));
            }
            Err(why) => missing.push(NotJudged { measure, why }),
        }
    }
    if !tail_is_judged && missing.iter().all(|m| !Measure::TAIL.contains(&m.measure)) {
        let why = too_few_answers(Measure::P90, runs(kept));
        missing.push(NotJudged { measure: Measure::P90, why });
    }
    (data, missing)
}

fn runs<'a>(kept: &'a [Pair<'a>]) -> impl Iterator<Item = &'a Summary> {
    kept.iter().flat_map(|pair| [pair.a, pair.b])
}

fn highest_tail(kept: &[Pair<'_>]) -> Option<Measure> {
    let carried = |m: &Measure| runs(kept).all(|s| m.is_carried_by(&s.response_time_ns));
    Measure::TAIL.into_iter().find(carried)
}

fn values(measure: Measure, kept: &[Pair<'_>]) -> Result<Vec<(f64, f64)>, String> {
    let is_bounded = measure == Measure::Throughput || measure.is_time();
    if is_bounded && runs(kept).any(|s| s.validity.is_lower_bound) {
        return Err("the generator was the limit of a closed loop, not the target".into());
    }
    if !runs(kept).all(|s| measure.is_carried_by(&s.response_time_ns)) {
        return Err(too_few_answers(measure, runs(kept)));
    }
    let is_usable = |v: &f64| v.is_finite() && (measure.scale() == Scale::Difference || *v > 0.0);
    let of = |s: &Summary| measure.of(s).filter(is_usable);
    let both = kept.iter().map(|pair| Some((of(pair.a)?, of(pair.b)?)));
    both.collect::<Option<Vec<(f64, f64)>>>().ok_or_else(|| {
        match measure {
            Measure::Cpu => "CPU is measured of servers that brunt starts or attaches to",
            Measure::Throughput => "a run had no good answer",
            _ => "a run has no value of it",
        }
        .into()
    })
}

pub(super) fn too_few_answers<'a>(
    measure: Measure,
    runs: impl Iterator<Item = &'a Summary>,
) -> String {
    let fewest = runs.map(|s| s.response_time_ns.count).min().unwrap_or(0);
    let needed = measure.quantile().map_or(0.0, |q| (ABOVE_NEEDED / (1.0 - q)).round());
    format!("{fewest} answers in a run, {measure} needs {needed:.0}: a higher rate or longer runs")
}

fn measures(data: &[Values], kept: &[Pair<'_>], rule: &GateRule) -> Vec<MeasureResult> {
    // The smallest p pays for all measures: what can be detected is told at that level.
    let whole = PairRule::new(rule.seed);
    let strict = PairRule { alpha: whole.alpha / data.len().max(1) as f64, ..whole };
    let metrics: Vec<(Metric, Vec<(f64, f64)>)> = data
        .iter()
        .map(|(measure, values)| {
            let spread = effect(&metric(*measure, rule.detect), values, whole).map(|e| e.deviation);
            let margin = margin(*measure, spread.ok(), kept.len(), rule, strict);
            (metric(*measure, margin), values.clone())
        })
        .collect();
    let Ok(judged) = judge_pairs(&metrics, whole) else { return Vec::new() };
    let has_cpu = data.iter().any(|(measure, _)| *measure == Measure::Cpu);
    let of = |(judged, (measure, values)): (Judged, &Values)| {
        let decides = decides(*measure, has_cpu, rule);
        result(*measure, values, &judged, decides, kept, rule, strict)
    };
    judged.into_iter().zip(data).map(of).collect()
}

pub(super) fn metric(measure: Measure, margin: f64) -> Metric {
    Metric { name: measure.to_string(), better: measure.better(), scale: measure.scale(), margin }
}

/// The margin that was given; else the one with which the change looked for is found in nine of
/// ten comparisons of this spread, at least half of that change: below it, only more pairs help.
fn margin(
    measure: Measure,
    spread: Option<f64>,
    pairs: usize,
    rule: &GateRule,
    strict: PairRule,
) -> f64 {
    if let Some(given) = rule.margins.get(&measure).copied().or(measure.own_margin()) {
        return given;
    }
    let least = rule.detect / 2.0;
    let found = spread.and_then(|s| margin_to_detect(rule.detect, s, pairs, strict));
    found.map_or(least, |margin| margin.max(least))
}

/// Work, errors and what got through decide; times do where no work can be measured, and where a
/// margin was given for them: on a shared machine they would mostly be undecided.
pub(super) fn decides(measure: Measure, has_cpu: bool, rule: &GateRule) -> bool {
    !measure.is_time() || !has_cpu || rule.margins.contains_key(&measure)
}

fn result(
    measure: Measure,
    values: &[(f64, f64)],
    judged: &Judged,
    decides: bool,
    kept: &[Pair<'_>],
    rule: &GateRule,
    strict: PairRule,
) -> MeasureResult {
    let Effect { mean, deviation, low, high, differences, outlier, .. } = &judged.effect;
    let metric = &judged.metric;
    let (one, other) = (metric.change(*low), metric.change(*high));
    let least = metric.change(detectable(*deviation, values.len(), strict)).abs();
    let middle = |of: fn(&(f64, f64)) -> f64| {
        let n = values.len() as f64;
        match metric.scale {
            Scale::Ratio => (values.iter().map(|v| of(v).ln()).sum::<f64>() / n).exp(),
            Scale::Difference => values.iter().map(of).sum::<f64>() / n,
        }
    };
    MeasureResult {
        measure,
        result: judged.verdict,
        decides,
        a: middle(|v| v.0),
        b: middle(|v| v.1),
        change: metric.change(*mean),
        low: one.min(other),
        high: one.max(other),
        p_holm: judged.p_adjusted,
        margin: metric.margin,
        detectable: least.is_finite().then_some(least),
        pairs_needed: match metric.scale {
            Scale::Ratio => needed_pairs(*deviation, rule.detect, 1, strict),
            Scale::Difference => None,
        },
        changes: differences.iter().map(|d| metric.change(*d)).collect(),
        outlier: outlier.and_then(|at| kept.get(at)).map(|pair| pair.number),
    }
}

/// A regression of any measure fails; what the verdict waits for and is not known is no pass.
fn decide(gate: &PairGate) -> (Verdict, Vec<String>) {
    let named = |m: &&NotJudged| gate.rule.margins.contains_key(&m.measure);
    if gate.measures.is_empty() {
        return (Verdict::Invalid, vec!["no measure could be compared".into()]);
    }
    let regressed: Vec<String> = (gate.measures.iter())
        .filter(|m| m.result == PairVerdict::Regression)
        .map(|m| format!("{} is worse: {}", m.measure.label(), change_text(m)))
        .collect();
    if !regressed.is_empty() {
        return (Verdict::Fail, regressed);
    }
    let mut open = Vec::new();
    if gate.pairs < gate.fewest_pairs {
        open.push(format!(
            "{} pairs were judged; with {} measures a regression shows from {} pairs on",
            gate.pairs,
            gate.measures.len(),
            gate.fewest_pairs
        ));
    }
    let undecided =
        gate.measures.iter().filter(|m| m.decides && m.result == PairVerdict::Inconclusive);
    open.extend(undecided.map(|m| {
        format!(
            "{} is undecided: {}{}",
            m.measure.label(),
            change_text(m),
            needed_text(m, gate.pairs)
        )
    }));
    let missing = gate.not_judged.iter().filter(named);
    open.extend(missing.map(|m| format!("{} was not judged: {}", m.measure.label(), m.why)));
    let verdict = if open.is_empty() { Verdict::Pass } else { Verdict::Inconclusive };
    (verdict, open)
}

/// `+16.3 % [+11.8, +21.0], margin 10 %`.
pub fn change_text(m: &MeasureResult) -> String {
    let unit = unit(m.measure);
    format!(
        "{:+.1} {unit} [{:+.1}, {:+.1}], margin {:.1} {unit}",
        m.change * 100.0,
        m.low * 100.0,
        m.high * 100.0,
        m.margin * 100.0
    )
}

/// Changes of a ratio are percent, those of a share percentage points.
pub fn unit(measure: Measure) -> &'static str {
    if measure.scale() == Scale::Difference { "pp" } else { "%" }
}

fn needed_text(m: &MeasureResult, pairs: usize) -> String {
    match m.pairs_needed {
        Some(needed) if needed > pairs => format!("; about {needed} pairs would show it"),
        _ => String::new(),
    }
}

/// Whether more of it is better.
pub fn is_more_better(measure: Measure) -> bool {
    measure.better() == Better::Higher
}
