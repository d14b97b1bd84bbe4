//! What the histogram beneath every quantile must answer: vectors of HdrHistogram's own Java tests
//! (HistogramDataAccessTest), on the crate as brunt uses it.

use hdrhistogram::Histogram;

fn close(seen: f64, expected: f64, relative: f64) {
    assert!((seen / expected - 1.0).abs() <= relative, "{seen} instead of {expected}");
}

/// 10,000 values of 1 ms, one of 100 s, in microseconds; with and without the correction for the
/// 10,000 that a client waiting every 10 ms never sent.
fn scenario(corrected: bool) -> Histogram<u64> {
    let mut h = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
    let interval = if corrected { 10_000 } else { 0 };
    for value in std::iter::repeat_n(1_000, 10_000).chain([100_000_000]) {
        h.record_correct(value, interval).unwrap();
    }
    h
}

#[test]
fn one_stall_among_ten_thousand() {
    let raw = scenario(false);
    assert_eq!(raw.len(), 10_001);
    close(raw.value_at_quantile(0.9999) as f64, 1_000.0, 0.001);
    close(raw.value_at_quantile(0.99999) as f64, 1e8, 0.001);
    close(raw.mean(), (1e7 + 1e8) / 10_001.0, 0.001);
}

#[test]
fn the_same_stall_with_what_was_not_sent() {
    let corrected = scenario(true);
    assert_eq!(corrected.len(), 20_000);
    for (q, expected) in [(0.5, 1e3), (0.75, 5e7), (0.9, 8e7), (0.99, 9.8e7), (1.0, 1e8)] {
        close(corrected.value_at_quantile(q) as f64, expected, 0.001);
    }
    // Half of the values have a mean of 1 ms, half of 50 s (methods.md forgets to halve).
    close(corrected.mean(), 2.50005e7, 0.001);
    let early = corrected.quantile_below(5_000);
    assert!((early - 0.5).abs() < 1e-9, "{early}");
}

#[test]
fn small_counts_round_up_to_a_value_that_was_seen() {
    let of = |values: &[u64]| {
        let mut h = Histogram::<u64>::new_with_bounds(1, 1_000, 3).unwrap();
        values.iter().for_each(|v| h.record(*v).unwrap());
        h
    };
    assert_eq!(of(&[1, 2]).value_at_quantile(0.5), 1);
    let five = of(&[1, 2, 2, 2, 2]);
    assert_eq!((five.value_at_quantile(0.25), five.value_at_quantile(0.3)), (2, 2));
}
