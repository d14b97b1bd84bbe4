//! Holm's step-down correction: several metrics are gated, one false alarm is one too many.

/// Adjusted p-values in the order given (Holm, 1979): sorted ascending, p_(i) · (m − i + 1), made
/// monotone, at most 1. Compare each with the level of the whole family. NaN counts as 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let known = |i: usize| if p[i].is_nan() { 1.0 } else { p[i] };
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| known(*a).total_cmp(&known(*b)));
    let mut adjusted = vec![1.0; p.len()];
    let mut floor: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        floor = floor.max(known(index) * (p.len() - rank) as f64).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pays_for_all_and_the_order_stays() {
        let seen = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (seen, expected) in seen.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((seen - expected).abs() < 1e-12, "{seen} instead of {expected}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[f64::NAN, 0.01]), [1.0, 0.02]);
        assert!(holm(&[]).is_empty());
    }
}
