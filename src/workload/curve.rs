//! The schedule: a rate over time, its integral, and the instants at which that integral has grown
//! by one arrival.
//!
//! With Λ(t) = ∫λ, arrival n is at Λ⁻¹(n) for constant spacing and at Λ⁻¹(E₁+…+Eₙ), E ~ Exp(1), for
//! Poisson. What λ, Λ and Λ⁻¹ are within a segment is its shape's matter (`shape.rs`). Each segment
//! is anchored at its own start. Nothing is ever planned again: a late generator sends late.

use super::shape::{Course, Shape};
use crate::base::Nanos;
use crate::base::random::{self, Stream};
use rand_xoshiro::rand_core::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// The highest rate that can be asked for; the integrals stay exact to a nanosecond below it.
const RATE_MAX: f64 = 1e8;

/// A stretch of time with a rate of one shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub start: Nanos,
    pub end: Nanos,
    /// Arrivals per second; what they mean is the shape's matter.
    pub rate_from: f64,
    pub rate_to: f64,
    pub shape: Shape,
}

/// How arrivals are spread along the integral of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Independent visitors.
    Poisson,
    /// Equal gaps.
    Constant,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CurveError {
    #[error("segment {index} runs from {start} to {end}; it must start where the one before ends")]
    Order { index: usize, start: Nanos, end: Nanos },
    #[error("segment {index} has the rate {rate}; a rate must be from 0 to {RATE_MAX} per second")]
    Rate { index: usize, rate: f64 },
    #[error("segment {index} has the shape {shape:?}; its number must be above 0")]
    Shape { index: usize, shape: Shape },
}

/// The rate of all arrivals over the whole run.
#[derive(Clone, Debug)]
pub struct Curve {
    segments: Vec<Segment>,
    /// Expected arrivals before each segment, and after the last.
    before: Vec<f64>,
}

impl Curve {
    /// # Errors
    /// When the segments are not in order, or a rate is not a number.
    pub fn new(segments: Vec<Segment>) -> Result<Curve, CurveError> {
        let mut before = vec![0.0];
        let mut reached = Nanos::ZERO;
        for (index, s) in segments.iter().enumerate() {
            if s.start < reached || s.end < s.start {
                return Err(CurveError::Order { index, start: s.start, end: s.end });
            }
            for rate in [s.rate_from, s.rate_to] {
                if !(0.0..=RATE_MAX).contains(&rate) {
                    return Err(CurveError::Rate { index, rate });
                }
            }
            if !s.shape.is_sound() {
                return Err(CurveError::Shape { index, shape: s.shape });
            }
            reached = s.end;
            before.push(before[index] + s.course().total());
        }
        Ok(Curve { segments, before })
    }

    /// Expected arrivals in all.
    pub fn total(&self) -> f64 {
        *self.before.last().expect("it has one more than the segments")
    }

    /// When the integral reaches `arrivals`, looking from segment `from` on; the segment is moved
    /// along. `None` when it never does.
    ///
    /// An instant on the boundary of two segments belongs to the first, one nanosecond before its
    /// end, so that every segment has as many arrivals as its rate says.
    fn instant(&self, arrivals: f64, from: &mut usize) -> Option<Nanos> {
        // Sums of rates are not exact; the last arrival of a segment must not fall off its end.
        let slack = 1e-9 + arrivals * 1e-12;
        while *from < self.segments.len() {
            let (before, after) = (self.before[*from], self.before[*from + 1]);
            if arrivals <= after + slack && after > before {
                return Some(self.segments[*from].instant(arrivals - before));
            }
            *from += 1;
        }
        None
    }
}

impl Segment {
    fn course(&self) -> Course {
        Course {
            from: self.rate_from,
            to: self.rate_to,
            seconds: (self.end - self.start).as_secs_f64(),
            shape: self.shape,
        }
    }

    #[inline]
    fn instant(&self, arrivals: f64) -> Nanos {
        let last = Nanos(self.end.0.saturating_sub(1)).max(self.start);
        (self.start + Nanos::from_secs_f64(self.course().instant(arrivals))).min(last)
    }
}

/// The intended starts of one shard, in order, with their index within the shard.
#[derive(Clone, Debug)]
pub struct ShardStarts {
    curve: Arc<Curve>,
    rule: Rule,
    shards: f64,
    segment: usize,
    next_index: u64,
    last: Nanos,
    /// Indices from here on are not asked for.
    quota: u64,
}

#[derive(Clone, Debug)]
enum Rule {
    /// The shard takes every `shards`-th arrival, beginning with its own number.
    Constant { shard: f64 },
    /// The shard is a Poisson process of its own at one part of the rate.
    Poisson { stream: Box<Stream>, sum: f64 },
}

impl ShardStarts {
    pub fn new(curve: Arc<Curve>, spacing: Spacing, seed: u64, shard: u32, shards: u32) -> Self {
        let rule = match spacing {
            Spacing::Constant => Rule::Constant { shard: f64::from(shard) },
            Spacing::Poisson => Rule::Poisson {
                stream: Box::new(random::stream(seed, "arrivals", u64::from(shard))),
                sum: 0.0,
            },
        };
        let shards = f64::from(shards.max(1));
        ShardStarts {
            curve,
            rule,
            shards,
            segment: 0,
            next_index: 0,
            last: Nanos::ZERO,
            quota: u64::MAX,
        }
    }

    /// Ends the shard after so many arrivals.
    pub fn limited(mut self, quota: u64) -> Self {
        self.quota = quota;
        self
    }
}

impl Iterator for ShardStarts {
    type Item = (u64, Nanos);

    #[inline]
    fn next(&mut self) -> Option<(u64, Nanos)> {
        if self.next_index >= self.quota {
            return None;
        }
        let index = self.next_index;
        let arrivals = match &mut self.rule {
            Rule::Constant { shard } => index as f64 * self.shards + *shard + 1.0,
            Rule::Poisson { stream, sum } => {
                *sum += exponential(stream);
                *sum * self.shards
            }
        };
        let at = self.curve.instant(arrivals, &mut self.segment)?;
        self.next_index += 1;
        // An instant that was iterated for may be off by its last digit; the order is not.
        self.last = self.last.max(at);
        Some((index, self.last))
    }
}

/// Exp(1); the argument of the logarithm is in (0, 1].
fn exponential(stream: &mut Stream) -> f64 {
    -(1.0 - random::unit(stream.next_u64())).ln()
}

/// How many arrivals each shard yields when the whole schedule ends after `max` of them, counted
/// in the order of their instants.
pub fn quotas(curve: &Arc<Curve>, spacing: Spacing, seed: u64, shards: u32, max: u64) -> Vec<u64> {
    let mut taken = vec![0; shards as usize];
    let mut starts: Vec<_> = (0..shards)
        .map(|shard| ShardStarts::new(curve.clone(), spacing, seed, shard, shards))
        .collect();
    let mut heap = BinaryHeap::new();
    for (shard, shard_starts) in starts.iter_mut().enumerate() {
        heap.extend(shard_starts.next().map(|(_, at)| Reverse((at, shard))));
    }
    for _ in 0..max {
        let Some(Reverse((_, shard))) = heap.pop() else { break };
        taken[shard] += 1;
        heap.extend(starts[shard].next().map(|(_, at)| Reverse((at, shard))));
    }
    taken
}

#[cfg(test)]
mod tests;
