//! How throughput grows with size: Gunther's Universal Scalability Law, Amdahl's law, a line.
//!
//! X(N) = γN / (1 + α(N − 1) + βN(N − 1)); β = 0 is Amdahl, α = β = 0 a line. N is one thing only:
//! servers (each point a capacity under one objective) or units of one server, never mixed.
//! Intervals use t with n − 3 degrees of freedom; R's `usl` uses another quantile and other
//! degrees, and its intervals are too narrow (methods §3.3).

use super::blocks::below;
use super::describe::{interpolated, sorted};
use super::distributions::t_quantile;
use super::least_squares::{Curve, Matrix, Minimum, descend, times};
use crate::base::random::stream;
use thiserror::Error;

/// Distinct sizes a USL fit should have before anything is concluded from it.
pub const SIZES_FOR_USL: usize = 6;
pub const SIZES_FOR_AMDAHL: usize = 4;
const CONFIDENCE: f64 = 0.95;
const RESAMPLES: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Linear,
    Amdahl,
    Usl,
}

/// A parameter with its standard error and 95 % interval; no error when it was held at a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub error: Option<f64>,
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Debug, Error, PartialEq)]
pub enum ScalingError {
    #[error("{have} different sizes were measured, this fit needs {need}: measure {} more", need - have)]
    TooFewSizes { have: usize, need: usize },
    #[error("size {size} with throughput {throughput}: both must be positive numbers")]
    NotPositive { size: f64, throughput: f64 },
    #[error("the measured sizes cannot tell the parameters apart: measure further apart")]
    Degenerate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ScalingFit {
    pub model: Model,
    /// Throughput of one, by the fit.
    pub gamma: Estimate,
    /// Contention: the share that is done one after the other. Negative means superlinear: a cache
    /// that grows with N, or a bad first point. It is told, not clipped.
    pub alpha: Estimate,
    /// Coherency: the cost of each pair keeping in step.
    pub beta: Estimate,
    /// The free fit wanted β < 0, which has no meaning; β is 0 here and no peak is predicted.
    pub beta_at_bound: bool,
    /// Residual standard error with n − 3.
    pub sigma: f64,
    pub squares: f64,
    /// Akaike's criterion with correction for few points; infinite when there are too few.
    pub aicc: f64,
    pub largest_measured: f64,
    points: Vec<(f64, f64)>,
    spread: Matrix,
}

/// What a fit may say about a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prediction {
    /// Expected throughput and the 95 % interval of a new measurement.
    Rate { expected: f64, low: f64, high: f64 },
    /// Beyond twice what was measured: measure at this size or above first.
    NotMeasured { measure_at_least: f64 },
}

fn usl(n: f64, [gamma, alpha, beta]: &[f64; 3]) -> (f64, [f64; 3]) {
    let loss = 1.0 + alpha * (n - 1.0) + beta * n * (n - 1.0);
    let value = gamma * n / loss;
    (value, [n / loss, -value * (n - 1.0) / loss, -value * n * (n - 1.0) / loss])
}

const CURVE: Curve = usl;

/// The three-parameter fit, β ≥ 0. Needs four different sizes to have an error at all; conclude
/// from [`SIZES_FOR_USL`] on.
pub fn fit_usl(points: &[(f64, f64)]) -> Result<ScalingFit, ScalingError> {
    check(points, 4)?;
    let found = best(points, [true; 3]);
    if found.at[2] < 0.0 {
        let bounded = best(points, [true, true, false]);
        return told(Model::Usl, points, bounded, true);
    }
    told(Model::Usl, points, found, false)
}

/// β held at 0.
pub fn fit_amdahl(points: &[(f64, f64)]) -> Result<ScalingFit, ScalingError> {
    check(points, 3)?;
    told(Model::Amdahl, points, best(points, [true, true, false]), false)
}

/// α and β held at 0.
pub fn fit_linear(points: &[(f64, f64)]) -> Result<ScalingFit, ScalingError> {
    check(points, 2)?;
    told(Model::Linear, points, best(points, [true, false, false]), false)
}

/// The model with the least AICc of those the number of sizes carries: Amdahl from
/// [`SIZES_FOR_AMDAHL`], USL from [`SIZES_FOR_USL`] on.
pub fn choose(points: &[(f64, f64)]) -> Result<ScalingFit, ScalingError> {
    let sizes = distinct_sizes(points);
    let mut chosen = fit_linear(points)?;
    let mut consider = |fit: ScalingFit| {
        if fit.aicc < chosen.aicc {
            chosen = fit;
        }
    };
    if sizes >= SIZES_FOR_AMDAHL {
        consider(fit_amdahl(points)?);
    }
    if sizes >= SIZES_FOR_USL {
        consider(fit_usl(points)?);
    }
    Ok(chosen)
}

/// How many more different sizes a USL fit wants.
pub fn sizes_missing(points: &[(f64, f64)]) -> usize {
    SIZES_FOR_USL.saturating_sub(distinct_sizes(points))
}

fn distinct_sizes(points: &[(f64, f64)]) -> usize {
    let mut sizes = sorted(&points.iter().map(|p| p.0).collect::<Vec<_>>());
    sizes.dedup();
    sizes.len()
}

fn check(points: &[(f64, f64)], need: usize) -> Result<(), ScalingError> {
    let good = |v: f64| v.is_finite() && v > 0.0;
    if let Some((size, throughput)) = points.iter().find(|p| !good(p.0) || !good(p.1)) {
        return Err(ScalingError::NotPositive { size: *size, throughput: *throughput });
    }
    let have = distinct_sizes(points);
    if have < need { Err(ScalingError::TooFewSizes { have, need }) } else { Ok(()) }
}

/// The best of several starts: the surface has a valley where γ and α trade against each other.
fn best(points: &[(f64, f64)], free: [bool; 3]) -> Minimum {
    let gamma = points.iter().map(|(n, x)| x / n).fold(0.0, f64::max);
    let held = |v: f64, i: usize| if free[i] { v } else { 0.0 };
    let starts = [(0.01, 1e-4), (0.1, 1e-3), (0.3, 1e-2), (0.001, 1e-6)];
    starts
        .into_iter()
        .map(|(alpha, beta)| [gamma, held(alpha, 1), held(beta, 2)])
        .map(|start| descend(CURVE, points, start, free))
        .min_by(|a, b| a.squares.total_cmp(&b.squares))
        .expect("there are four starts")
}

fn told(
    model: Model,
    points: &[(f64, f64)],
    found: Minimum,
    beta_at_bound: bool,
) -> Result<ScalingFit, ScalingError> {
    let spread = found.spread.ok_or(ScalingError::Degenerate)?;
    let n = points.len() as f64;
    let parameters = match model {
        Model::Linear => 1.0,
        Model::Amdahl => 2.0,
        Model::Usl => 3.0,
    };
    let free = (n - parameters).max(1.0);
    let variance = found.squares / free;
    let t = t_quantile(0.5 + CONFIDENCE / 2.0, free);
    let estimate = |i: usize| {
        let error = (spread[i][i] > 0.0).then(|| (spread[i][i] * variance).sqrt());
        let half = t * error.unwrap_or(0.0);
        let value = found.at[i];
        Estimate { value, error, low: value - half, high: value + half }
    };
    Ok(ScalingFit {
        model,
        gamma: estimate(0),
        alpha: estimate(1),
        beta: estimate(2),
        beta_at_bound,
        sigma: variance.sqrt(),
        squares: found.squares,
        aicc: aicc(points, found.squares, parameters + 1.0),
        largest_measured: points.iter().map(|p| p.0).fold(0.0, f64::max),
        points: points.to_vec(),
        spread,
    })
}

/// n ln(SSE/n) + 2k + 2k(k+1)/(n−k−1), k with the variance (Hurvich and Tsai, 1989). A perfect fit
/// is floored at rounding, so that it does not beat all others by infinity.
fn aicc(points: &[(f64, f64)], squares: f64, k: f64) -> f64 {
    let n = points.len() as f64;
    if n - k - 1.0 <= 0.0 {
        return f64::INFINITY;
    }
    let rounding = 1e-20 * points.iter().map(|p| p.1 * p.1).sum::<f64>();
    n * (squares.max(rounding) / n).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0)
}

impl ScalingFit {
    fn parameters(&self) -> [f64; 3] {
        [self.gamma.value, self.alpha.value, self.beta.value]
    }

    /// X(N) of the fit, however far; for claims use [`ScalingFit::predict`].
    pub fn throughput(&self, n: f64) -> f64 {
        usl(n, &self.parameters()).0
    }

    /// X(N)/(N·X(1)).
    pub fn efficiency(&self, n: f64) -> f64 {
        self.throughput(n) / (n * self.throughput(1.0))
    }

    pub fn residuals(&self) -> Vec<f64> {
        self.points.iter().map(|(n, x)| x - self.throughput(*n)).collect()
    }

    /// Only up to twice the largest measured size; the band holds a new measurement in 95 %.
    pub fn predict(&self, n: f64) -> Prediction {
        if n > 2.0 * self.largest_measured {
            return Prediction::NotMeasured { measure_at_least: (n / 2.0).ceil() };
        }
        let (expected, slope) = usl(n, &self.parameters());
        let along = times(&self.spread, &slope);
        let stretch: f64 = (0..3).map(|i| slope[i] * along[i]).sum();
        let free = self.degrees();
        let half = t_quantile(0.5 + CONFIDENCE / 2.0, free) * self.sigma * (1.0 + stretch).sqrt();
        Prediction::Rate { expected, low: (expected - half).max(0.0), high: expected + half }
    }

    fn degrees(&self) -> f64 {
        if self.sigma == 0.0 { 1.0 } else { (self.squares / self.sigma.powi(2)).round().max(1.0) }
    }

    /// Whether β is told apart from 0; without that no peak may be claimed.
    pub fn has_peak(&self) -> bool {
        !self.beta_at_bound && self.beta.error.is_some() && self.beta.low > 0.0
    }

    /// (N, X) of the curve's top, sqrt((1 − α)/β), when [`ScalingFit::has_peak`].
    pub fn peak(&self) -> Option<(f64, f64)> {
        self.has_peak().then(|| self.top()).flatten()
    }

    /// The top whether or not β is distinguishable from 0.
    pub fn top(&self) -> Option<(f64, f64)> {
        let [_, alpha, beta] = self.parameters();
        (beta > 0.0 && alpha < 1.0).then(|| {
            let n = ((1.0 - alpha) / beta).sqrt();
            (n, self.throughput(n))
        })
    }

    /// 95 % intervals of N and X at the top, by refitting with resampled residuals (they are ratios
    /// of estimates, so no symmetric interval fits). `None` without a peak, or when more than one
    /// refit in forty has none.
    pub fn peak_interval(&self, seed: u64) -> Option<[(f64, f64); 2]> {
        self.peak()?;
        let residuals = self.residuals();
        let mut tops = Vec::new();
        for resample in 0..RESAMPLES {
            let mut chance = stream(seed, "scaling", resample);
            let drawn = |(n, _): &(f64, f64)| {
                (*n, self.throughput(*n) + residuals[below(&mut chance, residuals.len())])
            };
            let points: Vec<(f64, f64)> = self.points.iter().map(drawn).collect();
            let [_, alpha, beta] = descend(CURVE, &points, self.parameters(), [true; 3]).at;
            if beta > 0.0 && alpha < 1.0 {
                let n = ((1.0 - alpha) / beta).sqrt();
                tops.push((n, self.throughput(n)));
            }
        }
        if (tops.len() as u64) < RESAMPLES - RESAMPLES / 40 {
            return None;
        }
        let between = |values: Vec<f64>| {
            let values = sorted(&values);
            (interpolated(&values, 0.025), interpolated(&values, 0.975))
        };
        Some([
            between(tops.iter().map(|t| t.0).collect()),
            between(tops.iter().map(|t| t.1).collect()),
        ])
    }

    /// Where adding one more begins to give less than half of what was added: 1/α.
    pub fn optimum(&self) -> Option<f64> {
        (self.alpha.value > 0.0).then(|| 1.0 / self.alpha.value)
    }

    /// Amdahl's ceiling γ/α, which no number of servers passes.
    pub fn ceiling(&self) -> Option<f64> {
        (self.alpha.value > 0.0).then(|| self.gamma.value / self.alpha.value)
    }
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
mod tests;
