//! Response times over the seconds of a run, coarsely: what a picture can show.

use crate::base::Histogram;
use std::collections::BTreeMap;

/// Answers of one second, by cell of their response time.
pub type HeatSecond = BTreeMap<u32, u64>;

/// What completed in each second of a run, counted in cells of equal width on a logarithmic scale.
/// Sparse, so that it grows with the seconds of a run and not with its requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heat {
    pub seconds: BTreeMap<u32, HeatSecond>,
}

impl Heat {
    /// Cells per tenfold of time.
    pub const CELLS_PER_DECADE: u32 = 8;

    pub(super) fn add(&mut self, second: u32, histogram: &Histogram) {
        let cells = self.seconds.entry(second).or_default();
        for step in histogram.hdr().iter_recorded() {
            let cell = Heat::cell_of(step.value_iterated_to());
            *cells.entry(cell).or_default() += step.count_since_last_iteration();
        }
    }

    fn cell_of(ns: u64) -> u32 {
        (f64::from(Heat::CELLS_PER_DECADE) * (ns.max(1) as f64).log10()) as u32
    }

    /// The shortest time of a cell, in nanoseconds.
    pub fn lower_ns(cell: u32) -> f64 {
        10f64.powf(f64::from(cell) / f64::from(Heat::CELLS_PER_DECADE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Nanos;

    #[test]
    fn every_answer_is_in_the_cell_of_its_time() {
        let mut histogram = Histogram::new();
        let times = [1_000_000, 1_000_000, 1_200_000, 10_000_000, 3_000_000_000].map(Nanos);
        times.into_iter().for_each(|time| histogram.record(time));
        let mut heat = Heat::default();
        heat.add(7, &histogram);
        heat.add(7, &histogram);
        let cells = &heat.seconds[&7];
        assert_eq!(cells.values().sum::<u64>(), 10);
        assert_eq!(cells[&48], 6, "1 ms to 1.33 ms: {cells:?}");
        assert_eq!(cells[&56], 2, "10 ms: {cells:?}");
        assert!((Heat::lower_ns(48) - 1e6).abs() < 1.0);
        for cell in cells.keys() {
            assert!(Heat::lower_ns(*cell) <= 3.1e9 && Heat::lower_ns(cell + 1) > 1e6);
        }
    }
}
