//! What each of the generator's workers used in each second: rows of `nodes.csv` beside those of
//! the nodes, so that one saturated worker shows among idle ones.

use crate::base::Nanos;
use crate::record::{NodeRow, Snapshot, WORKER};
use std::collections::BTreeMap;

/// Remembers each worker's CPU time, and its process's, at its last snapshot.
#[derive(Debug, Default)]
pub(super) struct WorkerRows {
    last: BTreeMap<u32, (Nanos, Nanos)>,
}

impl WorkerRows {
    /// The row for the second that ends with this snapshot; none for the rest of a second that the
    /// last snapshot covers.
    pub fn row(&mut self, snapshot: &Snapshot) -> Option<NodeRow> {
        let used = (snapshot.cpu, snapshot.process_cpu);
        let (before, process_before) = self.last.insert(snapshot.worker, used).unwrap_or_default();
        let ended = (snapshot.at.0 / Nanos::SECOND.0) as u32;
        let second = ended.checked_sub(1).filter(|_| !snapshot.is_last)?;
        Some(NodeRow {
            second,
            node: format!("{WORKER}-{}", snapshot.worker),
            server: "brunt".into(),
            role: WORKER.into(),
            alive: true,
            cpu_ns: snapshot.cpu.saturating_sub(before).0,
            server_cpu_ns: snapshot.process_cpu.saturating_sub(process_before).0,
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
            let process_cpu = Nanos(2 * cpu.0);
            let snapshot =
                Snapshot { worker, at, cpu, process_cpu, is_last, ..Snapshot::default() };
            let ms = |ns: u64| ns / 1_000_000;
            rows.row(&snapshot).map(|r| (r.node, r.second, ms(r.cpu_ns), ms(r.server_cpu_ns)))
        };
        assert_eq!(row(0, 1000, 300, false), Some(("worker-0".into(), 0, 300, 600)));
        assert_eq!(row(1, 1001, 10, false), Some(("worker-1".into(), 0, 10, 20)));
        assert_eq!(row(0, 2002, 900, false), Some(("worker-0".into(), 1, 600, 1200)));
        assert_eq!(row(0, 2400, 990, true), None);
    }
}
