//! Of the requests planned so far, those of which it is known whether they were in time: what has
//! ended, and what has been unanswered for longer than the limit. Only to look at what has ended
//! would be to judge by the survivors.

use crate::base::Nanos;
use crate::record::{Cell, Snapshot};
use std::collections::BTreeMap;

/// Adds up snapshots.
#[derive(Debug, Default)]
pub(super) struct InTime {
    limit: Nanos,
    /// Until when each worker that has not ended has told.
    told: BTreeMap<u32, Nanos>,
    /// By intended second; those that are settled and all of whose requests have ended are gone.
    seconds: BTreeMap<u32, Second>,
    in_time: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    planned: u64,
    ended: u64,
    /// Of these, handed out by [`InTime::take`] already.
    taken: u64,
}

/// Requests of which it is known, and those of them that were in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub all: u64,
    pub in_time: u64,
}

impl Known {
    /// `None` of nothing.
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.in_time as f64 / self.all as f64)
    }
}

impl InTime {
    /// `limit` is that of the load, from the intended start.
    pub fn new(limit: Nanos) -> Self {
        InTime { limit, ..InTime::default() }
    }

    pub fn add<'a>(&mut self, snapshot: &Snapshot, cells: impl Iterator<Item = &'a Cell>) {
        match snapshot.is_last {
            true => drop(self.told.remove(&snapshot.worker)),
            false => drop(self.told.insert(snapshot.worker, snapshot.at)),
        }
        for cell in cells {
            let second = self.seconds.entry(cell.second).or_default();
            second.planned += cell.ledger.planned;
            second.ended += cell.ledger.ended();
            self.in_time += cell.in_time;
        }
    }

    /// What became known since this was asked last.
    pub fn take(&mut self) -> Known {
        let told_until = self.told.values().min().copied().unwrap_or(Nanos(u64::MAX));
        let limit = self.limit;
        let mut all = 0;
        self.seconds.retain(|index, second| {
            let is_settled = Nanos::from_secs(u64::from(*index) + 1) + limit <= told_until;
            let known = if is_settled { second.planned.max(second.ended) } else { second.ended };
            all += known.saturating_sub(second.taken);
            second.taken = second.taken.max(known);
            !is_settled || second.ended < second.planned
        });
        Known { all, in_time: std::mem::take(&mut self.in_time) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::{Ledger, Outcome};

    /// One worker's first word, or last but one, on a second: so many planned and so many ended.
    pub fn snapshot(worker: u32, at_s: u64, cells: &[(u32, u64, u64, u64)]) -> Snapshot {
        let cell = |&(second, planned, ended, in_time): &(u32, u64, u64, u64)| {
            let mut ledger = Ledger { planned, ok: in_time, ..Ledger::default() };
            (in_time..ended).for_each(|_| ledger.count(Outcome::Timeout));
            Cell { second, ledger, in_time, ..Cell::default() }
        };
        let cells = cells.iter().map(cell).collect();
        Snapshot { worker, at: Nanos::from_secs(at_s), cells, ..Snapshot::default() }
    }

    fn add(counts: &mut InTime, snapshot: &Snapshot) {
        counts.add(snapshot, snapshot.cells.iter());
    }

    #[test]
    fn what_is_unanswered_is_known_once_it_is_late_and_only_once() {
        let mut counts = InTime::new(Nanos::from_millis(250));
        add(&mut counts, &snapshot(0, 1, &[(0, 10, 5, 5)]));
        assert_eq!(counts.take(), Known { all: 5, in_time: 5 });
        // Only now have those of second 0 been waiting for longer than the limit.
        add(&mut counts, &snapshot(0, 2, &[(0, 0, 1, 1), (1, 10, 0, 0)]));
        assert_eq!(counts.take(), Known { all: 5, in_time: 1 });
        // They end, too late; they were counted before.
        add(&mut counts, &snapshot(0, 3, &[(0, 0, 4, 0), (2, 10, 10, 10)]));
        assert_eq!(counts.take(), Known { all: 20, in_time: 10 });
        add(&mut counts, &snapshot(0, 4, &[(1, 0, 10, 0)]));
        assert_eq!(counts.take(), Known::default());
        assert!(counts.seconds.is_empty(), "{counts:?}");
    }

    #[test]
    fn a_worker_that_has_not_told_yet_is_waited_for_and_one_that_ended_is_not() {
        let mut counts = InTime::new(Nanos::from_millis(250));
        add(&mut counts, &snapshot(0, 1, &[(0, 4, 0, 0)]));
        add(&mut counts, &snapshot(1, 1, &[(0, 4, 0, 0)]));
        add(&mut counts, &snapshot(0, 2, &[]));
        assert_eq!(counts.take(), Known::default());
        add(&mut counts, &Snapshot { is_last: true, ..snapshot(1, 1, &[(0, 0, 2, 2)]) });
        assert_eq!(counts.take(), Known { all: 8, in_time: 2 });
    }
}
