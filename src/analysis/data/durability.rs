//! Is every acknowledged write still there, once, and nothing else? The idea is Jepsen's set: unique
//! ids are added under keys, and everything is read back after the faults.

use super::Scope;
use super::keys::{Fate, Key, ReadBack};
use crate::analysis::summary::DataSummary;
use crate::base::Nanos;
use std::collections::HashMap;

/// Adds what is known of the writes to `sum`; gives when each lost one had been acknowledged.
pub fn check<'a>(
    sum: &mut DataSummary,
    keys: impl Iterator<Item = &'a Key> + Clone,
    scope: &Scope,
) -> Vec<Nanos> {
    if keys.clone().any(|key| key.read_back.is_some()) {
        for slot in [
            &mut sum.read_back,
            &mut sum.lost,
            &mut sum.duplicated,
            &mut sum.unexpected,
            &mut sum.recovered,
        ] {
            *slot = Some(0);
        }
    }
    let mut lost_at = Vec::new();
    for key in keys {
        let n = |fate: fn(&Fate) -> bool| key.writes.iter().filter(|w| fate(&w.fate)).count();
        let acknowledged = n(|f| matches!(f, Fate::Acknowledged { .. })) as u64;
        sum.acknowledged += acknowledged;
        sum.indeterminate += n(|f| *f == Fate::Indeterminate) as u64;
        match &key.read_back {
            Some(read_back) => add_key(sum, &mut lost_at, key, read_back, scope),
            None => sum.unchecked += acknowledged,
        }
    }
    lost_at.sort_unstable();
    lost_at
}

fn add_key(
    sum: &mut DataSummary,
    lost_at: &mut Vec<Nanos>,
    key: &Key,
    read_back: &ReadBack,
    scope: &Scope,
) {
    let add = |slot: &mut Option<u64>, n: u64| *slot = Some(slot.unwrap_or(0) + n);
    let found = &read_back.found;
    let mut known = HashMap::new();
    let (mut there, mut recovered) = (0, 0);
    for write in &key.writes {
        known.insert(write.id, write.fate);
        let is_found = found.contains_key(&write.id);
        match write.fate {
            // Nothing to look for: without an id it is neither found nor lost.
            Fate::Acknowledged { .. } if write.id == 0 => sum.unchecked += 1,
            Fate::Acknowledged { .. } if is_found => there += 1,
            Fate::Acknowledged { at, .. } => {
                lost_at.push(at);
                add(&mut sum.lost, 1);
            }
            Fate::Indeterminate if is_found => recovered += 1,
            Fate::Indeterminate | Fate::Failed => {}
        }
    }
    let is_unexpected = |id: &&u64| match known.get(*id) {
        Some(fate) => *fate == Fate::Failed,
        // An operation may have been lost on the way; another's data may have been there before.
        None => scope.is_complete && scope.is_fresh,
    };
    add(&mut sum.read_back, there);
    add(&mut sum.recovered, recovered);
    add(&mut sum.unexpected, found.keys().filter(is_unexpected).count() as u64);
    add(&mut sum.duplicated, duplicates(read_back));
}

/// Ids named more than once, or writes applied beyond the ids there are: the same write twice.
fn duplicates(read_back: &ReadBack) -> u64 {
    let named_again: u64 = read_back.found.values().map(|n| n - 1).sum();
    named_again.max(read_back.applied.saturating_sub(read_back.found.len() as u64))
}
