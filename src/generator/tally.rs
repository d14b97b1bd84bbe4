//! What a worker has counted since its last snapshot. Two of these alternate per worker: one is
//! filled while the other is turned into a snapshot on the courier's thread, so that a worker
//! neither allocates nor clears histograms.

use crate::base::{Histogram, Nanos};
use crate::record::{Cause, Cell, Ledger, Operation, Outcome, Snapshot, Tag};

/// Operations kept per worker between two snapshots; more are counted as lost.
const OPERATIONS_MAX: usize = 65_536;

/// The usual statuses of ok answers have a counter each: 200 to 399.
const USUAL: std::ops::Range<u16> = 200..400;

/// Where a request's counters belong: its intended second, its phase, its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub second: u32,
    pub phase: u16,
    pub request: u16,
}

impl Place {
    #[inline]
    fn is_of(self, cell: &Cell) -> bool {
        cell.second == self.second && cell.phase == self.phase && cell.request == self.request
    }
}

#[derive(Debug)]
pub(super) struct Tally {
    n_requests: usize,
    cells: Vec<Cell>,
    /// By kind of request: the cell looked up last, which is nearly always the next one too.
    hints: Vec<u32>,
    /// By tag: position in `histograms` plus one; zero where there is none yet.
    positions: Vec<u16>,
    histograms: Vec<(Tag, Histogram)>,
    spare: Vec<Histogram>,
    causes: Vec<(Outcome, Cause, u64)>,
    /// Ok answers by status, from the first of [`USUAL`].
    ok_statuses: [u64; USUAL.end as usize - USUAL.start as usize],
    operations: Vec<Operation>,
    operations_lost: u64,
}

impl Tally {
    pub fn new(n_phases: usize, n_requests: usize) -> Tally {
        Tally {
            n_requests,
            cells: Vec::with_capacity(4 * n_requests),
            hints: vec![0; n_requests],
            positions: vec![0; 4 + 2 * n_phases * n_requests],
            histograms: Vec::new(),
            spare: (0..4 + 2 * n_requests).map(|_| Histogram::new()).collect(),
            causes: Vec::new(),
            ok_statuses: [0; USUAL.end as usize - USUAL.start as usize],
            operations: Vec::new(),
            operations_lost: 0,
        }
    }

    /// The counters of a place.
    #[inline]
    pub fn cell(&mut self, place: Place) -> &mut Cell {
        let hint = self.hints[place.request as usize] as usize;
        let at = match self.cells.get(hint).is_some_and(|cell| place.is_of(cell)) {
            true => hint,
            false => self.find_cell(place),
        };
        &mut self.cells[at]
    }

    /// Recent seconds are at the end, so the search is short.
    #[inline(never)]
    fn find_cell(&mut self, place: Place) -> usize {
        let found = self.cells.iter().rposition(|cell| place.is_of(cell));
        let at = found.unwrap_or_else(|| {
            let Place { second, phase, request } = place;
            self.cells.push(Cell { second, phase, request, ..Cell::default() });
            self.cells.len() - 1
        });
        self.hints[place.request as usize] = at as u32;
        at
    }

    #[inline]
    pub fn ended(&mut self, place: Place, outcome: Outcome, cause: Option<Cause>) {
        self.cell(place).ledger.count(outcome);
        if let Some(cause) = cause {
            self.caused(outcome, cause, 1);
        }
    }

    /// An answer that was ok had this status.
    #[inline]
    pub fn ok_status(&mut self, status: u16) {
        match self.ok_statuses.get_mut(usize::from(status.wrapping_sub(USUAL.start))) {
            Some(count) => *count += 1,
            None => self.caused(Outcome::Ok, Cause::Status(status), 1),
        }
    }

    pub fn caused(&mut self, outcome: Outcome, cause: Cause, n: u64) {
        match self.causes.iter_mut().find(|(o, c, _)| *o == outcome && *c == cause) {
            Some((.., count)) => *count += n,
            None => self.causes.push((outcome, cause, n)),
        }
    }

    #[inline]
    pub fn record(&mut self, tag: Tag, value: Nanos) {
        self.histogram(tag).record(value);
    }

    /// The histogram of a tag since the last snapshot.
    #[inline]
    pub fn histogram(&mut self, tag: Tag) -> &mut Histogram {
        let slot = self.slot(&tag);
        if self.positions[slot] == 0 {
            self.begin_histogram(tag, slot);
        }
        &mut self.histograms[self.positions[slot] as usize - 1].1
    }

    #[inline(never)]
    fn begin_histogram(&mut self, tag: Tag, slot: usize) {
        let histogram = self.spare.pop().unwrap_or_default();
        self.histograms.push((tag, histogram));
        self.positions[slot] = self.histograms.len() as u16;
    }

    #[inline]
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
        for (status, count) in USUAL.zip(&mut self.ok_statuses).filter(|(_, count)| **count > 0) {
            let count = std::mem::take(count);
            snapshot.causes.push((Outcome::Ok, Cause::Status(status), count));
        }
        snapshot.operations = self.operations.drain(..).collect();
        snapshot.operations_lost = std::mem::take(&mut self.operations_lost);
        self.positions.fill(0);
        let missing = n_used.saturating_sub(self.spare.len());
        self.spare.extend((0..missing).map(|_| Histogram::new()));
    }
}

fn has_counts(cell: &Cell) -> bool {
    cell.ledger != Ledger::default() || cell.sent + cell.in_time + cell.retried + cell.repeated > 0
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

    #[test]
    fn ok_answers_are_counted_by_status_once() {
        let mut tally = Tally::new(1, 1);
        for status in [302, 200, 404, 199, 200, 399] {
            tally.ok_status(status);
        }
        let mut snapshot = Snapshot::default();
        tally.pour(&mut snapshot);
        snapshot.causes.sort();
        let ok = |status, n| (Outcome::Ok, Cause::Status(status), n);
        assert_eq!(snapshot.causes, [ok(199, 1), ok(200, 2), ok(302, 1), ok(399, 1), ok(404, 1)]);
        tally.pour(&mut snapshot);
        assert!(snapshot.causes.is_empty());
    }
}
