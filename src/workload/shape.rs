//! How a rate goes from one value to another, its integral over time, and the inverse of that.

use super::root;
use crate::base::Nanos;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// The rate λ of a segment over its time t, between its two rates `from` and `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// From `from` to `to` along a line; level when they are equal.
    #[default]
    Linear,
    /// `levels` equal stretches of level rates, the first `from`, the last `to`; a single one has
    /// the rate `to`.
    Steps { levels: u32 },
    /// Between `from` (at the start) and `to` (half a period later): mid − amplitude · cos 2πt/period.
    Sine { period: Nanos },
    /// Jumps to `to` and falls back to `from`: from + (to − from) · exp(−t/decay).
    Spike { decay: Nanos },
}

impl Shape {
    /// Whether its own number makes sense.
    pub fn is_sound(self) -> bool {
        match self {
            Shape::Linear => true,
            Shape::Steps { levels } => levels > 0,
            Shape::Sine { period: time } | Shape::Spike { decay: time } => time > Nanos::ZERO,
        }
    }
}

/// A rate over time in seconds: a shape with its two rates and its length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    pub from: f64,
    pub to: f64,
    pub seconds: f64,
    pub shape: Shape,
}

/// Instants are found to a tenth of what is kept of them.
const PRECISION_S: f64 = 1e-10;

impl Course {
    /// The rate at `t` seconds, 0 up to the length.
    pub fn rate(&self, t: f64) -> f64 {
        let change = self.to - self.from;
        match self.shape {
            Shape::Linear => {
                self.from + if self.seconds > 0.0 { change * t / self.seconds } else { 0.0 }
            }
            Shape::Steps { levels } => {
                let level = (t / self.seconds * f64::from(levels)).floor();
                let last = f64::from(levels.saturating_sub(1));
                self.level(if level.is_finite() { level.clamp(0.0, last) } else { last })
            }
            Shape::Sine { period } => {
                self.from + change / 2.0 * (1.0 - (TAU * t / period.as_secs_f64()).cos())
            }
            Shape::Spike { decay } => self.from + change * (-t / decay.as_secs_f64()).exp(),
        }
    }

    /// Expected arrivals in the first `t` seconds: the integral of the rate.
    pub fn arrivals(&self, t: f64) -> f64 {
        let change = self.to - self.from;
        let sum = match self.shape {
            Shape::Linear => (self.from + self.rate(t)) / 2.0 * t,
            Shape::Steps { levels } => {
                let width = self.seconds / f64::from(levels);
                let level = (t / width).floor().clamp(0.0, f64::from(levels - 1));
                self.before_level(level) + self.level(level) * (t - level * width)
            }
            Shape::Sine { period } => {
                let angle = TAU * t / period.as_secs_f64();
                let mid = (self.from + self.to) / 2.0;
                mid * t - change / 2.0 * period.as_secs_f64() / TAU * angle.sin()
            }
            Shape::Spike { decay } => {
                let decay = decay.as_secs_f64();
                self.from * t - change * decay * (-t / decay).exp_m1()
            }
        };
        if sum.is_finite() { sum.max(0.0) } else { 0.0 }
    }

    /// Expected arrivals in all.
    pub fn total(&self) -> f64 {
        self.arrivals(self.seconds)
    }

    /// After how many seconds there have been so many arrivals, which are not more than in all.
    #[inline]
    pub fn instant(&self, arrivals: f64) -> f64 {
        let s = arrivals.max(0.0);
        let t = match self.shape {
            // 2s / (a + √(a² + 2bs)): the form of the quadratic's root that does not cancel.
            Shape::Linear => {
                let slope = (self.to - self.from) / self.seconds;
                let root = (self.from * self.from + 2.0 * slope * s).max(0.0).sqrt();
                2.0 * s / (self.from + root)
            }
            Shape::Steps { levels } => self.instant_in_steps(levels, s),
            Shape::Sine { period } => self.instant_in_sine(period.as_secs_f64(), s),
            Shape::Spike { decay } => self.instant_in_spike(decay.as_secs_f64(), s),
        };
        if t.is_finite() { t.clamp(0.0, self.seconds) } else { 0.0 }
    }

    /// The rate of a level, counted from 0.
    fn level(&self, level: f64) -> f64 {
        match self.shape {
            Shape::Steps { levels: 2.. } => self.from + self.step() * level,
            _ => self.to,
        }
    }

    fn step(&self) -> f64 {
        match self.shape {
            Shape::Steps { levels: levels @ 2.. } => (self.to - self.from) / f64::from(levels - 1),
            _ => 0.0,
        }
    }

    /// Arrivals before a level: level · width · (the mean of the rates of those before it).
    fn before_level(&self, level: f64) -> f64 {
        let Shape::Steps { levels } = self.shape else { return 0.0 };
        let width = self.seconds / f64::from(levels);
        level * width * (self.level(0.0) + self.step() * (level - 1.0) / 2.0)
    }

    fn instant_in_steps(&self, levels: u32, s: f64) -> f64 {
        // The first level at whose end there have been `s`.
        let (mut low, mut high) = (0, levels - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.before_level(f64::from(middle) + 1.0) >= s {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let level = f64::from(low);
        let width = self.seconds / f64::from(levels);
        let (rest, rate) = (s - self.before_level(level), self.level(level));
        level * width + if rate > 0.0 { (rest / rate).clamp(0.0, width) } else { 0.0 }
    }

    /// With x = 2πt/period the integral is proportional to x − e·sin x: Kepler's equation.
    fn instant_in_sine(&self, period: f64, s: f64) -> f64 {
        let mid = (self.from + self.to) / 2.0;
        let e = (self.to - self.from) / 2.0 / mid;
        let mean_anomaly = TAU * s / (mid * period);
        // A falling start is a rising one half a period later.
        let x = match e >= 0.0 {
            true => kepler(e, mean_anomaly),
            false => kepler(-e, mean_anomaly + PI) - PI,
        };
        x * period / TAU
    }

    /// With u = t/decay: a·u + b·(1 − e^−u) = s. Without a base rate that is a logarithm.
    fn instant_in_spike(&self, decay: f64, s: f64) -> f64 {
        let (a, b) = (self.from * decay, (self.to - self.from) * decay);
        if a <= 0.0 {
            return -decay * (-s / b).ln_1p();
        }
        let end = self.seconds / decay;
        let (q, c) = (s / a, b / a);
        // The solution is d + W(c·e^−d), W Lambert's function; it cancels, so it is only a start.
        let start = match c > 0.0 {
            true => q - c + lambert_of_exp(c.ln() - (q - c)),
            // From the right the tangents of a convex function come down without a detour; the
            // bound is that of u − 1 + e^−u ≥ u²/(2+u).
            false => ((q + (q * q + 8.0 * q).sqrt()) / 2.0).min(q - c),
        };
        let rate = |u: f64| {
            let decayed = -(-u).exp_m1();
            let left = c * (1.0 - decayed);
            (u + c * decayed - q, 1.0 + left, -left)
        };
        decay * root::find(start, 0.0, end, PRECISION_S / decay, rate)
    }
}

/// Solves x − e·sin x = m for 0 ≤ e ≤ 1: a cubic that is near, and one step of fifth order
/// (Markley, Celestial Mechanics 63, 1995).
fn kepler(e: f64, m: f64) -> f64 {
    let turns = (m / TAU).floor();
    let m = (m - turns * TAU).clamp(0.0, TAU);
    let is_second_half = m > PI;
    let m = if is_second_half { TAU - m } else { m };
    let x = fifth_order_step(e, m, near_kepler(e, m)).clamp(m, (m + e).min(PI));
    turns * TAU + if is_second_half { TAU - x } else { x }
}

/// The sine as a quotient of polynomials makes a cubic of Kepler's equation.
fn near_kepler(e: f64, m: f64) -> f64 {
    let alpha = (3.0 * PI * PI + 1.6 * PI * (PI - m) / (1.0 + e)) / (PI * PI - 6.0);
    let d = 3.0 * (1.0 - e) + alpha * e;
    let q = 2.0 * alpha * d * (1.0 - e) - m * m;
    let r = (3.0 * alpha * d * (d - 1.0 + e) + m * m) * m;
    let root = (r + (q * q * q + r * r).max(0.0).sqrt()).cbrt();
    let w = root * root;
    let x = (2.0 * r * w / (w * w + w * q + q * q) + m) / d;
    if x.is_finite() { x } else { m }
}

fn fifth_order_step(e: f64, m: f64, x: f64) -> f64 {
    let (sin, cos) = x.sin_cos();
    let (f0, f1) = (x - e * sin - m, 1.0 - e * cos);
    if f1 <= 0.0 {
        return x;
    }
    let (f2, f3, f4) = (e * sin / 2.0, e * cos / 6.0, -e * sin / 24.0);
    let d3 = -f0 / (f1 - f0 * f2 / f1);
    let d4 = -f0 / (f1 + d3 * (f2 + d3 * f3));
    x - f0 / (f1 + d4 * (f2 + d4 * (f3 + d4 * f4)))
}

/// w with w + ln w = l, nearly: W(eˡ) without the overflow.
fn lambert_of_exp(l: f64) -> f64 {
    if l < -30.0 {
        return l.exp();
    }
    let w = if l > 1.0 { l - l.ln() } else { l.exp() / (1.0 + l.exp()) };
    (w * (1.0 + l - w.ln()) / (1.0 + w)).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn course(from: f64, to: f64, seconds: f64, shape: Shape) -> Course {
        Course { from, to, seconds, shape }
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Linear),
            (1u32..5000).prop_map(|levels| Shape::Steps { levels }),
            (1u64..1_000_000_000_000_000).prop_map(|ns| Shape::Sine { period: Nanos(ns) }),
            (1u64..1_000_000_000_000_000).prop_map(|ns| Shape::Spike { decay: Nanos(ns) }),
            (1u64..100_000_000_000).prop_map(|ns| Shape::Sine { period: Nanos(ns) }),
            (1u64..100_000_000_000).prop_map(|ns| Shape::Spike { decay: Nanos(ns) }),
        ]
    }

    fn rates() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), 0.0..1e7, 0.0..100.0, 1e-3..1e-2]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_inverse_undoes_the_integral(
            shape in shapes(), from in rates(), to in rates(), ns in 1u64..100_000_000_000_000,
            parts in proptest::collection::vec(0.0..1.0f64, 1..20),
        ) {
            let course = course(from, to, ns as f64 / 1e9, shape);
            let total = course.total();
            prop_assume!(total > 1e-9);
            let mut parts = parts;
            parts.sort_by(f64::total_cmp);
            let mut last = 0.0;
            for part in parts {
                let s = part * total;
                let t = course.instant(s);
                prop_assert!((0.0..=course.seconds).contains(&t), "{course:?}: {t}");
                prop_assert!(t >= last - 1e-9, "{course:?}: {t} after {last}");
                last = t;
                // Within a nanosecond of the instant, or as near as the sum can be told apart.
                let noise = 1e-9 + total * 4e-15 + t * 1e-15 * from.max(to);
                let (low, high) = (t - 1e-9 - t * 4e-16, t + 1e-9 + t * 4e-16);
                prop_assert!(course.arrivals(low.max(0.0)) <= s + noise, "{course:?} at {s}: {t}");
                let above = course.arrivals(high.min(course.seconds));
                prop_assert!(above >= s - noise, "{course:?} at {s}: {t}, {above}");
            }
        }

        #[test]
        fn the_integral_is_that_of_the_rate(
            shape in shapes(), from in rates(), to in rates(), ns in 1_000u64..1_000_000_000_000,
        ) {
            let course = course(from, to, ns as f64 / 1e9, shape);
            let turns = match shape {
                Shape::Sine { period } => ns as f64 / period.0 as f64,
                Shape::Spike { decay } => ns as f64 / decay.0 as f64,
                _ => 1.0,
            };
            prop_assume!(turns < 20.0);
            // Simpson's rule within each of many strips; the middle's rate for levels.
            let n = 2_000;
            let h = course.seconds / f64::from(n);
            let sum: f64 = (0..n)
                .map(|i| {
                    let t = f64::from(i) * h;
                    match shape {
                        Shape::Steps { .. } => course.rate(t + h / 2.0) * h,
                        _ => {
                            let ends = course.rate(t) + course.rate(t + h);
                            (ends + 4.0 * course.rate(t + h / 2.0)) / 6.0 * h
                        }
                    }
                })
                .sum();
            // A strip with a step in it may be wrong by half the strip.
            let slack = match shape {
                Shape::Steps { .. } => (to - from).abs() * h + 1e-9,
                _ => from.max(to) * course.seconds * 1e-6 + 1e-9,
            };
            prop_assert!((course.total() - sum).abs() <= slack, "{course:?}: {} {sum}", course.total());
        }

        #[test]
        fn the_rate_stays_between_its_two(
            shape in shapes(), from in rates(), to in rates(), part in 0.0..=1.0f64,
        ) {
            let rate = course(from, to, 40.0, shape).rate(40.0 * part);
            let slack = 1e-9 * from.max(to);
            prop_assert!(rate >= from.min(to) - slack && rate <= from.max(to) + slack);
        }
    }

    #[test]
    fn a_flash_crowd_has_the_known_number_of_arrivals() {
        // methods.md 6.7: a ramp of 60 s to 200/s, 300 s on top, and a decay of 900 s to its end.
        let linear = |from, to, seconds| course(from, to, seconds, Shape::Linear).total();
        let decay = Shape::Spike { decay: Nanos::from_secs(900) };
        let all = linear(0.0, 200.0, 60.0)
            + linear(200.0, 200.0, 300.0)
            + course(0.0, 200.0, 900.0 * 40.0, decay).total();
        assert!((all - 246_000.0).abs() < 1e-6, "{all}");
    }

    #[test]
    fn the_ends_are_what_the_words_say() {
        let at = |shape, t| course(10.0, 50.0, 8.0, shape).rate(t);
        let steps = Shape::Steps { levels: 5 };
        assert_eq!([at(steps, 0.0), at(steps, 4.0), at(steps, 8.0)], [10.0, 30.0, 50.0]);
        let sine = Shape::Sine { period: Nanos::from_secs(8) };
        assert_eq!([at(sine, 0.0), at(sine, 4.0), at(sine, 8.0)], [10.0, 50.0, 10.0]);
        let spike = Shape::Spike { decay: Nanos::from_secs(2) };
        assert_eq!(at(spike, 0.0), 50.0);
        assert!((at(spike, 2.0) - (10.0 + 40.0 / std::f64::consts::E)).abs() < 1e-12);
        assert_eq!(at(Shape::Steps { levels: 1 }, 1.0), 50.0);
    }
}
