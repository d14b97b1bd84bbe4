//! One server with a fixed service time.

use super::invert;

/// Poisson arrivals, fixed service, one worker. The waiting time's distribution function is
///
/// P(W ≤ t) = e^(−ρ(k − t)) Σⱼ₌₀..k₋₁ Q(k − j − 1) (ρ(k − t))ʲ / j!,  k = ⌊t⌋ + 1,
///
/// with Q(m) = P(at most m + 1 in the system). Every term is positive, so nothing cancels; the
/// textbook's alternating sum loses all digits beyond some twenty service times.
#[derive(Clone, Debug)]
pub struct Md1 {
    rho: f64,
    /// P(at most n in the system), by n.
    at_most: Vec<f64>,
}

/// Longer queues are not needed for any quantile that can be measured.
const LENGTH_MAX: usize = 2_000;
/// What is left of the distribution when the table ends.
const REST: f64 = 1e-13;

impl Md1 {
    /// # Panics
    /// Unless 0 < ρ < 1: there is no steady state then.
    pub fn new(rho: f64) -> Md1 {
        assert!(rho > 0.0 && rho < 1.0, "ρ = {rho} has no steady state");
        Md1 { rho, at_most: lengths(rho) }
    }

    pub fn mean_wait(&self) -> f64 {
        self.rho / (2.0 * (1.0 - self.rho))
    }

    pub fn mean_response(&self) -> f64 {
        self.mean_wait() + 1.0
    }

    /// P(W ≤ t).
    pub fn wait_within(&self, t: f64) -> f64 {
        let k = t.floor() as usize + 1;
        let x = self.rho * (k as f64 - t);
        let mut weight = (-x).exp();
        let mut sum = 0.0;
        for j in 0..k {
            sum += weight * self.at_most(k - j);
            weight *= x / (j + 1) as f64;
        }
        sum
    }

    pub fn wait_quantile(&self, q: f64) -> f64 {
        invert(|t| self.wait_within(t), q)
    }

    pub fn response_quantile(&self, q: f64) -> f64 {
        self.wait_quantile(q) + 1.0
    }

    fn at_most(&self, n: usize) -> f64 {
        self.at_most.get(n).copied().unwrap_or(1.0)
    }
}

/// The numbers in the system that a departure leaves behind, which are also those that an arrival
/// finds: as often as the number rises above n it falls back to it, so
/// p(n+1) P(A = 0) = p(0) P(A > n) + Σᵢ₌₁..n p(i) P(A > n − i + 1), A ~ Poisson(ρ).
fn lengths(rho: f64) -> Vec<f64> {
    let exceeds = poisson_tails(rho);
    let tail = |n: usize| exceeds.get(n).copied().unwrap_or(0.0);
    let none = (-rho).exp();
    let mut p = vec![1.0 - rho];
    let mut at_most = vec![1.0 - rho];
    while p.len() < LENGTH_MAX && at_most[at_most.len() - 1] < 1.0 - REST {
        let n = p.len() - 1;
        let from_others: f64 = (1..=n).map(|i| p[i] * tail(n - i + 1)).sum();
        let next = (p[0] * tail(n) + from_others) / none;
        p.push(next);
        at_most.push(at_most[n] + next);
    }
    at_most
}

/// P(A > n) for A ~ Poisson(ρ), summed from the small end.
fn poisson_tails(rho: f64) -> Vec<f64> {
    let mut masses = vec![(-rho).exp()];
    while masses[masses.len() - 1] > 1e-300 && masses.len() < 200 {
        masses.push(masses[masses.len() - 1] * rho / masses.len() as f64);
    }
    let mut tails = vec![0.0; masses.len()];
    for n in (0..masses.len() - 1).rev() {
        tails[n] = tails[n + 1] + masses[n + 1];
    }
    tails
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_table_of_waits_is_met() {
        for (rho, mean, p0, [p50, p90, p99, p999]) in [
            (0.3, 0.214286, 0.7, [0.0, 0.83771, 1.89087, 3.02311]),
            (0.5, 0.5, 0.5, [0.0, 1.51574, 3.33626, 5.16839]),
            (0.7, 1.166667, 0.3, [0.72975, 3.07709, 6.48550, 9.89435]),
            (0.8, 2.0, 0.2, [1.27594, 5.01151, 10.35589, 15.70027]),
            (0.9, 4.5, 0.1, [3.01305, 10.78250, 21.89824, 33.01397]),
        ] {
            let queue = Md1::new(rho);
            assert!((queue.mean_wait() - mean).abs() < 1e-6);
            assert!((queue.wait_within(0.0) - p0).abs() < 1e-12);
            for (q, expected) in [(0.5, p50), (0.9, p90), (0.99, p99), (0.999, p999)] {
                let computed = queue.wait_quantile(q);
                assert!((computed - expected).abs() < 6e-6, "ρ {rho} q {q}: {computed}");
            }
        }
    }

    #[test]
    fn the_sum_agrees_with_the_textbooks_where_that_one_holds() {
        // P(W ≤ t) = (1 − ρ) Σₖ e^(ρ(t−k)) (−ρ(t−k))ᵏ / k!
        let textbook = |rho: f64, t: f64| {
            let mut sum = 0.0;
            for k in 0..=t.floor() as u32 {
                let x = rho * (t - f64::from(k));
                let factorial: f64 = (1..=k).map(f64::from).product();
                sum += x.exp() * (-x).powi(k as i32) / factorial;
            }
            (1.0 - rho) * sum
        };
        for rho in [0.1, 0.5, 0.8] {
            let queue = Md1::new(rho);
            for t in [0.0, 0.3, 1.0, 2.5, 4.99, 8.0] {
                let (own, other) = (queue.wait_within(t), textbook(rho, t));
                assert!((own - other).abs() < 1e-11, "ρ {rho} t {t}: {own} {other}");
            }
        }
    }

    #[test]
    fn far_tails_fall_by_a_constant_factor() {
        // The tail is exponential in the end: ρ .8 loses a factor of ten every 5.344 services.
        let queue = Md1::new(0.8);
        let step = queue.wait_quantile(0.999_9) - queue.wait_quantile(0.999);
        let next = queue.wait_quantile(0.999_99) - queue.wait_quantile(0.999_9);
        assert!((step - next).abs() < 1e-4 && (step - 5.344_38).abs() < 1e-3, "{step} {next}");
    }
}
