//! One line per second of the run: all requests together, by their intended start.

use crate::record::{Ledger, Record};
use std::ops::Range;

/// What was meant to start in one second, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    pub ledger: Ledger,
    pub sent: u64,
    pub in_time: u64,
    /// Of the planned ones: asked again by a visitor whose request had failed.
    pub repeated: u64,
    /// At the end of this second.
    pub in_flight: u32,
    /// Of the most frequent request; quantiles of different requests cannot be merged.
    pub p50_ns: Option<u64>,
    /// Of the slowest request.
    pub p99_ns: Option<u64>,
}

impl Second {
    /// Planned by the schedule alone: one who asks again is one visitor.
    pub fn visitors(&self) -> u64 {
        self.ledger.planned - self.repeated.min(self.ledger.planned)
    }
}

/// Dense, from second 0 of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    pub seconds: Vec<Second>,
}

impl Timeline {
    pub fn of(record: &Record) -> Timeline {
        let n = record.series.iter().map(|r| r.second as usize + 1).max().unwrap_or(0);
        let mut seconds = vec![Second::default(); n];
        let mut busiest = vec![0; n];
        for row in &record.series {
            let at = row.second as usize;
            let s = &mut seconds[at];
            s.ledger.add(&row.ledger());
            s.sent += row.sent;
            s.in_time += row.in_time;
            s.repeated += row.repeated;
            s.in_flight = s.in_flight.max(row.in_flight);
            s.p99_ns = s.p99_ns.max(row.p99_ns);
            if row.planned > busiest[at] && row.p50_ns.is_some() {
                busiest[at] = row.planned;
                s.p50_ns = row.p50_ns;
            }
        }
        Timeline { seconds }
    }

    pub fn end(&self) -> u32 {
        self.seconds.len() as u32
    }

    /// Counters of a range of seconds added up, clipped to what there is.
    pub fn sum(&self, range: Range<u32>) -> Second {
        let end = range.end.min(self.end()) as usize;
        let start = (range.start as usize).min(end);
        self.seconds[start..end].iter().fold(Second::default(), |mut sum, s| {
            sum.ledger.add(&s.ledger);
            sum.sent += s.sent;
            sum.in_time += s.in_time;
            sum.repeated += s.repeated;
            sum.in_flight = sum.in_flight.max(s.in_flight);
            sum
        })
    }

    /// Share in time; `None` when nothing was planned there.
    pub fn in_time_share(&self, range: Range<u32>) -> Option<f64> {
        let sum = self.sum(range);
        share(sum.in_time, sum.ledger.planned)
    }
}

/// A ratio of counts; `None` when there is nothing to divide by.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
