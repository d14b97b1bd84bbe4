//! By simulation: does what the gates promise hold? (methods §6.5, and the "Done when".)

use super::draws::{ar1, binomial, exponential, normal, uniform};
use super::paired::{LOOKS, PairRule, fewest_pairs};
use super::*;
use crate::base::random::{Stream, stream};

fn metric(name: &str, better: Better, margin: f64) -> Metric {
    Metric { name: name.into(), better, scale: Scale::Ratio, margin }
}

/// Pairs whose log ratio is normal with the deviation `spread` around ln(factor).
fn log_normal_pairs(chance: &mut Stream, factor: f64, spread: f64, k: usize) -> Vec<(f64, f64)> {
    let noise = spread / std::f64::consts::SQRT_2;
    let mut value = || 40.0 * (noise * normal(chance)).exp();
    (0..k).map(|_| (value(), factor * value())).collect()
}

/// An unoptimised build looks at a fifth of the seeds and allows for the noise of that; the numbers
/// promised are those of `cargo test --release`.
const QUICK: bool = cfg!(debug_assertions);
const SLACK: f64 = if QUICK { 0.025 } else { 0.0 };

fn share(of: usize, seen: impl Fn(u64) -> bool) -> f64 {
    let of = if QUICK { of / 5 } else { of };
    (0..of as u64).filter(|seed| seen(*seed)).count() as f64 / of as f64
}

#[test]
fn the_interval_of_ten_pairs_covers_as_promised() {
    let covered = share(2000, |seed| {
        let pairs = log_normal_pairs(&mut stream(seed, "cover", 0), 1.1, 0.0376, 10);
        let seen = effect(&metric("p99", Better::Lower, 0.1), &pairs, PairRule::new(seed)).unwrap();
        seen.low <= 1.1_f64.ln() && 1.1_f64.ln() <= seen.high
    });
    assert!((covered - 0.95).abs() <= 0.015 + SLACK, "{covered}");
}

/// One run of a service as a gate sees it: its own speed (runs differ), then the p50, p99, CPU and
/// rate of a few thousand requests; now and then a run is disturbed.
fn run_of(chance: &mut Stream, slower: f64) -> [f64; 4] {
    let own = (0.02 * normal(chance)).exp();
    let disturbed = if uniform(chance) < 0.1 { 1.0 + exponential(chance) } else { 1.0 };
    let mut times: Vec<f64> =
        (0..2000).map(|_| slower * own * (1.0 + exponential(chance))).collect();
    times.sort_by(f64::total_cmp);
    let cpu = slower * (0.01 * normal(chance)).exp();
    let rate = (0.005 * normal(chance)).exp() / slower;
    [times[1000], times[1980] * disturbed, cpu, rate]
}

fn compared(seed: u64, slower: f64, pairs: usize) -> Vec<PairVerdict> {
    let mut chance = stream(seed, "compared", 0);
    let metrics = [
        metric("p50", Better::Lower, 0.05),
        metric("p99", Better::Lower, 0.10),
        metric("cpu per request", Better::Lower, 0.03),
        metric("throughput", Better::Higher, 0.05),
    ];
    let runs: Vec<_> =
        (0..pairs).map(|_| (run_of(&mut chance, 1.0), run_of(&mut chance, slower))).collect();
    let of = |i: usize| runs.iter().map(|(a, b)| (a[i], b[i])).collect();
    let judged: Vec<_> = metrics.into_iter().enumerate().map(|(i, m)| (m, of(i))).collect();
    judge_pairs(&judged, PairRule::new(seed)).unwrap().iter().map(|j| j.verdict).collect()
}

#[test]
fn the_same_thing_twice_is_not_a_regression() {
    for pairs in [fewest_pairs(4, 0.05), 10] {
        let called =
            share(400, |seed| compared(seed, 1.0, pairs).contains(&PairVerdict::Regression));
        assert!(
            called <= 0.025 + SLACK,
            "{pairs} pairs: {called} of A/A comparisons are called regressions"
        );
    }
}

#[test]
fn a_fifth_slower_is_found() {
    for pairs in [fewest_pairs(4, 0.05), 10] {
        let found =
            share(200, |seed| compared(seed, 1.2, pairs).contains(&PairVerdict::Regression));
        assert!(found >= 0.95 - SLACK, "{pairs} pairs: {found} of +20 % are found");
    }
}

#[test]
fn a_change_of_the_margin_is_found_half_the_time_and_of_twice_the_margin_nearly_always() {
    let found = |margin: f64| {
        share(1000, |seed| {
            let pairs = log_normal_pairs(&mut stream(seed, "power", 0), 1.1, 0.0376, 10);
            let judged =
                judge_pairs(&[(metric("p99", Better::Lower, margin), pairs)], PairRule::new(seed));
            judged.unwrap()[0].verdict == PairVerdict::Regression
        })
    };
    assert!(found(0.05) >= 0.95 - SLACK, "{}", found(0.05));
    assert!((found(0.10) - 0.5).abs() < 0.06 + SLACK, "{}", found(0.10));
}

#[test]
fn a_margin_made_for_a_change_finds_it_in_nine_of_ten() {
    for (spread, pairs) in [(0.0376, 10), (0.05, 16), (0.02, 7)] {
        let margin = margin_to_detect(0.10, spread, pairs, PairRule::new(1)).unwrap();
        let found = share(1000, |seed| {
            let drawn = log_normal_pairs(&mut stream(seed, "detect", 0), 1.1, spread, pairs);
            let judged =
                judge_pairs(&[(metric("p99", Better::Lower, margin), drawn)], PairRule::new(seed));
            judged.unwrap()[0].verdict == PairVerdict::Regression
        });
        assert!(
            (0.87 - SLACK..0.96 + SLACK).contains(&found),
            "spread {spread}, {pairs} pairs: {found}"
        );
    }
}

#[test]
fn looking_three_times_does_not_err_more_often() {
    let called = share(1000, |seed| {
        let pairs = log_normal_pairs(&mut stream(seed, "looks", 0), 1.0, 0.1, 16);
        LOOKS.iter().any(|(k, alpha)| {
            let rule = PairRule { alpha: *alpha, ..PairRule::new(seed) };
            let seen = effect(&metric("p99", Better::Lower, 0.01), &pairs[..*k], rule).unwrap();
            (seen.low > 0.0 || seen.high < 0.0) && seen.p <= *alpha
        })
    });
    assert!(called <= 0.06 + SLACK, "{called}");
}

/// Seconds whose chance of a violation swings slowly around `allowed`, as a service does.
fn swinging(seed: u64, allowed: f64, phi: f64, seconds: usize) -> Vec<Block> {
    let mut chance = stream(seed, "swinging", 0);
    let mood = ar1(&mut chance, phi, seconds);
    // A log-normal factor of mean 1.
    let risk = mood.iter().map(|m| (allowed * (0.5 * m - 0.125).exp()).min(1.0));
    risk.map(|p| Block { arrivals: 100, violations: binomial(&mut chance, 100, p) }).collect()
}

/// How often a service exactly on the boundary passes.
fn errs(phi: f64, seconds: usize, correct_for_bursts: bool) -> f64 {
    share(600, |seed| {
        let rule = ShareRule { correct_for_bursts, ..ShareRule::new(0.03) };
        judge_share(&swinging(seed, 0.03, phi, seconds), rule).verdict == ShareVerdict::Pass
    })
}

#[test]
fn at_the_boundary_the_share_gate_errs_rarely_and_without_correction_often() {
    for (phi, seconds) in [(0.0, 240), (0.7, 120), (0.7, 600)] {
        let seen = errs(phi, seconds, true);
        assert!(seen <= 0.05 + SLACK, "autocorrelation {phi}, {seconds} s: {seen}");
    }
    let uncorrected = errs(0.7, 600, false);
    assert!(uncorrected >= 0.15, "without correction: {uncorrected}");
}

/// Criterion's trap: equal services, 3 % between runs; all requests pooled look very different.
#[test]
fn pooled_requests_differ_always_pairs_of_runs_do_not() {
    let requests = |chance: &mut Stream| {
        let own = (0.03 * normal(chance)).exp();
        (0..4000).map(|_| own * (10.0 + 0.2 * normal(chance))).collect::<Vec<f64>>()
    };
    let pooled = share(40, |seed| {
        let mut chance = stream(seed, "trap", 0);
        let (a, b) = (requests(&mut chance), requests(&mut chance));
        mann_whitney(&a, &b).unwrap().p_two_sided < 0.05
    });
    assert!(pooled >= 0.8, "{pooled} of equal runs differ by their requests");
    let paired = share(400, |seed| {
        let pairs = log_normal_pairs(&mut stream(seed, "trap", 1), 1.0, 0.03 * 2.0_f64.sqrt(), 10);
        let judged =
            judge_pairs(&[(metric("p50", Better::Lower, 0.05), pairs)], PairRule::new(seed));
        judged.unwrap()[0].verdict == PairVerdict::Regression
    });
    assert!(paired <= 0.025 + SLACK, "{paired}");
}
