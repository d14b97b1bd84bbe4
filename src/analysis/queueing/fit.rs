//! How far what was seen is from what was meant: goodness of fit for gaps, and a distance between
//! two histograms that forgives small shifts.

use crate::base::{Histogram, Nanos};

/// Kolmogorov and Smirnov's distance of gaps from the exponential law of their own mean.
pub fn ks_exponential(gaps: &[f64]) -> f64 {
    let n = gaps.len() as f64;
    let step = |(i, x): (usize, f64)| {
        let law = -(-x).exp_m1();
        (law - i as f64 / n).abs().max(((i + 1) as f64 / n - law).abs())
    };
    scaled(gaps).into_iter().enumerate().map(step).fold(0.0, f64::max)
}

/// Anderson and Darling's A² of gaps against the exponential law of their own mean, with the
/// correction for a mean that was estimated (Stephens, 1974): 1.957 is passed by chance once in a
/// hundred samples. Gaps of nothing count as the smallest that can be told from it.
pub fn anderson_darling_exponential(gaps: &[f64]) -> f64 {
    let sorted = scaled(gaps);
    let n = sorted.len();
    let least = 1e-9;
    let below = |x: f64| (-(-x.max(least)).exp_m1()).ln();
    let sum: f64 = (0..n)
        .map(|i| (2 * i + 1) as f64 * (below(sorted[i]) - sorted[n - 1 - i].max(least)))
        .sum();
    let statistic = -(n as f64) - sum / n as f64;
    statistic * (1.0 + 0.6 / n as f64)
}

/// Divided by their mean, in order.
fn scaled(gaps: &[f64]) -> Vec<f64> {
    let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
    let mut all: Vec<f64> = gaps.iter().map(|g| g / mean.max(f64::MIN_POSITIVE)).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The share of values that are certainly off by more than `slack`: the least s with
/// F(x − slack) − s ≤ G(x) ≤ F(x + slack) + s for all x, a distance of Lévy's kind. However the
/// values of the two histograms belong together, at least this share of pairs differs by more
/// (the easy half of Strassen's theorem); values that only swapped places are not seen.
pub fn shifted_share(meant: &Histogram, seen: &Histogram, slack: Nanos) -> f64 {
    let (f, g) = (Steps::of(meant), Steps::of(seen));
    let down = |x: u64| x.checked_sub(slack.0).map_or(0.0, |y| f.up_to(y));
    let at = |x: u64| {
        let too_early = g.up_to(x) - f.up_to(x.saturating_add(slack.0));
        let too_late = down(x) - g.up_to(x);
        too_early.max(too_late)
    };
    // Both differences are largest where one of the two functions has just stepped, or is about to.
    let meant = f.values.iter().flat_map(|v| [v + slack.0, v.saturating_sub(slack.0 + 1)]);
    g.values.iter().copied().chain(meant).map(at).fold(0.0, f64::max)
}

/// A distribution function of steps.
struct Steps {
    values: Vec<u64>,
    shares: Vec<f64>,
}

impl Steps {
    fn of(histogram: &Histogram) -> Steps {
        let total = histogram.count().max(1) as f64;
        let (mut values, mut shares, mut sum) = (Vec::new(), Vec::new(), 0);
        for step in histogram.hdr().iter_recorded() {
            sum += step.count_at_value();
            values.push(step.value_iterated_to());
            shares.push(sum as f64 / total);
        }
        Steps { values, shares }
    }

    fn up_to(&self, x: u64) -> f64 {
        let n = self.values.partition_point(|v| *v <= x);
        n.checked_sub(1).map_or(0.0, |i| self.shares[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random;
    use rand_xoshiro::rand_core::Rng;

    fn exponential(n: usize, seed: u64) -> Vec<f64> {
        let mut stream = random::stream(seed, "gaps", 0);
        (0..n).map(|_| -(1.0 - random::unit(stream.next_u64())).ln()).collect()
    }

    #[test]
    fn exponential_gaps_pass_and_even_ones_do_not() {
        let passed = (0..100)
            .filter(|seed| anderson_darling_exponential(&exponential(2000, *seed)) < 1.957)
            .count();
        assert!((95..=100).contains(&passed), "{passed}: one in a hundred may fail");
        assert!(ks_exponential(&exponential(2000, 3)) < 1.36 / 2000f64.sqrt());
        let even = vec![1.0; 2000];
        assert!(anderson_darling_exponential(&even) > 100.0);
        assert!((ks_exponential(&even) - (1.0 - (-1.0f64).exp())).abs() < 1e-9);
        let late: Vec<f64> = exponential(2000, 3).iter().map(|g| g + 0.2).collect();
        assert!(anderson_darling_exponential(&late) > 2.0 * 1.957);
    }

    #[test]
    fn a_single_value_has_the_statistic_that_a_hand_computes() {
        // One gap, scaled to 1: A² = −1 − (ln(1 − e⁻¹) − 1) = −ln(1 − e⁻¹), times 1.6.
        let expected = -(1.0 - (-1.0f64).exp()).ln() * 1.6;
        assert!((anderson_darling_exponential(&[5.0]) - expected).abs() < 1e-12);
    }

    fn histogram(values: &[u64]) -> Histogram {
        let mut h = Histogram::new();
        values.iter().for_each(|v| h.record(Nanos(*v)));
        h
    }

    #[test]
    fn only_what_is_off_by_more_than_the_slack_counts() {
        let meant = histogram(&[1000, 1000, 1000, 1500, 1500, 1500, 1500, 1900, 1900, 1900]);
        let share = |seen: &[u64], slack| shifted_share(&meant, &histogram(seen), Nanos(slack));
        let shifted = [1050, 1050, 1050, 1550, 1550, 1550, 1550, 1950, 1950, 1950];
        assert!(share(&shifted, 60) < 1e-9);
        assert!((share(&shifted, 20) - 0.4).abs() < 1e-9, "{}", share(&shifted, 20));
        let two_late = [1000, 1000, 1000, 1500, 1500, 1500, 1500, 1900, 5000, 5000];
        assert!((share(&two_late, 100) - 0.2).abs() < 1e-9);
        let one_early = [10, 1000, 1000, 1500, 1500, 1500, 1500, 1900, 1900, 1900];
        assert!((share(&one_early, 100) - 0.1).abs() < 1e-9);
    }
}
