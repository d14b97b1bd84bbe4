//! Is B worse than A? From interleaved pairs of runs (methods §2.5, "Algorithm B").
//!
//! Each pair is one run of A and one of B, in random order, close in time. One difference per pair
//! is all that enters, so that what differs from run to run is inside the error. Differences are
//! oriented: positive is worse, whichever way the metric points.

use super::describe::{deviation, mean};
use super::distributions::t_quantile;
use super::holm::holm;
use super::sign_flip::sign_flip;
use super::walsh::{HodgesLehmann, hodges_lehmann};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Below this no sign-flip p is under .05, whatever was seen.
pub const FEWEST_PAIRS: usize = 6;
pub const ALPHA: f64 = 0.05;
pub const POWER: f64 = 0.8;
/// Pairs at which a growing comparison may look, and the two-sided level of each look (O'Brien and
/// Fleming, three looks). At 6 pairs only an equivalence can be found: no sign-flip p is that small.
pub const LOOKS: [(usize, f64); 3] = [(6, 0.0005), (10, 0.0141), (16, 0.0451)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// ln(B/A): times, rates, CPU per request. Values must be positive.
    Ratio,
    /// B − A: shares that may be 0.
    Difference,
}

/// What is compared, and from which change on it matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: String,
    pub better: Better,
    pub scale: Scale,
    /// A share of A (0.1 is 10 %), or an absolute difference.
    pub margin: f64,
}

/// The rule of one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairRule {
    pub alpha: f64,
    pub power: f64,
    pub seed: u64,
}

impl PairRule {
    pub fn new(seed: u64) -> PairRule {
        PairRule { alpha: ALPHA, power: POWER, seed }
    }
}

#[derive(Clone, Debug, Error, PartialEq)]
pub enum PairError {
    #[error("{metric}: {pairs} pairs were measured, a difference needs 2 to have an error")]
    TooFew { metric: String, pairs: usize },
    #[error("{metric}: pair {pair} has A {a} and B {b}; a ratio needs positive numbers")]
    NotPositive { metric: String, pair: usize, a: f64, b: f64 },
    #[error("{metric}: the margin {margin} must be positive, and below 1 for a rate")]
    Margin { metric: String, margin: f64 },
}

/// The oriented difference, on the scale of the metric (logarithms for ratios).
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    pub differences: Vec<f64>,
    pub mean: f64,
    pub deviation: f64,
    pub low: f64,
    pub high: f64,
    /// Sign-flip permutation, two-sided.
    pub p: f64,
    /// The smallest true difference found with the rule's power, on the same scale.
    pub detectable: f64,
    pub robust: Option<HodgesLehmann>,
    /// The pair that pulls the mean away from the robust center by more than its standard error.
    pub outlier: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairVerdict {
    Regression,
    /// Not worse by the margin; maybe worse by less.
    Equivalent,
    Improvement,
    Inconclusive,
}

/// A metric's effect and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub metric: Metric,
    pub effect: Effect,
    /// Holm-adjusted over the metrics judged together.
    pub p_adjusted: f64,
    pub verdict: PairVerdict,
}

/// Pairs below which no regression of `metrics` metrics can be significant after Holm:
/// m · 2^(1−k) ≤ alpha.
pub fn fewest_pairs(metrics: usize, alpha: f64) -> usize {
    let needed = 1.0 + (metrics.max(1) as f64 / alpha).log2();
    (needed.ceil() as usize).max(FEWEST_PAIRS)
}

/// The smallest true difference that `pairs` differences of this deviation show with `power`:
/// (t_{1−α/2} + t_{power}) s/√k, both with k − 1 degrees of freedom. Infinite below two pairs.
pub fn detectable(deviation: f64, pairs: usize, rule: PairRule) -> f64 {
    if pairs < 2 {
        return f64::INFINITY;
    }
    let free = (pairs - 1) as f64;
    let t = t_quantile(1.0 - rule.alpha / 2.0, free) + t_quantile(rule.power, free);
    t * deviation / (pairs as f64).sqrt()
}

impl Metric {
    /// The margin on the oriented scale: ln(1 + δ) for lower-is-better, −ln(1 − δ) for higher.
    pub fn threshold(&self) -> f64 {
        match (self.scale, self.better) {
            (Scale::Difference, _) => self.margin,
            (Scale::Ratio, Better::Lower) => self.margin.ln_1p(),
            (Scale::Ratio, Better::Higher) => -(-self.margin).ln_1p(),
        }
    }

    /// An oriented difference as people read it: the change of B against A, +0.16 for 16 % more.
    pub fn change(&self, oriented: f64) -> f64 {
        let signed = match self.better {
            Better::Lower => oriented,
            Better::Higher => -oriented,
        };
        match self.scale {
            Scale::Ratio => signed.exp_m1(),
            Scale::Difference => signed,
        }
    }

    /// One value on the oriented scale, on which differences are taken; `None` where it has no place.
    pub fn placed(&self, value: f64) -> Option<f64> {
        let on_scale = match self.scale {
            Scale::Ratio if value > 0.0 => value.ln(),
            Scale::Ratio => return None,
            Scale::Difference => value,
        };
        let oriented = if self.better == Better::Lower { on_scale } else { -on_scale };
        oriented.is_finite().then_some(oriented)
    }

    fn oriented(&self, pair: usize, a: f64, b: f64) -> Result<f64, PairError> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let known = match self.scale {
            Scale::Ratio => positive(a) && positive(b),
            Scale::Difference => a.is_finite() && b.is_finite(),
        };
        if !known {
            return Err(PairError::NotPositive { metric: self.name.clone(), pair, a, b });
        }
        let difference = match self.scale {
            Scale::Ratio => (b / a).ln(),
            Scale::Difference => b - a,
        };
        Ok(if self.better == Better::Lower { difference } else { -difference })
    }
}

/// The effect of one metric from its pairs (A, B).
///
/// # Errors
/// Fewer than two pairs; a ratio of numbers that are not positive; a margin without meaning.
pub fn effect(metric: &Metric, pairs: &[(f64, f64)], rule: PairRule) -> Result<Effect, PairError> {
    let name = || metric.name.clone();
    if pairs.len() < 2 {
        return Err(PairError::TooFew { metric: name(), pairs: pairs.len() });
    }
    let threshold = metric.threshold();
    if !(threshold.is_finite() && threshold > 0.0) {
        return Err(PairError::Margin { metric: name(), margin: metric.margin });
    }
    let differences = pairs
        .iter()
        .enumerate()
        .map(|(index, (a, b))| metric.oriented(index + 1, *a, *b))
        .collect::<Result<Vec<f64>, PairError>>()?;
    Ok(described(differences, rule))
}

fn described(differences: Vec<f64>, rule: PairRule) -> Effect {
    let count = differences.len();
    let (mean, deviation) = (mean(&differences), deviation(&differences));
    let error = deviation / (count as f64).sqrt();
    let half = t_quantile(1.0 - rule.alpha / 2.0, (count - 1) as f64) * error;
    let robust = hodges_lehmann(&differences, rule.alpha);
    let outlier = robust.filter(|r| (r.center - mean).abs() > error).and_then(|r| {
        let away = |i: &usize| (differences[*i] - r.center).abs();
        (0..count).max_by(|a, b| away(a).total_cmp(&away(b)))
    });
    Effect {
        p: sign_flip(&differences, rule.seed),
        detectable: detectable(deviation, count, rule),
        mean,
        deviation,
        low: mean - half,
        high: mean + half,
        robust,
        outlier,
        differences,
    }
}

/// Judges several metrics of the same pairs together.
///
/// A regression must be beyond 0 by the t interval, at least the margin in its mean, and
/// significant by the sign-flip test after Holm; so it needs [`fewest_pairs`]. A true change of
/// exactly the margin is called a regression in about half of the cases.
///
/// # Errors
/// As [`effect`], of the first metric that has one.
pub fn judge_pairs(
    metrics: &[(Metric, Vec<(f64, f64)>)],
    rule: PairRule,
) -> Result<Vec<Judged>, PairError> {
    let effects = metrics
        .iter()
        .map(|(metric, pairs)| effect(metric, pairs, rule))
        .collect::<Result<Vec<Effect>, PairError>>()?;
    let adjusted = holm(&effects.iter().map(|e| e.p).collect::<Vec<f64>>());
    let judged = metrics.iter().zip(effects).zip(adjusted);
    Ok(judged
        .map(|(((metric, _), effect), p_adjusted)| Judged {
            verdict: verdict(metric, &effect, p_adjusted <= rule.alpha),
            metric: metric.clone(),
            effect,
            p_adjusted,
        })
        .collect())
}

fn verdict(metric: &Metric, effect: &Effect, significant: bool) -> PairVerdict {
    let threshold = metric.threshold();
    if effect.differences.len() < FEWEST_PAIRS {
        PairVerdict::Inconclusive
    } else if effect.low > 0.0 && effect.mean >= threshold && significant {
        PairVerdict::Regression
    } else if effect.high < 0.0 && effect.mean <= -threshold {
        PairVerdict::Improvement
    } else if effect.high < threshold {
        PairVerdict::Equivalent
    } else {
        PairVerdict::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p99(margin: f64) -> Metric {
        Metric { name: "p99".into(), better: Better::Lower, scale: Scale::Ratio, margin }
    }

    fn pairs(factor: f64, count: usize) -> Vec<(f64, f64)> {
        let wiggle = |i: usize| 1.0 + 0.01 * ((i * 7 % 5) as f64 - 2.0);
        (0..count).map(|i| (100.0, 100.0 * factor * wiggle(i))).collect()
    }

    fn verdict_of(metric: Metric, pairs: Vec<(f64, f64)>) -> PairVerdict {
        judge_pairs(&[(metric, pairs)], PairRule::new(1)).unwrap()[0].verdict
    }

    #[test]
    fn the_four_verdicts() {
        assert_eq!(verdict_of(p99(0.1), pairs(1.2, 10)), PairVerdict::Regression);
        assert_eq!(verdict_of(p99(0.1), pairs(1.0, 10)), PairVerdict::Equivalent);
        assert_eq!(verdict_of(p99(0.1), pairs(1.05, 10)), PairVerdict::Equivalent);
        assert_eq!(verdict_of(p99(0.1), pairs(0.8, 10)), PairVerdict::Improvement);
        assert_eq!(verdict_of(p99(0.1), pairs(1.095, 10)), PairVerdict::Inconclusive);
        assert_eq!(verdict_of(p99(0.1), pairs(1.5, 5)), PairVerdict::Inconclusive);
    }

    #[test]
    fn more_is_better_for_a_rate() {
        let rate = Metric { better: Better::Higher, name: "rate".into(), ..p99(0.05) };
        assert_eq!(verdict_of(rate.clone(), pairs(0.8, 10)), PairVerdict::Regression);
        assert_eq!(verdict_of(rate.clone(), pairs(1.2, 10)), PairVerdict::Improvement);
        let seen = effect(&rate, &[(100.0, 80.0), (100.0, 80.0)], PairRule::new(1)).unwrap();
        assert!((rate.change(seen.mean) + 0.2).abs() < 1e-12);
        assert!((rate.change(rate.threshold()) + 0.05).abs() < 1e-12);
    }

    #[test]
    fn shares_are_subtracted() {
        let errors = Metric { scale: Scale::Difference, name: "errors".into(), ..p99(0.001) };
        assert_eq!(verdict_of(errors.clone(), vec![(0.0, 0.0); 10]), PairVerdict::Equivalent);
        assert_eq!(verdict_of(errors, vec![(0.0, 0.004); 10]), PairVerdict::Regression);
    }

    #[test]
    fn several_metrics_need_more_pairs() {
        assert_eq!(fewest_pairs(1, 0.05), 6);
        assert_eq!(fewest_pairs(4, 0.05), 8);
        let four = |count| {
            let metrics: Vec<_> = (0..4).map(|_| (p99(0.1), pairs(1.0, count))).collect();
            let mut metrics = metrics;
            metrics[2].1 = pairs(1.3, count);
            judge_pairs(&metrics, PairRule::new(1)).unwrap()[2].verdict
        };
        assert_eq!(four(7), PairVerdict::Inconclusive);
        assert_eq!(four(8), PairVerdict::Regression);
    }

    #[test]
    fn the_detectable_effects_of_the_table() {
        for (deviation, expected) in [
            (0.0056 * 2.0_f64.sqrt(), [1.33, 1.13, 0.92, 0.79, 0.60, 0.52, 0.42]),
            (0.01, [1.68, 1.44, 1.16, 1.00, 0.75, 0.66, 0.53]),
            (0.02, [3.38, 2.89, 2.33, 2.01, 1.51, 1.33, 1.06]),
            (0.0266 * 2.0_f64.sqrt(), [6.45, 5.51, 4.43, 3.81, 2.86, 2.52, 2.01]),
            (0.05, [8.67, 7.38, 5.93, 5.10, 3.82, 3.36, 2.68]),
            (0.10, [18.1, 15.3, 12.2, 10.5, 7.78, 6.83, 5.44]),
        ] {
            for (pairs, expected) in [5, 6, 8, 10, 16, 20, 30].into_iter().zip(expected) {
                let seen = 100.0 * detectable(deviation, pairs, PairRule::new(1)).exp_m1();
                assert!(
                    (seen - expected).abs() < 0.0065_f64.max(0.005 * expected),
                    "{deviation} {pairs}: {seen}"
                );
            }
        }
        assert!(detectable(0.1, 1, PairRule::new(1)).is_infinite());
    }

    #[test]
    fn an_outlier_is_named() {
        let mut spoiled = pairs(1.0, 12);
        spoiled[4].1 = 900.0;
        let seen = effect(&p99(0.1), &spoiled, PairRule::new(1)).unwrap();
        assert!(seen.robust.unwrap().center.abs() < 0.02);
        assert_eq!(effect(&p99(0.1), &pairs(1.0, 12), PairRule::new(1)).unwrap().outlier, None);
        // The mean of one wild value is its own standard error away; two make it clear.
        spoiled[7].1 = 900.0;
        spoiled[8].1 = 800.0;
        let seen = effect(&p99(0.1), &spoiled, PairRule::new(1)).unwrap();
        assert!(matches!(seen.outlier, Some(4 | 7)), "{seen:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let rule = PairRule::new(1);
        assert!(matches!(effect(&p99(0.1), &[(1.0, 1.0)], rule), Err(PairError::TooFew { .. })));
        let zero = effect(&p99(0.1), &[(1.0, 1.0), (0.0, 1.0)], rule).unwrap_err();
        assert!(zero.to_string().contains("pair 2"), "{zero}");
        assert!(matches!(
            effect(&p99(0.0), &[(1.0, 1.0), (1.0, 1.0)], rule),
            Err(PairError::Margin { .. })
        ));
    }
}
