//! "At least the share p of the requests is in time": judged from one run's seconds.
//!
//! The count of late requests is binomial only if they come independently. They come in bursts, so
//! the variance is that of a block bootstrap over the seconds (in closed form, so nothing is drawn) and the counts are divided by the
//! design effect before the exact binomial bounds are taken (methods §2.4).
//!
//! What it cannot see: swings slower than about a tenth of the run, and bursts the run happened to
//! miss. With an autocorrelation of .9 per second over 240 s it still errs in about 9 %.

use super::blocks::{block_length, stationary_variance};
use super::distributions::{beta, clopper_pearson, normal_quantile, t_quantile};
use super::order::Tail;

/// One second: arrivals intended in it, and how many of them broke the objective (late, failed,
/// timed out or never sent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub arrivals: u64,
    pub violations: u64,
}

/// What is asked of the share of violations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareRule {
    /// The share that may break the objective: 0.01 for a p99.
    pub allowed: f64,
    /// Error of each side.
    pub alpha: f64,
    /// Off only to show what is lost without it.
    pub correct_for_bursts: bool,
    /// With fewer seconds nothing is decided: they cannot show how they hang together.
    pub fewest_blocks: usize,
}

/// One-sided error of a single look.
pub const ALPHA: f64 = 0.05;
/// Nominal error of each of three looks that together err in [`ALPHA`] (Pocock's constant
/// boundary, one-sided).
pub const ALPHA_OF_THREE_LOOKS: f64 = 0.0232;
const FEWEST_BLOCKS: usize = 10;

impl ShareRule {
    pub fn new(allowed: f64) -> ShareRule {
        ShareRule { allowed, alpha: ALPHA, correct_for_bursts: true, fewest_blocks: FEWEST_BLOCKS }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareVerdict {
    Pass,
    Fail,
    Inconclusive,
}

/// The share with its interval, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub verdict: ShareVerdict,
    pub share: f64,
    /// One-sided bounds, each at `1 − alpha`.
    pub low: f64,
    pub high: f64,
    pub arrivals: u64,
    /// By how much bursts thin the evidence; 1 for independent violations.
    pub design_effect: f64,
    /// Arrivals over the design effect.
    pub effective: f64,
    /// Arrivals with which the share seen would decide; `None` when it did, or never will because
    /// it lies on the allowed share.
    pub needed: Option<u64>,
}

/// Judges the share of violations in all blocks. No arrival is Inconclusive, never a pass.
pub fn judge_share(blocks: &[Block], rule: ShareRule) -> Share {
    let arrivals: u64 = blocks.iter().map(|b| b.arrivals).sum();
    let violations: u64 = blocks.iter().map(|b| b.violations).sum();
    let design_effect = if rule.correct_for_bursts { design_effect(blocks, &rule) } else { 1.0 };
    let effective = arrivals as f64 / design_effect;
    let (low, high) = clopper_pearson(violations as f64 / design_effect, effective, rule.alpha);
    let share = if arrivals == 0 { f64::NAN } else { violations as f64 / arrivals as f64 };
    let short = blocks.len() < rule.fewest_blocks && rule.correct_for_bursts;
    let verdict = match () {
        () if arrivals == 0 || short => ShareVerdict::Inconclusive,
        () if high <= rule.allowed => ShareVerdict::Pass,
        () if low > rule.allowed => ShareVerdict::Fail,
        () => ShareVerdict::Inconclusive,
    };
    let needed = match verdict {
        ShareVerdict::Inconclusive => needed(share, design_effect, &rule),
        _ => None,
    };
    Share { verdict, share, low, high, arrivals, design_effect, effective, needed }
}

/// φ = V_blocks / V_independent, at least 1.
///
/// V_blocks is the variance of the ratio Σx/Σn over stationary resamples of the seconds, linearised
/// (residuals x − f·n). Three corrections, each toward fewer false passes and each found necessary
/// by simulation (`coverage.rs`; the plain bootstrap errs in 10 % at a nominal 5 %):
/// blocks are twice as long as Politis and White's, which are best for the variance's squared error
/// and not for a test, and at least 2·n^(1/3); a variance from few blocks is widened by (t/z)²;
/// and since bursts grow with the share, φ − 1 is scaled up from the share seen to the allowed one.
fn design_effect(blocks: &[Block], rule: &ShareRule) -> f64 {
    let Some(seen) = burstiness(blocks) else { return 1.0 };
    let free = (blocks.len() as f64 / (2.5 * seen.block_length) - 1.0).max(1.0);
    let widening = t_quantile(1.0 - rule.alpha, free) / normal_quantile(1.0 - rule.alpha);
    let widened = seen.design_effect * widening.powi(2);
    1.0 + (widened - 1.0).max(0.0) * (rule.allowed / seen.share).max(1.0)
}

/// How violations cluster, as seen, without allowance for how uncertain that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burstiness {
    pub share: f64,
    pub design_effect: f64,
    /// Seconds of one block.
    pub block_length: f64,
}

/// `None` when there is nothing to see: no violation, nothing but violations, or one second.
pub fn burstiness(blocks: &[Block]) -> Option<Burstiness> {
    let arrivals: f64 = blocks.iter().map(|b| b.arrivals as f64).sum();
    let share = blocks.iter().map(|b| b.violations as f64).sum::<f64>() / arrivals;
    let independent = share * (1.0 - share) * arrivals;
    if independent.is_nan() || independent <= 0.0 || blocks.len() < 2 {
        return None;
    }
    let residuals: Vec<f64> =
        blocks.iter().map(|b| b.violations as f64 - share * b.arrivals as f64).collect();
    let count = blocks.len() as f64;
    let length = (2.0 * block_length(&residuals).stationary).max(2.0 * count.cbrt());
    let variance = stationary_variance(&residuals, length) * count / (count - 1.0);
    Some(Burstiness { share, design_effect: variance / independent, block_length: length })
}

/// The smallest number of arrivals at which this share would decide, by doubling and halving.
fn needed(share: f64, design_effect: f64, rule: &ShareRule) -> Option<u64> {
    let least = Tail { q: 1.0 - rule.allowed, confidence: 1.0 - rule.alpha }.samples_needed(0);
    if share.is_nan() {
        return Some(least);
    }
    // The bounds' own definition: one tail each instead of inverting it.
    let decides = |arrivals: f64| {
        let n = arrivals / design_effect;
        let x = share * n;
        let passes = beta(x + 1.0, n - x, rule.allowed) >= 1.0 - rule.alpha;
        passes || (x > 0.0 && beta(x, n - x + 1.0, rule.allowed) < rule.alpha)
    };
    let mut high = least as f64;
    while !decides(high) {
        high *= 2.0;
        if high > 1e12 {
            return None;
        }
    }
    let mut low = high / 2.0;
    while high - low > 1.0 {
        let middle = 0.5 * (low + high);
        if decides(middle) { high = middle } else { low = middle }
    }
    Some(high.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(seconds: usize, arrivals: u64, violations: u64) -> Vec<Block> {
        vec![Block { arrivals, violations }; seconds]
    }

    #[test]
    fn clear_cases_decide() {
        let rule = ShareRule::new(0.01);
        assert_eq!(judge_share(&even(60, 100, 0), rule).verdict, ShareVerdict::Pass);
        assert_eq!(judge_share(&even(60, 100, 5), rule).verdict, ShareVerdict::Fail);
        assert_eq!(judge_share(&even(60, 100, 1), rule).verdict, ShareVerdict::Inconclusive);
    }

    #[test]
    fn no_data_and_little_data_are_never_a_pass() {
        let rule = ShareRule::new(0.01);
        let nothing = judge_share(&[], rule);
        assert_eq!((nothing.verdict, nothing.needed), (ShareVerdict::Inconclusive, Some(299)));
        let little = judge_share(&even(29, 10, 0), rule);
        assert_eq!((little.verdict, little.needed), (ShareVerdict::Inconclusive, Some(299)));
        assert_eq!(judge_share(&even(30, 10, 0), rule).verdict, ShareVerdict::Pass);
        assert_eq!(judge_share(&even(2, 100_000, 0), rule).verdict, ShareVerdict::Inconclusive);
    }

    #[test]
    fn a_p999_needs_2995_arrivals() {
        let rule = ShareRule::new(0.001);
        assert_eq!(judge_share(&even(20, 100, 0), rule).needed, Some(2995));
        assert_eq!(judge_share(&even(30, 100, 0), rule).verdict, ShareVerdict::Pass);
    }

    #[test]
    fn what_is_needed_is_enough() {
        let rule = ShareRule::new(0.01);
        let mut blocks = even(200, 25, 0);
        for block in blocks.iter_mut().step_by(5) {
            block.violations = 1;
        }
        let seen = judge_share(&blocks, rule);
        assert_eq!(seen.verdict, ShareVerdict::Inconclusive, "{seen:?}");
        let times = seen.needed.unwrap().div_ceil(seen.arrivals) as usize;
        assert!(times > 1, "{seen:?}");
        let more: Vec<Block> = blocks.iter().copied().cycle().take(200 * (times + 1)).collect();
        assert_eq!(judge_share(&more, rule).verdict, ShareVerdict::Pass);
    }

    #[test]
    fn bursts_widen_the_interval() {
        let mut bursty = even(120, 100, 0);
        for block in &mut bursty[40..46] {
            block.violations = 20;
        }
        let spread: Vec<Block> = even(120, 100, 1);
        let rule = ShareRule::new(0.02);
        let (bursty, spread) = (judge_share(&bursty, rule), judge_share(&spread, rule));
        assert_eq!(bursty.share, spread.share);
        assert!(bursty.design_effect > 10.0, "{bursty:?}");
        assert_eq!(spread.design_effect, 1.0);
        assert_eq!(spread.verdict, ShareVerdict::Pass);
        assert_eq!(bursty.verdict, ShareVerdict::Inconclusive);
    }
}
