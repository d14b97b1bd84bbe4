//! After the load: read back every key that was written to, from the leader, through the public
//! entry, so that acknowledged writes can be checked for loss.

use crate::base::{Nanos, clock};
use crate::host::http;
use crate::plan::{Plan, RoutePlan};
use crate::record::{Operation, OperationKind, Snapshot};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// One key's read-back may take so long …
const DEADLINE: Duration = Duration::from_secs(2);
/// … is tried so often, since a leader may just be changing …
const TRIES: u32 = 5;
/// … and all of them together may take so long.
const TOTAL_MAX: Nanos = Nanos::from_secs(20);
/// Keys that are remembered; the bundled stack has 10,000.
const KEYS_MAX: usize = 100_000;

/// The keys that were written to, whatever came of it.
#[derive(Debug, Default)]
pub(super) struct WrittenKeys {
    keys: BTreeSet<u64>,
    pub is_overflown: bool,
}

impl WrittenKeys {
    pub fn add(&mut self, snapshot: &Snapshot) {
        for operation in &snapshot.operations {
            if matches!(operation.kind, OperationKind::Acknowledged | OperationKind::Indeterminate)
            {
                self.is_overflown |= self.keys.len() >= KEYS_MAX;
                if !self.is_overflown {
                    self.keys.insert(operation.key);
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

#[derive(Deserialize)]
struct Writes {
    applied: u64,
    ids: Vec<String>,
}

/// What the database names under each written key. Keys that could not be read are missing
/// from the result, and counted.
pub(super) fn read_back(
    plan: &Plan,
    written: &WrittenKeys,
    epoch: Nanos,
    stopped: &dyn Fn() -> bool,
) -> (Vec<Operation>, usize) {
    let Some(entry) = entry(plan) else { return (Vec::new(), written.len()) };
    let mut operations = Vec::new();
    let mut unread = 0;
    let began = clock::now();
    for key in &written.keys {
        let is_over = stopped() || clock::now() - began > TOTAL_MAX;
        match (!is_over).then(|| fetch(entry, *key)).flatten() {
            Some((writes, started)) => record(&mut operations, *key, &writes, started, epoch),
            None => unread += 1,
        }
    }
    (operations, unread)
}

/// The entry that takes everything, for the region that has it nearest.
fn entry(plan: &Plan) -> Option<SocketAddr> {
    let routes = plan.load.regions.iter().filter_map(|r| r.routes.first());
    let mut fixed = routes.filter_map(|r| match r {
        RoutePlan::Fixed(address) => Some(*address),
        RoutePlan::Directory { .. } => None,
    });
    let first = fixed.next()?;
    let direct = plan.links.iter().find(|l| l.from.starts_with("visitors:") && !l.is_relayed());
    Some(
        direct
            .filter(|l| l.to.starts_with("balancer") || l.to.starts_with("app"))
            .map_or(first, |l| l.dial),
    )
}

fn fetch(entry: SocketAddr, key: u64) -> Option<(Writes, Nanos)> {
    for attempt in 0..TRIES {
        let started = clock::now();
        let answer = http::get(entry, &format!("/api/videos/{key}/writes"), DEADLINE);
        if let Some(writes) = answer.ok().and_then(|body| serde_json::from_slice(&body).ok()) {
            return Some((writes, started));
        }
        std::thread::sleep(Duration::from_millis(100 << attempt));
    }
    None
}

fn record(all: &mut Vec<Operation>, key: u64, writes: &Writes, started: Nanos, epoch: Nanos) {
    let ended = clock::now().saturating_sub(epoch);
    let started = started.saturating_sub(epoch);
    let operation =
        |kind, id, version| Operation { kind, session: 0, key, id, version, started, ended };
    let ids = writes.ids.iter().filter_map(|id| u64::from_str_radix(id, 16).ok());
    all.extend(ids.map(|id| operation(OperationKind::ReadBack, id, 0)));
    all.push(operation(OperationKind::ReadBackDone, 0, writes.applied));
}
