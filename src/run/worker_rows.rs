//! What each of the generator's workers used in each second: rows of `nodes.csv` beside those of
//! the nodes, so that one saturated worker shows among idle ones.

use crate::base::Nanos;
use crate::record::{NodeRow, Snapshot, WORKER};
use std::collections::BTreeMap;

/// Remembers each worker's CPU time at its last snapshot.
#[derive(Debug, Default)]
pub(super) struct WorkerRows {
    last: BTreeMap<u32, Nanos>,
}

impl WorkerRows {
    /// The row for the second that ends with this snapshot; none for the rest of a second that the
    /// last snapshot covers.
    pub fn row(&mut self, snapshot: &Snapshot) -> Option<NodeRow> {
        let before = self.last.insert(snapshot.worker, snapshot.cpu).unwrap_or_default();
        let ended = (snapshot.at.0 / Nanos::SECOND.0) as u32;
        let second = ended.checked_sub(1).filter(|_| !snapshot.is_last)?;
        Some(NodeRow {
            second,
            node: format!("{WORKER}-{}", snapshot.worker),
            server: "brunt".into(),
            role: WORKER.into(),
            alive: true,
            cpu_ns: snapshot.cpu.saturating_sub(before).0,
            rss_bytes: snapshot.memory,
            ..NodeRow::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_row_is_what_it_used_in_that_second() {
        let mut rows = WorkerRows::default();
        let mut row = |worker, at_ms, cpu_ms, is_last| {
            let (at, cpu) = (Nanos::from_millis(at_ms), Nanos::from_millis(cpu_ms));
            let row = rows.row(&Snapshot { worker, at, cpu, is_last, ..Snapshot::default() });
            row.map(|r| (r.node, r.second, r.cpu_ns / 1_000_000))
        };
        assert_eq!(row(0, 1000, 300, false), Some(("worker-0".into(), 0, 300)));
        assert_eq!(row(1, 1001, 10, false), Some(("worker-1".into(), 0, 10)));
        assert_eq!(row(0, 2002, 900, false), Some(("worker-0".into(), 1, 600)));
        assert_eq!(row(0, 2400, 990, true), None);
    }
}
