//! Means and spreads of a handful of numbers. Empty input gives NaN, never a panic.

/// The arithmetic mean.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// The sample standard deviation, with n − 1; 0 for a single number.
pub fn deviation(x: &[f64]) -> f64 {
    if x.len() < 2 {
        return if x.is_empty() { f64::NAN } else { 0.0 };
    }
    let m = mean(x);
    (x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() - 1) as f64).sqrt()
}

/// A sorted copy, by total order.
pub fn sorted(x: &[f64]) -> Vec<f64> {
    let mut x = x.to_vec();
    x.sort_by(f64::total_cmp);
    x
}

/// The middle, or the mean of the two middle ones.
pub fn median(x: &[f64]) -> f64 {
    let x = sorted(x);
    match x.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => x[n / 2],
        n => (x[n / 2 - 1] + x[n / 2]) / 2.0,
    }
}

/// Quantile `q` in `[0, 1]` of sorted values by linear interpolation (type 7 of Hyndman and Fan,
/// 1996). For the few values of a bootstrap; latencies use the histogram.
pub fn interpolated(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_moments() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), (32.0_f64 / 7.0).sqrt());
        assert_eq!(deviation(&[5.0]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(interpolated(&[0.0, 10.0], 0.25), 2.5);
        assert!(mean(&[]).is_nan() && deviation(&[]).is_nan() && median(&[]).is_nan());
    }
}
