//! Is there one order of a key's operations that explains every answer, each taking effect at an
//! instant between its start and its end (Herlihy and Wing, TOPLAS 1990)?
//!
//! In general that is a search without a good bound (Wing and Gong 1993; Lowe 2017; Porcupine). Here
//! it is none: a version is the number of writes applied to the key, so that answers name their place in
//! the order, and with the order known the question is one of intervals (Gibbons and Korach, SIAM J.
//! Comput. 1997). With tₙ the instant of the n-th write:
//!
//! * a write that was acknowledged as version n says: started ≤ tₙ ≤ acknowledged;
//! * a read of version n says: tₙ ≤ its end, and its start ≤ tₙ₊₁;
//! * a version that somebody saw and nobody was acknowledged for is that of a write whose outcome is
//!   unknown, a different one for each: the earlier started for the lower version, since any other
//!   assignment that works still works after such an exchange.
//!
//! t₁ ≤ t₂ ≤ … exist if and only if no lower bound of an earlier write lies above an upper bound of the
//! same or a later one. So a violation is always shown by two answers. The tests hold this against
//! the search itself.

use super::Scope;
use super::keys::{Fate, Key, Write};
use crate::base::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Operations that are looked at in all; the keys beyond are unknown. At most some seconds.
const OPERATIONS_MAX: usize = 20_000_000;

/// Per key, for a target whose reads go to the leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linearizability {
    pub verdict: Linearizable,
    /// Keys by their own verdict.
    pub ok: u64,
    pub illegal: u64,
    pub unknown: u64,
    pub operations: u64,
    /// Why keys are unknown, with the number of keys.
    pub why_unknown: BTreeMap<String, u64>,
    /// The earliest that was found.
    pub violation: Option<Violation>,
}

/// Illegal dominates, then unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linearizable {
    Ok,
    Unknown,
    Illegal,
}

/// Answers that no order explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub key: u64,
    /// When it was complete.
    pub at: Nanos,
    /// One or two: what was seen first, and what contradicts it.
    pub facts: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub enum KeyVerdict {
    Ok,
    Unknown(String),
    Illegal(Violation),
}

pub fn linearizability(keys: &BTreeMap<u64, Key>, scope: &Scope) -> Linearizability {
    let mut sum = Linearizability {
        verdict: Linearizable::Ok,
        ok: 0,
        illegal: 0,
        unknown: 0,
        operations: 0,
        why_unknown: BTreeMap::new(),
        violation: None,
    };
    let mut left = OPERATIONS_MAX;
    for (name, key) in keys {
        let operations = key.writes.len() + key.reads.len();
        left = left.saturating_sub(operations);
        let verdict = match left {
            0 => KeyVerdict::Unknown(format!("beyond {OPERATIONS_MAX} operations")),
            _ => check_key(*name, key, scope),
        };
        match verdict {
            KeyVerdict::Ok => sum.ok += 1,
            KeyVerdict::Unknown(why) => {
                sum.unknown += 1;
                *sum.why_unknown.entry(why).or_default() += 1;
            }
            KeyVerdict::Illegal(found) => {
                sum.illegal += 1;
                let is_earlier = sum.violation.as_ref().is_none_or(|known| found.at < known.at);
                if is_earlier {
                    sum.violation = Some(found);
                }
            }
        }
        sum.operations += operations as u64;
    }
    sum.verdict = match (sum.illegal, sum.unknown, sum.ok) {
        (1.., ..) => Linearizable::Illegal,
        (0, 0, 1..) => Linearizable::Ok,
        _ => Linearizable::Unknown,
    };
    sum
}

/// Says of one write of the order when it was, at the earliest or at the latest.
#[derive(Clone, Copy)]
struct Bound {
    version: u64,
    at: Nanos,
    by: By,
}

#[derive(Clone, Copy)]
enum By {
    Write {
        id: u64,
    },
    /// The only write that this version can be, or an earlier one.
    Unacknowledged {
        id: u64,
    },
    /// With the version that it showed.
    Read {
        version: u64,
    },
}

pub fn check_key(name: u64, key: &Key, scope: &Scope) -> KeyVerdict {
    let mut not_before = Vec::new();
    let mut not_after = Vec::new();
    let mut place: BTreeMap<u64, (u64, Nanos)> = BTreeMap::new();
    let mut is_complete = scope.is_complete && scope.is_fresh;
    let mut why =
        if scope.is_complete { "data from before the run" } else { "operations are missing" };
    for (at, version, write) in key.acknowledged() {
        if version == 0 {
            (is_complete, why) = (false, "an acknowledgement named no version");
            continue;
        }
        if let Some((id, other)) = place.insert(version, (write.id, at)) {
            return illegal(
                name,
                at.max(other),
                vec![acknowledged(id, version, other), acknowledged(write.id, version, at)],
            );
        }
        let by = By::Write { id: write.id };
        not_before.push(Bound { version, at: write.started, by });
        not_after.push(Bound { version, at, by });
    }
    for (started, ended, version) in answers(key) {
        let by = By::Read { version };
        not_before.push(Bound { version: version.saturating_add(1), at: started, by });
        if version > 0 {
            not_after.push(Bound { version, at: ended, by });
        }
    }
    if is_complete
        && let Err(violation) = place_unknown(name, key, &place, &not_after, &mut not_before)
    {
        return KeyVerdict::Illegal(violation);
    }
    match contradiction(not_before, not_after) {
        Some((early, late)) => illegal(
            name,
            early.at.max(late.at),
            vec![late.at_the_latest(), early.at_the_earliest()],
        ),
        None if is_complete => KeyVerdict::Ok,
        None => KeyVerdict::Unknown(why.into()),
    }
}

/// What reads showed, the last one of all included.
fn answers(key: &Key) -> impl Iterator<Item = (Nanos, Nanos, u64)> {
    let reads = key.reads.iter().map(|r| (r.started, r.ended, r.version));
    reads.chain(key.read_back.iter().map(|r| (r.started, r.ended, r.applied)))
}

/// Gives the versions that were seen and not acknowledged to writes whose outcome is unknown.
fn place_unknown(
    name: u64,
    key: &Key,
    acknowledged: &BTreeMap<u64, (u64, Nanos)>,
    seen: &[Bound],
    not_before: &mut Vec<Bound>,
) -> Result<(), Violation> {
    let Some(highest) = seen.iter().max_by_key(|b| b.version) else { return Ok(()) };
    let mut unknown: Vec<&Write> =
        key.writes.iter().filter(|w| w.fate == Fate::Indeterminate).collect();
    unknown.sort_by_key(|w| w.started);
    let writes = (acknowledged.len() + unknown.len()) as u64;
    let missing = highest.version - acknowledged.len() as u64;
    if missing > unknown.len() as u64 {
        let facts = vec![
            highest.at_the_latest(),
            format!("only {writes} writes of the key can have been applied"),
        ];
        return Err(Violation { key: name, at: highest.at, facts });
    }
    let gaps = (1..=highest.version).filter(|version| !acknowledged.contains_key(version));
    for (version, write) in gaps.zip(unknown) {
        let by = By::Unacknowledged { id: write.id };
        not_before.push(Bound { version, at: write.started, by });
    }
    Ok(())
}

/// A lower bound of a write above an upper bound of the same or a later one.
fn contradiction(not_before: Vec<Bound>, mut not_after: Vec<Bound>) -> Option<(Bound, Bound)> {
    let mut not_before = not_before;
    not_before.sort_by_key(|b| b.version);
    not_after.sort_by_key(|b| (b.version, b.at));
    let mut earliest: Option<Bound> = None;
    let mut next = 0;
    for late in not_after {
        while next < not_before.len() && not_before[next].version <= late.version {
            let bound = not_before[next];
            earliest = Some(earliest.filter(|known| known.at >= bound.at).unwrap_or(bound));
            next += 1;
        }
        if let Some(early) = earliest.filter(|early| early.at > late.at) {
            return Some((early, late));
        }
    }
    None
}

fn illegal(key: u64, at: Nanos, facts: Vec<String>) -> KeyVerdict {
    KeyVerdict::Illegal(Violation { key, at, facts })
}

fn acknowledged(id: u64, version: u64, at: Nanos) -> String {
    format!("write {id:016x} was acknowledged as version {version} at {}", seconds(at))
}

impl Bound {
    fn at_the_latest(&self) -> String {
        match self.by {
            By::Write { id } | By::Unacknowledged { id } => acknowledged(id, self.version, self.at),
            By::Read { version } => {
                format!("a read that ended at {} showed version {version}", seconds(self.at))
            }
        }
    }

    fn at_the_earliest(&self) -> String {
        let (at, version) = (seconds(self.at), self.version);
        match self.by {
            By::Write { id } => {
                format!("write {id:016x}, which became version {version}, began at {at}")
            }
            By::Unacknowledged { id } => format!(
                "version {version} is that of a write whose outcome is unknown, of {id:016x} at the \
                 earliest, which began at {at}"
            ),
            By::Read { version } => format!("a read that began at {at} showed version {version}"),
        }
    }
}

fn seconds(at: Nanos) -> String {
    format!("{:.6} s", at.as_secs_f64())
}

#[cfg(test)]
mod tests;
