//! What a server that stands still does to an open load.

/// A server frozen for `lasts` out of `window` seconds, under a load that uses `rho` of it.
///
/// Response times jump to `lasts` and fall linearly to nothing over lasts / (1 − ρ), while the
/// server catches up; so the share of requests that are hit is P / ((1 − ρ) T), and the quantile q
/// of what the freeze adds is max(0, P − (1 − q)(1 − ρ) T).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stalled {
    /// Seconds.
    pub lasts: f64,
    /// Seconds.
    pub window: f64,
    pub rho: f64,
}

impl Stalled {
    pub fn hit_share(&self) -> f64 {
        (self.lasts / ((1.0 - self.rho) * self.window)).min(1.0)
    }

    /// Seconds above the baseline.
    pub fn excess_quantile(&self, q: f64) -> f64 {
        (self.lasts - (1.0 - q) * (1.0 - self.rho) * self.window).max(0.0)
    }

    /// Seconds above the baseline.
    pub fn mean_excess(&self) -> f64 {
        self.lasts * self.lasts / (2.0 * (1.0 - self.rho) * self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_stalls_are_met() {
        let close = |a: f64, b: f64, tolerance: f64| assert!((a - b).abs() <= tolerance, "{a} {b}");
        let long = Stalled { lasts: 1.0, window: 60.0, rho: 0.1 };
        close(long.excess_quantile(0.99), 0.460, 5e-4);
        close(long.excess_quantile(0.999), 0.946, 5e-4);
        close(long.mean_excess(), 9.3e-3, 5e-5);
        let short = Stalled { lasts: 0.2, window: 30.0, rho: 0.1 };
        close(short.excess_quantile(0.99), 0.0, 0.0);
        close(short.excess_quantile(0.999), 0.173, 5e-4);
        close(short.hit_share(), 0.0074, 5e-5);
        // wrk2's README, with the ρ that its figures imply.
        let wrk2 = Stalled { lasts: 1.42, window: 19.75, rho: 0.25 };
        close(wrk2.excess_quantile(0.99), 1.272, 5e-4);
    }

    #[test]
    fn an_event_simulation_agrees() {
        // 2000/s evenly, 0.05 ms each, frozen for 1 s of 60.
        let (mut free, mut excess) = (0.0f64, Vec::new());
        for i in 0..120_000 {
            let arrival = f64::from(i) / 2000.0;
            let start = free.max(arrival);
            let start = if (10.0..11.0).contains(&start) { 11.0 } else { start };
            free = start + 5e-5;
            excess.push(free - arrival - 5e-5);
        }
        excess.sort_by(f64::total_cmp);
        let stalled = Stalled { lasts: 1.0, window: 60.0, rho: 0.1 };
        for q in [0.99, 0.999] {
            let simulated = excess[(q * 120_000.0) as usize];
            assert!((simulated - stalled.excess_quantile(q)).abs() < 1e-3, "{simulated}");
        }
    }
}
