//! One of several kinds, by weight, in constant time: Walker's alias method in Vose's form
//! (IEEE TSE 1991).

/// A choice among `0..n` with given weights.
#[derive(Clone, Debug)]
pub struct Mix {
    /// For each cell: below this (of 2^32) it is itself, else its alias.
    cells: Vec<(u64, u32)>,
}

impl Mix {
    /// Weights that are not positive numbers count as zero; all zero means equally likely.
    pub fn new(weights: &[f64]) -> Mix {
        let n = weights.len().max(1);
        let sound = |w: f64| if w.is_finite() && w > 0.0 { w } else { 0.0 };
        let total: f64 = weights.iter().map(|w| sound(*w)).sum();
        let mut share: Vec<f64> = match total > 0.0 {
            true => weights.iter().map(|w| sound(*w) / total * n as f64).collect(),
            false => vec![1.0; n],
        };
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|i| share[*i] < 1.0);
        let mut cells: Vec<(u64, u32)> = (0..n).map(|i| (1 << 32, i as u32)).collect();
        while let (Some(less), Some(more)) = (small.pop(), large.pop()) {
            cells[less] = ((share[less] * (1u64 << 32) as f64) as u64, more as u32);
            share[more] -= 1.0 - share[less];
            if share[more] < 1.0 { small.push(more) } else { large.push(more) }
        }
        Mix { cells }
    }

    #[inline]
    pub fn pick(&self, word: u64) -> usize {
        let cell = (((word >> 32) * self.cells.len() as u64) >> 32) as usize;
        let (limit, alias) = self.cells[cell];
        if word & 0xffff_ffff < limit { cell } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::mix;

    #[test]
    fn shares_follow_the_weights() {
        let check = |weights: &[f64], expected: &[f64]| {
            let chooser = Mix::new(weights);
            let mut counts = vec![0.0; expected.len()];
            for i in 0..200_000 {
                counts[chooser.pick(mix(i))] += 1.0 / 200_000.0;
            }
            for (seen, wanted) in counts.iter().zip(expected) {
                assert!((seen - wanted).abs() < 0.006, "{weights:?}: {counts:?}");
            }
        };
        check(&[1.0], &[1.0]);
        check(&[1.0, 3.0], &[0.25, 0.75]);
        check(&[0.0, 5.0, 0.0], &[0.0, 1.0, 0.0]);
        check(&[50.0, 30.0, 15.0, 5.0], &[0.5, 0.3, 0.15, 0.05]);
        check(&[0.0, 0.0], &[0.5, 0.5]);
        check(&[f64::NAN, 2.0], &[0.0, 1.0]);
    }
}
