//! The distribution functions the methods use, with the edges made total.
//!
//! `statrs` supplies the incomplete beta function and its inverse; its own constructors return
//! errors for parameters that cannot occur here, so callers would each carry an `expect`.

use statrs::function::beta::{beta_reg, inv_beta_reg};
use statrs::function::erf::{erfc, erfc_inv};
use statrs::function::gamma::ln_gamma;

/// Standard normal P(Z ≤ z).
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

/// Standard normal quantile of `p` in (0, 1).
pub fn normal_quantile(p: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p)
}

/// Student's t with `df` > 0: P(T ≤ t).
pub fn t_cdf(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 1.0 } else { 0.0 };
    }
    let tail = 0.5 * beta(df / 2.0, 0.5, df / (df + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Two-sided p of a t statistic, exact in the far tail where `1 − cdf` would round to 0.
pub fn t_two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    beta(df / 2.0, 0.5, df / (df + t * t))
}

/// Student's t quantile of `p` in (0, 1).
///
/// The library's inverse is polished by Newton steps on [`t_cdf`], because fits quote intervals
/// to six digits and the inverse alone does not promise them.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if p == 0.5 {
        return 0.0;
    }
    let tail = p.min(1.0 - p);
    let y = inv_beta_reg(df / 2.0, 0.5, 2.0 * tail).clamp(f64::MIN_POSITIVE, 1.0);
    let mut t = (df * (1.0 - y) / y).sqrt();
    for _ in 0..4 {
        let excess = 0.5 * t_two_sided(t, df) - tail;
        t += excess / t_density(t, df);
    }
    if p < 0.5 { -t } else { t }
}

fn t_density(t: f64, df: f64) -> f64 {
    let ln = ln_gamma((df + 1.0) / 2.0)
        - ln_gamma(df / 2.0)
        - 0.5 * (df * std::f64::consts::PI).ln()
        - (df + 1.0) / 2.0 * (1.0 + t * t / df).ln();
    ln.exp()
}

/// Regularised incomplete beta I_x(a, b), total on the edges.
pub fn beta(a: f64, b: f64, x: f64) -> f64 {
    match x {
        x if x <= 0.0 => 0.0,
        x if x >= 1.0 => 1.0,
        x => beta_reg(a, b, x),
    }
}

/// Binomial P(X ≤ k) of `n` draws with chance `p`: I_{1−p}(n − k, k + 1).
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    beta((n - k) as f64, (k + 1) as f64, 1.0 - p)
}

/// Clopper–Pearson one-sided bounds, each at level `1 − alpha`, of a share `x` of `n`.
///
/// Both may be fractional: a design effect divides them.
pub fn clopper_pearson(x: f64, n: f64, alpha: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let low = if x <= 0.0 { 0.0 } else { beta_quantile(x, n - x + 1.0, alpha) };
    let high = if x >= n { 1.0 } else { beta_quantile(x + 1.0, n - x, 1.0 - alpha) };
    (low, high)
}

/// The quantile of the beta distribution, by bisection: 100 halvings are exact to the last bit and
/// cannot diverge, which a Newton step in a far tail can.
fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if beta(a, b, middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(seen: f64, expected: f64, tolerance: f64) {
        assert!((seen - expected).abs() <= tolerance, "{seen} instead of {expected}");
    }

    #[test]
    fn quantiles_of_students_t_as_in_the_tables() {
        for (df, expected) in [(3.0, 3.1824), (4.0, 2.7764), (5.0, 2.5706), (9.0, 2.2622)] {
            close(t_quantile(0.975, df), expected, 5e-5);
            close(t_quantile(0.025, df), -expected, 5e-5);
        }
        close(t_quantile(0.975, 19.0), 2.0930, 5e-5);
        close(t_quantile(0.975, 1.0), 12.706_204_736, 1e-8);
        close(t_quantile(0.5, 7.0), 0.0, 0.0);
    }

    #[test]
    fn cdf_and_quantile_are_inverse_to_each_other() {
        for df in [1.0, 2.5, 5.0, 15.0, 200.0] {
            for p in [0.000_25, 0.01, 0.3, 0.6, 0.9, 0.99, 0.9999] {
                close(t_cdf(t_quantile(p, df), df), p, 1e-11);
            }
        }
        for p in [1e-6, 0.025, 0.5, 0.8, 0.999] {
            close(normal_cdf(normal_quantile(p)), p, 1e-10);
        }
        close(normal_quantile(0.995), 2.575_829_303_5, 1e-8);
    }

    #[test]
    fn the_far_tail_is_not_rounded_away() {
        let p = t_two_sided(60.0, 18.0);
        assert!(p > 0.0 && p < 1e-20, "{p}");
    }

    #[test]
    fn binomial_sums_are_exact() {
        // 10 throws of a fair coin: (1 + 10 + 45) / 1024.
        close(binomial_cdf(2, 10, 0.5), 56.0 / 1024.0, 1e-14);
        close(binomial_cdf(0, 299, 0.01), 0.99_f64.powi(299), 1e-14);
        assert_eq!(binomial_cdf(10, 10, 0.3), 1.0);
    }

    #[test]
    fn clopper_pearson_inverts_the_binomial() {
        let (low, high) = clopper_pearson(3.0, 100.0, 0.05);
        close(1.0 - binomial_cdf(2, 100, low), 0.05, 1e-10);
        close(binomial_cdf(3, 100, high), 0.05, 1e-10);
        close(clopper_pearson(0.0, 299.0, 0.05).1, 1.0 - 0.05_f64.powf(1.0 / 299.0), 1e-12);
        assert_eq!(clopper_pearson(0.0, 0.0, 0.05), (0.0, 1.0));
        assert_eq!(clopper_pearson(7.0, 7.0, 0.05).1, 1.0);
    }
}
