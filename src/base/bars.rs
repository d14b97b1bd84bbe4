//! A histogram as a few bars that people can read: edges at 1, 2 and 5 of every decade, coarser
//! ones where that would be too many rows.

use super::{Histogram, Nanos};

/// What lies above the bar before and up to this edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub up_to: Nanos,
    pub count: u64,
}

/// Edges of a decade, the finest first.
const STEPS: [&[u64]; 3] = [&[1, 2, 5], &[1, 3], &[1]];
/// Eighths of a column.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// At most `most` bars, from the first that has values to the last; those between may be empty.
pub fn bars(h: &Histogram, most: usize) -> Vec<Bar> {
    let all = STEPS.iter().map(|steps| filled(h, steps));
    let coarsest = || filled(h, STEPS[STEPS.len() - 1]);
    let mut bars = all.into_iter().find(|b| b.len() <= most).unwrap_or_else(coarsest);
    while bars.len() > most.max(1) {
        let first = bars.remove(0);
        bars[0].count += first.count;
    }
    bars
}

fn filled(h: &Histogram, steps: &[u64]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = edges(steps).map(|up_to| Bar { up_to, count: 0 }).collect();
    let mut at = 0;
    for value in h.hdr().iter_recorded() {
        // The histogram tells values apart to three digits: a value is where its bucket begins.
        let lowest = h.hdr().lowest_equivalent(value.value_iterated_to());
        while at + 1 < bars.len() && bars[at].up_to.0 < lowest {
            at += 1;
        }
        bars[at].count += value.count_since_last_iteration();
    }
    let first = bars.iter().position(|b| b.count > 0).unwrap_or(bars.len());
    let after = bars.iter().rposition(|b| b.count > 0).map_or(first, |last| last + 1);
    bars[first..after].to_vec()
}

/// From a nanosecond to ten thousand seconds, beyond what a histogram tells apart.
fn edges(steps: &[u64]) -> impl Iterator<Item = Nanos> {
    (0..13_u32).flat_map(move |power| steps.iter().map(move |step| Nanos(step * 10_u64.pow(power))))
}

/// A bar of `share` of so many columns; what is not nothing can be seen.
pub fn drawn(share: f64, columns: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut text = "█".repeat(eighths / 8);
    text.extend((eighths % 8).checked_sub(1).map(|i| EIGHTHS[i]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut h = Histogram::new();
        for us in values {
            h.record(Nanos::from_micros(*us));
        }
        h
    }

    #[test]
    fn bars_have_round_edges_and_hold_every_value() {
        let h = of(&[90, 100, 101, 150, 900]);
        let seen: Vec<_> = bars(&h, 8).iter().map(|b| (b.up_to.0 / 1000, b.count)).collect();
        assert_eq!(seen, [(100, 2), (200, 2), (500, 0), (1000, 1)]);
        assert!(bars(&Histogram::new(), 8).is_empty());
        for most in 1..8 {
            let wide = of(&[1, 1_000, 1_000_000, 3_000_000_000]);
            let bars = bars(&wide, most);
            assert!(bars.len() <= most, "{bars:?}");
            assert_eq!(bars.iter().map(|b| b.count).sum::<u64>(), 4);
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_invisible() {
        assert_eq!(drawn(0.0, 10), "");
        assert_eq!(drawn(1e-9, 10), "▏");
        assert_eq!(drawn(0.25, 10), "██▌");
        assert_eq!(drawn(2.0, 3), "███");
    }
}
