//! Minutes and percent into pairs: how many pairs a budget buys, what they can show, and what not.

use super::distributions::t_quantile;
use super::paired::{PairRule, detectable, fewest_pairs};
use thiserror::Error;

/// More pairs than this add little; the rest of the budget makes the runs longer.
pub const MOST_PAIRS: usize = 20;
const MOST_NEEDED: usize = 10_000;
/// How often a change of the size asked for should be called a regression.
const FOUND: f64 = 0.9;

/// What may be spent, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairBudget {
    pub total_s: f64,
    /// Shortest and longest measured part of one run.
    pub slice_s: (f64, f64),
    /// Start, warm-up and draining of one run.
    pub overhead_s: f64,
    /// Metrics judged together.
    pub metrics: usize,
    /// Deviation of the differences (log scale) from earlier A/A comparisons, when there are any.
    pub deviation: Option<f64>,
}

/// The comparison a budget buys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairPlan {
    pub pairs: usize,
    pub slice_s: f64,
    /// The smallest relative change shown in 80 % of comparisons; unknown without a deviation.
    pub detectable: Option<f64>,
    /// Pairs the change asked for would need; `None` when the deviation is unknown or none suffice.
    pub needed: Option<usize>,
    /// The margin with which the change asked for is found in 90 %; `None`: this budget cannot.
    pub margin: Option<f64>,
}

#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "{total_s:.0}s buys {affordable} pairs of runs, a verdict needs {fewest}: allow {needed_s:.0}s"
)]
pub struct TooShort {
    pub total_s: f64,
    pub affordable: usize,
    pub fewest: usize,
    pub needed_s: f64,
}

/// Chooses pairs first, up to [`MOST_PAIRS`], because runs differ more from each other than the
/// seconds of one run do; then lengthens the runs.
///
/// # Errors
/// [`TooShort`] when not even the fewest pairs fit.
pub fn plan_pairs(budget: PairBudget, detect: f64, rule: PairRule) -> Result<PairPlan, TooShort> {
    let pair_s = |slice_s: f64| 2.0 * (slice_s + budget.overhead_s);
    let affordable = (budget.total_s / pair_s(budget.slice_s.0)).floor().max(0.0) as usize;
    let fewest = fewest_pairs(budget.metrics, rule.alpha);
    if affordable < fewest {
        let needed_s = (fewest as f64 * pair_s(budget.slice_s.0)).ceil();
        return Err(TooShort { total_s: budget.total_s, affordable, fewest, needed_s });
    }
    let pairs = affordable.min(MOST_PAIRS.max(fewest));
    let longest = budget.total_s / (2.0 * pairs as f64) - budget.overhead_s;
    let spread = budget.deviation;
    Ok(PairPlan {
        pairs,
        slice_s: longest.clamp(budget.slice_s.0, budget.slice_s.1),
        detectable: spread.map(|s| detectable(s, pairs, rule).exp_m1()),
        needed: spread.and_then(|s| needed_pairs(s, detect, budget.metrics, rule)),
        margin: spread.and_then(|s| margin_to_detect(detect, s, pairs, rule)),
    })
}

/// The fewest pairs whose detectable effect is at most `detect` (a share).
pub fn needed_pairs(deviation: f64, detect: f64, metrics: usize, rule: PairRule) -> Option<usize> {
    let enough = |pairs: usize| detectable(deviation, pairs, rule) <= detect.ln_1p();
    let fewest = fewest_pairs(metrics, rule.alpha);
    if enough(fewest) {
        return Some(fewest);
    }
    let (mut low, mut high) = (fewest, MOST_NEEDED);
    if !enough(high) {
        return None;
    }
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// The margin, a share, at which a true change of `detect` is called a regression in 90 %:
/// ln(1 + detect) − t_{.9,k−1} s/√k on the log scale. `None` when the change would then drown in the
/// interval (t_{1−α/2,k−1} s/√k): a smaller margin would not find it, only more pairs.
pub fn margin_to_detect(detect: f64, deviation: f64, pairs: usize, rule: PairRule) -> Option<f64> {
    let free = pairs.checked_sub(1).filter(|free| *free > 0)? as f64;
    let error = deviation / (pairs as f64).sqrt();
    let margin = detect.ln_1p() - t_quantile(FOUND, free) * error;
    let noise = t_quantile(1.0 - rule.alpha / 2.0, free) * error;
    (margin > 0.0 && margin >= noise).then(|| margin.exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(total_s: f64, deviation: Option<f64>) -> PairBudget {
        PairBudget { total_s, slice_s: (10.0, 30.0), overhead_s: 3.0, metrics: 3, deviation }
    }

    #[test]
    fn five_minutes_buy_eleven_pairs() {
        let plan = plan_pairs(budget(300.0, Some(0.0376)), 0.10, PairRule::new(1)).unwrap();
        assert_eq!(plan.pairs, 11);
        assert!((plan.slice_s - 10.636).abs() < 0.01, "{plan:?}");
        assert!((0.03..0.04).contains(&plan.detectable.unwrap()), "{plan:?}");
        assert_eq!(plan.needed, Some(7));
        assert!((0.05..0.1).contains(&plan.margin.unwrap()), "{plan:?}");
    }

    #[test]
    fn an_hour_buys_longer_runs() {
        let plan = plan_pairs(budget(3600.0, None), 0.10, PairRule::new(1)).unwrap();
        assert_eq!((plan.pairs, plan.slice_s), (MOST_PAIRS, 30.0));
        assert_eq!((plan.detectable, plan.needed, plan.margin), (None, None, None));
    }

    #[test]
    fn what_a_budget_cannot_do_is_said() {
        let error = plan_pairs(budget(60.0, None), 0.10, PairRule::new(1)).unwrap_err();
        assert_eq!((error.affordable, error.fewest, error.needed_s), (2, 7, 182.0));
        let noisy = plan_pairs(budget(300.0, Some(0.25)), 0.02, PairRule::new(1)).unwrap();
        assert_eq!(noisy.margin, None);
        assert!(noisy.needed.unwrap() > 1000, "{noisy:?}");
        assert_eq!(needed_pairs(5.0, 0.01, 1, PairRule::new(1)), None);
    }
}
