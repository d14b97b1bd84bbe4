//! Known answers (methods.md 6.7) and laws of the schedule.

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

/// A curve of every shape, from 0 to 30 seconds.
fn of_every_shape() -> Vec<(Course, Arc<Curve>)> {
    let (period, decay) = (Nanos::from_secs(10), Nanos::from_secs(6));
    [
        (10.0, 190.0, Shape::Linear),
        (10.0, 190.0, Shape::Steps { levels: 5 }),
        (10.0, 190.0, Shape::Sine { period }),
        (190.0, 0.0, Shape::Sine { period }),
        (10.0, 500.0, Shape::Spike { decay }),
        (100.0, 0.0, Shape::Spike { decay }),
    ]
    .map(|(rate_from, rate_to, shape)| {
        let end = Nanos::from_secs(30);
        let segment = Segment { start: Nanos::ZERO, end, rate_from, rate_to, shape };
        (segment.course(), Arc::new(Curve::new(vec![segment]).unwrap()))
    })
    .to_vec()
}

#[test]
fn poisson_gaps_rescaled_by_the_rate_are_exponential() {
    // Kolmogorov-Smirnov against Exp(1), for every shape and 100 seeds in all; the bound is
    // p = 0.001 over all of them (Bonferroni): K with 2·exp(−2K²) = 0.001/102.
    let bound = (-(0.001f64 / 102.0 / 2.0).ln() / 2.0).sqrt();
    for (number, (course, curve)) in of_every_shape().into_iter().enumerate() {
        for seed in 0..17 {
            let starts = merged(&curve, Spacing::Poisson, 100 * number as u64 + seed, 8);
            let integral = |t: Nanos| course.arrivals(t.as_secs_f64());
            let mut gaps: Vec<f64> =
                starts.windows(2).map(|w| integral(w[1]) - integral(w[0])).collect();
            gaps.sort_by(f64::total_cmp);
            let n = gaps.len() as f64;
            let distance = (gaps.iter().enumerate())
                .map(|(i, g)| ((1.0 - (-g).exp()) - (i as f64 + 0.5) / n).abs())
                .fold(0.0, f64::max);
            assert!(distance * n.sqrt() < bound, "{course:?} {seed}: {distance} of {n}");
        }
    }
}

#[test]
fn poisson_counts_of_a_second_have_the_law_of_poisson() {
    // Chi-square of 5000 seconds at 6/s against the probabilities of 0–1, 2, …, 11, 12 and
    // more: 11 degrees of freedom, whose 0.999 quantile is 31.26.
    let starts = merged(&ramp(5000, 6.0, 6.0), Spacing::Poisson, 11, 16);
    let mut counts = vec![0usize; 5000];
    starts.iter().for_each(|at| counts[at.as_secs_f64() as usize] += 1);
    let mut seen = [0.0; 12];
    counts.iter().for_each(|n| seen[(*n).clamp(1, 12) - 1] += 1.0);
    let mut law = [0.0; 12];
    let mut p = (-6.0f64).exp();
    for n in 0..60usize {
        law[n.clamp(1, 12) - 1] += p;
        p *= 6.0 / (n + 1) as f64;
    }
    let chi: f64 = seen
        .iter()
        .zip(law)
        .map(|(s, p): (&f64, f64)| (s - 5000.0 * p).powi(2) / (5000.0 * p))
        .sum();
    assert!(chi < 31.26, "{chi}");
}

#[test]
fn merged_shards_are_dispersed_as_one_stream_is() {
    let dispersion = |spacing, shards| {
        let starts = merged(&ramp(5_000, 40.0, 40.0), spacing, 5, shards);
        let mut counts = vec![0.0f64; 5_000];
        // Equal gaps end each second with an arrival, which is to be counted in it.
        starts
            .iter()
            .for_each(|at| counts[(at.0.saturating_sub(1) / 1_000_000_000) as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / 5_000.0;
        counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 4_999.0 / mean
    };
    assert!((dispersion(Spacing::Poisson, 16) - 1.0).abs() < 0.05);
    assert_eq!(dispersion(Spacing::Constant, 16), 0.0);
}

#[test]
fn every_shape_has_the_arrivals_of_its_integral_whatever_the_shards() {
    for (course, curve) in of_every_shape() {
        let one = merged(&curve, Spacing::Constant, 1, 1);
        assert_eq!(one.len(), (course.total() + 1e-6).floor() as usize, "{course:?}");
        assert_eq!(merged(&curve, Spacing::Constant, 1, 16), one, "{course:?}");
        assert!(one.iter().all(|at| *at < Nanos::from_secs(30)));
    }
}

#[test]
fn extreme_curves_end() {
    let tiny = Nanos(1);
    let shapes = [
        Shape::Linear,
        Shape::Steps { levels: u32::MAX },
        Shape::Steps { levels: 1 },
        Shape::Sine { period: tiny },
        Shape::Sine { period: Nanos(1 << 60) },
        Shape::Spike { decay: tiny },
        Shape::Spike { decay: Nanos(1 << 60) },
    ];
    for shape in shapes {
        let rates = [(0.0, 0.0), (0.0, 10e6), (10e6, 0.0), (10e6, 10e6), (1e-9, 10e6)];
        for (rate_from, rate_to) in rates {
            let mut start = Nanos::ZERO;
            let segments: Vec<_> = [1, 1, 100_000, 1, 0, 1_000_000]
                .map(|ns| {
                    let segment =
                        Segment { start, end: start + Nanos(ns), rate_from, rate_to, shape };
                    start = segment.end;
                    segment
                })
                .to_vec();
            let curve = Arc::new(Curve::new(segments).unwrap());
            for spacing in [Spacing::Constant, Spacing::Poisson] {
                let starts = ShardStarts::new(curve.clone(), spacing, 1, 0, 1);
                let mut last = Nanos::ZERO;
                for (_, at) in starts {
                    assert!(at >= last && at < start, "{shape:?} {rate_from} {rate_to}");
                    last = at;
                }
            }
        }
    }
}

#[test]
fn quotas_keep_the_first_arrivals_of_the_merged_schedule() {
    let curve = ramp(10, 100.0, 100.0);
    let quotas = quotas(&curve, Spacing::Poisson, 3, 8, 250);
    assert_eq!(quotas.iter().sum::<u64>(), 250);
    let mut kept: Vec<Nanos> = (0..8)
        .flat_map(|s| {
            ShardStarts::new(curve.clone(), Spacing::Poisson, 3, s, 8).limited(quotas[s as usize])
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
    assert!(
        Curve::new(vec![Segment { shape: Shape::Steps { levels: 0 }, ..s(0, 4, 1.0) }]).is_err()
    );
}
