//! The search against a queue whose capacity is known: Poisson arrivals, one server, fixed service
//! time, in virtual time. The closed form is Erlang's for M/D/1.

use super::*;
use crate::analysis::stats::draws::exponential;
use crate::analysis::stats::{Block, burstiness};
use crate::base::random::stream;

const SERVICE_S: f64 = 0.005;
const LIMIT_S: f64 = 0.050;
const ALLOWED: f64 = 0.01;

/// P(W ≤ t), t in service times: (1 − ρ) Σ_{k ≤ t} e^{ρ(t−k)} (−ρ(t−k))^k / k!; the alternating
/// terms cost digits beyond t = 15, here it is 9.
fn wait_cdf(rho: f64, t: f64) -> f64 {
    let mut factorial = 1.0;
    let mut sum = 0.0;
    for k in 0..=t as u32 {
        factorial *= f64::from(k.max(1));
        let rest = rho * (t - f64::from(k));
        sum += rest.exp() * (-rest).powi(k as i32) / factorial;
    }
    (1.0 - rho) * sum
}

fn true_capacity() -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let rho = 0.5 * (low + high);
        if wait_cdf(rho, LIMIT_S / SERVICE_S - 1.0) > 1.0 - ALLOWED {
            low = rho;
        } else {
            high = rho;
        }
    }
    low / SERVICE_S
}

/// Lindley's recursion after a warm-up; violations by the second of arrival.
fn blocks(rate: f64, seconds: f64, seed: u64) -> Vec<Block> {
    const WARM_UP_S: f64 = 5.0;
    let mut chance = stream(seed, "arrivals", 0);
    let mut blocks = vec![Block::default(); seconds as usize];
    let (mut now, mut free_at) = (0.0, 0.0_f64);
    loop {
        now += exponential(&mut chance) / rate;
        if now >= WARM_UP_S + seconds {
            return blocks;
        }
        free_at = free_at.max(now) + SERVICE_S;
        if now >= WARM_UP_S {
            let block = &mut blocks[(now - WARM_UP_S) as usize];
            block.arrivals += 1;
            block.violations += u64::from(free_at - now > LIMIT_S);
        }
    }
}

fn trial(rate_per_s: f64, seconds: f64, purpose: Purpose, seed: u64) -> Trial {
    let blocks = blocks(rate_per_s, seconds, seed);
    let reading = Reading {
        objective: "response_time: p(99)<50ms".into(),
        allowed: ALLOWED,
        arrivals: blocks.iter().map(|b| b.arrivals).sum(),
        violations: blocks.iter().map(|b| b.violations).sum(),
        design_effect: burstiness(&blocks).map_or(1.0, |b| b.design_effect.max(1.0)),
    };
    Trial {
        rate_per_s,
        seconds,
        purpose,
        readings: vec![reading],
        flaw: None,
        exhausted: Some("app cpu".into()),
        recovered_after_s: None,
    }
}

/// A backlog of (overload − 1/service) · seconds drains at what is left of the server.
fn overload(rate: f64, seconds: f64, back: f64) -> Trial {
    let backlog_s = (rate * SERVICE_S - 1.0).max(0.0) * seconds;
    let recovered = backlog_s / (1.0 - back * SERVICE_S);
    Trial { recovered_after_s: Some(recovered), ..trial(rate, 1.0, Purpose::Overload, 0) }
}

fn searched(search: &Search, seed: u64) -> (Vec<Trial>, Outcome) {
    let mut history = Vec::new();
    loop {
        let trial = match next(search, &history) {
            Step::Measure { rate_per_s, seconds, purpose } => {
                trial(rate_per_s, seconds, purpose, seed * 1000 + history.len() as u64)
            }
            Step::Overload { rate_per_s, seconds, return_to_per_s, .. } => {
                overload(rate_per_s, seconds, return_to_per_s)
            }
            Step::Done(outcome) => return (history, outcome),
        };
        history.push(trial);
    }
}

#[test]
fn the_closed_form_is_the_known_one() {
    assert!((true_capacity() - 154.7).abs() < 0.05, "{}", true_capacity());
    assert!((wait_cdf(0.8, 5.01151) - 0.9).abs() < 1e-6);
    assert!((wait_cdf(0.5, 3.33626) - 0.99).abs() < 1e-6);
}

/// All of them when optimised; a debug build takes ten times as long for the same answer.
const SEEDS: u64 = if cfg!(debug_assertions) { 10 } else { 200 };

/// What many searches of one kind come to, in shares of the truth.
struct Came {
    mean: f64,
    confirmed: f64,
    width: f64,
    covered: u64,
}

fn many(search: &Search) -> Came {
    let truth = true_capacity();
    let mut came = Came { mean: 0.0, confirmed: 0.0, width: 0.0, covered: 0 };
    for seed in 0..SEEDS {
        let (history, outcome) = searched(search, seed);
        let Outcome::Found { confirmed_per_s, .. } = outcome else { panic!("{seed}: {outcome:?}") };
        let seen = estimate(&history, seed).expect("a search that found brackets the capacity");
        came.mean += seen.rate_per_s / truth / SEEDS as f64;
        came.covered += u64::from(seen.low_per_s <= truth && truth <= seen.high_per_s);
        came.confirmed += confirmed_per_s.unwrap_or(truth) / truth / SEEDS as f64;
        came.width += (seen.high_per_s / seen.low_per_s - 1.0) / SEEDS as f64;
    }
    came
}

#[test]
fn many_searches_are_unbiased_and_their_intervals_cover() {
    let Came { mean, confirmed, width, covered } = many(&Search::from(20.0, 10_000.0));
    assert!((mean - 1.0).abs() <= 0.02, "the mean estimate is {mean} of the truth");
    assert!(10 * covered >= 9 * SEEDS, "{covered} of {SEEDS} intervals cover");
    assert!(width < 0.10, "the mean interval is {width} wide");
    assert!((0.90..1.0).contains(&confirmed), "confirmed at {confirmed} of the truth");
}

/// Those that the command makes when it is told nothing else.
#[test]
fn short_searches_are_unbiased_too() {
    let search = Search { first_per_s: 50.0, ..Search::short(1e6, 20.0, 1.05, 3) };
    let Came { mean, width, covered, .. } = many(&search);
    assert!((mean - 1.0).abs() <= 0.02, "the mean estimate is {mean} of the truth");
    assert!(10 * covered >= 9 * SEEDS, "{covered} of {SEEDS} intervals cover");
    assert!(width < 0.25, "the mean interval is {width} wide");
}
