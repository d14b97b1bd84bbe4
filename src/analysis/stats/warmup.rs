//! Where the warm-up ends: MSER-5.

use super::describe::mean;

/// Samples per batch.
const BATCH: usize = 5;

/// How much of a series to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// Samples to drop from the front.
    pub cut: usize,
    /// The cut lies before the last place the rule may choose. When it does not, the series still
    /// drifts and has no steady state to speak of; that is the answer, not an error to be clamped.
    pub steady: bool,
}

/// White's marginal standard error rule on batches of five (White 1997; Spratt 1998): drop the d
/// batches that minimise Σ_{j>d}(B_j − mean_d)² / (k − d)², d ≤ k/2.
///
/// Give it the logarithm of a per-second quantile. `None` below four batches: too short to say.
pub fn mser5(series: &[f64]) -> Option<WarmUp> {
    let batches: Vec<f64> = series.chunks_exact(BATCH).map(mean).collect();
    let count = batches.len();
    if count < 4 {
        return None;
    }
    let error = |dropped: usize| {
        let rest = &batches[dropped..];
        let middle = mean(rest);
        let squares: f64 = rest.iter().map(|b| (b - middle).powi(2)).sum();
        squares / (rest.len() as f64).powi(2)
    };
    let mut best = (0, error(0));
    for dropped in 1..=count / 2 {
        let seen = error(dropped);
        if seen < best.1 {
            best = (dropped, seen);
        }
    }
    Some(WarmUp { cut: best.0 * BATCH, steady: best.0 < count / 2 })
}

#[cfg(test)]
mod tests {
    use super::super::draws;
    use super::*;
    use crate::base::random::stream;

    #[test]
    fn a_warm_up_is_cut_where_it_ends() {
        let mut placed = 0;
        for seed in 0..40 {
            let mut chance = stream(seed, "warm-up", 0);
            let noise = draws::ar1(&mut chance, 0.2, 200);
            let series: Vec<f64> =
                (0..200).map(|t| 3.0 * (-(t as f64) / 8.0).exp() + 0.05 * noise[t]).collect();
            let seen = mser5(&series).unwrap();
            assert!(seen.cut >= 15, "seed {seed} keeps the warm-up: {seen:?}");
            placed += usize::from(seen.steady && seen.cut <= 60);
        }
        assert!(placed >= 30, "{placed} of 40 are cut soon after the warm-up");
    }

    #[test]
    fn a_steady_series_is_hardly_cut_and_a_drift_never_steady() {
        assert_eq!(mser5(&[1.0; 100]).unwrap(), WarmUp { cut: 0, steady: true });
        let drift: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(mser5(&drift).unwrap(), WarmUp { cut: 50, steady: false });
        assert_eq!(mser5(&[1.0; 19]), None);
    }
}
