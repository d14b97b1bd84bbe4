//! How long one kind of operation had no success at all: the unavailability window.

use super::Impact;
use crate::analysis::summary::Outage;
use crate::record::{Operation, OperationKind};

/// Operations of one class: which of them were asked for, and which is a success.
#[derive(Clone, Copy)]
pub enum Class {
    Write,
    Read,
}

impl Class {
    fn is_asked(self, kind: OperationKind) -> bool {
        use OperationKind::{Acknowledged, Failed, Indeterminate, Read};
        match self {
            Class::Write => matches!(kind, Acknowledged | Indeterminate | Failed),
            Class::Read => kind == Read,
        }
    }

    fn success(self) -> OperationKind {
        match self {
            Class::Write => OperationKind::Acknowledged,
            Class::Read => OperationKind::Read,
        }
    }
}

/// When operations of a class succeeded, in order.
pub fn successes(history: &[Operation], class: Class) -> Vec<u64> {
    let mut at: Vec<u64> =
        history.iter().filter(|o| o.kind == class.success()).map(|o| o.ended.0).collect();
    at.sort_unstable();
    at
}

/// The longest time without a success between the injection and the next one: what came before
/// is not this fault's doing, and what comes after is its neighbour's.
pub fn outage(history: &[Operation], impact: &Impact, class: Class) -> Option<Outage> {
    let window = impact.injected_ns..impact.until_ns;
    let asked =
        history.iter().filter(|o| class.is_asked(o.kind) && window.contains(&o.started.0)).count();
    let successes = successes(history, class);
    let first = successes.partition_point(|at| *at < window.start);
    if asked < 2 || first == 0 {
        return None;
    }
    let within = successes[first..].iter().copied().take_while(|at| *at < window.end);
    let ends: Vec<u64> = within.chain([window.end]).collect();
    let starts = [window.start].into_iter().chain(ends.iter().copied());
    // Of equals the first: an end that merely lies between two successes is no longer gap.
    let (from, until) = (starts.zip(ends.iter().copied()))
        .reduce(|longest, gap| if gap.1 - gap.0 > longest.1 - longest.0 { gap } else { longest })?;
    let window_s = (window.end - window.start) as f64 / 1e9;
    let longest_s = (until - from) as f64 / 1e9;
    let expected_gap_s = window_s / asked as f64;
    let after = |at: u64| Some((at - window.start) as f64 / 1e9);
    let outage = Outage {
        longest_s,
        resolution_s: chance_gap_s(asked, window_s),
        is_open: false,
        expected_gap_s: Some(expected_gap_s),
        unavailable_s: Some((longest_s - expected_gap_s).max(0.0)),
        from_s: after(from),
        until_s: after(until),
    };
    // An end that merely lies between two successes is not an outage that never ended.
    Some(Outage { is_open: until == window.end && outage.is_visible(), ..outage })
}

/// The gap that the longest of `n` exponential gaps exceeds with probability 5 %: mean × (ln n + 3).
fn chance_gap_s(n: usize, window_s: f64) -> f64 {
    window_s / n as f64 * ((n as f64).ln() + 3.0)
}
