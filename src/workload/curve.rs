//! The schedule: a rate over time, its integral, and the instants at which that integral has grown
//! by one arrival.
//!
//! With Λ(t) = ∫λ, arrival n is at Λ⁻¹(n) for constant spacing and at Λ⁻¹(E₁+…+Eₙ), E ~ Exp(1), for
//! Poisson. λ is linear within a segment, λ(t) = a + bt, so Λ⁻¹(s) = 2s / (a + √(a² + 2bs)), the
//! form of the quadratic's root that does not cancel. Each segment is anchored at its own start.
//! Nothing is ever planned again: a late generator sends late.

use super::shape::Shape;
use crate::base::Nanos;
use crate::base::random::{self, Stream};
use rand_xoshiro::rand_core::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A stretch of time with a rate that is linear in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub start: Nanos,
    pub end: Nanos,
    /// Arrivals per second at the start and at the end.
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
    #[error("segment {index} has the rate {rate}; a rate must be finite and not negative")]
    Rate { index: usize, rate: f64 },
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
                if !rate.is_finite() || rate < 0.0 {
                    return Err(CurveError::Rate { index, rate });
                }
            }
            reached = s.end;
            before.push(before[index] + s.arrivals());
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
            if arrivals <= self.before[*from + 1] + slack {
                let segment = &self.segments[*from];
                if segment.arrivals() > 0.0 {
                    return Some(segment.instant(arrivals - self.before[*from]));
                }
            }
            *from += 1;
        }
        None
    }
}

impl Segment {
    fn seconds(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }

    fn arrivals(&self) -> f64 {
        (self.rate_from + self.rate_to) / 2.0 * self.seconds()
    }

    fn instant(&self, arrivals: f64) -> Nanos {
        let s = arrivals.max(0.0);
        let slope = (self.rate_to - self.rate_from) / self.seconds();
        let root = (self.rate_from * self.rate_from + 2.0 * slope * s).max(0.0).sqrt();
        let offset = 2.0 * s / (self.rate_from + root);
        let last = Nanos(self.end.0.saturating_sub(1)).max(self.start);
        (self.start + Nanos::from_secs_f64(if offset.is_finite() { offset } else { 0.0 })).min(last)
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
        ShardStarts { curve, rule, shards, segment: 0, next_index: 0, quota: u64::MAX }
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
        Some((index, at))
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
mod tests {
    use super::*;

    fn ramp(seconds: u64, from: f64, to: f64) -> Arc<Curve> {
        let end = Nanos::from_secs(seconds);
        let one =
            Segment { start: Nanos::ZERO, end, rate_from: from, rate_to: to, shape: Shape::Linear };
        Arc::new(Curve::new(vec![one]).unwrap())
    }

    fn merged(curve: &Arc<Curve>, spacing: Spacing, seed: u64, shards: u32) -> Vec<Nanos> {
        let mut all: Vec<Nanos> = (0..shards)
            .flat_map(|s| ShardStarts::new(curve.clone(), spacing, seed, s, shards))
            .map(|(_, at)| at)
            .collect();
        all.sort();
        all
    }

    #[test]
    fn ramps_give_the_known_instants() {
        let starts = merged(&ramp(60, 0.0, 100.0), Spacing::Constant, 1, 7);
        assert_eq!(starts.len(), 3000);
        assert!((starts[999].as_secs_f64() - 34.641_016_15).abs() < 1e-8);
        let starts = merged(&ramp(90, 10.0, 100.0), Spacing::Constant, 1, 4);
        assert!((starts[499].as_secs_f64() - 23.166_247_90).abs() < 1e-8);
    }

    #[test]
    fn constant_arrivals_are_the_same_for_any_number_of_shards() {
        let curve = ramp(3, 70.0, 190.0);
        let one = merged(&curve, Spacing::Constant, 1, 1);
        for shards in [2, 3, 64] {
            assert_eq!(merged(&curve, Spacing::Constant, 1, shards), one);
        }
    }

    #[test]
    fn every_segment_has_the_arrivals_of_its_rate() {
        let at = |s: u64| Nanos::from_secs(s);
        let rates = [(0, 1, 33.0, 33.0), (1, 3, 0.0, 0.0), (3, 6, 10.0, 70.0), (6, 7, 100.0, 0.0)];
        let segments = rates
            .map(|(s, e, rate_from, rate_to)| Segment {
                start: at(s),
                end: at(e),
                rate_from,
                rate_to,
                shape: Shape::Linear,
            })
            .to_vec();
        let curve = Arc::new(Curve::new(segments).unwrap());
        let starts = merged(&curve, Spacing::Constant, 1, 5);
        let within = |s, e| starts.iter().filter(|t| (at(s)..at(e)).contains(*t)).count();
        assert_eq!([within(0, 1), within(1, 3), within(3, 6), within(6, 7)], [33, 0, 120, 50]);
    }

    #[test]
    fn poisson_counts_have_the_variance_of_their_mean() {
        for shards in [1, 16] {
            let starts = merged(&ramp(2000, 50.0, 50.0), Spacing::Poisson, 42, shards);
            let mut counts = vec![0.0f64; 2000];
            for at in &starts {
                counts[at.as_secs_f64() as usize] += 1.0;
            }
            let mean = counts.iter().sum::<f64>() / 2000.0;
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 1999.0;
            // The dispersion index of 2000 counts has a standard error of √(2/2000) = 0.032.
            assert!((variance / mean - 1.0).abs() < 0.1, "{shards}: {}", variance / mean);
            assert!((mean - 50.0).abs() < 0.7, "{mean}");
        }
    }

    #[test]
    fn poisson_gaps_rescaled_by_the_rate_are_exponential() {
        // Kolmogorov-Smirnov against Exp(1) on a ramp; the bound is p = 0.001 over one sample.
        let curve = ramp(100, 10.0, 190.0);
        let starts = merged(&curve, Spacing::Poisson, 7, 8);
        let integral = |t: f64| 10.0 * t + 0.9 * t * t;
        let mut gaps: Vec<f64> = starts
            .windows(2)
            .map(|w| integral(w[1].as_secs_f64()) - integral(w[0].as_secs_f64()))
            .collect();
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(i, g)| ((1.0 - (-g).exp()) - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{distance} with {n} gaps");
    }

    #[test]
    fn quotas_keep_the_first_arrivals_of_the_merged_schedule() {
        let curve = ramp(10, 100.0, 100.0);
        let quotas = quotas(&curve, Spacing::Poisson, 3, 8, 250);
        assert_eq!(quotas.iter().sum::<u64>(), 250);
        let mut kept: Vec<Nanos> = (0..8)
            .flat_map(|s| {
                ShardStarts::new(curve.clone(), Spacing::Poisson, 3, s, 8)
                    .limited(quotas[s as usize])
            })
            .map(|(_, at)| at)
            .collect();
        kept.sort();
        assert_eq!(kept, merged(&curve, Spacing::Poisson, 3, 8)[..250]);
    }

    #[test]
    fn impossible_curves_are_refused() {
        let s = |start, end, rate_from| Segment {
            start: Nanos(start),
            end: Nanos(end),
            rate_from,
            rate_to: 1.0,
            shape: Shape::Linear,
        };
        assert!(Curve::new(vec![s(5, 4, 1.0)]).is_err());
        assert!(Curve::new(vec![s(0, 4, 1.0), s(3, 5, 1.0)]).is_err());
        assert!(Curve::new(vec![s(0, 4, f64::NAN)]).is_err());
        assert!(Curve::new(vec![s(0, 4, -1.0)]).is_err());
    }
}
