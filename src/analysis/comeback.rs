//! Does it come back? Something pushed the target over; the cause is gone and as many visitors come as
//! before. A target that stays down all the same is metastable: what keeps it there is the load that
//! the failure itself makes, such as visitors who ask again (Bronson et al., "Metastable failures in
//! distributed systems", HotOS 2021).

use super::recovery::{Hypothesis, Impact, held_from};
use super::timeline::{Timeline, share};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The hypothesis must have held for so long, up to the end.
const STEADY_S: u32 = 5;
/// Rates that differ by less are the same …
const SAME_RATE: f64 = 0.05;
/// … as are those that differ by fewer standard errors of two Poisson counts.
const SAME_RATE_ERRORS: f64 = 3.0;

/// One second: whom the schedule brought, what they asked again, and what was answered in time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadSecond {
    /// First attempts.
    pub visitors: u64,
    /// Further attempts.
    pub repeated: u64,
    pub in_time: u64,
}

/// The load before the first fault and after the last one was gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comeback {
    /// First attempts, before and after.
    pub visitors_before_per_s: f64,
    pub visitors_after_per_s: f64,
    pub in_time_before: Option<f64>,
    /// In the last seconds.
    pub in_time_after: Option<f64>,
    /// All attempts ÷ first attempts after the cause was gone: what the failure adds to the load.
    pub amplification_after: Option<f64>,
    pub outcome: ComebackOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ComebackOutcome {
    /// For good, so long after the cause was gone; 0 when it held from then on.
    Recovered { after_s: f64 },
    /// The same load that it bore before, without the cause, and it does not bear it.
    Stuck { for_s: f64 },
    /// The load ended before it could be told.
    NotEnoughTime { watched_s: f64 },
    /// It did not hold before either.
    NeverHeld,
    /// Fewer or more visitors than before: nothing follows.
    DifferentRate,
}

/// `before`: the seconds before the cause. `removed_s`: when it was gone. `needed`: the share in time.
pub fn comeback(
    seconds: &[LoadSecond],
    before: Range<u32>,
    removed_s: f64,
    needed: f64,
) -> Comeback {
    let end = seconds.len() as u32;
    let after = (removed_s.ceil() as u32).min(end)..end;
    let last = after.end.saturating_sub(STEADY_S).max(after.start)..after.end;
    let (calm, rest) = (sum(seconds, &before), sum(seconds, &after));
    let mut comeback = Comeback {
        visitors_before_per_s: per_s(calm.visitors, &before),
        visitors_after_per_s: per_s(rest.visitors, &after),
        in_time_before: in_time(&calm),
        in_time_after: in_time(&sum(seconds, &last)),
        amplification_after: share(rest.visitors + rest.repeated, rest.visitors),
        outcome: ComebackOutcome::NeverHeld,
    };
    if comeback.in_time_before.is_none_or(|share| share < needed) {
        return comeback;
    }
    let watched_s = (f64::from(end) - removed_s).max(0.0);
    let hypothesis = Hypothesis::new(needed, calm.in_time, calm.visitors + calm.repeated);
    let held = held_from(after.clone(), |range| {
        let sum = sum(seconds, &range);
        hypothesis.is_broken_by(sum.in_time, sum.visitors + sum.repeated)
    });
    comeback.outcome = match held {
        _ if (after.len() as u32) < STEADY_S => ComebackOutcome::NotEnoughTime { watched_s },
        _ if !is_same_rate((calm.visitors, &before), (rest.visitors, &after)) => {
            ComebackOutcome::DifferentRate
        }
        Some(from) if from + STEADY_S > end => ComebackOutcome::NotEnoughTime { watched_s },
        // From the first whole second on is from its removal on, as far as can be told.
        Some(from) if from == after.start => ComebackOutcome::Recovered { after_s: 0.0 },
        Some(from) => ComebackOutcome::Recovered { after_s: f64::from(from) - removed_s },
        None => ComebackOutcome::Stuck { for_s: watched_s },
    };
    comeback
}

/// Of a run with faults: from the start of what is measured (`measured`, whole seconds) to the first
/// injection, and from the last heal to `end`. `None` where nothing was injected, or not all healed.
pub fn of_run<'a>(
    impacts: impl Iterator<Item = &'a Impact> + Clone,
    timeline: &Timeline,
    measured: u32,
    end: u32,
    needed: f64,
) -> Option<Comeback> {
    let first_ns = impacts.clone().map(|i| i.injected_ns).min()?;
    let healed_ns = impacts.map(|i| i.healed_ns).try_fold(0, |last, at| Some(last.max(at?)))?;
    let first = (first_ns / 1_000_000_000) as u32;
    let end = end.min(timeline.end()) as usize;
    let seconds: Vec<LoadSecond> = timeline.seconds[..end].iter().map(LoadSecond::of).collect();
    Some(comeback(&seconds, measured.min(first)..first, healed_ns as f64 / 1e9, needed))
}

impl LoadSecond {
    fn of(second: &super::Second) -> LoadSecond {
        let (visitors, repeated) = (second.visitors(), second.repeated);
        LoadSecond { visitors, repeated, in_time: second.in_time }
    }
}

fn sum(seconds: &[LoadSecond], range: &Range<u32>) -> LoadSecond {
    let end = (range.end as usize).min(seconds.len());
    let start = (range.start as usize).min(end);
    seconds[start..end].iter().fold(LoadSecond::default(), |sum, s| LoadSecond {
        visitors: sum.visitors + s.visitors,
        repeated: sum.repeated + s.repeated,
        in_time: sum.in_time + s.in_time,
    })
}

fn in_time(sum: &LoadSecond) -> Option<f64> {
    share(sum.in_time, sum.visitors + sum.repeated)
}

fn per_s(count: u64, range: &Range<u32>) -> f64 {
    if range.is_empty() { 0.0 } else { count as f64 / range.len() as f64 }
}

fn is_same_rate(before: (u64, &Range<u32>), after: (u64, &Range<u32>)) -> bool {
    let rates = [before, after].map(|(count, range)| per_s(count, range));
    let variance: f64 = [before, after]
        .map(|(count, range)| count as f64 / (range.len() as f64).powi(2).max(1.0))
        .iter()
        .sum();
    let allowed = (SAME_RATE * rates[0]).max(SAME_RATE_ERRORS * variance.sqrt());
    (rates[0] - rates[1]).abs() <= allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use ComebackOutcome::{DifferentRate, NeverHeld, NotEnoughTime, Recovered, Stuck};

    /// Seconds of 100 visitors each, of whom so many are answered in time.
    fn series(parts: &[(u32, u64)]) -> Vec<LoadSecond> {
        let second = |in_time| LoadSecond { visitors: 100, repeated: 0, in_time };
        parts.iter().flat_map(|(n, in_time)| (0..*n).map(move |_| second(*in_time))).collect()
    }

    fn outcome(seconds: &[LoadSecond], removed_s: f64) -> ComebackOutcome {
        comeback(seconds, 0..10, removed_s, 0.99).outcome
    }

    #[test]
    fn it_comes_back_at_once_or_after_a_while() {
        let at_once = series(&[(10, 100), (5, 20), (15, 100)]);
        assert_eq!(outcome(&at_once, 15.0), Recovered { after_s: 0.0 });
        assert_eq!(outcome(&at_once, 14.5), Recovered { after_s: 0.0 });
        let later = series(&[(10, 100), (5, 20), (3, 50), (12, 100)]);
        assert_eq!(outcome(&later, 15.0), Recovered { after_s: 3.0 });
        assert_eq!(outcome(&later, 14.5), Recovered { after_s: 3.5 });
    }

    #[test]
    fn it_stays_down_though_the_cause_is_gone() {
        let stuck = series(&[(10, 100), (5, 20), (15, 30)]);
        let found = comeback(&stuck, 0..10, 15.0, 0.99);
        assert_eq!(found.outcome, Stuck { for_s: 15.0 });
        assert_eq!((found.in_time_before, found.in_time_after), (Some(1.0), Some(0.3)));
        // Back for some seconds, and down again.
        let relapsed = series(&[(10, 100), (5, 20), (10, 100), (5, 30)]);
        assert_eq!(outcome(&relapsed, 15.0), Stuck { for_s: 15.0 });
    }

    #[test]
    fn visitors_who_ask_again_are_seen_as_what_they_add() {
        let mut storm = series(&[(10, 100), (5, 20), (15, 40)]);
        storm[15..].iter_mut().for_each(|s| s.repeated = 150);
        let found = comeback(&storm, 0..10, 15.0, 0.99);
        assert_eq!((found.outcome, found.amplification_after), (Stuck { for_s: 15.0 }, Some(2.5)));
        assert_eq!((found.visitors_before_per_s, found.visitors_after_per_s), (100.0, 100.0));
        assert_eq!(found.in_time_after, Some(0.16));
    }

    #[test]
    fn another_rate_than_before_says_nothing() {
        let mut fewer = series(&[(10, 100), (5, 20), (15, 50)]);
        fewer[15..].iter_mut().for_each(|s| s.visitors = 50);
        assert_eq!(outcome(&fewer, 15.0), DifferentRate);
        // By chance alone two Poisson counts of 1,000 and 1,500 differ by as much.
        let mut chance = series(&[(10, 100), (5, 20), (15, 93)]);
        chance[15..].iter_mut().for_each(|s| s.visitors = 93);
        assert_eq!(outcome(&chance, 15.0), Recovered { after_s: 0.0 });
    }

    #[test]
    fn what_ended_too_early_or_never_held_is_neither() {
        let short = series(&[(10, 100), (5, 20), (4, 100)]);
        assert_eq!(outcome(&short, 15.0), NotEnoughTime { watched_s: 4.0 });
        let just_back = series(&[(10, 100), (5, 20), (8, 50), (3, 100)]);
        assert_eq!(outcome(&just_back, 15.0), NotEnoughTime { watched_s: 11.0 });
        assert_eq!(outcome(&series(&[(30, 50)]), 15.0), NeverHeld);
        assert_eq!(outcome(&series(&[(10, 100)]), 15.0), NotEnoughTime { watched_s: 0.0 });
        assert_eq!(comeback(&[], 0..0, 0.0, 0.99).outcome, NeverHeld);
    }
}
