//! Seconds of one run resemble their neighbours. A bootstrap that draws whole blocks keeps that
//! resemblance; how long the blocks must be, the series itself says.

use super::describe::mean;
use crate::base::random::Stream;
use rand_xoshiro::rand_core::Rng;

/// Mean block lengths, in samples; at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockLength {
    /// For the stationary bootstrap (geometric lengths).
    pub stationary: f64,
    /// For the circular bootstrap (fixed lengths).
    pub circular: f64,
}

/// Politis and White (2004) with the correction of Patton, Politis and White (2009).
///
/// The lag window reaches to M = 2m, m the first lag after which k_n = max(5, log10 n)
/// autocorrelations are all below 2·sqrt(log10 n / n); b = (2G²/D)^(1/3) n^(1/3), D = 2g² for the
/// stationary and 4/3 g² for the circular bootstrap, capped at min(3 sqrt n, n/3).
/// A constant or very short series gives 1.
pub fn block_length(series: &[f64]) -> BlockLength {
    let n = series.len();
    let one = BlockLength { stationary: 1.0, circular: 1.0 };
    if n < 8 {
        return one;
    }
    let covariances = autocovariances(series, furthest_lag(n));
    if covariances[0] <= 0.0 {
        return one;
    }
    let (slope, spectrum) = flat_top(&covariances, window(&covariances, n));
    if spectrum <= 0.0 {
        return one;
    }
    let size = n as f64;
    let cap = (3.0 * size.sqrt()).min(size / 3.0).ceil();
    let length = |d: f64| ((2.0 * slope * slope / d).cbrt() * size.cbrt()).clamp(1.0, cap);
    BlockLength {
        stationary: length(2.0 * spectrum * spectrum),
        circular: length(4.0 / 3.0 * spectrum * spectrum),
    }
}

fn quiet_lags(n: usize) -> usize {
    ((n as f64).log10() as usize).max(5)
}

fn furthest_lag(n: usize) -> usize {
    ((n as f64).sqrt().ceil() as usize + quiet_lags(n)).min(n - 1)
}

fn autocovariances(series: &[f64], lags: usize) -> Vec<f64> {
    let m = mean(series);
    let at = |lag: usize| {
        let products = series[lag..].iter().zip(series).map(|(a, b)| (a - m) * (b - m));
        products.sum::<f64>() / series.len() as f64
    };
    (0..=lags).map(at).collect()
}

/// M = 2m, m the last lag before the first run of quiet ones; all lags when there is no such run.
fn window(covariances: &[f64], n: usize) -> usize {
    let critical = 2.0 * ((n as f64).log10() / n as f64).sqrt();
    let quiet = |lag: usize| (covariances[lag] / covariances[0]).abs() < critical;
    let last = covariances.len() - 1;
    let run = quiet_lags(n);
    let first_run = (1..=last.saturating_sub(run - 1)).find(|lag| (*lag..lag + run).all(quiet));
    first_run.map_or(last, |lag| (2 * (lag - 1).max(1)).min(last))
}

/// Σ λ(k/M)|k|R(k) and Σ λ(k/M)R(k) with the trapezoidal flat-top window.
fn flat_top(covariances: &[f64], window: usize) -> (f64, f64) {
    let mut slope = 0.0;
    let mut spectrum = covariances[0];
    for (lag, covariance) in covariances.iter().enumerate().take(window + 1).skip(1) {
        let share = lag as f64 / window as f64;
        let weight = if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) };
        slope += 2.0 * weight * lag as f64 * covariance;
        spectrum += 2.0 * weight * covariance;
    }
    (slope, spectrum)
}

/// Indices of one stationary resample (Politis and Romano, 1994): after each sample the next in
/// time follows, or with chance 1/`mean_length` a new block begins anywhere. Time is a ring.
pub fn stationary_resample(n: usize, mean_length: f64, chance: &mut Stream, into: &mut Vec<usize>) {
    into.clear();
    if n == 0 {
        return;
    }
    let restart = (u64::MAX as f64 / mean_length.max(1.0)) as u64;
    let mut at = 0;
    for drawn in 0..n {
        at = if drawn == 0 || chance.next_u64() <= restart {
            below(chance, n)
        } else {
            (at + 1) % n
        };
        into.push(at);
    }
}

/// The variance of a series' sum over all stationary resamples, without drawing any.
///
/// n (R(0) + 2 Σ b(i) R(i)), b(i) = (1 − i/n)(1 − 1/L)^i + (i/n)(1 − 1/L)^(n−i), R the
/// autocovariances with divisor n (Politis and Romano, 1994, lemma 1).
pub fn stationary_variance(series: &[f64], mean_length: f64) -> f64 {
    let n = series.len();
    if n < 2 {
        return 0.0;
    }
    let stay = 1.0 - 1.0 / mean_length.max(1.0);
    let weight = |lag: usize| {
        let share = lag as f64 / n as f64;
        (1.0 - share) * stay.powi(lag as i32) + share * stay.powi((n - lag) as i32)
    };
    let lags: Vec<usize> = (1..n).filter(|lag| weight(*lag) > 1e-9).collect();
    let m = mean(series);
    let products = |lag: usize| -> f64 {
        series[lag..].iter().zip(series).map(|(a, b)| (a - m) * (b - m)).sum()
    };
    let around: f64 = lags.iter().map(|lag| 2.0 * weight(*lag) * products(*lag)).sum();
    (products(0) + around).max(0.0)
}

/// A uniform index below `n`; the bias of the multiplication is n/2^64.
pub(crate) fn below(chance: &mut Stream, n: usize) -> usize {
    ((u128::from(chance.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::super::draws;
    use super::*;
    use crate::base::random::stream;

    fn mean_lengths(phi: f64, n: usize) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for seed in 0..50 {
            let length = block_length(&draws::ar1(&mut stream(seed, "ar1", 0), phi, n));
            sums.0 += length.stationary / 50.0;
            sums.1 += length.circular / 50.0;
        }
        sums
    }

    #[test]
    fn block_lengths_of_autoregressive_series() {
        for (phi, n, stationary, circular) in [(0.3, 10_000, 16.32, 18.68), (0.7, 1000, 19.6, 22.4)]
        {
            let seen = mean_lengths(phi, n);
            assert!((seen.0 / stationary - 1.0).abs() < 0.25, "phi {phi}: {seen:?}");
            assert!((seen.1 / circular - 1.0).abs() < 0.25, "phi {phi}: {seen:?}");
        }
    }

    #[test]
    fn short_or_constant_series_have_blocks_of_one() {
        let one = BlockLength { stationary: 1.0, circular: 1.0 };
        assert_eq!(block_length(&[]), one);
        assert_eq!(block_length(&[1.0, 2.0]), one);
        assert_eq!(block_length(&[3.0; 100]), one);
    }

    #[test]
    fn the_variance_is_that_of_many_resamples() {
        for (phi, length) in [(0.0, 1.0), (0.7, 12.0), (0.7, 60.0)] {
            let series = draws::ar1(&mut stream(3, "variance", 0), phi, 200);
            let mut chance = stream(4, "variance", 0);
            let mut indices = Vec::new();
            let mut sums = Vec::new();
            for _ in 0..4000 {
                stationary_resample(200, length, &mut chance, &mut indices);
                sums.push(indices.iter().map(|i| series[*i]).sum::<f64>());
            }
            let drawn = super::super::describe::deviation(&sums).powi(2);
            let seen = stationary_variance(&series, length);
            assert!((seen / drawn - 1.0).abs() < 0.08, "phi {phi} length {length}: {seen} {drawn}");
        }
    }

    #[test]
    fn resamples_have_blocks_of_the_mean_length() {
        let mut chance = stream(1, "blocks", 0);
        let mut indices = Vec::new();
        stationary_resample(100_000, 20.0, &mut chance, &mut indices);
        let jumps = indices.windows(2).filter(|w| w[1] != (w[0] + 1) % 100_000).count();
        assert_eq!(indices.len(), 100_000);
        assert!((jumps as f64 / 5000.0 - 1.0).abs() < 0.05, "{jumps}");
        stationary_resample(0, 20.0, &mut chance, &mut indices);
        assert!(indices.is_empty());
    }
}
