//! How much to buy: the smallest count or size that carries a rate with some of it lost
//! (methods §3.5). Capacities come from the caller, who measured them.

/// What a number of servers carries under the objectives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Supply {
    PerSecond(f64),
    /// Too far beyond what was measured to say; measure with at least this many.
    NotMeasured {
        measure_at_least: u32,
    },
}

/// What must be left standing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve {
    /// Forecast error: 0.5 plans for half as much again (Shopify rehearses 150 %).
    pub forecast_error: f64,
    /// From [`retry_factor`].
    pub retries: f64,
    /// Servers that may be lost at the same time.
    pub lost: u32,
}

/// The answer to "how many?".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// This many, and what those left carry after the loss.
    Enough { count: u32, left_per_s: f64 },
    /// The data end before the answer begins.
    NotMeasured { measure_at_least: u32 },
    /// No number up to the limit does: the best, and what it carries after the loss.
    Never { best: u32, left_per_s: f64 },
}

/// A size of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    pub name: String,
    pub units: f64,
    pub capacity_per_s: f64,
}

/// Σ_{i=0..m} e^i: requests per wish when each fails with `failing` and is tried at most `retries`
/// times more. Toward m + 1 when nothing works.
pub fn retry_factor(failing: f64, retries: u32) -> f64 {
    (0..=retries).map(|i| failing.clamp(0.0, 1.0).powi(i as i32)).sum()
}

/// peak · (1 + forecast error) · retries.
pub fn design_rate(peak_per_s: f64, reserve: &Reserve) -> f64 {
    peak_per_s * (1.0 + reserve.forecast_error) * reserve.retries
}

/// The smallest n ≤ `most` with X(n − lost) ≥ rate. More servers may carry less, so all counts are
/// looked at in order; with `most` or more of them lost there is none.
pub fn smallest_count(
    rate_per_s: f64,
    lost: u32,
    most: u32,
    supply: impl Fn(u32) -> Supply,
) -> Answer {
    smallest(lost.saturating_add(1)..=most, |n| n - lost, rate_per_s, supply)
}

/// The smallest multiple of `zones` that carries the rate with one whole zone lost.
pub fn count_for_zones(
    rate_per_s: f64,
    zones: u32,
    most: u32,
    supply: impl Fn(u32) -> Supply,
) -> Answer {
    let counts = (1..=most).filter(|n| zones >= 2 && n % zones == 0);
    smallest(counts, |n| n - n / zones, rate_per_s, supply)
}

fn smallest(
    counts: impl Iterator<Item = u32>,
    left: impl Fn(u32) -> u32,
    rate_per_s: f64,
    supply: impl Fn(u32) -> Supply,
) -> Answer {
    let mut best = (0, 0.0);
    for count in counts {
        match supply(left(count)) {
            Supply::NotMeasured { measure_at_least } => {
                return Answer::NotMeasured { measure_at_least };
            }
            Supply::PerSecond(left_per_s) if left_per_s >= rate_per_s => {
                return Answer::Enough { count, left_per_s };
            }
            Supply::PerSecond(left_per_s) if left_per_s > best.1 => best = (count, left_per_s),
            Supply::PerSecond(_) => {}
        }
    }
    Answer::Never { best: best.0, left_per_s: best.1 }
}

/// The smallest measured size that carries the rate. One server has no survivor: what happens when
/// it is lost must be said beside the answer.
pub fn smallest_size(rate_per_s: f64, sizes: &[Size]) -> Option<&Size> {
    let enough = sizes.iter().filter(|size| size.capacity_per_s >= rate_per_s);
    enough.min_by(|a, b| a.units.total_cmp(&b.units))
}

/// 10⁶ · cost per hour / (3600 · rate); `None` when nothing is served.
pub fn cost_per_million(cost_per_hour: f64, rate_per_s: f64) -> Option<f64> {
    (rate_per_s > 0.0).then(|| 1e6 * cost_per_hour / (3_600.0 * rate_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// γ 1000, α .02, β .0005: the top is 15,681/s at 44.3 servers.
    fn scaled(n: u32) -> Supply {
        let n = f64::from(n);
        Supply::PerSecond(1000.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.0005 * n * (n - 1.0)))
    }

    #[test]
    fn six_thousand_a_second_with_servers_lost() {
        for (lost, expected) in [(0, 7), (1, 8), (2, 9)] {
            let Answer::Enough { count, left_per_s } = smallest_count(6000.0, lost, 100, scaled)
            else {
                panic!("{lost}")
            };
            assert_eq!(count, expected);
            assert!((left_per_s - 6135.0).abs() < 1.0, "{left_per_s}");
        }
        let answer = count_for_zones(6000.0, 3, 100, scaled);
        assert!(matches!(answer, Answer::Enough { count: 12, .. }), "{answer:?}");
    }

    #[test]
    fn beyond_the_top_no_number_helps() {
        let Answer::Never { best, left_per_s } = smallest_count(20_000.0, 1, 200, scaled) else {
            panic!("the top is 15,681/s")
        };
        assert_eq!(best, 45);
        assert!((left_per_s - 15_681.0).abs() < 2.0, "{left_per_s}");
        assert_eq!(smallest_count(1.0, 3, 3, scaled), Answer::Never { best: 0, left_per_s: 0.0 });
        for lost in [9, 10, u32::MAX] {
            let none = Answer::Never { best: 0, left_per_s: 0.0 };
            assert_eq!(smallest_count(1.0, lost, 9, scaled), none, "{lost}");
        }
        assert!(matches!(count_for_zones(1.0, 1, 9, scaled), Answer::Never { .. }));
    }

    #[test]
    fn beyond_twice_the_measured_there_is_no_number() {
        let measured_to = |most: u32| {
            move |n: u32| match n {
                n if n > 2 * most => Supply::NotMeasured { measure_at_least: n.div_ceil(2) },
                n => scaled(n),
            }
        };
        let answer = smallest_count(6000.0, 1, 100, measured_to(3));
        assert_eq!(answer, Answer::NotMeasured { measure_at_least: 4 });
        let answer = smallest_count(6000.0, 1, 100, measured_to(4));
        assert!(matches!(answer, Answer::Enough { count: 8, .. }), "{answer:?}");
    }

    #[test]
    fn sizes_costs_and_retries() {
        let size =
            |name: &str, units, capacity_per_s| Size { name: name.into(), units, capacity_per_s };
        let sizes =
            [size("large", 8.0, 5000.0), size("small", 1.0, 800.0), size("mid", 4.0, 2900.0)];
        assert_eq!(smallest_size(1000.0, &sizes).unwrap().name, "mid");
        assert_eq!(smallest_size(6000.0, &sizes), None);
        assert!((cost_per_million(3.6, 1000.0).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(cost_per_million(1.0, 0.0), None);
        assert_eq!(retry_factor(1.0, 3), 4.0);
        assert_eq!(retry_factor(0.0, 3), 1.0);
        assert_eq!(retry_factor(0.5, 2), 1.75);
        let reserve = Reserve { forecast_error: 0.5, retries: 1.75, lost: 1 };
        assert_eq!(design_rate(1000.0, &reserve), 2625.0);
    }
}
