//! The sign-flip permutation test of paired differences.
//!
//! When A and B are the same, each difference is as likely to have the other sign, whatever its
//! distribution: the p-value is the share of sign patterns whose |sum| is at least the one seen.

use crate::base::random::stream;
use rand_xoshiro::rand_core::Rng;

/// All patterns are visited up to this many pairs; beyond, [`DRAWS`] of them.
pub const EXACT_UP_TO: usize = 16;
pub const DRAWS: u32 = 100_000;

/// Two-sided p. Exact up to [`EXACT_UP_TO`] pairs, then by (hits + 1)/(draws + 1) of a stream that
/// `seed` names. No pair: 1. The smallest possible p of k pairs is 2^(1−k).
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    if differences.is_empty() {
        return 1.0;
    }
    let scale: f64 = differences.iter().map(|d| d.abs()).sum();
    // Sums that are equal in exact arithmetic differ by rounding; a tie counts as reached.
    let reached = differences.iter().sum::<f64>().abs() - scale * 1e-12;
    if differences.len() <= EXACT_UP_TO {
        exact(differences, reached)
    } else {
        drawn(differences, reached, seed)
    }
}

/// A pattern and its opposite have the same |sum|, so the last sign stays. Patterns are visited in
/// Gray's order, in which one sign changes at a time.
fn exact(differences: &[f64], reached: f64) -> f64 {
    let patterns = 1u32 << (differences.len() - 1);
    let mut signs = differences.to_vec();
    let mut sum: f64 = signs.iter().sum();
    let mut hits = u32::from(sum.abs() >= reached);
    for pattern in 1..patterns {
        let changed = pattern.trailing_zeros() as usize;
        signs[changed] = -signs[changed];
        sum += 2.0 * signs[changed];
        hits += u32::from(sum.abs() >= reached);
    }
    f64::from(hits) / f64::from(patterns)
}

fn drawn(differences: &[f64], reached: f64, seed: u64) -> f64 {
    let mut chance = stream(seed, "sign-flip", differences.len() as u64);
    let mut hits = 0;
    for _ in 0..DRAWS {
        let sum: f64 = differences.chunks(64).map(|d| signed(d, chance.next_u64())).sum();
        hits += u32::from(sum.abs() >= reached);
    }
    f64::from(hits + 1) / f64::from(DRAWS + 1)
}

fn signed(differences: &[f64], pattern: u64) -> f64 {
    let sign = |bit: usize| if pattern >> bit & 1 == 1 { -1.0 } else { 1.0 };
    differences.iter().enumerate().map(|(bit, d)| sign(bit) * d).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_equal_differences_have_the_smallest_p() {
        assert_eq!(sign_flip(&[1.0; 10], 1), 2.0 / 1024.0);
        assert_eq!(sign_flip(&[-1.0; 10], 1), 2.0 / 1024.0);
        assert_eq!(sign_flip(&[0.3; 6], 1), 0.03125);
        assert_eq!(sign_flip(&[0.1; 5], 1), 0.0625);
        assert_eq!(sign_flip(&[2.0], 1), 1.0);
        assert_eq!(sign_flip(&[], 1), 1.0);
    }

    #[test]
    fn counted_by_hand() {
        // ±1 ±2 ±3: |sum| of 1, 2, -3 is 0, so every pattern reaches it.
        assert_eq!(sign_flip(&[1.0, 2.0, -3.0], 1), 1.0);
        // |1 + 2 - 1| = 2: of the 8 sums 4 2 2 0 and their opposites, 6 reach it.
        assert_eq!(sign_flip(&[1.0, 2.0, -1.0], 1), 0.75);
    }

    #[test]
    fn no_difference_at_all_is_no_evidence() {
        assert_eq!(sign_flip(&[0.0; 8], 1), 1.0);
        assert_eq!(sign_flip(&[0.0; 30], 1), 1.0);
    }

    #[test]
    fn drawing_agrees_with_counting() {
        let d: Vec<f64> = (0..EXACT_UP_TO).map(|i| (i as f64 - 4.0) / 10.0).collect();
        let counted = sign_flip(&d, 1);
        let reached = d.iter().sum::<f64>().abs() - 1e-9;
        assert!((drawn(&d, reached, 1) - counted).abs() < 0.004, "{counted}");
        assert_eq!(sign_flip(&[0.1; 40], 3), sign_flip(&[0.1; 40], 3));
    }
}
