//! What each visitor may expect of its own: to see what it wrote, and never to see less than before
//! (Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994).

use super::keys::{Key, Read};
use crate::base::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A session is a virtual user of a closed loop, or a shard of an open one: all of a shard's
/// requests are taken as one visitor's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    pub sessions: u64,
    /// Reads that began after an acknowledgement of the same session under the same key.
    pub reads_after_own_write: u64,
    /// Those of them that were answered with an older version.
    pub read_your_writes_violations: u64,
    /// Reads that began after another read of the same session and key had ended.
    pub reads_after_own_read: u64,
    pub monotonic_reads_violations: u64,
}

/// What one session saw of one key: instants and versions.
#[derive(Default)]
struct Seen<'a> {
    reads: Vec<&'a Read>,
    own_writes: Vec<(Nanos, u64)>,
}

/// `None` when nobody told whose operations they were.
pub fn sessions<'a>(keys: impl Iterator<Item = &'a Key>) -> Option<Sessions> {
    let mut all = BTreeSet::new();
    let mut sum = Sessions::default();
    for key in keys {
        let mut by_session: BTreeMap<u32, Seen<'_>> = BTreeMap::new();
        for read in key.reads.iter().filter(|r| r.session > 0) {
            by_session.entry(read.session).or_default().reads.push(read);
        }
        for (at, version, write) in key.acknowledged().filter(|(.., w)| w.session > 0) {
            by_session.entry(write.session).or_default().own_writes.push((at, version));
        }
        for (session, seen) in by_session {
            all.insert(session);
            let own_reads = seen.reads.iter().map(|r| (r.ended, r.version)).collect();
            let writes = behind(seen.reads.iter().copied(), seen.own_writes);
            let reads = behind(seen.reads.iter().copied(), own_reads);
            sum.reads_after_own_write += writes.after;
            sum.read_your_writes_violations += writes.older;
            sum.reads_after_own_read += reads.after;
            sum.monotonic_reads_violations += reads.older;
        }
    }
    sum.sessions = all.len() as u64;
    (!all.is_empty()).then_some(sum)
}

/// How many reads began after something had been shown, and were answered with an older version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    pub after: u64,
    pub older: u64,
}

/// `shown`: when which version had been shown. A version of 0 is an honest answer before the first
/// write, and an old one after it.
pub fn behind<'a>(reads: impl Iterator<Item = &'a Read>, mut shown: Vec<(Nanos, u64)>) -> Behind {
    shown.sort_unstable();
    let mut newest = 0;
    for (_, version) in &mut shown {
        newest = newest.max(*version);
        *version = newest;
    }
    let mut sum = Behind::default();
    for read in reads {
        let before = shown.partition_point(|(at, _)| *at < read.started);
        if before > 0 {
            sum.after += 1;
            sum.older += u64::from(read.version < shown[before - 1].1);
        }
    }
    sum
}
