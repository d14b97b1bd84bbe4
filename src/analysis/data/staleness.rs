//! How far behind the newest acknowledged write were the answers of reads? In time and in versions:
//! t-staleness and k-staleness of Bailis et al., "Probabilistically Bounded Staleness" (VLDB 2012).

use super::keys::Key;
use crate::analysis::summary::TimeSummary;
use crate::base::{Histogram, Nanos};
use serde::{Deserialize, Serialize};

/// Upper edges of the buckets, milliseconds; one more is without bound.
const TIME_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
/// Upper edges in versions missed; one more is without bound.
const VERSIONS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Reads of versioned keys. Fresh ones are in `reads` alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Staleness {
    /// Reads that were looked at.
    pub reads: u64,
    pub stale: u64,
    /// Of the stale ones: start of the read − the first acknowledgement of a version newer than the
    /// one it was answered with.
    pub time_ns: TimeSummary,
    pub time: Vec<Bucket>,
    /// Of the stale ones: acknowledged versions newer than the answer, when the read began.
    pub versions_missed_mean: Option<f64>,
    pub versions_missed_max: Option<u64>,
    pub versions: Vec<Bucket>,
}

/// Stale reads above the bucket before and up to this one's edge: nanoseconds, or versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// `None`: without bound.
    pub up_to: Option<u64>,
    pub reads: u64,
}

/// One stale read.
struct Stale {
    for_ns: u64,
    missed: u64,
}

pub fn staleness<'a>(keys: impl Iterator<Item = &'a Key>) -> Staleness {
    let mut histogram = Histogram::new();
    let edges_ns = TIME_MS.map(|ms| ms * 1_000_000);
    let (mut time, mut versions) = (buckets(&edges_ns), buckets(&VERSIONS));
    let (mut reads, mut missed_sum, mut missed_max) = (0, 0, None);
    for key in keys {
        reads += key.reads.len() as u64;
        for stale in stale_reads(key) {
            histogram.record(Nanos(stale.for_ns));
            count(&mut time, stale.for_ns);
            count(&mut versions, stale.missed);
            missed_sum += stale.missed;
            missed_max = missed_max.max(Some(stale.missed));
        }
    }
    let stale = histogram.count();
    Staleness {
        reads,
        stale,
        time_ns: TimeSummary::of(&histogram),
        time,
        versions_missed_mean: (stale > 0).then(|| missed_sum as f64 / stale as f64),
        versions_missed_max: missed_max,
        versions,
    }
}

fn buckets(edges: &[u64]) -> Vec<Bucket> {
    let edges = edges.iter().copied().map(Some).chain([None]);
    edges.map(|up_to| Bucket { up_to, reads: 0 }).collect()
}

fn count(buckets: &mut [Bucket], value: u64) {
    let bucket = buckets.iter_mut().find(|b| b.up_to.is_none_or(|edge| value <= edge));
    bucket.expect("the last has no bound").reads += 1;
}

/// Reads that began after a newer version than theirs had been acknowledged.
fn stale_reads(key: &Key) -> Vec<Stale> {
    let mut by_version: Vec<(u64, Nanos)> =
        key.acknowledged().map(|(at, version, _)| (version, at)).collect();
    by_version.sort_unstable();
    let first_of_newer = suffix_minima(&by_version);
    let mut by_time: Vec<(Nanos, usize)> =
        by_version.iter().enumerate().map(|(rank, (_, at))| (*at, rank)).collect();
    by_time.sort_unstable();
    let mut reads: Vec<_> = key.reads.iter().collect();
    reads.sort_unstable_by_key(|read| read.started);
    let mut shown = Counts::new(by_version.len());
    let mut next = 0;
    let mut stale = Vec::new();
    for read in reads {
        while next < by_time.len() && by_time[next].0 < read.started {
            shown.add(by_time[next].1);
            next += 1;
        }
        let newer_from = by_version.partition_point(|(version, _)| *version <= read.version);
        let missed = next as u64 - shown.below(newer_from);
        if missed > 0 {
            let for_ns = (read.started - first_of_newer[newer_from]).0;
            stale.push(Stale { for_ns, missed });
        }
    }
    stale
}

/// When the first of this and all later versions was acknowledged.
fn suffix_minima(by_version: &[(u64, Nanos)]) -> Vec<Nanos> {
    let mut minima: Vec<Nanos> = by_version.iter().map(|(_, at)| *at).collect();
    for i in (1..minima.len()).rev() {
        minima[i - 1] = minima[i - 1].min(minima[i]);
    }
    minima
}

/// How many of the ranks below one were added: a Fenwick tree (1994).
struct Counts(Vec<u64>);

impl Counts {
    fn new(ranks: usize) -> Counts {
        Counts(vec![0; ranks + 1])
    }

    fn add(&mut self, rank: usize) {
        let mut i = rank + 1;
        while i < self.0.len() {
            self.0[i] += 1;
            i += i & i.wrapping_neg();
        }
    }

    fn below(&self, rank: usize) -> u64 {
        let (mut i, mut sum) = (rank, 0);
        while i > 0 {
            sum += self.0[i];
            i -= i & i.wrapping_neg();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::data::keys::{Fate, Read, Write};

    fn key(acknowledged_ms: &[(u64, u64)], reads_ms: &[(u64, u64)]) -> Key {
        let write = |(version, at): &(u64, u64)| Write {
            id: *version,
            session: 1,
            started: Nanos::ZERO,
            fate: Fate::Acknowledged { at: Nanos::from_millis(*at), version: *version },
        };
        let read = |(version, at): &(u64, u64)| Read {
            session: 1,
            started: Nanos::from_millis(*at),
            ended: Nanos::from_millis(at + 1),
            version: *version,
        };
        Key {
            writes: acknowledged_ms.iter().map(write).collect(),
            reads: reads_ms.iter().map(read).collect(),
            read_back: None,
        }
    }

    #[test]
    fn a_read_is_as_stale_as_the_first_newer_acknowledgement_is_old() {
        // Version 3 was acknowledged before version 2.
        let seen = staleness([key(&[(1, 10), (2, 30), (3, 20)], &[(1, 60)])].iter());
        assert_eq!((seen.reads, seen.stale), (1, 1));
        assert_eq!(seen.time_ns.max.map(|n| n.as_millis_f64().round()), Some(40.0));
        assert_eq!((seen.versions_missed_max, seen.versions_missed_mean), (Some(2), Some(2.0)));
        let filled: Vec<_> = seen.time.iter().filter(|b| b.reads > 0).collect();
        assert_eq!(filled, [&Bucket { up_to: Some(50_000_000), reads: 1 }]);
    }

    #[test]
    fn only_what_was_acknowledged_before_it_began_makes_a_read_stale() {
        let acknowledged = [(1, 10), (2, 20), (3, 30)];
        for (read, missed) in [
            ((3, 40), None),
            ((2, 31), Some(1)),
            ((2, 30), None),
            ((0, 25), Some(2)),
            ((0, 10), None),
            ((9, 40), None),
        ] {
            let seen = staleness([key(&acknowledged, &[read])].iter());
            assert_eq!(seen.versions_missed_max, missed, "{read:?}");
        }
        let late = staleness([key(&[(1, 0)], &[(0, 60_000)])].iter());
        assert_eq!(late.time.last(), Some(&Bucket { up_to: None, reads: 1 }));
    }
}
