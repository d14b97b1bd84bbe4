//! Is this run worse than earlier ones? One run against stored baselines, by a prediction interval:
//! where one more run like them would lie. Runs of other times, so it takes several of them to say
//! anything, and what the machine did in between is inside their spread or not known at all.

use super::pairs::{GateRule, Measure, NotJudged, decides, metric, too_few_answers, unbelievable};
use crate::analysis::stats::describe::{deviation, mean};
use crate::analysis::stats::distributions::{beta, t_quantile};
use crate::analysis::stats::{Metric, PairVerdict, Scale};
use crate::analysis::{Summary, asked_differently};
use crate::objective::Verdict;
use crate::plan::Plan;
use serde::Serialize;

/// With fewer baselines their spread is hardly known, and nothing is decided.
pub const FEWEST_BASELINES: usize = 5;
/// One-sided error over all measures together.
const ALPHA: f64 = 0.025;
/// Offered rates within this are the same load.
const SAME_RATE: f64 = 0.01;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryGate {
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    /// Baselines that were compared with.
    pub baselines: usize,
    /// Baselines that may not be believed.
    pub left_out: Vec<String>,
    pub measures: Vec<HistoryMeasure>,
    /// Measures that a margin was given for and that there is no data of.
    pub not_judged: Vec<NotJudged>,
}

/// One measure; changes as people read them, of this run against the middle of the baselines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryMeasure {
    pub measure: Measure,
    pub result: PairVerdict,
    pub decides: bool,
    pub baseline: f64,
    pub seen: f64,
    pub change: f64,
    /// The change that one more run like the baselines passes by chance in 2.5 %, over all measures.
    pub chance: f64,
    pub margin: f64,
}

/// A stored run: its name, its summary and the plan that it was of.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub name: &'a str,
    pub summary: &'a Summary,
    pub plan: &'a Plan,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--baseline {name}: {why}; only runs of one load are compared")]
pub struct NotComparable {
    name: String,
    why: String,
}

/// Judges a run against baselines.
///
/// # Errors
/// When one of them is of another load.
pub fn judge_history(
    run: Stored<'_>,
    baselines: &[Stored<'_>],
    rule: &GateRule,
) -> Result<HistoryGate, NotComparable> {
    baselines.iter().try_for_each(|baseline| same_load(run, *baseline))?;
    let (sound, left_out): (Vec<_>, Vec<_>) =
        baselines.iter().partition(|b| unbelievable(b.summary).is_none());
    let sound: Vec<&Summary> = sound.into_iter().map(|b: Stored<'_>| b.summary).collect();
    let mut gate = HistoryGate {
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        baselines: sound.len(),
        left_out: left_out.into_iter().map(|b: Stored<'_>| b.name.to_string()).collect(),
        measures: Vec::new(),
        not_judged: Vec::new(),
    };
    if let Some(why) = unbelievable(run.summary) {
        (gate.verdict, gate.reasons) = (Verdict::Invalid, vec![why]);
        return Ok(gate);
    }
    if sound.len() < FEWEST_BASELINES {
        gate.verdict = Verdict::Inconclusive;
        gate.reasons = vec![format!(
            "{} baselines can be believed, {FEWEST_BASELINES} are needed to know how runs differ \
             anyway; `brunt compare A B --gate` needs none",
            sound.len()
        )];
        return Ok(gate);
    }
    (gate.measures, gate.not_judged) = measures(run.summary, &sound, rule);
    let machines = other_machines(run, baselines);
    (gate.verdict, gate.reasons) = decide(&gate, machines);
    Ok(gate)
}

fn same_load(run: Stored<'_>, baseline: Stored<'_>) -> Result<(), NotComparable> {
    let (new, old) = (run.plan, baseline.plan);
    let refuse = |why: String| Err(NotComparable { name: baseline.name.into(), why });
    if old.profile != new.profile {
        return refuse(format!("its profile is {}, this run's is {}", old.profile, new.profile));
    }
    let rates =
        (old.load.phases.iter().map(|p| p.rate_to)).zip(new.load.phases.iter().map(|p| p.rate_to));
    let is_same = |(old, new): (f64, f64)| (old - new).abs() <= SAME_RATE * old.max(new);
    let ends = |plan: &Plan| plan.load.phases.iter().map(|p| p.end).collect::<Vec<_>>();
    if ends(old) != ends(new) || !rates.into_iter().all(is_same) {
        return refuse("its phases have other rates or lengths".into());
    }
    if let Some(what) = asked_differently(old, new) {
        return refuse(format!("it had other {what}"));
    }
    // When they come may be drawn from the seed.
    let faults = |plan: &Plan| plan.faults.iter().map(|f| f.kind.clone()).collect::<Vec<_>>();
    match faults(old) == faults(new) {
        true => Ok(()),
        false => refuse("it had other faults".into()),
    }
}

/// Baselines of a machine that is not this run's.
fn other_machines(run: Stored<'_>, baselines: &[Stored<'_>]) -> Vec<String> {
    let facts = |plan: &Plan| {
        let host = &plan.host;
        (host.cores, host.kernel.clone(), host.quota_mechanism.clone(), host.stack_cpus.clone())
    };
    let is_other = |b: &&Stored<'_>| facts(b.plan) != facts(run.plan);
    baselines.iter().filter(is_other).map(|b| b.name.to_string()).collect()
}

fn measures(
    run: &Summary,
    baselines: &[&Summary],
    rule: &GateRule,
) -> (Vec<HistoryMeasure>, Vec<NotJudged>) {
    let all = || baselines.iter().copied().chain([run]);
    let carried = |m: &Measure| all().all(|s| m.is_carried_by(&s.response_time_ns));
    let tail = Measure::TAIL.into_iter().find(carried);
    let is_wanted = |m: &Measure| {
        !Measure::TAIL.contains(m) || Some(*m) == tail || rule.margins.contains_key(m)
    };
    let is_bounded = all().any(|s| s.validity.is_lower_bound);
    let values = |m: Measure| {
        let metric = metric(m, margin(m, rule));
        let of = |s: &Summary| m.of(s).and_then(|value| metric.placed(value));
        let old = baselines.iter().map(|s| of(s)).collect::<Option<Vec<f64>>>()?;
        Some((m, metric.clone(), of(run)?, old))
    };
    let data: Vec<_> = (Measure::ALL.into_iter())
        .filter(|m| is_wanted(m) && carried(m))
        .filter(|m| !is_bounded || matches!(m, Measure::Cpu | Measure::Errors))
        .filter_map(values)
        .collect();
    let level = 1.0 - ALPHA / data.len().max(1) as f64;
    let has_cpu = data.iter().any(|(m, ..)| *m == Measure::Cpu);
    let of = |(measure, metric, new, old): &(Measure, Metric, f64, Vec<f64>)| {
        let least = match measure {
            Measure::Errors => chance_of_errors(run, baselines, 1.0 - level),
            _ => 0.0,
        };
        result(*measure, metric, *new, old, (level, least), decides(*measure, has_cpu, rule))
    };
    let is_judged = |m: &Measure| data.iter().any(|(judged, ..)| judged == m);
    let missing = rule.margins.keys().filter(|m| !is_judged(m)).map(|m| NotJudged {
        measure: *m,
        why: match (carried(m), is_bounded) {
            (false, _) => too_few_answers(*m, all()),
            (true, true) => "the generator was the limit of a closed loop".into(),
            (true, false) => "a run has no value of it".into(),
        },
    });
    (data.iter().map(of).collect(), missing.collect())
}

/// By how much the share of errors may exceed that of all baselines together at this level, if each
/// request fails by itself: given how many failed in all, those of the new run are binomial. Where
/// errors are rare it is wider than what a handful of baselines differ by, and less is no regression.
fn chance_of_errors(run: &Summary, baselines: &[&Summary], alpha: f64) -> f64 {
    let failed = |s: &Summary| (s.ledger.planned - s.ledger.ok) as f64;
    let planned = |s: &Summary| s.ledger.planned as f64;
    let (old, of_old) = (baselines.iter().map(|s| failed(s)).sum::<f64>(), baselines.iter());
    let of_old: f64 = of_old.map(|s| planned(s)).sum();
    let of_new = planned(run);
    let share = of_new / (of_new + of_old);
    // P(X ≥ k) of X ~ Bin(old + k, share), as an incomplete beta function.
    let is_chance = |k: f64| beta(k, old + 1.0, share) > alpha;
    // It falls as k grows.
    let (mut most, mut too_many) = (0.0, of_new + 1.0);
    while too_many - most > 1.0 {
        let middle = ((most + too_many) / 2.0).floor();
        if is_chance(middle) { most = middle } else { too_many = middle }
    }
    (most / of_new - old / of_old).max(0.0)
}

fn margin(measure: Measure, rule: &GateRule) -> f64 {
    let given = rule.margins.get(&measure).copied();
    given.or(measure.own_margin()).unwrap_or(rule.detect)
}

fn result(
    measure: Measure,
    metric: &Metric,
    new: f64,
    old: &[f64],
    (level, least_chance): (f64, f64),
    decides: bool,
) -> HistoryMeasure {
    let n = old.len() as f64;
    let middle = mean(old);
    let worse = new - middle;
    let spread = t_quantile(level, n - 1.0) * deviation(old) * (1.0 + 1.0 / n).sqrt();
    let chance = spread.max(least_chance);
    let threshold = metric.threshold();
    let result = match () {
        () if worse > chance && worse >= threshold => PairVerdict::Regression,
        () if worse < -chance && worse <= -threshold => PairVerdict::Improvement,
        () if worse + spread < threshold => PairVerdict::Equivalent,
        () => PairVerdict::Inconclusive,
    };
    let value = |oriented: f64| match metric.scale {
        Scale::Ratio => metric.change(oriented) + 1.0,
        Scale::Difference => metric.change(oriented),
    };
    HistoryMeasure {
        measure,
        result,
        decides,
        baseline: value(middle),
        seen: value(new),
        change: metric.change(worse),
        chance: metric.change(chance).abs(),
        margin: metric.margin,
    }
}

fn decide(gate: &HistoryGate, machines: Vec<String>) -> (Verdict, Vec<String>) {
    if gate.measures.is_empty() {
        return (Verdict::Invalid, vec!["no measure could be compared with the baselines".into()]);
    }
    let told = |m: &HistoryMeasure, what: &str| {
        let unit = super::unit(m.measure);
        format!(
            "{} {what} than {} baselines: {:+.1} {unit}, chance reaches {:.1} {unit}, margin {:.1} {unit}",
            m.measure.label(),
            gate.baselines,
            m.change * 100.0,
            m.chance * 100.0,
            m.margin * 100.0
        )
    };
    let of = |result| gate.measures.iter().filter(move |m| m.result == result);
    let worse: Vec<String> = of(PairVerdict::Regression).map(|m| told(m, "is worse")).collect();
    if !machines.is_empty() {
        let mut reasons = vec![format!(
            "another machine or kernel measured {}: what differs may be theirs",
            machines.join(", ")
        )];
        reasons.extend(worse);
        return (Verdict::Inconclusive, reasons);
    }
    if !worse.is_empty() {
        return (Verdict::Fail, worse);
    }
    let mut open: Vec<String> = of(PairVerdict::Inconclusive)
        .filter(|m| m.decides)
        .map(|m| told(m, "may be worse"))
        .collect();
    let missing = gate.not_judged.iter();
    open.extend(missing.map(|m| format!("{} was not judged: {}", m.measure.label(), m.why)));
    (if open.is_empty() { Verdict::Pass } else { Verdict::Inconclusive }, open)
}

#[cfg(test)]
mod tests {
    use super::super::pairs::tests::run;
    use super::*;
    use crate::analysis::testing::Builder;

    fn judged(
        cpu: f64,
        old: &[f64],
        change: impl Fn(&mut Plan),
    ) -> Result<HistoryGate, NotComparable> {
        let plan = Builder::new("vertical").build().manifest.plan;
        let mut other = plan.clone();
        change(&mut other);
        let runs: Vec<Summary> = old.iter().map(|cpu| run(*cpu, 0.0, 10.0, 30.0, 1000)).collect();
        let stored = |summary| Stored { name: "old", summary, plan: &other };
        let baselines: Vec<Stored<'_>> = runs.iter().map(stored).collect();
        let summary = run(cpu, 0.0, 10.0, 30.0, 1000);
        let new = Stored { name: "new", summary: &summary, plan: &plan };
        judge_history(new, &baselines, &GateRule::new(1))
    }

    const OLD: [f64; 6] = [1.80, 1.82, 1.79, 1.81, 1.78, 1.80];

    #[test]
    fn one_more_like_them_passes_and_a_fifth_more_fails() {
        let verdict = |cpu, old: &[f64]| judged(cpu, old, |_| {}).unwrap().verdict;
        assert_eq!(verdict(1.81, &OLD), Verdict::Pass);
        assert_eq!(verdict(2.16, &OLD), Verdict::Fail);
        assert_eq!(verdict(1.5, &OLD), Verdict::Pass);
        assert_eq!(verdict(2.16, &[1.5, 2.2, 1.7, 2.0, 1.6, 2.1]), Verdict::Inconclusive);
        let gate = judged(2.16, &OLD, |_| {}).unwrap();
        assert!((gate.measures[0].change - 0.2).abs() < 0.001, "{gate:?}");
        assert!((gate.measures[0].baseline - 1.8).abs() < 0.001, "{gate:?}");
        assert!(gate.reasons[0].contains("+20.0 %"), "{:?}", gate.reasons);
    }

    #[test]
    fn one_failed_request_after_none_is_chance_and_many_are_not() {
        let plan = Builder::new("vertical").build().manifest.plan;
        let of = |errors: f64| run(1.8, errors, 10.0, 30.0, 1000);
        let old: Vec<Summary> = (0..5).map(|_| of(0.0)).collect();
        let stored = |summary| Stored { name: "old", summary, plan: &plan };
        let baselines: Vec<Stored<'_>> = old.iter().map(stored).collect();
        let errors = |share: f64| {
            let new = of(share);
            let new = Stored { name: "new", summary: &new, plan: &plan };
            let gate = judge_history(new, &baselines, &GateRule::new(1)).unwrap();
            gate.measures.iter().find(|m| m.measure == Measure::Errors).unwrap().clone()
        };
        assert_eq!(errors(0.0).result, PairVerdict::Equivalent);
        assert_eq!(errors(0.002).result, PairVerdict::Inconclusive, "{:?}", errors(0.002));
        assert_eq!(errors(0.01).result, PairVerdict::Regression, "{:?}", errors(0.01));
    }

    #[test]
    fn a_measure_that_was_named_and_has_no_data_is_no_pass() {
        let plan = Builder::new("vertical").build().manifest.plan;
        let all: Vec<Summary> = OLD.iter().map(|cpu| run(*cpu, 0.0, 10.0, 30.0, 1000)).collect();
        let stored = |summary| Stored { name: "old", summary, plan: &plan };
        let baselines: Vec<Stored<'_>> = all.iter().map(stored).collect();
        let mut rule = GateRule::new(1);
        rule.margins.insert(Measure::P99, 0.1);
        let gate = judge_history(baselines[0], &baselines, &rule).unwrap();
        assert_eq!(gate.verdict, Verdict::Inconclusive);
        assert!(gate.reasons[0].contains("p99 was not judged: 1000 answers"), "{gate:?}");
    }

    #[test]
    fn few_baselines_or_another_machine_say_nothing() {
        let gate = judged(2.16, &OLD[..4], |_| {}).unwrap();
        assert_eq!(gate.verdict, Verdict::Inconclusive);
        assert!(gate.reasons[0].contains("5 are needed"), "{:?}", gate.reasons);
        let gate = judged(2.16, &OLD, |plan| plan.host.kernel = "9.9".into()).unwrap();
        assert_eq!(gate.verdict, Verdict::Inconclusive);
        assert!(gate.reasons[0].contains("another machine"), "{:?}", gate.reasons);
    }

    #[test]
    fn another_load_is_refused() {
        let error = judged(2.0, &OLD, |plan| plan.profile = "other".into()).unwrap_err();
        assert!(error.to_string().contains("its profile is other"), "{error}");
        let error = judged(2.0, &OLD, |plan| plan.load.phases[1].rate_to *= 2.0).unwrap_err();
        assert!(error.to_string().contains("other rates"), "{error}");
        let error = judged(2.0, &OLD, |plan| plan.load.requests[0].weight *= 2.0).unwrap_err();
        assert!(error.to_string().contains("it had other requests"), "{error}");
        assert!(judged(1.8, &OLD, |plan| plan.seed += 1).is_ok());
    }
}
