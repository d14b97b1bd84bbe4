//! One trial at one rate, reduced to what the search needs.

use crate::analysis::stats::distributions::clopper_pearson;
use serde::{Deserialize, Serialize};

/// Why a rate was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Doubling, the first included.
    Grow,
    /// The same rate once more: one failure may be a passing disturbance.
    Again,
    /// Bisection.
    Narrow,
    /// Bisection at the same rate, longer, because the first did not decide.
    Extend,
    Confirm,
    /// Overload and return.
    Overload,
}

/// One objective as a count: how many of the arrivals broke it, and how many may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub objective: String,
    /// The share that may break it, in (0, 1).
    pub allowed: f64,
    pub arrivals: u64,
    pub violations: u64,
    /// Of the seconds of this trial; 1 when unknown.
    pub design_effect: f64,
}

/// Why a trial says nothing about the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// The generator was late or could not send: the rate is beyond *it*.
    Generator(String),
    Other(String),
}

impl Flaw {
    pub fn why(&self) -> &str {
        match self {
            Flaw::Generator(why) | Flaw::Other(why) => why,
        }
    }
}

/// What happened at a rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub rate_per_s: f64,
    pub seconds: f64,
    pub purpose: Purpose,
    /// One per objective; none is no data, which never holds.
    pub readings: Vec<Reading>,
    pub flaw: Option<Flaw>,
    /// What had no slack, as the node counters say.
    pub exhausted: Option<String>,
    /// After an overload: seconds until the objectives held again; `None` if they did not in time.
    pub recovered_after_s: Option<f64>,
}

impl Reading {
    /// The share of violations; no arrivals count as all violated.
    pub fn share(&self) -> f64 {
        if self.arrivals == 0 { 1.0 } else { self.violations as f64 / self.arrivals as f64 }
    }

    /// Share over allowed share: above 1 the objective is broken.
    pub fn burden(&self) -> f64 {
        self.share() / self.allowed
    }

    /// Whether the interval of the share excludes the allowed one.
    fn decides(&self, alpha: f64) -> bool {
        let effect = self.design_effect.max(1.0);
        let (x, n) = (self.violations as f64 / effect, self.arrivals as f64 / effect);
        let (low, high) = clopper_pearson(x, n, alpha);
        high <= self.allowed || low > self.allowed
    }
}

impl Trial {
    /// The objective nearest to breaking, or furthest beyond.
    pub fn worst(&self) -> Option<&Reading> {
        self.readings.iter().max_by(|a, b| a.burden().total_cmp(&b.burden()))
    }

    /// All objectives hold by the shares seen.
    pub fn holds(&self) -> bool {
        self.worst().is_some_and(|reading| reading.burden() <= 1.0)
    }

    /// The worst objective is decided beyond its noise.
    pub fn decides(&self, alpha: f64) -> bool {
        self.worst().is_none_or(|reading| reading.decides(alpha))
    }
}

/// Two trials at one rate as one: counts add up, the design effect is the arrivals' mean.
pub fn pooled(first: &Trial, second: &Trial) -> Trial {
    let mut both = second.clone();
    for reading in &mut both.readings {
        if let Some(other) = first.readings.iter().find(|r| r.objective == reading.objective) {
            let (n, m) = (reading.arrivals as f64, other.arrivals as f64);
            if n + m > 0.0 {
                reading.design_effect =
                    (n * reading.design_effect + m * other.design_effect) / (n + m);
            }
            reading.arrivals += other.arrivals;
            reading.violations += other.violations;
        }
    }
    both.seconds += first.seconds;
    both
}
