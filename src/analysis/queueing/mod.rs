//! Closed forms of queueing theory: what a server of known behaviour must show. Times are in units
//! of the mean service time, ρ is the utilisation, and everything is pure.
//!
//! Sources: Erlang (1909, 1917) for M/M/c; G. J. Franx, "A simple solution for the M/D/c waiting
//! time distribution", Operations Research Letters 29 (2001), for M/D/1; the stall formula is the
//! fluid argument of brunt's research on coordinated omission.

mod fit;
mod md1;
mod stall;

pub use fit::{anderson_darling_exponential, ks_exponential, shifted_share};
pub use md1::Md1;
pub use stall::Stalled;

/// Poisson arrivals, exponential service, `servers` workers, first come, first served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    servers: u32,
    rho: f64,
}

impl Mmc {
    /// # Panics
    /// Without a server, or unless 0 < ρ < 1: there is no steady state then.
    pub fn new(servers: u32, rho: f64) -> Mmc {
        assert!(servers > 0, "a queue has a server");
        assert!(rho > 0.0 && rho < 1.0, "ρ = {rho} has no steady state");
        Mmc { servers, rho }
    }

    /// Erlang C: the probability of having to wait. B is Erlang's loss formula, by its recursion.
    pub fn waiting_probability(&self) -> f64 {
        let offered = self.offered();
        let mut loss = 1.0;
        for k in 1..=self.servers {
            loss = offered * loss / (f64::from(k) + offered * loss);
        }
        loss / (1.0 - self.rho * (1.0 - loss))
    }

    pub fn mean_wait(&self) -> f64 {
        self.waiting_probability() / (f64::from(self.servers) * (1.0 - self.rho))
    }

    pub fn mean_response(&self) -> f64 {
        self.mean_wait() + 1.0
    }

    pub fn response_quantile(&self, q: f64) -> f64 {
        invert(|t| 1.0 - self.response_exceeds(t), q)
    }

    fn offered(&self) -> f64 {
        f64::from(self.servers) * self.rho
    }

    /// P(R > t): the sum of a wait, which is 0 or exponential with rate c(1 − ρ), and a service.
    fn response_exceeds(&self, t: f64) -> f64 {
        let waits = self.waiting_probability();
        let gap = f64::from(self.servers) - self.offered() - 1.0;
        let both = if gap.abs() < 1e-9 { t } else { -(-gap * t).exp_m1() / gap };
        (-t).exp() * (1.0 + waits * both)
    }
}

/// The point at which a continuous distribution function reaches `q`, by bisection; 0 when it does
/// so at once.
fn invert(cdf: impl Fn(f64) -> f64, q: f64) -> f64 {
    if cdf(0.0) >= q {
        return 0.0;
    }
    let mut high = 1.0;
    while cdf(high) < q && high < 1e6 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        match cdf(middle) < q {
            true => low = middle,
            false => high = middle,
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, computed: f64, expected: f64, tolerance: f64) {
        assert!((computed - expected).abs() <= tolerance, "{name}: {computed}, not {expected}");
    }

    #[test]
    fn one_exponential_server_has_its_known_response_times() {
        for (rho, mean, quantiles) in [
            (0.5, 2.0, [(0.5, 1.38629), (0.9, 4.60517), (0.99, 9.21034)]),
            (0.8, 5.0, [(0.5, 3.46574), (0.9, 11.51293), (0.99, 23.02585)]),
        ] {
            let queue = Mmc::new(1, rho);
            check("mean", queue.mean_response(), mean, 1e-12);
            for (q, expected) in quantiles {
                check("quantile", queue.response_quantile(q), expected, 6e-6);
            }
        }
    }

    #[test]
    fn erlang_c_has_its_known_values() {
        for (servers, rho, waits, mean_wait) in [
            (2, 0.8, 0.711111, 1.777778),
            (4, 0.8, 0.596432, 0.745541),
            (8, 0.8, 0.457645, 0.286028),
            (16, 0.8, 0.304884, 0.095276),
            (16, 0.9, 0.591343, 0.369590),
            (32, 0.9, 0.458197, 0.143186),
        ] {
            let queue = Mmc::new(servers, rho);
            check("C", queue.waiting_probability(), waits, 6e-7);
            check("Wq", queue.mean_wait(), mean_wait, 6e-7);
        }
    }

    #[test]
    fn a_service_rate_equal_to_the_waits_is_no_singularity() {
        // c(1 − ρ) = 1 at c = 4, ρ = 0.75.
        let near = Mmc::new(4, 0.75 + 1e-7).response_quantile(0.99);
        check("p99", Mmc::new(4, 0.75).response_quantile(0.99), near, 1e-5);
    }
}
