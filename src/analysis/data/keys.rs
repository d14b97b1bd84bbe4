//! The history, sorted: what became of each write, and what was seen of each key.
//!
//! A write that was asked again has several operations of one id. The database applies an id once,
//! whichever attempt brings it, so that they are one write: from the first attempt that may have
//! been applied to the first acknowledgement.

use crate::base::Nanos;
use crate::record::{Operation, OperationKind};
use std::collections::{BTreeMap, HashMap};

/// Everything that the history says about one key.
#[derive(Debug, Default)]
pub struct Key {
    pub writes: Vec<Write>,
    pub reads: Vec<Read>,
    /// `None`: it was not read back.
    pub read_back: Option<ReadBack>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Write {
    /// 0: the request carries none, so that it cannot be found again.
    pub id: u64,
    pub session: u32,
    /// Of the first attempt that may have been applied.
    pub started: Nanos,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// `version` 0: the answer named none.
    Acknowledged { at: Nanos, version: u64 },
    /// It may take effect at any time after its start, or never.
    Indeterminate,
    /// Every attempt was certainly refused, or never sent.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    pub session: u32,
    pub started: Nanos,
    pub ended: Nanos,
    pub version: u64,
}

#[derive(Debug)]
pub struct ReadBack {
    pub started: Nanos,
    pub ended: Nanos,
    /// Writes that the database says it applied.
    pub applied: u64,
    /// How often it names each id.
    pub found: HashMap<u64, u64>,
}

impl Key {
    /// Acknowledged writes: when, as which version, by whom.
    pub fn acknowledged(&self) -> impl Iterator<Item = (Nanos, u64, &Write)> {
        self.writes.iter().filter_map(|write| match write.fate {
            Fate::Acknowledged { at, version } => Some((at, version, write)),
            Fate::Indeterminate | Fate::Failed => None,
        })
    }
}

pub fn keys_of(history: &[Operation]) -> BTreeMap<u64, Key> {
    let mut keys: BTreeMap<u64, Key> = BTreeMap::new();
    // Where in its key's list the write of an id is.
    let mut places: HashMap<(u64, u64), usize> = HashMap::new();
    let mut found: HashMap<u64, HashMap<u64, u64>> = HashMap::new();
    for op in history {
        let key = keys.entry(op.key).or_default();
        let Operation { session, id, version, started, ended, .. } = *op;
        let fate = match op.kind {
            OperationKind::Read => {
                key.reads.push(Read { session, started, ended, version });
                continue;
            }
            OperationKind::ReadBack => {
                *found.entry(op.key).or_default().entry(id).or_default() += 1;
                continue;
            }
            OperationKind::ReadBackDone => {
                let found = found.remove(&op.key).unwrap_or_default();
                key.read_back = Some(ReadBack { started, ended, applied: version, found });
                continue;
            }
            OperationKind::Acknowledged => Fate::Acknowledged { at: ended, version },
            OperationKind::Indeterminate => Fate::Indeterminate,
            OperationKind::Failed => Fate::Failed,
        };
        let attempt = Write { id, session, started, fate };
        match places.get(&(op.key, id)) {
            Some(place) if id != 0 => key.writes[*place].add(attempt),
            _ => {
                places.insert((op.key, id), key.writes.len());
                key.writes.push(attempt);
            }
        }
    }
    keys
}

impl Write {
    /// One more attempt of the same write.
    fn add(&mut self, attempt: Write) {
        use Fate::{Acknowledged, Failed, Indeterminate};
        self.started = match (self.fate, attempt.fate) {
            // What was refused cannot have been applied, however early.
            (_, Failed) => self.started,
            (Failed, _) => attempt.started,
            _ => self.started.min(attempt.started),
        };
        self.fate = match (self.fate, attempt.fate) {
            (Acknowledged { at: a, .. }, Acknowledged { at: b, .. }) if a <= b => self.fate,
            (_, Acknowledged { .. }) => attempt.fate,
            (Acknowledged { .. }, _) | (_, Failed) => self.fate,
            (_, Indeterminate) => Indeterminate,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(kind: OperationKind, from: u64, to: u64, version: u64) -> Operation {
        let (started, ended) = (Nanos(from), Nanos(to));
        Operation { kind, session: 1, key: 1, id: 7, version, started, ended }
    }

    #[test]
    fn attempts_of_one_id_are_one_write() {
        use OperationKind::{Acknowledged, Failed, Indeterminate};
        let at = |at| Fate::Acknowledged { at: Nanos(at), version: 4 };
        for (attempts, started, fate) in [
            (vec![attempt(Indeterminate, 1, 5, 0), attempt(Acknowledged, 6, 9, 4)], 1, at(9)),
            (vec![attempt(Failed, 1, 5, 0), attempt(Acknowledged, 6, 9, 4)], 6, at(9)),
            (vec![attempt(Failed, 1, 5, 0), attempt(Failed, 6, 9, 0)], 1, Fate::Failed),
            (
                vec![attempt(Indeterminate, 1, 5, 0), attempt(Failed, 6, 9, 0)],
                1,
                Fate::Indeterminate,
            ),
            (vec![attempt(Acknowledged, 6, 9, 4), attempt(Acknowledged, 1, 20, 4)], 1, at(9)),
        ] {
            // Whatever the order in which workers hand them over.
            for order in [attempts.clone(), attempts.iter().rev().copied().collect()] {
                let keys = keys_of(&order);
                let [write] = keys[&1].writes[..] else { panic!("{keys:?}") };
                if write.fate != Fate::Failed {
                    assert_eq!((write.started, write.fate), (Nanos(started), fate), "{order:?}");
                }
            }
        }
    }

    #[test]
    fn writes_without_an_id_are_not_one() {
        let unnamed = Operation { id: 0, ..attempt(OperationKind::Acknowledged, 1, 2, 0) };
        assert_eq!(keys_of(&[unnamed, unnamed])[&1].writes.len(), 2);
    }
}
