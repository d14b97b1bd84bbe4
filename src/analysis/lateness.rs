//! How much later than planned the faults of a record were injected.

use crate::base::Nanos;
use crate::record::{EventKind, Record};
use serde::{Deserialize, Serialize};

/// Over the faults that were injected: nearest ranks, so that few faults have them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    pub count: u64,
    pub p50: Nanos,
    pub p99: Nanos,
    pub max: Nanos,
}

/// `None` when none was.
pub(super) fn of_injections(record: &Record) -> Option<Lateness> {
    let injected = record.events.iter().filter(|e| e.kind == EventKind::FaultInjected);
    of(injected.filter_map(|e| e.lateness_ns).collect())
}

fn of(mut all: Vec<u64>) -> Option<Lateness> {
    all.sort_unstable();
    let rank = |percent: usize| all.get((all.len() * percent).div_ceil(100).checked_sub(1)?);
    let nanos = |percent| rank(percent).copied().map(Nanos);
    let count = all.len() as u64;
    Some(Lateness { count, p50: nanos(50)?, p99: nanos(99)?, max: nanos(100)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_ones() {
        assert_eq!(of(Vec::new()), None);
        let one = of(vec![7]).unwrap();
        assert_eq!((one.count, one.p50, one.p99, one.max), (1, Nanos(7), Nanos(7), Nanos(7)));
        let many = of((1..=200).rev().collect()).unwrap();
        assert_eq!((many.p50, many.p99, many.max), (Nanos(100), Nanos(198), Nanos(200)));
    }
}
