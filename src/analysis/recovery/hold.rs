//! From which second on does the hypothesis hold for good?

use std::ops::Range;

/// Seconds over which the hypothesis is checked; one alone would be noise at low rates.
pub const WINDOW_S: u32 = 2;

/// The first second of a range from which every window up to the range's end holds the hypothesis.
/// `share` gives the share in time of some seconds; none where nothing was planned, which breaks
/// nothing.
pub fn held_from(
    range: Range<u32>,
    needed: f64,
    share: impl Fn(Range<u32>) -> Option<f64>,
) -> Option<u32> {
    let breaks = |from: u32| {
        let window = from..(from + WINDOW_S).min(range.end);
        share(window).is_some_and(|share| share < needed)
    };
    let first = match range.clone().rev().find(|second| breaks(*second)) {
        Some(last_broken) => last_broken + 1,
        None => range.start,
    };
    (first < range.end).then_some(first)
}
