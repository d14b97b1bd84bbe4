//! The data check: were acknowledged writes still there at the end, once, and did reads see them?
//!
//! The idea is Jepsen's set-full: unique ids are added under keys and everything is read back after
//! the faults. Operations that may or may not have happened count neither way.

use super::summary::DataSummary;
use crate::base::Nanos;
use crate::record::{Operation, OperationKind};
use std::collections::{HashMap, HashSet};

/// Everything that the history says about one key.
#[derive(Default)]
struct Key {
    acknowledged: HashMap<u64, (Nanos, u64)>,
    failed: HashSet<u64>,
    found: HashMap<u64, u64>,
    applied: Option<u64>,
    reads: Vec<Read>,
}

struct Read {
    started: Nanos,
    ended: Nanos,
    version: u64,
}

pub fn check_data(history: &[Operation]) -> DataSummary {
    let mut keys: HashMap<u64, Key> = HashMap::new();
    let mut indeterminate = 0;
    for op in history {
        let key = keys.entry(op.key).or_default();
        match op.kind {
            OperationKind::Read => {
                let Operation { started, ended, version, .. } = *op;
                key.reads.push(Read { started, ended, version });
            }
            OperationKind::Acknowledged => {
                key.acknowledged.insert(op.id, (op.ended, op.version));
            }
            OperationKind::Indeterminate => indeterminate += 1,
            OperationKind::Failed => {
                key.failed.insert(op.id);
            }
            OperationKind::ReadBack => *key.found.entry(op.id).or_insert(0) += 1,
            OperationKind::ReadBackDone => key.applied = Some(op.version),
        }
    }
    let mut sum = DataSummary { indeterminate, ..DataSummary::default() };
    if keys.values().any(|k| k.applied.is_some()) {
        (sum.read_back, sum.lost) = (Some(0), Some(0));
        (sum.duplicated, sum.unexpected) = (Some(0), Some(0));
    }
    for key in keys.values() {
        add_key(&mut sum, key);
    }
    // Whether reads name versions at all is a property of the target, not of one key.
    if keys.values().flat_map(|k| &k.reads).any(|r| r.version > 0) {
        let behind = |shown: fn(&Key) -> Vec<(Nanos, u64)>| {
            Some(keys.values().map(|k| reads_behind(&k.reads, shown(k))).sum())
        };
        sum.stale_reads = behind(|k| k.acknowledged.values().copied().collect());
        sum.backward_reads = behind(|k| k.reads.iter().map(|r| (r.ended, r.version)).collect());
    }
    sum
}

fn add_key(sum: &mut DataSummary, key: &Key) {
    sum.acknowledged += key.acknowledged.len() as u64;
    let Some(applied) = key.applied else {
        sum.unchecked += key.acknowledged.len() as u64;
        return;
    };
    let add = |slot: &mut Option<u64>, n: u64| *slot = Some(slot.unwrap_or(0) + n);
    let lost = key.acknowledged.keys().filter(|id| !key.found.contains_key(id)).count() as u64;
    let unexpected = key.failed.iter().filter(|id| key.found.contains_key(id)).count() as u64;
    add(&mut sum.lost, lost);
    add(&mut sum.read_back, key.acknowledged.len() as u64 - lost);
    add(&mut sum.unexpected, unexpected);
    add(&mut sum.duplicated, duplicates(key, applied));
}

/// Ids named more than once, or writes applied beyond the ids there are: the same write twice.
fn duplicates(key: &Key, applied: u64) -> u64 {
    let named_again: u64 = key.found.values().map(|n| n - 1).sum();
    named_again.max(applied.saturating_sub(key.found.len() as u64))
}

/// Reads that began after something had shown a newer version of their key than they answered.
/// A version of 0 is an honest answer before the first write, and an old one after it.
fn reads_behind(reads: &[Read], mut shown: Vec<(Nanos, u64)>) -> u64 {
    shown.sort_unstable();
    let newest = newest_by_then(&shown);
    let is_behind = |read: &&Read| {
        let before = shown.partition_point(|(ended, _)| *ended < read.started);
        before > 0 && read.version < newest[before - 1]
    };
    reads.iter().filter(is_behind).count() as u64
}

/// The highest version shown up to each instant.
fn newest_by_then(shown: &[(Nanos, u64)]) -> Vec<u64> {
    let mut newest = 0;
    let versions = shown.iter().map(|(_, version)| *version);
    versions
        .map(|version| {
            newest = newest.max(version);
            newest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use OperationKind::*;

    fn op(
        kind: OperationKind,
        key: u64,
        id: u64,
        version: u64,
        from_ms: u64,
        to_ms: u64,
    ) -> Operation {
        let (started, ended) = (Nanos::from_millis(from_ms), Nanos::from_millis(to_ms));
        Operation { kind, key, id, version, started, ended }
    }

    #[test]
    fn a_write_that_is_not_read_back_is_lost_only_where_its_key_was_read_back() {
        let history = [
            op(Acknowledged, 1, 10, 1, 0, 5),
            op(Acknowledged, 1, 11, 2, 6, 9),
            op(Acknowledged, 2, 20, 1, 0, 5),
            op(Indeterminate, 1, 12, 0, 7, 20),
            op(ReadBack, 1, 10, 0, 90, 91),
            op(ReadBack, 1, 12, 0, 90, 91),
            op(ReadBackDone, 1, 0, 2, 90, 91),
        ];
        let data = check_data(&history);
        assert_eq!((data.acknowledged, data.indeterminate), (3, 1));
        assert_eq!((data.read_back, data.lost, data.unchecked), (Some(1), Some(1), 1));
        assert_eq!((data.duplicated, data.unexpected), (Some(0), Some(0)));
    }

    #[test]
    fn without_read_back_nothing_is_known() {
        let data = check_data(&[op(Acknowledged, 1, 10, 1, 0, 5)]);
        assert_eq!((data.lost, data.read_back, data.duplicated), (None, None, None));
        assert_eq!(data.stale_reads, None);
    }

    #[test]
    fn duplicates_show_in_the_ids_or_in_the_count() {
        let twice = [
            op(ReadBack, 1, 7, 0, 9, 9),
            op(ReadBack, 1, 7, 0, 9, 9),
            op(ReadBackDone, 1, 0, 1, 9, 9),
        ];
        assert_eq!(check_data(&twice).duplicated, Some(1));
        let counted = [op(ReadBack, 1, 7, 0, 9, 9), op(ReadBackDone, 1, 0, 3, 9, 9)];
        assert_eq!(check_data(&counted).duplicated, Some(2));
        let refused = [
            op(Failed, 1, 7, 0, 1, 2),
            op(ReadBack, 1, 7, 0, 9, 9),
            op(ReadBackDone, 1, 0, 1, 9, 9),
        ];
        assert_eq!(check_data(&refused).unexpected, Some(1));
    }

    #[test]
    fn a_read_is_stale_only_if_the_write_was_acknowledged_before_it_began() {
        let write = op(Acknowledged, 1, 10, 5, 0, 10);
        for (read, stale) in [
            (op(Read, 1, 0, 4, 11, 12), 1),
            (op(Read, 1, 0, 5, 11, 12), 0),
            (op(Read, 1, 0, 4, 9, 12), 0),
            (op(Read, 2, 0, 1, 11, 12), 0),
        ] {
            assert_eq!(check_data(&[write, read]).stale_reads, Some(stale), "{read:?}");
        }
        let later_but_lower = op(Acknowledged, 1, 11, 3, 0, 20);
        let read = op(Read, 1, 0, 4, 30, 31);
        assert_eq!(check_data(&[write, later_but_lower, read]).stale_reads, Some(1));
    }

    #[test]
    fn stale_reads_do_not_depend_on_the_order_in_which_keys_are_looked_at() {
        // Key 1 alone names versions; every other key has one read without, after a write.
        let mut history = vec![op(Read, 1, 0, 7, 0, 1)];
        for key in 2..40 {
            history.push(op(Acknowledged, key, key, 5, 2, 3));
            history.push(op(Read, key, 0, 0, 10, 11));
        }
        for _ in 0..20 {
            assert_eq!(check_data(&history).stale_reads, Some(38));
        }
    }

    #[test]
    fn a_read_that_goes_back_behind_an_earlier_read_is_counted_apart() {
        let newer = op(Read, 1, 0, 5, 0, 10);
        for (read, backward) in [
            (op(Read, 1, 0, 4, 11, 12), 1),
            (op(Read, 1, 0, 5, 11, 12), 0),
            (op(Read, 1, 0, 4, 9, 12), 0),
            (op(Read, 2, 0, 4, 11, 12), 0),
        ] {
            let data = check_data(&[newer, read]);
            assert_eq!((data.stale_reads, data.backward_reads), (Some(0), Some(backward)));
        }
    }
}
