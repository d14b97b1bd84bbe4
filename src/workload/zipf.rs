//! Ranks with weight k^-s, by rejection-inversion (Hörmann and Derflinger, ACM TOMACS 6, 1996):
//! constant memory for any number of ranks, any exponent from 0, 1 included.

use crate::base::random::{mix, unit};

/// A Zipf distribution over `1..=n`.
#[derive(Clone, Debug)]
pub struct Zipf {
    n: f64,
    exponent: f64,
    integral_first: f64,
    integral_last: f64,
    shortcut: f64,
}

impl Zipf {
    pub fn new(n: u64, exponent: f64) -> Zipf {
        let exponent = if exponent.is_finite() { exponent.max(0.0) } else { 1.0 };
        let mut zipf = Zipf {
            n: n.max(1) as f64,
            exponent,
            integral_first: 0.0,
            integral_last: 0.0,
            shortcut: 0.0,
        };
        zipf.integral_first = zipf.integral(1.5) - 1.0;
        zipf.integral_last = zipf.integral(zipf.n + 0.5);
        zipf.shortcut = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// A rank; `word` is the only chance in it.
    #[inline]
    pub fn rank(&self, word: u64) -> u64 {
        let mut word = word;
        // Each try is accepted with more than 60 % chance, so 64 fail with less than 10^-25.
        for _ in 0..64 {
            let u = self.integral_last + unit(word) * (self.integral_first - self.integral_last);
            let x = self.integral_inverse(u);
            let k = x.round().clamp(1.0, self.n);
            if k - x <= self.shortcut || u >= self.integral(k + 0.5) - self.weight(k) {
                return k as u64;
            }
            word = mix(word);
        }
        1
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// ∫ x^-s from 1: (x^(1-s) - 1) / (1-s), which is ln x where s is 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_ratio((1.0 - self.exponent) * log) * log
    }

    fn integral_inverse(&self, y: f64) -> f64 {
        let t = (y * (1.0 - self.exponent)).max(-1.0);
        (ln1p_ratio(t) * y).exp()
    }
}

/// (e^x - 1) / x, continued through 0.
fn expm1_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x * 0.5 * (1.0 + x / 3.0) }
}

/// ln(1 + x) / x, continued through 0.
fn ln1p_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x * (0.5 - x / 3.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n: u64, exponent: f64) {
        let zipf = Zipf::new(n, exponent);
        let draws = 400_000u64;
        let mut counts = vec![0u64; n as usize + 1];
        for i in 0..draws {
            counts[zipf.rank(mix(i ^ 0xabcd)) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        let total: f64 = (1..=n).map(|k| (k as f64).powf(-exponent)).sum();
        for k in [1, 2, 3, n / 2, n].into_iter().filter(|k| (1..=n).contains(k)) {
            let expected = (k as f64).powf(-exponent) / total * draws as f64;
            let seen = counts[k as usize] as f64;
            let bound = 5.0 * expected.sqrt() + 1.0;
            assert!((seen - expected).abs() < bound, "n {n}, s {exponent}, rank {k}: {seen}");
        }
    }

    #[test]
    fn ranks_have_the_weights_of_the_law() {
        for exponent in [0.0, 0.5, 0.99, 1.0, 1.01, 2.0] {
            for n in [1, 2, 10, 1000] {
                check(n, exponent);
            }
        }
    }

    #[test]
    fn millions_of_ranks_stay_in_bounds() {
        let zipf = Zipf::new(50_000_000, 1.0);
        let largest = (0..100_000).map(|i| zipf.rank(mix(i))).max().unwrap();
        assert!((1_000_000..=50_000_000).contains(&largest), "{largest}");
    }
}
