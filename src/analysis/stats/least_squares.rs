//! Levenberg–Marquardt for curves of three parameters, some of which may be held.

/// A curve y(x; θ) with its derivatives by θ.
pub type Curve = fn(f64, &[f64; 3]) -> (f64, [f64; 3]);
pub type Matrix = [[f64; 3]; 3];

const STEPS: usize = 500;

/// Where the descent ended.
#[derive(Clone, Copy, Debug)]
pub struct Minimum {
    pub at: [f64; 3],
    pub squares: f64,
    /// (JᵀJ)⁻¹ over the free parameters, zero elsewhere; `None` when they cannot be told apart.
    pub spread: Option<Matrix>,
}

/// Descends from `start`; parameters that are not `free` stay. Marquardt's scaling by the diagonal
/// of JᵀJ makes it indifferent to units. Bounded steps; a start in a bad place ends in a bad place,
/// so try several.
pub fn descend(curve: Curve, points: &[(f64, f64)], start: [f64; 3], free: [bool; 3]) -> Minimum {
    let mut at = start;
    let mut squares = cost(curve, points, &at);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let (normal, gradient) = normal_equations(curve, points, &at, free);
        let mut damped = normal;
        for (i, row) in damped.iter_mut().enumerate() {
            row[i] *= 1.0 + damping;
        }
        let step = inverse(&damped, free).map(|inverse| times(&inverse, &gradient));
        let next: [f64; 3] = std::array::from_fn(|i| at[i] + step.map_or(0.0, |s| s[i]));
        let reached = cost(curve, points, &next);
        if step.is_some() && reached.is_finite() && reached <= squares {
            let still = (0..3).all(|i| (next[i] - at[i]).abs() <= 1e-14 * at[i].abs());
            (at, squares, damping) = (next, reached, (damping / 5.0).max(1e-15));
            if still {
                break;
            }
        } else if damping > 1e15 {
            break;
        } else {
            damping *= 4.0;
        }
    }
    let (normal, _) = normal_equations(curve, points, &at, free);
    Minimum { at, squares, spread: inverse(&normal, free) }
}

fn cost(curve: Curve, points: &[(f64, f64)], at: &[f64; 3]) -> f64 {
    points.iter().map(|(x, y)| (y - curve(*x, at).0).powi(2)).sum()
}

fn normal_equations(
    curve: Curve,
    points: &[(f64, f64)],
    at: &[f64; 3],
    free: [bool; 3],
) -> (Matrix, [f64; 3]) {
    let (mut normal, mut gradient) = ([[0.0; 3]; 3], [0.0; 3]);
    for (x, y) in points {
        let (value, slope) = curve(*x, at);
        for i in (0..3).filter(|i| free[*i]) {
            gradient[i] += slope[i] * (y - value);
            for j in (0..3).filter(|j| free[*j]) {
                normal[i][j] += slope[i] * slope[j];
            }
        }
    }
    (normal, gradient)
}

pub fn times(matrix: &Matrix, vector: &[f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| (0..3).map(|j| matrix[i][j] * vector[j]).sum())
}

/// The inverse over the free rows and columns, after scaling by the diagonal so that a number per
/// second and a number per second squared do not look singular beside each other.
fn inverse(matrix: &Matrix, free: [bool; 3]) -> Option<Matrix> {
    let scale: [f64; 3] = std::array::from_fn(|i| if free[i] { matrix[i][i].sqrt() } else { 1.0 });
    if scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return None;
    }
    let mut work: Matrix = std::array::from_fn(|i| {
        std::array::from_fn(|j| match (free[i] && free[j], i == j) {
            (true, _) => matrix[i][j] / (scale[i] * scale[j]),
            (false, same) => f64::from(u8::from(same)),
        })
    });
    let mut result: Matrix =
        std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    for column in 0..3 {
        let pivot =
            (column..3).max_by(|a, b| work[*a][column].abs().total_cmp(&work[*b][column].abs()))?;
        if work[pivot][column].abs() < 1e-14 {
            return None;
        }
        work.swap(column, pivot);
        result.swap(column, pivot);
        eliminate(&mut work, &mut result, column);
    }
    let unscaled = |i: usize, j: usize| {
        if free[i] && free[j] { result[i][j] / (scale[i] * scale[j]) } else { 0.0 }
    };
    Some(std::array::from_fn(|i| std::array::from_fn(|j| unscaled(i, j))))
}

fn eliminate(work: &mut Matrix, result: &mut Matrix, column: usize) {
    let pivot = work[column][column];
    work[column].iter_mut().for_each(|v| *v /= pivot);
    result[column].iter_mut().for_each(|v| *v /= pivot);
    let (work_row, result_row) = (work[column], result[column]);
    for row in (0..3).filter(|row| *row != column) {
        let factor = work[row][column];
        for i in 0..3 {
            work[row][i] -= factor * work_row[i];
            result[row][i] -= factor * result_row[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parabola(x: f64, t: &[f64; 3]) -> (f64, [f64; 3]) {
        (t[0] + t[1] * x + t[2] * x * x, [1.0, x, x * x])
    }

    #[test]
    fn a_linear_problem_is_solved_exactly() {
        let points: Vec<(f64, f64)> = (0..6).map(|x| (x as f64, 1.0 + 2.0 * x as f64)).collect();
        let seen = descend(parabola, &points, [0.0; 3], [true; 3]);
        for (seen, expected) in seen.at.iter().zip([1.0, 2.0, 0.0]) {
            assert!((seen - expected).abs() < 1e-9, "{seen}");
        }
        let held = descend(parabola, &points, [0.0, 0.0, 5.0], [true, true, false]);
        assert_eq!(held.at[2], 5.0);
        assert_eq!(held.spread.unwrap()[2], [0.0; 3]);
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_spread() {
        let seen = descend(parabola, &[(1.0, 1.0), (1.0, 1.2)], [0.0; 3], [true; 3]);
        assert!(seen.spread.is_none());
    }
}
