//! By simulation, through the whole decision: the same thing twice is called a regression in at
//! most 2.5 % of comparisons, and a fifth more is found in at least 95 % (the promise).

use super::tests::run;
use super::*;
use crate::analysis::stats::draws::{exponential, normal, uniform};
use crate::base::random::{Stream, stream};

/// An unoptimised build looks at fewer seeds and allows for the noise of that.
const QUICK: bool = cfg!(debug_assertions);
const SLACK: f64 = if QUICK { 0.025 } else { 0.0 };

/// One run of a service: its own speed (runs differ), its work, a few errors, and now and then a
/// disturbance that only its tail shows.
fn drawn(chance: &mut Stream, slower: f64) -> Summary {
    let own = (0.03 * normal(chance)).exp() * slower;
    let cpu = 1.8 * slower * (0.015 * normal(chance)).exp();
    let disturbed = if uniform(chance) < 0.1 { 1.0 + exponential(chance) } else { 1.0 };
    let errors = if uniform(chance) < 0.2 { 0.001 * exponential(chance) } else { 0.0 };
    let tail = 30.0 * own * (0.08 * normal(chance)).exp() * disturbed;
    run(cpu, errors, 10.0 * own, tail, 2500)
}

fn verdict(seed: u64, slower: f64, pairs: usize) -> Verdict {
    let mut chance = stream(seed, "gate", 0);
    let runs: Vec<(Summary, Summary)> =
        (0..pairs).map(|_| (drawn(&mut chance, 1.0), drawn(&mut chance, slower))).collect();
    let pairs: Vec<Pair<'_>> =
        runs.iter().enumerate().map(|(i, (a, b))| Pair { number: i + 1, a, b }).collect();
    judge_pair_runs(&pairs, &GateRule::new(seed)).verdict
}

fn share(of: u64, wanted: Verdict, seen: impl Fn(u64) -> Verdict) -> f64 {
    let of = if QUICK { of / 5 } else { of };
    (0..of).filter(|seed| seen(*seed) == wanted).count() as f64 / of as f64
}

#[test]
fn the_same_twice_is_called_a_regression_in_one_of_forty_at_most() {
    // The others are undecided, which is no regression, and asks for more pairs.
    for (pairs, passing) in [(8, 0.8), (12, 0.85)] {
        let called = share(2000, Verdict::Fail, |seed| verdict(seed, 1.0, pairs));
        assert!(called <= 0.025 + SLACK, "{pairs} pairs: {called}");
        let passed = share(2000, Verdict::Pass, |seed| verdict(seed, 1.0, pairs));
        assert!(passed >= passing - SLACK, "{pairs} pairs: only {passed} of A/A comparisons pass");
    }
}

#[test]
fn a_fifth_more_is_found() {
    for pairs in [8, 12] {
        let found = share(2000, Verdict::Fail, |seed| verdict(seed, 1.2, pairs));
        assert!(found >= 0.95 - SLACK, "{pairs} pairs: {found} of +20 % are found");
    }
}
