//! A register per key, simulated: legal histories with as much concurrency as may be, and the same
//! with one defect planted. Every operation takes effect at a known instant within its interval.

use crate::base::Nanos;
use crate::record::{Operation, OperationKind};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// What was made, and what is true of it.
#[derive(Debug)]
pub struct Story {
    pub history: Vec<Operation>,
    pub acknowledged: u64,
    pub recovered: u64,
    pub indeterminate: u64,
}

/// What may be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// An acknowledged write is not found again.
    Lost,
    /// An id is named twice.
    NamedTwice,
    /// One write more is counted than there are ids.
    CountedTwice,
    /// A write that was refused is found.
    RefusedYetFound,
    /// An id is found that nobody sent.
    NeverSent,
    /// A read is answered with the version before one that had been acknowledged.
    Stale,
    /// A session reads less than it had read before.
    WentBack,
    /// A session reads less than it had written.
    OwnWriteMissed,
}

pub const DEFECTS: [Defect; 8] = [
    Defect::Lost,
    Defect::NamedTwice,
    Defect::CountedTwice,
    Defect::RefusedYetFound,
    Defect::NeverSent,
    Defect::Stale,
    Defect::WentBack,
    Defect::OwnWriteMissed,
];

pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn in_ten(&mut self, n: u64) -> bool {
        self.below(10) < n
    }
}

const END: u64 = 1_000_000;

/// `operations` on `keys` keys; each takes up to `spread` before and after its instant, so that many
/// overlap.
pub fn legal(seed: u64, operations: u64, keys: u64, spread: u64) -> Story {
    let mut dice = Dice::new(seed);
    let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
    let mut applied: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut touched = BTreeSet::new();
    let mut story = Story { history: Vec::new(), acknowledged: 0, recovered: 0, indeterminate: 0 };
    let mut instants: Vec<u64> = (0..operations).map(|_| spread + dice.below(END)).collect();
    instants.sort_unstable();
    for (id, at) in (1..).zip(instants) {
        let key = dice.below(keys);
        let session = 1 + dice.below(3) as u32;
        let started = Nanos(at - dice.below(spread + 1));
        let ended = Nanos(at + dice.below(spread + 1));
        let op = |kind, id, version, started, ended| Operation {
            kind,
            session,
            key,
            id,
            version,
            started,
            ended,
        };
        let version = versions.entry(key).or_default();
        if dice.in_ten(5) {
            story.history.push(op(OperationKind::Read, 0, *version, started, ended));
            continue;
        }
        touched.insert(key);
        let is_applied = dice.in_ten(8);
        if is_applied {
            *version += 1;
            applied.entry(key).or_default().push(id);
        }
        // Sometimes the visitor asks once more: refused or unanswered first, and of the same id.
        if dice.in_ten(2) {
            let kind =
                [OperationKind::Failed, OperationKind::Indeterminate][dice.below(2) as usize];
            let began = if is_applied { started } else { Nanos(started.0 / 2) };
            story.history.push(op(kind, id, 0, Nanos(began.0.saturating_sub(9)), began));
        }
        let was_sent = |history: &[Operation]| {
            history.last().is_some_and(|o| o.id == id && o.kind == OperationKind::Indeterminate)
        };
        if is_applied && dice.in_ten(7) {
            story.history.push(op(OperationKind::Acknowledged, id, *version, started, ended));
            story.acknowledged += 1;
        } else if is_applied || dice.in_ten(5) {
            // Whatever is known of its end, it may take effect later still.
            let ended = Nanos(started.0 + dice.below(spread + 1));
            story.history.push(op(OperationKind::Indeterminate, id, 0, started, ended));
            story.indeterminate += 1;
            story.recovered += u64::from(is_applied);
        } else {
            story.indeterminate += u64::from(was_sent(&story.history));
            story.history.push(op(OperationKind::Failed, id, 0, started, ended));
        }
    }
    for key in touched {
        let ids = applied.remove(&key).unwrap_or_default();
        read_back(&mut story.history, key, &ids, spread);
    }
    story
}

fn read_back(history: &mut Vec<Operation>, key: u64, ids: &[u64], spread: u64) {
    let at = Nanos(END + 3 * spread);
    let op = |kind, id, version| Operation {
        kind,
        session: 0,
        key,
        id,
        version,
        started: at,
        ended: at + Nanos(1),
    };
    history.extend(ids.iter().map(|id| op(OperationKind::ReadBack, *id, 0)));
    history.push(op(OperationKind::ReadBackDone, 0, ids.len() as u64));
}

/// `None` when the history has no place for this defect.
pub fn plant(story: &Story, defect: Defect, dice: &mut Dice) -> Option<Vec<Operation>> {
    use OperationKind::{Acknowledged, Failed, Read, ReadBack, ReadBackDone};
    let mut history = story.history.clone();
    let mut pick = |wanted: &dyn Fn(&Operation) -> bool| {
        let found: Vec<usize> =
            (0..story.history.len()).filter(|i| wanted(&story.history[*i])).collect();
        (!found.is_empty()).then(|| found[dice.below(found.len() as u64) as usize])
    };
    let late_read = |of: &Operation, version| Operation {
        kind: Read,
        version,
        id: 0,
        started: of.ended + Nanos(1),
        ended: of.ended + Nanos(2),
        ..*of
    };
    match defect {
        Defect::Lost => {
            let id = story.history[pick(&|o| o.kind == Acknowledged)?].id;
            let at = history.iter().position(|o| o.kind == ReadBack && o.id == id)?;
            let key = history.remove(at).key;
            history.iter_mut().filter(|o| o.kind == ReadBackDone && o.key == key).for_each(|o| {
                o.version -= 1;
            });
        }
        Defect::NamedTwice => {
            let at = pick(&|o| o.kind == ReadBack)?;
            history.insert(at, history[at]);
        }
        Defect::CountedTwice => {
            let at = pick(&|o| o.kind == ReadBackDone)?;
            history[at].version += 1;
        }
        Defect::RefusedYetFound => {
            let has_only_failed = |o: &Operation| {
                o.kind == Failed && story.history.iter().all(|p| p.id != o.id || p.kind == Failed)
            };
            let refused = story.history[pick(&has_only_failed)?];
            let end =
                history.iter().position(|o| o.kind == ReadBackDone && o.key == refused.key)?;
            history.insert(end, Operation { kind: ReadBack, ..refused });
        }
        Defect::NeverSent => {
            let end = pick(&|o| o.kind == ReadBackDone)?;
            history.insert(end, Operation { kind: ReadBack, id: u64::MAX, ..history[end] });
        }
        Defect::Stale => {
            let write = story.history[pick(&|o| o.kind == Acknowledged)?];
            history.push(Operation { session: 99, ..late_read(&write, write.version - 1) });
        }
        Defect::WentBack => {
            let read = story.history[pick(&|o| o.kind == Read && o.version > 0)?];
            history.push(late_read(&read, read.version - 1));
        }
        Defect::OwnWriteMissed => {
            let write = story.history[pick(&|o| o.kind == Acknowledged)?];
            history.push(late_read(&write, write.version - 1));
        }
    }
    Some(history)
}
