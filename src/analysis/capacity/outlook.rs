//! What a search will still take, by playing it to its end against an imagined target: the next step
//! is a pure function of the trials before.

use super::search::{Search, Step, bracket, next};
use super::trial::{Purpose, Reading, Trial};

/// With nothing but a rate that holds, the capacity is taken to be this times as much …
const ABOVE_HELD: f64 = 1.5;
/// … and with nothing at all, this many times the first rate: four doublings.
const ABOVE_FIRST: f64 = 12.0;

/// The steps that are left after these trials, should the target carry what they suggest, or, where
/// they do not contradict it, `expected_per_s`.
pub fn rest(search: &Search, history: &[Trial], expected_per_s: Option<f64>) -> Vec<Step> {
    let carries = guess(search, history, expected_per_s);
    let mut played = history.to_vec();
    let mut steps = Vec::new();
    loop {
        let step = next(search, &played);
        let trial = match &step {
            Step::Done(_) => return steps,
            Step::Measure { rate_per_s, seconds, purpose } => {
                imagined(*rate_per_s, *seconds, *purpose, carries)
            }
            Step::Overload { rate_per_s, seconds, .. } => {
                imagined(*rate_per_s, *seconds, Purpose::Overload, carries)
            }
        };
        played.push(trial);
        steps.push(step);
    }
}

fn guess(search: &Search, history: &[Trial], expected_per_s: Option<f64>) -> f64 {
    let (low, high) = bracket(search, history);
    let expected = expected_per_s
        .filter(|rate| low.is_none_or(|low| *rate > low) && high.is_none_or(|high| *rate < high));
    match (low, high) {
        (Some(low), Some(high)) => (low * high).sqrt(),
        (Some(low), None) => expected.unwrap_or(ABOVE_HELD * low),
        (None, _) => expected.unwrap_or(ABOVE_FIRST * search.first_per_s),
    }
}

/// Decided at once, whichever way, by a million arrivals.
fn imagined(rate_per_s: f64, seconds: f64, purpose: Purpose, carries: f64) -> Trial {
    let arrivals = 1_000_000;
    let violations = if rate_per_s > carries { arrivals } else { 0 };
    let objective = String::new();
    let reading = Reading { objective, allowed: 0.5, arrivals, violations, design_effect: 1.0 };
    Trial {
        rate_per_s,
        seconds,
        purpose,
        readings: vec![reading],
        flaw: None,
        exhausted: None,
        recovered_after_s: Some(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purposes(steps: &[Step]) -> Vec<Purpose> {
        let purpose = |step: &Step| match step {
            Step::Measure { purpose, .. } => *purpose,
            _ => Purpose::Overload,
        };
        steps.iter().map(purpose).collect()
    }

    #[test]
    fn the_rest_of_a_search_is_what_it_would_do_against_such_a_target() {
        use Purpose::{Again, Confirm, Grow, Narrow, Overload};
        let search = Search { first_per_s: 127.0, ..Search::short(1e6, 20.0, 1.05, 3) };
        let all = rest(&search, &[], Some(600.0));
        let expected = [[Grow; 4].as_slice(), &[Again], &[Narrow; 4], &[Confirm; 3], &[Overload]];
        assert_eq!(purposes(&all), expected.concat());
        let mut history = Vec::new();
        for (n, step) in all.iter().enumerate() {
            let left = rest(&search, &history, Some(600.0));
            assert_eq!(left.len(), all.len() - n, "after {n}");
            let Step::Measure { rate_per_s, seconds, purpose } = *step else { break };
            history.push(imagined(rate_per_s, seconds, purpose, 600.0));
        }
    }

    #[test]
    fn what_was_seen_outweighs_what_was_expected() {
        let search = Search { first_per_s: 100.0, ..Search::short(1e6, 20.0, 1.05, 3) };
        let held = imagined(100.0, 20.0, Purpose::Grow, 1e9);
        assert_eq!(guess(&search, &[], Some(400.0)), 400.0);
        assert_eq!(guess(&search, &[], None), 1200.0);
        assert_eq!(guess(&search, std::slice::from_ref(&held), Some(50.0)), 150.0);
        let failed = |purpose| imagined(200.0, 20.0, purpose, 0.0);
        let both = [held, failed(Purpose::Grow), failed(Purpose::Again)];
        assert!((guess(&search, &both, Some(400.0)) - 141.4).abs() < 0.1);
        assert!(rest(&search, &both, None).len() >= 6);
    }
}
