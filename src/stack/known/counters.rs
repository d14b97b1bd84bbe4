//! What the server has counted, and when each request came: its own side of the story.

use crate::base::{Histogram, Nanos};
use serde::{Deserialize, Serialize};

/// Arrivals that are kept; later ones are only counted. Sixteen bytes each.
pub const ARRIVALS_MAX: usize = 200_000;

/// `/counters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub connections: u64,
    /// Read, whatever became of them.
    pub requests: u64,
    /// Answered with status 200, slow ones included, up to the last byte.
    pub answered: u64,
    pub errors: u64,
    pub dropped: u64,
    /// Begun slowly; `answered` as well when the client waited.
    pub slowed: u64,
    /// Answers that could not be handed over because the client had gone.
    pub abandoned: u64,
    /// Not HTTP, or larger than the server reads.
    pub refused: u64,
    /// Arrivals beyond those that are kept.
    pub not_kept: u64,
    /// How much later than planned answers were begun.
    pub late_p50_ns: u64,
    pub late_p99_ns: u64,
    pub late_max_ns: u64,
}

/// A request's arrival at the server, on the machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub id: u64,
    pub at: Nanos,
}

pub(super) struct Books {
    pub counters: Counters,
    pub lateness: Histogram,
    arrivals: Vec<Arrival>,
}

impl Books {
    pub fn new() -> Books {
        let counters = Counters::default();
        Books { counters, lateness: Histogram::new(), arrivals: Vec::with_capacity(ARRIVALS_MAX) }
    }

    pub fn arrived(&mut self, id: u64, at: Nanos) {
        self.counters.requests += 1;
        match self.arrivals.len() < ARRIVALS_MAX {
            true => self.arrivals.push(Arrival { id, at }),
            false => self.counters.not_kept += 1,
        }
    }

    pub fn counters_json(&self) -> Vec<u8> {
        let late = self.lateness.hdr();
        let counters = Counters {
            late_p50_ns: late.value_at_quantile(0.5),
            late_p99_ns: late.value_at_quantile(0.99),
            late_max_ns: late.max(),
            ..self.counters
        };
        serde_json::to_vec(&counters).expect("counters are plain data")
    }

    /// Sixteen bytes an arrival: number and instant, little-endian.
    pub fn arrivals_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.arrivals.len() * 16);
        for arrival in &self.arrivals {
            out.extend_from_slice(&arrival.id.to_le_bytes());
            out.extend_from_slice(&arrival.at.0.to_le_bytes());
        }
        out
    }
}

/// Reads what [`Books::arrivals_bytes`] wrote.
pub fn read_arrivals(bytes: &[u8]) -> Vec<Arrival> {
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().expect("a chunk has sixteen bytes"));
    (bytes.chunks_exact(16))
        .map(|chunk| Arrival { id: word(&chunk[..8]), at: Nanos(word(&chunk[8..])) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_read_back() {
        let mut books = Books::new();
        let all = [Arrival { id: 7, at: Nanos(1) }, Arrival { id: u64::MAX, at: Nanos(9) }];
        all.iter().for_each(|a| books.arrived(a.id, a.at));
        assert_eq!(read_arrivals(&books.arrivals_bytes()), all);
        let counters: Counters = serde_json::from_slice(&books.counters_json()).unwrap();
        assert_eq!((counters.requests, counters.not_kept), (2, 0));
    }
}
