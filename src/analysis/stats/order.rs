//! Order statistics: between which two ranks a quantile lies, how much evidence a quantile
//! objective needs, and Harrell and Davis' smooth quantile.

use super::describe::sorted;
use super::distributions::{beta, binomial_cdf, normal_quantile};

/// Ranks (1-based) between which a quantile lies with at least the confidence asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankInterval {
    pub low: u64,
    pub high: u64,
    /// P(x_(low) ≤ quantile < x_(high)), exact for independent samples.
    pub coverage: f64,
}

/// The ranks of an equal-tailed interval for quantile `q` of `n` independent samples.
///
/// `low` is the largest rank with P(X < low) ≤ (1 − confidence)/2 and `high` the smallest with
/// P(X ≥ high) ≤ the same, X binomial(n, q) (David and Nagaraja, *Order Statistics*, §7.1).
/// `None` when either rank would lie outside the sample: too few samples for this quantile.
/// For autocorrelated samples pass the effective number.
pub fn rank_interval(n: u64, q: f64, confidence: f64) -> Option<RankInterval> {
    let tail = (1.0 - confidence) / 2.0;
    if n == 0 || binomial_cdf(0, n, q) > tail || 1.0 - binomial_cdf(n - 1, n, q) > tail {
        return None;
    }
    let low = first(n, |k| binomial_cdf(k, n, q) > tail);
    let high = first(n, |k| 1.0 - binomial_cdf(k, n, q) <= tail) + 1;
    let coverage = binomial_cdf(high - 1, n, q) - binomial_cdf(low - 1, n, q);
    (high <= n).then_some(RankInterval { low, high, coverage })
}

/// The smallest k in 0..=n for which a monotone condition holds.
fn first(n: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// A claim "at least the share `q` is in time", and how sure it must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    pub q: f64,
    pub confidence: f64,
}

impl Tail {
    /// The fewest samples with which `late` of them late still prove the claim: the smallest n with
    /// P(X ≤ late; n, 1 − q) ≤ 1 − confidence (MLPerf inference rules, "early stopping").
    pub fn samples_needed(self, late: u64) -> u64 {
        let proven = |n: u64| binomial_cdf(late, n, 1.0 - self.q) <= 1.0 - self.confidence;
        let mut high = late + 1;
        while !proven(high) {
            match high.checked_mul(2) {
                Some(doubled) => high = doubled,
                None => return u64::MAX,
            }
        }
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if proven(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// How many may be late among `n` and the claim still be proven; `None`: not even none.
    pub fn allowed_late(self, n: u64) -> Option<u64> {
        let alpha = 1.0 - self.confidence;
        let unproven = first(n, |late| binomial_cdf(late, n, 1.0 - self.q) > alpha);
        unproven.checked_sub(1)
    }

    /// Samples after which a share is known to ± `margin`, normal approximation:
    /// n = q(1 − q)(z/margin)², z two-sided (MLPerf's fixed sizes).
    pub fn fixed_size(self, margin: f64) -> u64 {
        let z = normal_quantile(0.5 + self.confidence / 2.0);
        (self.q * (1.0 - self.q) * (z / margin).powi(2)).ceil() as u64
    }
}

/// Harrell and Davis' quantile (Biometrika 1982): the mean of all order statistics weighted by
/// I_{i/n}(a, b) − I_{(i−1)/n}(a, b), a = (n+1)q, b = (n+1)(1−q).
///
/// Smooth for few samples; it smears the maximum into the far tail, so keep q(n) with
/// n(1 − q) ≥ 50 or so. NaN for no samples.
pub fn harrell_davis(samples: &[f64], q: f64) -> f64 {
    let x = sorted(samples);
    let n = x.len() as f64;
    if x.is_empty() {
        return f64::NAN;
    }
    if q <= 0.0 || q >= 1.0 {
        return if q <= 0.0 { x[0] } else { x[x.len() - 1] };
    }
    let (a, b) = ((n + 1.0) * q, (n + 1.0) * (1.0 - q));
    let mut below = 0.0;
    let mut sum = 0.0;
    for (index, value) in x.iter().enumerate() {
        let upto = beta(a, b, (index + 1) as f64 / n);
        sum += (upto - below) * value;
        below = upto;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_at_95_percent() {
        for (n, q, low, high, coverage) in [
            (100, 0.5, 40, 61, 0.96480),
            (1000, 0.5, 469, 532, 0.95371),
            (1000, 0.9, 881, 919, 0.95491),
            (1000, 0.99, 983, 997, 0.97609),
            // Exact sum in 60 digits: methods.md prints .95568 here.
            (10_000, 0.99, 9880, 9920, 0.95575),
            (10_000, 0.999, 9983, 9997, 0.97546),
            (100_000, 0.999, 99_880, 99_920, 0.95479),
        ] {
            let seen = rank_interval(n, q, 0.95).unwrap();
            assert_eq!((seen.low, seen.high), (low, high), "n {n} q {q}: {seen:?}");
            assert!((seen.coverage - coverage).abs() < 6e-6, "n {n} q {q}: {seen:?}");
        }
    }

    #[test]
    fn too_few_samples_have_no_interval() {
        assert_eq!(rank_interval(0, 0.5, 0.95), None);
        assert_eq!(rank_interval(100, 0.99, 0.95), None);
        assert_eq!(rank_interval(5, 0.5, 0.95), None);
        assert!(rank_interval(6, 0.5, 0.95).is_some());
    }

    #[test]
    fn evidence_needed_as_mlperf_counts_it() {
        let table: [(f64, f64, [u64; 7]); 8] = [
            (0.90, 0.95, [29, 46, 61, 103, 167, 286, 627]),
            (0.90, 0.99, [44, 64, 81, 127, 197, 325, 681]),
            (0.95, 0.95, [59, 93, 124, 208, 336, 577, 1260]),
            (0.95, 0.99, [90, 130, 165, 259, 398, 656, 1372]),
            (0.99, 0.95, [299, 473, 628, 1049, 1693, 2902, 6323]),
            (0.99, 0.99, [459, 662, 838, 1307, 2010, 3304, 6898]),
            (0.999, 0.95, [2995, 4742, 6294, 10511, 16959, 29058, 63281]),
            (0.999, 0.99, [4603, 6636, 8403, 13105, 20140, 33097, 69058]),
        ];
        for (q, confidence, expected) in table {
            let tail = Tail { q, confidence };
            let seen = [0, 1, 2, 5, 10, 20, 50].map(|late| tail.samples_needed(late));
            assert_eq!(seen, expected, "q {q} confidence {confidence}");
            assert_eq!(tail.allowed_late(expected[3]), Some(5));
            assert_eq!(tail.allowed_late(expected[3] - 1), Some(4));
            assert_eq!(tail.allowed_late(expected[0] - 1), None);
        }
    }

    #[test]
    fn fixed_sizes_of_mlperf() {
        for (q, expected) in [(0.90, 23_886), (0.95, 50_425), (0.97, 85_811), (0.99, 262_742)] {
            let seen = Tail { q, confidence: 0.99 }.fixed_size((1.0 - q) / 20.0);
            assert!(seen.abs_diff(expected) <= 1, "{q}: {seen} instead of {expected}");
        }
    }

    #[test]
    fn harrell_davis_as_perfolizer_has_it() {
        let x = [100.0, 0.0, 50.0, 75.0, 25.0];
        for (q, expected) in
            [(0.1, 4.81290947), (0.25, 19.24811036), (0.5, 50.0), (0.9, 95.18709053)]
        {
            let seen = harrell_davis(&x, q);
            assert!((seen - expected).abs() < 1e-8, "{q}: {seen} instead of {expected}");
        }
        assert!(harrell_davis(&[], 0.5).is_nan());
        assert_eq!(harrell_davis(&[7.0], 0.3), 7.0);
    }
}
