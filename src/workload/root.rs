//! Newton's method within a bracket: fast where it works, halving where it does not, and bounded.

/// Enough to halve 10⁹ seconds down to a nanosecond's tenth, with room for Newton's own steps.
const STEPS_MAX: usize = 100;

/// The root of a function that rises between `low` and `high`; `f` gives its value and its slope.
#[inline]
pub(super) fn find(
    start: f64,
    low: f64,
    high: f64,
    tolerance: f64,
    f: impl Fn(f64) -> (f64, f64),
) -> f64 {
    let (mut low, mut high) = (low, high);
    let mut x = if start >= low && start <= high { start } else { low + (high - low) / 2.0 };
    for _ in 0..STEPS_MAX {
        let (value, slope) = f(x);
        if value == 0.0 {
            return x;
        }
        if value > 0.0 {
            high = x
        } else {
            low = x
        }
        let step = value / slope;
        let next = x - step;
        // Its error after a step is about the square of the step, so a small step is the last.
        let small = tolerance.max(x.abs() * 1e-15);
        if step.abs() <= small {
            return next.clamp(low.min(x), high.max(x));
        }
        x = if next >= low && next <= high { next } else { low + (high - low) / 2.0 };
        if high - low <= small {
            return x;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn roots_are_found_where_newton_alone_fails() {
        let cube = find(9.0, -10.0, 10.0, 1e-12, |x| (x * x * x - 8.0, 3.0 * x * x));
        assert!((cube - 2.0).abs() < 1e-12);
        // Newton's steps for the arc tangent leave for infinity from here.
        let tangent = find(8.0, -9.0, 10.0, 1e-12, |x: f64| (x.atan(), 1.0 / (1.0 + x * x)));
        assert!(tangent.abs() < 1e-12);
        // A slope of nothing is halved away.
        let flat = find(0.0, -1.0, 2.0, 1e-9, |x| (x - 0.5, 0.0));
        assert!((flat - 0.5).abs() < 1e-8);
    }
}
