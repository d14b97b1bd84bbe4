//! The robust companion of a mean of differences: Hodges and Lehmann's estimate with Wilcoxon's
//! signed-rank interval. One wild pair moves a mean, not this.

use super::describe::{median, sorted};

/// The median of the Walsh averages (d_i + d_j)/2, i ≤ j, and its distribution-free interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HodgesLehmann {
    pub center: f64,
    pub low: f64,
    pub high: f64,
}

/// Above this the exact table costs more than it tells; the interval then uses the normal
/// approximation of the signed-rank statistic.
const EXACT_UP_TO: usize = 60;

/// `None` for fewer pairs than can give an interval at this `alpha` (two-sided): at .05 that is 6.
pub fn hodges_lehmann(differences: &[f64], alpha: f64) -> Option<HodgesLehmann> {
    let walsh = sorted(&walsh_averages(differences));
    let critical = critical_rank(differences.len(), alpha)?;
    let (low, high) = (walsh.get(critical)?, walsh.get(walsh.len().checked_sub(critical + 1)?)?);
    Some(HodgesLehmann { center: median(&walsh), low: *low, high: *high })
}

fn walsh_averages(d: &[f64]) -> Vec<f64> {
    let mut averages = Vec::with_capacity(d.len() * (d.len() + 1) / 2);
    for (i, first) in d.iter().enumerate() {
        averages.extend(d[i..].iter().map(|second| (first + second) / 2.0));
    }
    averages
}

/// The largest c with P(W⁺ < c) ≤ alpha/2: the interval runs from the c-th Walsh average, counted
/// from 0, to its mirror.
fn critical_rank(n: usize, alpha: f64) -> Option<usize> {
    if n == 0 {
        return None;
    }
    if n > EXACT_UP_TO {
        let m = n as f64;
        let spread = (m * (m + 1.0) * (2.0 * m + 1.0) / 24.0).sqrt();
        let z = super::distributions::normal_quantile(1.0 - alpha / 2.0);
        return Some((m * (m + 1.0) / 4.0 - z * spread).floor().max(0.0) as usize);
    }
    let chances = signed_rank_chances(n);
    let mut below = 0.0;
    let mut count = 0_usize;
    for chance in chances {
        below += chance;
        if below > alpha / 2.0 {
            break;
        }
        count += 1;
    }
    count.checked_sub(1)
}

/// P(W⁺ = w) for w = 0..n(n+1)/2, by adding one rank after the other.
fn signed_rank_chances(n: usize) -> Vec<f64> {
    let mut chances = vec![0.0; n * (n + 1) / 2 + 1];
    chances[0] = 1.0;
    for rank in 1..=n {
        for w in (0..chances.len()).rev() {
            let with = if w >= rank { chances[w - rank] } else { 0.0 };
            chances[w] = 0.5 * (chances[w] + with);
        }
    }
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_add_up_and_match_small_tables() {
        let chances = signed_rank_chances(3);
        assert_eq!(chances, [0.125, 0.125, 0.125, 0.25, 0.125, 0.125, 0.125]);
        assert!((signed_rank_chances(20).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn critical_ranks_of_the_printed_tables() {
        // Two-sided .05 critical values of W: n 6 → 0, 8 → 3, 10 → 8, 15 → 25, 20 → 52.
        for (n, expected) in [(6, 0), (8, 3), (10, 8), (15, 25), (20, 52)] {
            assert_eq!(critical_rank(n, 0.05), Some(expected), "n {n}");
        }
        assert_eq!(critical_rank(5, 0.05), None);
    }

    #[test]
    fn one_wild_pair_does_not_move_the_center() {
        let mut d = [0.01, 0.02, 0.0, -0.01, 0.015, 0.005, -0.005, 0.01, 0.0, 0.012];
        let quiet = hodges_lehmann(&d, 0.05).unwrap();
        d[3] = 2.0;
        let wild = hodges_lehmann(&d, 0.05).unwrap();
        assert!((wild.center - quiet.center).abs() < 0.01, "{quiet:?} {wild:?}");
        assert!(quiet.low <= quiet.center && quiet.center <= quiet.high);
        assert_eq!(hodges_lehmann(&[], 0.05), None);
    }
}
