//! Random numbers for tests: series and distributions whose truth is known.

use crate::base::random::{Stream, unit};
use rand_xoshiro::rand_core::Rng;

pub fn uniform(chance: &mut Stream) -> f64 {
    unit(chance.next_u64())
}

/// Exponential with mean 1.
pub fn exponential(chance: &mut Stream) -> f64 {
    -(1.0 - uniform(chance)).ln()
}

/// Standard normal, by Box and Muller.
pub fn normal(chance: &mut Stream) -> f64 {
    let radius = (2.0 * exponential(chance)).sqrt();
    radius * (std::f64::consts::TAU * uniform(chance)).cos()
}

/// A stationary autoregressive series of variance 1.
pub fn ar1(chance: &mut Stream, phi: f64, n: usize) -> Vec<f64> {
    let fresh = (1.0 - phi * phi).sqrt();
    let mut x = normal(chance);
    let mut series = Vec::with_capacity(n);
    for _ in 0..n {
        series.push(x);
        x = phi * x + fresh * normal(chance);
    }
    series
}

/// Binomial, by throwing each coin.
pub fn binomial(chance: &mut Stream, n: u64, p: f64) -> u64 {
    (0..n).filter(|_| uniform(chance) < p).count() as u64
}
