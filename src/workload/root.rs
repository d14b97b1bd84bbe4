//! Halley's method within a bracket: fast where it works, halving where it does not, and bounded.

/// Enough to halve 10⁹ seconds down to a nanosecond's tenth, with room for Halley's own steps.
const STEPS_MAX: usize = 100;

/// The root of a function that rises between `low` and `high`, 0 or more; `f` gives its value, its
/// slope and the slope's slope, and does not bend on a scale below that of x, or of 1.
#[inline]
pub(super) fn find(
    start: f64,
    low: f64,
    high: f64,
    tolerance: f64,
    f: impl Fn(f64) -> (f64, f64, f64),
) -> f64 {
    let (mut low, mut high) = (low, high);
    let mut x = if start >= low && start <= high { start } else { low + (high - low) / 2.0 };
    for _ in 0..STEPS_MAX {
        let (value, slope, bend) = f(x);
        if value == 0.0 {
            return x;
        }
        if value > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let step = value / (slope - value * bend / (2.0 * slope));
        let next = x - step;
        // Its error after a step is the step's cube by the scale's square.
        let share = step / x.clamp(1e-12, 1.0);
        let small = tolerance.max(x * 1e-15);
        if step.abs() * (share * share).min(1.0) <= small && next >= low && next <= high {
            return next;
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
        let cube = find(9.0, 0.0, 10.0, 1e-12, |x| (x * x * x - 8.0, 3.0 * x * x, 6.0 * x));
        assert!((cube - 2.0).abs() < 1e-12);
        // Newton's steps for the arc tangent leave for infinity from here.
        let tangent = |x: f64| {
            let slope = 1.0 / (1.0 + (x - 1.0) * (x - 1.0));
            ((x - 1.0).atan(), slope, -2.0 * (x - 1.0) * slope * slope)
        };
        assert!((find(9.0, 0.0, 10.0, 1e-12, tangent) - 1.0).abs() < 1e-12);
        // A slope of nothing is halved away.
        let flat = find(0.0, 0.0, 2.0, 1e-9, |x| (x - 0.7, 0.0, 0.0));
        assert!((flat - 0.7).abs() < 1e-8);
    }
}
