//! The data check: were acknowledged writes still there at the end, once, and did reads see them?
//!
//! Every operation on a checked key is one of: done for certain, not done for certain, or
//! indeterminate. What timed out may have taken effect at any time after its start, or never, and
//! counts neither way.

mod durability;
mod keys;
mod linearizable;
mod loss;
mod sessions;
#[cfg(test)]
mod simulated;
mod staleness;

pub use linearizable::{Linearizability, Linearizable, Violation};
pub use loss::{Loss, attribute};
pub use sessions::Sessions;
pub use staleness::{Bucket, Staleness};

use super::summary::DataSummary;
use crate::base::Nanos;
use crate::plan::Plan;
use crate::record::{Operation, Record};
use crate::target::{Reads, Role};
use keys::Key;
use sessions::behind;
use std::collections::BTreeMap;

/// What may be concluded from a history.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Every operation of the run is in it.
    pub is_complete: bool,
    /// There was nothing before the run: versions count from 1.
    pub is_fresh: bool,
    /// Reads are meant to see every acknowledged write.
    pub reads_leader: bool,
}

impl Scope {
    fn of(record: &Record) -> Scope {
        let plan = &record.manifest.plan;
        Scope {
            is_complete: record.operations_lost == 0 && record.is_sealed,
            is_fresh: plan.is_bundled,
            reads_leader: plan.is_bundled && reads_leader(plan),
        }
    }
}

fn reads_leader(plan: &Plan) -> bool {
    let mut databases = plan.nodes.iter().filter(|n| n.role == Role::Database).peekable();
    databases.peek().is_some() && databases.all(|n| n.settings.database.reads == Reads::Leader)
}

/// What was found, and when each lost write had been acknowledged, in order.
pub fn check_data(record: &Record) -> (DataSummary, Vec<Nanos>) {
    let (sum, lost_at) = check(&record.history, &Scope::of(record));
    (DataSummary { not_recorded: record.operations_lost, ..sum }, lost_at)
}

fn check(history: &[Operation], scope: &Scope) -> (DataSummary, Vec<Nanos>) {
    let keys = keys::keys_of(history);
    let mut sum = DataSummary::default();
    let lost_at = durability::check(&mut sum, keys.values(), scope);
    // Whether reads name versions at all is a property of the target, not of one key.
    if keys.values().flat_map(|k| &k.reads).any(|r| r.version > 0) {
        check_reads(&mut sum, &keys, scope);
    }
    (sum, lost_at)
}

fn check_reads(sum: &mut DataSummary, keys: &BTreeMap<u64, Key>, scope: &Scope) {
    let staleness = staleness::staleness(keys.values());
    sum.stale_reads = Some(staleness.stale);
    sum.staleness = Some(staleness);
    let back = |key: &Key| {
        behind(key.reads.iter(), key.reads.iter().map(|r| (r.ended, r.version)).collect()).older
    };
    sum.backward_reads = Some(keys.values().map(back).sum());
    sum.sessions = sessions::sessions(keys.values());
    sum.linearizability = scope.reads_leader.then(|| linearizable::linearizability(keys, scope));
}

#[cfg(test)]
mod tests;
