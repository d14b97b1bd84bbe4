use super::*;
use crate::analysis::data::keys::{Fate, Read, ReadBack, keys_of};
use crate::analysis::data::simulated::{DEFECTS, Defect, Dice, legal, plant};
use std::collections::{HashMap, HashSet};

const SCOPE: Scope = Scope { is_complete: true, is_fresh: true, reads_leader: true };

/// One operation as the search sees it: `shows` is the count that it must find (a read) or make (a
/// write).
#[derive(Clone, Copy)]
struct Step {
    started: Nanos,
    /// `None`: it may never take effect.
    ended: Option<Nanos>,
    is_write: bool,
    shows: Option<u64>,
}

/// Wing and Gong's search with Lowe's memory of what was tried, as in Porcupine: exact and slow.
fn search(key: &Key) -> bool {
    let mut steps: Vec<Step> = Vec::new();
    for write in &key.writes {
        let (ended, shows) = match write.fate {
            Fate::Acknowledged { at, version } => (Some(at), Some(version)),
            Fate::Indeterminate => (None, None),
            Fate::Failed => continue,
        };
        steps.push(Step { started: write.started, ended, is_write: true, shows });
    }
    for (started, ended, version) in answers(key) {
        steps.push(Step { started, ended: Some(ended), is_write: false, shows: Some(version) });
    }
    assert!(steps.len() <= 64, "for small histories");
    explore(&steps, 0, 0, &mut HashSet::new())
}

fn explore(steps: &[Step], done: u64, count: u64, tried: &mut HashSet<(u64, u64)>) -> bool {
    let open = || (0..steps.len()).filter(|i| done & (1 << i) == 0);
    if open().all(|i| steps[i].ended.is_none()) {
        return true;
    }
    if !tried.insert((done, count)) {
        return false;
    }
    // What starts after another has ended cannot come before it.
    let first_end = open().filter_map(|i| steps[i].ended).min().unwrap_or(Nanos::MAX);
    open().filter(|i| steps[*i].started <= first_end).any(|i| {
        let next = count + u64::from(steps[i].is_write);
        steps[i].shows.is_none_or(|shown| shown == next)
            && explore(steps, done | (1 << i), next, tried)
    })
}

/// Anything at all, legal or not, in so little time and with so few versions that both are frequent.
fn anything(dice: &mut Dice) -> Key {
    let mut key = Key::default();
    for id in 1..=2 + dice.below(6) {
        let started = Nanos(dice.below(12));
        let ended = started + Nanos(dice.below(8));
        let version = 1 + dice.below(4);
        match dice.below(7) {
            0..=2 => {
                let version = version - 1;
                key.reads.push(Read { session: 1, started, ended, version });
            }
            3 => key.writes.push(Write { id, session: 1, started, fate: Fate::Indeterminate }),
            4 => key.writes.push(Write { id, session: 1, started, fate: Fate::Failed }),
            _ => {
                let fate = Fate::Acknowledged { at: ended, version };
                key.writes.push(Write { id, session: 1, started, fate });
            }
        }
    }
    if dice.below(3) == 0 {
        let (started, ended, applied) = (Nanos(20), Nanos(21), dice.below(4));
        key.read_back = Some(ReadBack { started, ended, applied, found: HashMap::new() });
    }
    key
}

#[test]
fn the_intervals_say_what_the_search_says() {
    let mut seen = [0_u32; 2];
    for seed in 0..60_000 {
        let key = anything(&mut Dice::new(seed));
        let expected = search(&key);
        let verdict = check_key(1, &key, &SCOPE);
        assert_eq!(verdict == KeyVerdict::Ok, expected, "seed {seed}: {key:?} {verdict:?}");
        seen[usize::from(expected)] += 1;
    }
    assert!(seen.iter().all(|n| *n > 6_000), "both must be frequent: {seen:?}");
}

#[test]
fn a_violation_stays_one_whatever_else_is_missing() {
    let incomplete = Scope { is_complete: false, ..SCOPE };
    let mut illegal = 0;
    for seed in 0..20_000 {
        let key = anything(&mut Dice::new(seed));
        match check_key(1, &key, &incomplete) {
            KeyVerdict::Illegal(found) => {
                assert!(!search(&key), "seed {seed}: {found:?}");
                illegal += 1;
            }
            verdict => assert!(matches!(verdict, KeyVerdict::Unknown(_)), "{verdict:?}"),
        }
    }
    assert!(illegal > 2_000, "{illegal}");
}

#[test]
fn legal_histories_are_never_flagged_and_their_stale_reads_always_are() {
    for seed in 0..300 {
        let spread = [0, 50, 5_000, 200_000][seed as usize % 4];
        let story = legal(seed, 120, 3, spread);
        let found = linearizability(&keys_of(&story.history), &SCOPE);
        assert_eq!(found.verdict, Linearizable::Ok, "seed {seed}: {found:?}");
        for defect in DEFECTS {
            // The others are not in what reads show.
            let shows = matches!(defect, Defect::Stale | Defect::WentBack | Defect::OwnWriteMissed);
            let planted = plant(&story, defect, &mut Dice::new(seed));
            let Some(history) = planted.filter(|_| shows) else { continue };
            let found = linearizability(&keys_of(&history), &SCOPE);
            assert_eq!(found.verdict, Linearizable::Illegal, "seed {seed} {defect:?}");
            let violation = found.violation.unwrap();
            assert_eq!(violation.facts.len(), 2, "{violation:?}");
        }
    }
}

fn write(id: u64, from: u64, to: u64, version: u64) -> Write {
    let fate = Fate::Acknowledged { at: Nanos::from_millis(to), version };
    Write { id, session: 1, started: Nanos::from_millis(from), fate }
}

fn unknown(id: u64, from: u64) -> Write {
    let started = Nanos::from_millis(from);
    Write { id, session: 1, started, fate: Fate::Indeterminate }
}

fn read(from: u64, to: u64, version: u64) -> Read {
    let (started, ended) = (Nanos::from_millis(from), Nanos::from_millis(to));
    Read { session: 2, started, ended, version }
}

fn check(writes: &[Write], reads: &[Read]) -> Vec<String> {
    let key = Key { writes: writes.to_vec(), reads: reads.to_vec(), read_back: None };
    match check_key(7, &key, &SCOPE) {
        KeyVerdict::Ok => Vec::new(),
        KeyVerdict::Illegal(found) => found.facts,
        KeyVerdict::Unknown(why) => vec![format!("unknown: {why}")],
    }
}

#[test]
fn the_two_answers_that_contradict_each_other_are_named() {
    let first = write(1, 0, 10, 1);
    assert!(check(&[first], &[read(5, 12, 0), read(11, 12, 1)]).is_empty());
    assert_eq!(
        check(&[first], &[read(11, 12, 0)]),
        [
            "write 0000000000000001 was acknowledged as version 1 at 0.010000 s",
            "a read that began at 0.011000 s showed version 0",
        ]
    );
    assert_eq!(
        check(&[first], &[read(2, 4, 1), read(5, 6, 0)]),
        [
            "a read that ended at 0.004000 s showed version 1",
            "a read that began at 0.005000 s showed version 0",
        ]
    );
    assert_eq!(
        check(&[first, write(2, 3, 9, 1)], &[]),
        [
            "write 0000000000000001 was acknowledged as version 1 at 0.010000 s",
            "write 0000000000000002 was acknowledged as version 1 at 0.009000 s",
        ]
    );
    assert_eq!(
        check(&[write(2, 0, 5, 2), write(1, 6, 9, 1)], &[]),
        [
            "write 0000000000000002 was acknowledged as version 2 at 0.005000 s",
            "write 0000000000000001, which became version 1, began at 0.006000 s",
        ]
    );
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never_and_only_once() {
    let first = write(1, 0, 10, 1);
    for reads in [vec![], vec![read(20, 21, 2)], vec![read(20, 21, 1), read(30, 31, 2)]] {
        assert!(check(&[first, unknown(2, 5)], &reads).is_empty(), "{reads:?}");
    }
    assert_eq!(
        check(&[first, unknown(2, 5)], &[read(20, 21, 3)])[1],
        "only 2 writes of the key can have been applied"
    );
    assert_eq!(
        check(&[first, unknown(2, 40)], &[read(20, 21, 2)]),
        [
            "a read that ended at 0.021000 s showed version 2",
            "version 2 is that of a write whose outcome is unknown, of 0000000000000002 at the earliest, \
         which began at 0.040000 s",
        ]
    );
}

#[test]
fn what_cannot_be_known_is_not_called_ok() {
    assert_eq!(check(&[write(1, 0, 10, 0)], &[]), ["unknown: an acknowledgement named no version"]);
    let keys = keys_of(&legal(1, 50, 2, 100).history);
    for (scope, why) in [
        (Scope { is_complete: false, ..SCOPE }, "operations are missing"),
        (Scope { is_fresh: false, ..SCOPE }, "data from before the run"),
    ] {
        let found = linearizability(&keys, &scope);
        assert_eq!((found.verdict, found.unknown), (Linearizable::Unknown, 2));
        assert_eq!(found.why_unknown.keys().collect::<Vec<_>>(), [why]);
    }
    assert_eq!(linearizability(&BTreeMap::new(), &SCOPE).verdict, Linearizable::Unknown);
}
