//! Pure statistics: what a gate, a capacity search and a comparison reason with.
//!
//! Numbers in, numbers out: no clock, no file, no record, no verdict word beyond what the method
//! itself defines. Where chance is needed it is a seeded stream, so that an answer can be repeated.
//! Distribution functions are `statrs`' (without its default features); the methods are here
//! because each carries a choice: which degrees of freedom, which correction, which refusal.

pub mod blocks;
pub mod change;
pub mod describe;
pub mod distributions;
pub mod exceedance;
pub mod holm;
pub mod isotonic;
mod least_squares;
pub mod order;
pub mod pair_plan;
pub mod paired;
pub mod ranks;
pub mod scaling;
pub mod sign_flip;
pub mod walsh;
pub mod warmup;

#[cfg(test)]
mod coverage;
#[cfg(test)]
pub(crate) mod draws;
#[cfg(test)]
mod histogram_vectors;

pub use blocks::{BlockLength, block_length, stationary_resample, stationary_variance};
pub use change::{ChangePoint, ChangeRule, change_points, newest_limit};
pub use exceedance::{Block, Burstiness, Share, ShareRule, ShareVerdict, burstiness, judge_share};
pub use holm::holm;
pub use isotonic::{Fit, isotonic};
pub use order::{RankInterval, Tail, harrell_davis, rank_interval};
pub use pair_plan::{PairBudget, PairPlan, TooShort, margin_to_detect, needed_pairs, plan_pairs};
pub use paired::{
    Better, Effect, Judged, Metric, PairError, PairRule, PairVerdict, Scale, detectable, effect,
    fewest_pairs, judge_pairs,
};
pub use ranks::{KolmogorovSmirnov, MannWhitney, kolmogorov_smirnov, mann_whitney};
pub use scaling::{Model, ScalingError, ScalingFit, choose, fit_amdahl, fit_linear, fit_usl};
pub use sign_flip::sign_flip;
pub use warmup::{WarmUp, mser5};
