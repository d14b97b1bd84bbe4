//! Change points of a history: E-divisive with a t-test, as Otava (ex Hunter) does it.
//!
//! For series of one number per run. It needs about ten points on each side of a small shift; for
//! the newest point alone use [`newest_limit`].

use super::describe::{deviation, mean};
use super::distributions::{t_quantile, t_two_sided};

/// How sure, how large, and in windows of how many runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangeRule {
    /// At least 2.
    pub window: usize,
    /// The final level; candidates are found at ten times this (twice, from .05 on).
    pub p: f64,
    /// Smallest relative change of the means that is told.
    pub magnitude: f64,
}

impl Default for ChangeRule {
    fn default() -> ChangeRule {
        ChangeRule { window: 50, p: 0.001, magnitude: 0.0 }
    }
}

/// The first run that is different, and from what to what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    pub index: usize,
    pub p: f64,
    pub before: f64,
    pub after: f64,
}

impl ChangePoint {
    /// The larger of the relative changes, forward and backward.
    pub fn magnitude(&self) -> f64 {
        let relative = |from: f64, to: f64| if from == 0.0 { 0.0 } else { (to / from - 1.0).abs() };
        relative(self.before, self.after).max(relative(self.after, self.before))
    }
}

/// Splits in sliding windows at the weak level, then removes the weakest point and tests its
/// neighbours again until all are significant and large enough (Fleming et al., "Hunter", 2023).
pub fn change_points(series: &[f64], rule: ChangeRule) -> Vec<ChangePoint> {
    let weak = match rule.p {
        p if p < 0.05 => 10.0 * p,
        p if p < 0.5 => 2.0 * p,
        p => p,
    };
    merge(series, split(series, rule.window.max(2), weak), rule)
}

fn split(series: &[f64], window: usize, p: f64) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut start = 0;
    while start < series.len() {
        let end = (start + window).min(series.len());
        let here: Vec<usize> = divide(&series[start..end], p).iter().map(|i| i + start).collect();
        start = here.last().copied().unwrap_or(0).max(start + (window / 2).max(1));
        found.extend(here);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// E-divisive on the whole series (Matteson and James, 2014): split where the energy distance is
/// largest, as long as a t-test finds the two sides of that split different at level `p`.
pub fn divide(series: &[f64], p: f64) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    loop {
        let best = stretches(&found, series.len())
            .into_iter()
            .filter_map(|(from, to)| best_split(series, from, to).map(|c| (c, from, to)))
            .max_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
        let Some((candidate, from, to)) = best else { return found };
        let seen = test(&series[from..candidate.index], &series[candidate.index..to]);
        if seen > p {
            return found;
        }
        found.push(candidate.index);
        found.sort_unstable();
    }
}

/// The pieces between change points that are long enough to be split.
fn stretches(points: &[usize], len: usize) -> Vec<(usize, usize)> {
    let starts = std::iter::once(0).chain(points.iter().copied());
    let ends = points.iter().copied().chain(std::iter::once(len));
    starts.zip(ends).filter(|(from, to)| to - from >= 2).collect()
}

struct Candidate {
    index: usize,
    distance: f64,
}

/// The τ of the (τ, κ) with the largest energy distance between [from, τ) and [τ, κ):
/// 2/(m+n) Σ|x−y| − 2m/((m+n)(n−1)) Σ|x−x'| − 2n/((m+n)(m−1)) Σ|y−y'|.
fn best_split(series: &[f64], from: usize, to: usize) -> Option<Candidate> {
    let x = &series[from..to];
    let apart = |i: usize, j: usize| (x[i] - x[j]).abs();
    let mut best: Option<Candidate> = None;
    let mut left = 0.0;
    for split in 1..x.len() {
        left += (0..split - 1).map(|i| apart(i, split - 1)).sum::<f64>();
        let (mut cross, mut right) = (0.0, 0.0);
        for last in split..x.len() {
            cross += (0..split).map(|i| apart(i, last)).sum::<f64>();
            right += (split..last).map(|i| apart(i, last)).sum::<f64>();
            let distance = energy(split as f64, (last + 1 - split) as f64, cross, left, right);
            if best.as_ref().is_none_or(|b| distance > b.distance) {
                best = Some(Candidate { index: from + split, distance });
            }
        }
    }
    best
}

fn energy(n: f64, m: f64, cross: f64, left: f64, right: f64) -> f64 {
    let within_left = if n > 1.0 { m / (n - 1.0) * left } else { 0.0 };
    let within_right = if m > 1.0 { n / (m - 1.0) * right } else { 0.0 };
    2.0 / (m + n) * (cross - within_left - within_right)
}

/// Two-sided pooled t-test. The spreads are those of the population (n, not n − 1), because Otava's
/// published decisions rest on that.
fn test(left: &[f64], right: &[f64]) -> f64 {
    let (n, m) = (left.len() as f64, right.len() as f64);
    let free = n + m - 2.0;
    if free <= 0.0 {
        return 1.0;
    }
    let squares = |x: &[f64]| {
        let center = mean(x);
        x.iter().map(|v| (v - center).powi(2)).sum::<f64>() / x.len() as f64
    };
    let pooled = ((n - 1.0) * squares(left) + (m - 1.0) * squares(right)) / free;
    let difference = mean(left) - mean(right);
    if difference == 0.0 {
        return 1.0;
    }
    t_two_sided(difference / (pooled * (1.0 / n + 1.0 / m)).sqrt(), free)
}

fn described(series: &[f64], points: &[usize]) -> Vec<ChangePoint> {
    let bound = |at: Option<usize>| at.and_then(|i| points.get(i).copied());
    let describe = |(i, index): (usize, &usize)| {
        let from = bound(i.checked_sub(1)).unwrap_or(0);
        let to = bound(Some(i + 1)).unwrap_or(series.len());
        let (left, right) = (&series[from..*index], &series[*index..to]);
        ChangePoint { index: *index, p: test(left, right), before: mean(left), after: mean(right) }
    };
    points.iter().enumerate().map(describe).collect()
}

fn merge(series: &[f64], mut points: Vec<usize>, rule: ChangeRule) -> Vec<ChangePoint> {
    loop {
        let told = described(series, &points);
        let Some(doubtful) = told.iter().max_by(|a, b| a.p.total_cmp(&b.p)) else { return told };
        let mut weakest = doubtful.index;
        if doubtful.p < rule.p {
            let smallest = told.iter().min_by(|a, b| a.magnitude().total_cmp(&b.magnitude()));
            let smallest = smallest.expect("the list has a largest, so it has a smallest");
            if smallest.magnitude() > rule.magnitude {
                return told;
            }
            weakest = smallest.index;
        }
        points.retain(|index| *index != weakest);
    }
}

/// The upper limit for one new value by a t prediction interval: mean + t_{q,n−1} s sqrt(1 + 1/n).
/// `None` below two values.
pub fn newest_limit(history: &[f64], q: f64) -> Option<f64> {
    if history.len() < 2 {
        return None;
    }
    let n = history.len() as f64;
    Some(mean(history) + t_quantile(q, n - 1.0) * deviation(history) * (1.0 + 1.0 / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::draws;
    use super::*;
    use crate::base::random::stream;

    const STEP_DOWN: [f64; 20] = [
        1.02, 0.95, 0.99, 1.00, 1.12, 1.00, 1.01, 0.98, 1.01, 0.96, 0.50, 0.51, 0.48, 0.48, 0.55,
        0.50, 0.49, 0.51, 0.50, 0.49,
    ];

    fn indices(series: &[f64], rule: ChangeRule) -> Vec<usize> {
        change_points(series, rule).iter().map(|c| c.index).collect()
    }

    #[test]
    fn series_of_otavas_own_tests() {
        let rule = ChangeRule { window: 10, p: 0.0001, magnitude: 0.0 };
        assert_eq!(indices(&STEP_DOWN, rule), [10]);
        let longer = [&STEP_DOWN[..], &[0.47, 0.48, 0.45, 0.01, 0.1, 0.22]].concat();
        assert_eq!(indices(&longer, ChangeRule { window: 50, ..rule }), [10, 23]);
        let levels =
            [0.3, 2.4, 1.5, -0.9, -0.5, 99.7, 98.3, 99.1, 149.0, 149.7, 149.5, 149.1, 148.8, 150.0];
        assert_eq!(divide(&levels, 0.01), [5, 8]);
    }

    #[test]
    fn the_test_of_two_sides_as_otava_has_it() {
        let left = [1.00, 1.02, 1.05, 0.95, 0.98];
        assert!((test(&left, &left) - 1.0).abs() < 1e-9);
        let p = test(&left, &[0.80, 0.82, 0.85, 0.79, 0.77]);
        assert!(p > 0.0 && p < 0.001, "{p}");
    }

    #[test]
    fn a_small_change_can_be_kept_quiet() {
        let rule = ChangeRule { magnitude: 2.0, ..ChangeRule::default() };
        assert!(indices(&STEP_DOWN, rule).is_empty());
        let told = change_points(&STEP_DOWN, ChangeRule::default());
        assert!((told[0].magnitude() - 1.004).abs() < 0.01, "{told:?}");
    }

    #[test]
    fn noise_is_quiet_and_a_shift_is_placed() {
        let mut false_alarms = 0;
        let mut found = 0;
        for seed in 0..100 {
            let mut chance = stream(seed, "history", 0);
            let mut series: Vec<f64> =
                (0..60).map(|_| 100.0 + 2.0 * draws::normal(&mut chance)).collect();
            false_alarms += usize::from(!indices(&series, ChangeRule::default()).is_empty());
            series[30..].iter_mut().for_each(|v| *v *= 1.1);
            let seen = indices(&series, ChangeRule::default());
            found += usize::from(seen.iter().any(|i| i.abs_diff(30) <= 1));
        }
        assert!(false_alarms <= 25, "{false_alarms} of 100 steady histories have a change point");
        assert!(found >= 98, "{found} of 100 shifts of 10 % were found");
    }

    #[test]
    fn the_limit_of_the_newest_as_bencher_prints_it() {
        // 25 values with mean 100 and deviation 10.
        let side = 10.0 * (24.0_f64 / 24.0).sqrt();
        let mut history = vec![100.0 - side; 12];
        history.extend([100.0 + side; 12]);
        history.push(100.0);
        let seen = newest_limit(&history, 0.977).unwrap();
        assert!((seen - 121.4609).abs() < 5e-4, "{seen}");
        assert_eq!(newest_limit(&[1.0], 0.9), None);
    }

    #[test]
    fn short_series_have_no_change() {
        assert!(indices(&[], ChangeRule::default()).is_empty());
        assert!(indices(&[1.0], ChangeRule::default()).is_empty());
        assert!(indices(&[1.0, 2.0], ChangeRule::default()).is_empty());
        assert!(indices(&[5.0; 80], ChangeRule::default()).is_empty());
    }
}
