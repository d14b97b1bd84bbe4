//! What a worker has counted since its last snapshot. Two of these alternate per worker: one is
//! filled while the other is turned into a snapshot on the courier's thread, so that a worker
//! neither allocates nor clears histograms.

use crate::base::{Histogram, Nanos};
use crate::record::{Cause, Cell, Ledger, Operation, Outcome, Snapshot, Tag};

/// Operations kept per worker between two snapshots; more are counted as lost.
const OPERATIONS_MAX: usize = 65_536;

/// Where a request's counters belong: its intended second, its phase, its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub second: u32,
    pub phase: u16,
    pub request: u16,
}

#[derive(Debug)]
pub(super) struct Tally {
    n_requests: usize,
    cells: Vec<Cell>,
    /// By tag: position in `histograms` plus one; zero where there is none yet.
    positions: Vec<u16>,
    histograms: Vec<(Tag, Histogram)>,
    spare: Vec<Histogram>,
    causes: Vec<(Outcome, Cause, u64)>,
    operations: Vec<Operation>,
    operations_lost: u64,
}

impl Tally {
    pub fn new(n_phases: usize, n_requests: usize) -> Tally {
        Tally {
            n_requests,
            cells: Vec::with_capacity(4 * n_requests),
            positions: vec![0; 4 + 2 * n_phases * n_requests],
            histograms: Vec::new(),
            spare: (0..4 + 2 * n_requests).map(|_| Histogram::new()).collect(),
            causes: Vec::new(),
            operations: Vec::new(),
            operations_lost: 0,
        }
    }

    /// The counters of a place. Recent seconds are at the end, so the search is short.
    #[inline]
    pub fn cell(&mut self, place: Place) -> &mut Cell {
        let is_it = |c: &Cell| {
            c.second == place.second && c.phase == place.phase && c.request == place.request
        };
        let found = self.cells.iter().rposition(is_it);
        let at = found.unwrap_or_else(|| {
            let Place { second, phase, request } = place;
            self.cells.push(Cell { second, phase, request, ..Cell::default() });
            self.cells.len() - 1
        });
        &mut self.cells[at]
    }

    #[inline]
    pub fn ended(&mut self, place: Place, outcome: Outcome, cause: Option<Cause>) {
        self.cell(place).ledger.count(outcome);
        let Some(cause) = cause else { return };
        match self.causes.iter_mut().find(|(o, c, _)| *o == outcome && *c == cause) {
            Some((.., count)) => *count += 1,
            None => self.causes.push((outcome, cause, 1)),
        }
    }

    #[inline]
    pub fn record(&mut self, tag: Tag, value: Nanos) {
        let slot = self.slot(&tag);
        if self.positions[slot] == 0 {
            let histogram = self.spare.pop().unwrap_or_default();
            self.histograms.push((tag, histogram));
            self.positions[slot] = self.histograms.len() as u16;
        }
        self.histograms[self.positions[slot] as usize - 1].1.record(value);
    }

    fn slot(&self, tag: &Tag) -> usize {
        let of = |phase: u16, request: u16| {
            4 + 2 * (phase as usize * self.n_requests + request as usize)
        };
        match *tag {
            Tag::StartLag => 0,
            Tag::ConnectionWait => 1,
            Tag::PlannedGap => 2,
            Tag::DueGap => 3,
            Tag::Response { request, phase } => of(phase, request),
            Tag::Service { request, phase } => of(phase, request) + 1,
            Tag::Hiccup => unreachable!("the probe records hiccups, not a worker"),
        }
    }

    pub fn operation(&mut self, operation: Operation) {
        if self.operations.len() < OPERATIONS_MAX {
            self.operations.push(operation);
        } else {
            self.operations_lost += 1;
        }
    }

    /// Moves everything into `snapshot` and is as new.
    pub fn pour(&mut self, snapshot: &mut Snapshot) {
        let n_used = self.histograms.len();
        snapshot.cells = self.cells.drain(..).filter(has_counts).collect();
        snapshot.histograms = self.histograms.drain(..).collect();
        snapshot.causes = self.causes.drain(..).collect();
        snapshot.operations = self.operations.drain(..).collect();
        snapshot.operations_lost = std::mem::take(&mut self.operations_lost);
        self.positions.fill(0);
        let missing = n_used.saturating_sub(self.spare.len());
        self.spare.extend((0..missing).map(|_| Histogram::new()));
    }
}

fn has_counts(cell: &Cell) -> bool {
    cell.ledger != Ledger::default() || cell.sent + cell.in_time + cell.retried > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pouring_hands_over_everything_once() {
        let mut tally = Tally::new(2, 3);
        let place = Place { second: 4, phase: 1, request: 2 };
        tally.cell(place).ledger.planned += 1;
        tally.ended(place, Outcome::HttpError, Some(Cause::Status(500)));
        tally.record(Tag::StartLag, Nanos(5));
        tally.record(Tag::Response { request: 2, phase: 1 }, Nanos(7));
        tally.record(Tag::Response { request: 2, phase: 1 }, Nanos(9));
        let mut first = Snapshot::default();
        tally.pour(&mut first);
        assert!(first.cells[0].ledger.is_closed());
        assert_eq!(first.causes, [(Outcome::HttpError, Cause::Status(500), 1)]);
        assert_eq!(first.histograms[1].0, Tag::Response { request: 2, phase: 1 });
        assert_eq!(first.histograms[1].1.count(), 2);
        let mut second = Snapshot::default();
        tally.record(Tag::Service { request: 0, phase: 0 }, Nanos(7));
        tally.pour(&mut second);
        assert!(second.cells.is_empty() && second.causes.is_empty());
        assert_eq!(second.histograms.len(), 1);
        assert_eq!(second.histograms[0].1.count(), 1);
    }
}
