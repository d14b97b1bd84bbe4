//! The steps of a search against a target that holds up to a sharp limit.

use super::*;
use crate::analysis::capacity::{Flaw, Reading, estimate};

const LIMIT: f64 = 333.0;

fn trial(rate_per_s: f64, purpose: Purpose, violations: u64) -> Trial {
    Trial {
        rate_per_s,
        seconds: 30.0,
        purpose,
        readings: vec![Reading {
            objective: "p99".into(),
            allowed: 0.01,
            arrivals: 100_000,
            violations,
            design_effect: 1.0,
        }],
        flaw: None,
        exhausted: (rate_per_s > LIMIT).then(|| "database cpu".into()),
        recovered_after_s: None,
    }
}

fn sharp(rate: f64, purpose: Purpose) -> Trial {
    trial(rate, purpose, if rate <= LIMIT { 200 } else { 9000 })
}

fn run(search: &Search, answer: impl Fn(f64, Purpose, usize) -> Trial) -> (Vec<Trial>, Outcome) {
    let mut history = Vec::new();
    for _ in 0..1000 {
        let (rate, purpose) = match next(search, &history) {
            Step::Measure { rate_per_s, purpose, .. } => (rate_per_s, purpose),
            Step::Overload { rate_per_s, .. } => (rate_per_s, Purpose::Overload),
            Step::Done(outcome) => return (history, outcome),
        };
        let trial = answer(rate, purpose, history.len());
        history.push(trial);
    }
    panic!("the search does not end");
}

#[test]
fn a_sharp_limit_is_bracketed_confirmed_and_overloaded() {
    let search = Search::from(10.0, 10_000.0);
    let (history, outcome) = run(&search, |rate, purpose, _| Trial {
        recovered_after_s: Some(2.0),
        ..sharp(rate, purpose)
    });
    let Outcome::Found { held_per_s, failed_per_s, confirmed_per_s, recovery, limiting, exhausted } =
        outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(held_per_s <= LIMIT && LIMIT < failed_per_s && failed_per_s / held_per_s <= 1.02);
    assert_eq!(confirmed_per_s, Some(held_per_s));
    assert_eq!(recovery, Recovery::After { seconds: 2.0 });
    assert_eq!(limiting.as_deref(), Some("p99"));
    assert_eq!(exhausted.as_deref(), Some("database cpu"));
    let purposes: Vec<Purpose> = history.iter().map(|t| t.purpose).collect();
    assert_eq!(purposes[..8], [[Purpose::Grow; 7].as_slice(), &[Purpose::Again]].concat());
    assert_eq!(purposes.iter().filter(|p| **p == Purpose::Confirm).count(), 5);
    assert_eq!(purposes.last(), Some(&Purpose::Overload));
    let seen = estimate(&history, 1).unwrap();
    assert!((seen.rate_per_s / LIMIT - 1.0).abs() < 0.02, "{seen:?}");
}

#[test]
fn one_failure_while_growing_is_tried_again() {
    let search = Search::from(10.0, 10_000.0);
    let (history, _) = run(&search, |rate, purpose, index| match index {
        2 => trial(rate, purpose, 50_000),
        _ => sharp(rate, purpose),
    });
    assert_eq!((history[2].rate_per_s, history[3].rate_per_s), (40.0, 40.0));
    assert_eq!((history[3].purpose, history[4].rate_per_s), (Purpose::Again, 80.0));
}

#[test]
fn what_does_not_decide_is_extended_once() {
    let search = Search::from(100.0, 10_000.0);
    let (history, outcome) = run(&search, |rate, purpose, _| match purpose {
        Purpose::Narrow | Purpose::Extend if rate < 300.0 => trial(rate, purpose, 990),
        _ => sharp(rate, purpose),
    });
    let extended = history.iter().filter(|t| t.purpose == Purpose::Extend).count();
    assert_eq!(extended, 1, "{history:?}");
    assert!(matches!(outcome, Outcome::Found { .. }));
}

#[test]
fn a_rate_that_is_not_confirmed_is_lowered() {
    let search = Search::from(100.0, 10_000.0);
    let lower = |rate: f64, purpose, _| match purpose {
        Purpose::Confirm => trial(rate, purpose, if rate <= 320.0 { 100 } else { 5000 }),
        _ => sharp(rate, purpose),
    };
    let (_, outcome) = run(&search, lower);
    let Outcome::Found { confirmed_per_s: Some(confirmed), recovery, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(confirmed <= 320.0 && confirmed > 300.0, "{confirmed}");
    assert_eq!(recovery, Recovery::Metastable);
    let never = |rate: f64, purpose, _| match purpose {
        Purpose::Confirm => trial(rate, purpose, 5000),
        _ => sharp(rate, purpose),
    };
    let (_, outcome) = run(&search, never);
    assert!(matches!(outcome, Outcome::Found { confirmed_per_s: None, .. }), "{outcome:?}");
}

#[test]
fn a_late_generator_ends_the_search_and_is_named() {
    let search = Search::from(10.0, 10_000.0);
    let (_, outcome) = run(&search, |rate, purpose, _| Trial {
        flaw: (rate > 100.0).then(|| Flaw::Generator("start lag p99 40 ms".into())),
        ..sharp(rate, purpose)
    });
    let Outcome::GeneratorLimited { at_per_s, held_per_s, reason } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((at_per_s, held_per_s), (160.0, Some(80.0)));
    assert!(reason.contains("start lag"));
}

#[test]
fn one_disturbed_trial_is_repeated_and_says_nothing() {
    let search = Search::from(10.0, 10_000.0);
    let disturbed = |index: usize| (index % 4 == 1).then(|| Flaw::Other("steal".into()));
    let (history, outcome) = run(&search, |rate, purpose, index| Trial {
        flaw: disturbed(index),
        ..sharp(rate, purpose)
    });
    assert_eq!(history[1].rate_per_s, history[2].rate_per_s);
    assert!(matches!(outcome, Outcome::Found { .. }), "{outcome:?}");
    let seen = estimate(&history, 1).unwrap();
    assert!((seen.rate_per_s / LIMIT - 1.0).abs() < 0.02, "{seen:?}");
}

#[test]
fn an_overload_that_brunt_could_not_send_says_nothing_of_recovery() {
    let search = Search::from(10.0, 10_000.0);
    let (_, outcome) = run(&search, |rate, purpose, _| Trial {
        flaw: (purpose == Purpose::Overload).then(|| Flaw::Generator("late".into())),
        ..sharp(rate, purpose)
    });
    let Outcome::Found { recovery, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(recovery, Recovery::NotMeasured);
}

#[test]
fn a_recovery_is_watched_for_long_enough_to_be_told() {
    for trial_s in [1.0, 20.0] {
        assert!(Search::short(1e6, trial_s, 1.05, 3).recover_within_s >= 10.0);
    }
    let short = Search { recover_within_s: 3.0, ..Search::from(10.0, 10_000.0) };
    let (_, outcome) = run(&short, |rate, purpose, _| sharp(rate, purpose));
    let Outcome::Found { recovery, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(recovery, Recovery::NotMeasured);
}

#[test]
fn what_a_repetition_overruled_is_no_bound() {
    let search = Search::from(100.0, 10_000.0);
    let failed = |rate, purpose| trial(rate, purpose, 50_000);
    let mut history = vec![sharp(100.0, Purpose::Grow), failed(200.0, Purpose::Grow)];
    assert_eq!(bracket(&search, &history), (Some(100.0), None));
    history.push(sharp(200.0, Purpose::Again));
    assert_eq!(bracket(&search, &history), (Some(200.0), None));
    history.extend([failed(400.0, Purpose::Grow), failed(400.0, Purpose::Again)]);
    assert_eq!(bracket(&search, &history), (Some(200.0), Some(400.0)));
}

#[test]
fn the_ends_of_the_range() {
    let (_, outcome) = run(&Search::from(1000.0, 10_000.0), |r, p, _| sharp(r, p));
    assert!(matches!(outcome, Outcome::FirstFails { rate_per_s: 1000.0, .. }), "{outcome:?}");
    let (history, outcome) = run(&Search::from(10.0, 300.0), |r, p, _| sharp(r, p));
    assert_eq!(outcome, Outcome::AboveMaximum { held_per_s: 300.0 });
    assert_eq!(estimate(&history, 1), None);
    let little = Search { most_trials: 4, ..Search::from(10.0, 10_000.0) };
    let (_, outcome) = run(&little, |r, p, _| sharp(r, p));
    assert_eq!(outcome, Outcome::OutOfTrials { trials: 4, held_per_s: Some(80.0) });
}

#[test]
fn no_data_never_holds() {
    let (_, outcome) =
        run(&Search::from(10.0, 100.0), |r, p, _| Trial { readings: vec![], ..sharp(r, p) });
    assert_eq!(outcome, Outcome::FirstFails { rate_per_s: 10.0, limiting: None });
    let (_, outcome) = run(&Search::from(10.0, 100.0), |r, p, _| {
        let mut trial = trial(r, p, 0);
        trial.readings[0].arrivals = 0;
        trial
    });
    assert!(matches!(outcome, Outcome::FirstFails { .. }));
}

#[test]
fn settings_without_an_end_are_refused() {
    assert!(Search::from(10.0, 100.0).check().is_ok());
    assert!(Search::from(0.0, 100.0).check().is_err());
    assert!(Search::from(200.0, 100.0).check().is_err());
    let exact = Search { precision: 1.0, ..Search::from(10.0, 100.0) };
    assert_eq!(exact.check().unwrap_err().to_string(), "the precision is 1, it must be above 1");
}
