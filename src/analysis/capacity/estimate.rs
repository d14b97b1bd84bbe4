//! The capacity from all trials: where the rising curve of violations crosses what is allowed.

use super::trial::{Purpose, Reading, Trial};
use crate::analysis::stats::describe::{interpolated, sorted};
use crate::analysis::stats::distributions::{normal_quantile, t_quantile};
use crate::analysis::stats::{Fit, isotonic};
use crate::base::random::{Stream, stream, unit};
use rand_xoshiro::rand_core::Rng;

const RESAMPLES: u64 = 1_000;
/// Trials whose share lies within this factor of the allowed one tell how bursty it is there.
const NEAR: f64 = 10.0;
/// With two or three trials near the boundary Student's quantile would say nothing at all.
const UNCERTAIN_MOST: f64 = 2.5;

/// A capacity with its 95 % interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    pub rate_per_s: f64,
    pub low_per_s: f64,
    pub high_per_s: f64,
    /// The objective that breaks first.
    pub limiting: String,
    pub trials: usize,
}

/// The lowest crossing over all objectives. `None` when no objective is bracketed: the curve of
/// each lies entirely on one side of what is allowed, and a number would be an extrapolation.
///
/// Isotonic regression of the share of violations on the logarithm of the rate, inverted by
/// straight lines; the interval by drawing each trial's violations again around the fitted curve
/// with the dispersion seen (within the trials by their seconds, between them by their scatter),
/// and fitting again. Overloads do not count: they are meant to fail.
pub fn estimate(trials: &[Trial], seed: u64) -> Option<Capacity> {
    let mut objectives: Vec<&str> = Vec::new();
    for reading in trials.iter().flat_map(|t| &t.readings) {
        if !objectives.contains(&reading.objective.as_str()) {
            objectives.push(&reading.objective);
        }
    }
    objectives
        .into_iter()
        .filter_map(|objective| of_objective(trials, objective, seed))
        .min_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s))
}

/// ln rate, share, effective arrivals.
type Point = (f64, f64, f64);

fn of_objective(trials: &[Trial], objective: &str, seed: u64) -> Option<Capacity> {
    let believed = trials.iter().filter(|t| t.flaw.is_none() && t.purpose != Purpose::Overload);
    let readings: Vec<(f64, &Reading)> = believed
        .filter_map(|t| Some((t.rate_per_s, t.readings.iter().find(|r| r.objective == objective)?)))
        .filter(|(_, reading)| reading.arrivals > 0)
        .collect();
    let allowed = readings.first()?.1.allowed;
    let plain: Vec<Point> =
        readings.iter().map(|(rate, r)| (rate.ln(), r.share(), r.arrivals as f64)).collect();
    let fit = isotonic(&plain);
    let rate = crossing(&fit, allowed)?.exp();
    let dispersion = dispersion(&readings, &plain, &fit, allowed);
    let drawn = resampled(&plain, &fit, dispersion, allowed, seed);
    let (low, high) = interval(&drawn, rate);
    Some(Capacity {
        rate_per_s: rate,
        low_per_s: low,
        high_per_s: high,
        limiting: objective.to_owned(),
        trials: readings.len(),
    })
}

/// Violations grow about exponentially with the rate, so lines are drawn through the logarithm of
/// the share; the tenth of the allowed share keeps trials without any violation finite.
fn crossing(fit: &Fit, allowed: f64) -> Option<f64> {
    fit.crossing(allowed, |x| x, |y| (y + allowed / 10.0).ln())
}

fn fitted(fit: &Fit, x: f64) -> f64 {
    fit.points.iter().find(|p| p.0 == x).map_or(0.0, |p| p.1)
}

/// The larger of the mean design effect within trials near the boundary, and Pearson's χ² over its
/// degrees of freedom between them.
fn dispersion(readings: &[(f64, &Reading)], points: &[Point], fit: &Fit, allowed: f64) -> f64 {
    let (mut within, mut violations, mut scatter, mut near) = (0.0, 0.0, 0.0, 0.0);
    for ((_, reading), (x, share, arrivals)) in readings.iter().zip(points) {
        let expected = fitted(fit, *x);
        if expected < allowed / NEAR || expected > allowed * NEAR {
            continue;
        }
        let weight = reading.violations as f64;
        within += weight * reading.design_effect;
        violations += weight;
        scatter += (share - expected).powi(2) * arrivals / (expected * (1.0 - expected)).max(1e-12);
        near += 1.0;
    }
    let within = if violations > 0.0 { within / violations } else { 1.0 };
    let mut levels: Vec<f64> = fit.points.iter().map(|p| p.1).collect();
    levels.retain(|y| (allowed / NEAR..=allowed * NEAR).contains(y));
    levels.dedup();
    let free = near - levels.len() as f64;
    let between = if free >= 1.0 { scatter / free } else { 1.0 };
    within.max(between).max(1.0) * uncertain(free)
}

/// A dispersion that few trials tell is not known exactly; Student's quantile over the normal one
/// makes up for it (squared, because this is a variance).
fn uncertain(free: f64) -> f64 {
    let p = 0.975;
    (t_quantile(p, free.max(1.0)) / normal_quantile(p)).powi(2).min(UNCERTAIN_MOST)
}

fn resampled(points: &[Point], fit: &Fit, dispersion: f64, allowed: f64, seed: u64) -> Vec<f64> {
    let mut crossings = Vec::new();
    for resample in 0..RESAMPLES {
        let mut chance = stream(seed, "capacity", resample);
        let again: Vec<Point> = points
            .iter()
            .map(|(x, _, arrivals)| {
                let effective = arrivals / dispersion;
                let count = poisson(&mut chance, effective * fitted(fit, *x));
                (*x, (count / effective).min(1.0), *arrivals)
            })
            .collect();
        crossings.extend(crossing(&isotonic(&again), allowed).map(f64::exp));
    }
    sorted(&crossings)
}

/// Percentiles of the refits; a resample without a crossing is left out, and with fewer than half
/// of them left the interval is unknown on both sides.
fn interval(drawn: &[f64], rate: f64) -> (f64, f64) {
    if (drawn.len() as u64) < RESAMPLES / 2 {
        return (0.0, f64::INFINITY);
    }
    (interpolated(drawn, 0.025).min(rate), interpolated(drawn, 0.975).max(rate))
}

/// Poisson by counting exponential gaps; from 500 on the normal approximation is closer than the
/// dispersion is known.
fn poisson(chance: &mut Stream, mean: f64) -> f64 {
    let exponential = |chance: &mut Stream| -(1.0 - unit(chance.next_u64())).ln();
    if mean > 500.0 {
        let sum: f64 = (0..12).map(|_| unit(chance.next_u64())).sum();
        return (mean + mean.sqrt() * (sum - 6.0)).round().max(0.0);
    }
    let mut count = 0.0;
    let mut reached = exponential(chance);
    while reached < mean {
        count += 1.0;
        reached += exponential(chance);
    }
    count
}
