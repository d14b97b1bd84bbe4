//! Two samples without pairs: Mann–Whitney and Kolmogorov–Smirnov.
//!
//! For statistics of whole runs only. Requests of one run are autocorrelated, so on them both tests
//! call any two runs different; `coverage.rs` shows it.

use super::describe::sorted;
use super::distributions::normal_cdf;

/// U counts the pairs in which the first sample is the larger one, ties half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    pub u: f64,
    /// P(U' ≥ u) when both come from the same distribution.
    pub p_greater: f64,
    pub p_two_sided: f64,
}

/// Exact tables are built up to this product of sizes, when there are no ties.
const EXACT_UP_TO: usize = 2_500;

/// Exact without ties for small samples, else the normal approximation with correction for ties
/// and continuity. `None` when either sample is empty.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<MannWhitney> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (rank_sum, tie_term) = rank_sum(first, second);
    let (n, m) = (first.len(), second.len());
    let u = rank_sum - (n * (n + 1)) as f64 / 2.0;
    let (p_greater, p_less) = if tie_term == 0.0 && n * m <= EXACT_UP_TO {
        exact_tails(n, m, u as usize)
    } else {
        normal_tails(n as f64, m as f64, u, tie_term)
    };
    Some(MannWhitney { u, p_greater, p_two_sided: (2.0 * p_greater.min(p_less)).min(1.0) })
}

/// The first sample's sum of mid-ranks, and Σ(t³ − t) over groups of ties.
fn rank_sum(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mut all: Vec<(f64, bool)> = first.iter().map(|v| (*v, true)).collect();
    all.extend(second.iter().map(|v| (*v, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut ties, mut rank) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = group.len() as f64;
        let own = group.iter().filter(|(_, own)| *own).count() as f64;
        sum += own * (rank + (size + 1.0) / 2.0);
        ties += size.powi(3) - size;
        rank += size;
    }
    (sum, ties)
}

/// P(U ≥ u) and P(U ≤ u) from the number of arrangements, by Mann and Whitney's recurrence
/// f(n, m, u) = f(n − 1, m, u − m) + f(n, m − 1, u), as chances to keep within f64.
fn exact_tails(n: usize, m: usize, u: usize) -> (f64, f64) {
    let mut row: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let mut next: Vec<Vec<f64>> = Vec::with_capacity(m + 1);
        next.push(vec![1.0]);
        for j in 1..=m {
            let from_first = i as f64 / (i + j) as f64;
            let mut chances = vec![0.0; i * j + 1];
            for (k, c) in row[j].iter().enumerate() {
                chances[k + j] += from_first * c;
            }
            for (k, c) in next[j - 1].iter().enumerate() {
                chances[k] += (1.0 - from_first) * c;
            }
            next.push(chances);
        }
        row = next;
    }
    let chances = &row[m];
    (chances[u..].iter().sum(), chances[..=u].iter().sum())
}

fn normal_tails(n: f64, m: f64, u: f64, ties: f64) -> (f64, f64) {
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return (1.0, 1.0);
    }
    let away = (u - n * m / 2.0) / variance.sqrt();
    let half = 0.5 / variance.sqrt();
    (1.0 - normal_cdf(away - half), normal_cdf(away + half))
}

/// The largest distance of two empirical distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    pub distance: f64,
    pub p: f64,
}

/// Two-sided; p by Kolmogorov's series with Stephens' (1970) correction for finite samples, good
/// from an effective size n·m/(n+m) of about 4 on. `None` when either sample is empty.
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> Option<KolmogorovSmirnov> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (x, y) = (sorted(first), sorted(second));
    let (n, m) = (x.len() as f64, y.len() as f64);
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while i < x.len() && j < y.len() {
        let at = x[i].min(y[j]);
        i += x[i..].iter().take_while(|v| **v <= at).count();
        j += y[j..].iter().take_while(|v| **v <= at).count();
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    let size = (n * m / (n + m)).sqrt();
    let p = kolmogorov_tail(distance * (size + 0.12 + 0.11 / size));
    Some(KolmogorovSmirnov { distance, p })
}

/// Q(t) = 2 Σ (−1)^(k−1) e^(−2k²t²); below .2 it is 1 to twelve digits and the series is useless.
pub fn kolmogorov_tail(t: f64) -> f64 {
    if t < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * k * k * t * t).exp()
    };
    let sum: f64 = (1..=100).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_chances_of_ten_against_ten() {
        // perfolizer, MannWhitneyTests, N10: U 47 at shift 0 and U 91 at shift −30.
        assert!((exact_tails(10, 10, 47).0 - 0.602_031_9).abs() < 1e-7);
        assert!((exact_tails(10, 10, 91).0 - 0.000_525_016_8).abs() < 1e-10);
    }

    #[test]
    fn counted_by_hand() {
        let seen = mann_whitney(&[3.0, 4.0], &[1.0, 2.0]).unwrap();
        assert_eq!(seen.u, 4.0);
        assert!((seen.p_greater - 1.0 / 6.0).abs() < 1e-15);
        let tied = mann_whitney(&[1.0, 1.0], &[1.0, 1.0]).unwrap();
        assert_eq!((tied.u, tied.p_two_sided), (2.0, 1.0));
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }

    #[test]
    fn the_approximation_agrees_with_the_table() {
        for u in [30, 50, 70, 91] {
            let (exact, normal) =
                (exact_tails(10, 10, u).0, normal_tails(10.0, 10.0, u as f64, 0.0).0);
            assert!((exact - normal).abs() < 0.003, "u {u}: {exact} and {normal}");
        }
    }

    #[test]
    fn kolmogorov_distances() {
        let x: Vec<f64> = (0..100).map(f64::from).collect();
        let shifted: Vec<f64> = x.iter().map(|v| v + 20.0).collect();
        let seen = kolmogorov_smirnov(&x, &shifted).unwrap();
        assert!((seen.distance - 0.2).abs() < 1e-12 && seen.p < 0.05, "{seen:?}");
        assert_eq!(kolmogorov_smirnov(&x, &x).unwrap().p, 1.0);
        // The critical values every table prints: 1.358 at 5 %, 1.628 at 1 %.
        assert!((kolmogorov_tail(1.3581) - 0.05).abs() < 1e-5);
        assert!((kolmogorov_tail(1.6276) - 0.01).abs() < 1e-5);
        assert_eq!(kolmogorov_smirnov(&x, &[]), None);
    }
}
