//! A curve that may only rise, through noisy points; and where it crosses a height.

/// The fitted curve: one value per distinct x, ascending in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    pub points: Vec<(f64, f64)>,
}

/// Weighted isotonic regression by pooling adjacent violators (Ayer et al., 1955; Barlow et al.,
/// 1972): the non-decreasing curve with the least Σ w (y − fit)². Points are (x, y, weight);
/// equal x are pooled first, weights ≤ 0 are ignored.
pub fn isotonic(points: &[(f64, f64, f64)]) -> Fit {
    let mut sorted: Vec<_> = points.iter().copied().filter(|p| p.2 > 0.0).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pools: Vec<Pool> = Vec::new();
    for same in sorted.chunk_by(|a, b| a.0 == b.0) {
        let weight: f64 = same.iter().map(|p| p.2).sum();
        let sum: f64 = same.iter().map(|p| p.1 * p.2).sum();
        pools.push(Pool { xs: vec![same[0].0], weight, sum });
        merge_last(&mut pools);
    }
    let points = pools
        .iter()
        .flat_map(|pool| pool.xs.iter().map(|x| (*x, pool.sum / pool.weight)))
        .collect();
    Fit { points }
}

struct Pool {
    xs: Vec<f64>,
    weight: f64,
    sum: f64,
}

fn merge_last(pools: &mut Vec<Pool>) {
    while let [.., before, last] = pools.as_slice() {
        if before.sum / before.weight <= last.sum / last.weight {
            return;
        }
        let last = pools.pop().expect("the slice pattern saw it");
        let before = pools.last_mut().expect("the slice pattern saw it");
        before.xs.extend(last.xs);
        before.weight += last.weight;
        before.sum += last.sum;
    }
}

impl Fit {
    /// The x at which the curve reaches `height`, with `scale` of y linear in `scale` of x between
    /// neighbours (identity for a straight line). A flat stretch at the height gives its middle.
    /// `None` when the curve never lies on both sides: the data do not bracket the height.
    pub fn crossing(
        &self,
        height: f64,
        x: impl Fn(f64) -> f64,
        y: impl Fn(f64) -> f64,
    ) -> Option<f64> {
        let above = self.points.iter().position(|p| p.1 > height)?;
        let reached = self.points[..above].iter().rposition(|p| p.1 < height);
        let first_equal = reached.map_or(0, |index| index + 1);
        if first_equal < above {
            let (from, to) = (self.points[first_equal].0, self.points[above - 1].0);
            return Some(0.5 * (x(from) + x(to)));
        }
        let (low, high) = (self.points[reached?], self.points[above]);
        let share = (y(height) - y(low.1)) / (y(high.1) - y(low.1));
        Some(x(low.0) + share * (x(high.0) - x(low.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unweighted(y: &[f64]) -> Vec<f64> {
        let points: Vec<_> = y.iter().enumerate().map(|(i, y)| (i as f64, *y, 1.0)).collect();
        isotonic(&points).points.iter().map(|p| p.1).collect()
    }

    #[test]
    fn violators_are_pooled() {
        assert_eq!(unweighted(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(unweighted(&[3.0, 2.0, 1.0]), [2.0, 2.0, 2.0]);
        assert_eq!(unweighted(&[1.0, 3.0, 2.0, 4.0, 3.5, 5.0]), [1.0, 2.5, 2.5, 3.75, 3.75, 5.0]);
        assert!(unweighted(&[]).is_empty());
    }

    #[test]
    fn weights_and_equal_x_count() {
        let fit = isotonic(&[(2.0, 1.0, 3.0), (1.0, 4.0, 1.0), (9.0, 7.0, 0.0)]);
        assert_eq!(fit.points, [(1.0, 1.75), (2.0, 1.75)]);
        assert_eq!(isotonic(&[(1.0, 0.0, 1.0), (1.0, 4.0, 3.0)]).points, [(1.0, 3.0)]);
    }

    #[test]
    fn crossings() {
        let same = |v: f64| v;
        let fit = isotonic(&[(0.0, 0.0, 1.0), (10.0, 1.0, 1.0), (20.0, 3.0, 1.0)]);
        assert_eq!(fit.crossing(0.5, same, same), Some(5.0));
        assert_eq!(fit.crossing(2.0, same, same), Some(15.0));
        assert_eq!(fit.crossing(1.0, same, same), Some(10.0));
        assert_eq!(fit.crossing(5.0, same, same), None);
        assert_eq!(fit.crossing(-1.0, same, same), None);
        let flat = isotonic(&[(1.0, 0.0, 1.0), (2.0, 1.0, 1.0), (4.0, 1.0, 1.0), (5.0, 2.0, 1.0)]);
        assert_eq!(flat.crossing(1.0, same, same), Some(3.0));
    }

    #[test]
    fn it_is_the_least_squares_solution() {
        // Against a brute force over all non-decreasing step curves on a grid.
        let y = [2.0, 1.0, 3.0, 0.0];
        let seen: f64 = unweighted(&y).iter().zip(&y).map(|(f, y)| (f - y) * (f - y)).sum();
        let grid: Vec<f64> = (0..=12).map(|i| f64::from(i) / 4.0).collect();
        let mut best = f64::INFINITY;
        for a in &grid {
            for b in grid.iter().filter(|b| *b >= a) {
                for c in grid.iter().filter(|c| *c >= b) {
                    for d in grid.iter().filter(|d| *d >= c) {
                        let fit = [a, b, c, d];
                        let cost = fit.iter().zip(&y).map(|(f, y)| (*f - y).powi(2)).sum();
                        best = best.min(cost);
                    }
                }
            }
        }
        assert!((seen - best).abs() < 1e-9, "{seen} and {best}");
    }
}
