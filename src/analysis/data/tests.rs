//! Small histories by hand; `simulated` has large ones.

use super::*;
use crate::record::OperationKind::{self, *};

const SCOPE: Scope = Scope { is_complete: true, is_fresh: true, reads_leader: true };

fn found(history: &[Operation]) -> DataSummary {
    check(history, &SCOPE).0
}

fn op(kind: OperationKind, key: u64, id: u64, version: u64, from_ms: u64, to_ms: u64) -> Operation {
    let (started, ended) = (Nanos::from_millis(from_ms), Nanos::from_millis(to_ms));
    Operation { kind, session: 1, key, id, version, started, ended }
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
    let data = found(&history);
    assert_eq!((data.acknowledged, data.indeterminate), (3, 1));
    assert_eq!((data.read_back, data.lost, data.unchecked), (Some(1), Some(1), 1));
    assert_eq!((data.duplicated, data.unexpected), (Some(0), Some(0)));
}

#[test]
fn without_read_back_nothing_is_known() {
    let data = found(&[op(Acknowledged, 1, 10, 1, 0, 5)]);
    assert_eq!((data.lost, data.read_back, data.duplicated), (None, None, None));
    assert_eq!(data.stale_reads, None);
}

#[test]
fn duplicates_show_in_the_ids_or_in_the_count() {
    let twice =
        [op(ReadBack, 1, 7, 0, 9, 9), op(ReadBack, 1, 7, 0, 9, 9), op(ReadBackDone, 1, 0, 1, 9, 9)];
    assert_eq!(found(&twice).duplicated, Some(1));
    let counted = [op(ReadBack, 1, 7, 0, 9, 9), op(ReadBackDone, 1, 0, 3, 9, 9)];
    assert_eq!(found(&counted).duplicated, Some(2));
    let refused =
        [op(Failed, 1, 7, 0, 1, 2), op(ReadBack, 1, 7, 0, 9, 9), op(ReadBackDone, 1, 0, 1, 9, 9)];
    assert_eq!(found(&refused).unexpected, Some(1));
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
        assert_eq!(found(&[write, read]).stale_reads, Some(stale), "{read:?}");
    }
    let later_but_lower = op(Acknowledged, 1, 11, 3, 0, 20);
    let read = op(Read, 1, 0, 4, 30, 31);
    assert_eq!(found(&[write, later_but_lower, read]).stale_reads, Some(1));
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
        assert_eq!(found(&history).stale_reads, Some(38));
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
        let data = found(&[newer, read]);
        assert_eq!((data.stale_reads, data.backward_reads), (Some(0), Some(backward)));
    }
}

#[test]
fn a_write_asked_again_is_one_write() {
    let data = found(&[
        op(Failed, 1, 10, 0, 0, 5),
        op(Indeterminate, 1, 10, 0, 6, 9),
        op(Acknowledged, 1, 10, 1, 10, 12),
        op(Indeterminate, 1, 11, 0, 10, 12),
        op(ReadBack, 1, 10, 0, 90, 91),
        op(ReadBackDone, 1, 0, 1, 90, 91),
    ]);
    assert_eq!((data.acknowledged, data.indeterminate), (1, 1));
    assert_eq!((data.lost, data.unexpected, data.recovered), (Some(0), Some(0), Some(0)));
}

#[test]
fn what_nobody_sent_is_unexpected_where_everything_is_known() {
    let history = [op(ReadBack, 1, 10, 0, 90, 91), op(ReadBackDone, 1, 0, 1, 90, 91)];
    for (scope, unexpected) in [
        (SCOPE, 1),
        (Scope { is_fresh: false, ..SCOPE }, 0),
        (Scope { is_complete: false, ..SCOPE }, 0),
    ] {
        assert_eq!(check(&history, &scope).0.unexpected, Some(unexpected), "{scope:?}");
    }
}

#[test]
fn sessions_are_told_apart_from_what_others_saw() {
    let of = |session, op: Operation| Operation { session, ..op };
    let write = op(Acknowledged, 1, 10, 5, 0, 10);
    for (history, own_write, own_read) in [
        (vec![write, op(Read, 1, 0, 4, 11, 12)], 1, 0),
        (vec![write, of(2, op(Read, 1, 0, 4, 11, 12))], 0, 0),
        (vec![op(Read, 1, 0, 5, 1, 2), op(Read, 1, 0, 4, 3, 4)], 0, 1),
        (vec![of(2, op(Read, 1, 0, 5, 1, 2)), op(Read, 1, 0, 4, 3, 4)], 0, 0),
        (vec![op(Read, 1, 0, 5, 1, 2), op(Read, 2, 0, 4, 3, 4)], 0, 0),
    ] {
        let seen = found(&history).sessions.unwrap();
        let violations = (seen.read_your_writes_violations, seen.monotonic_reads_violations);
        assert_eq!(violations, (own_write, own_read), "{history:?}");
    }
    let nobody = [of(0, write), of(0, op(Read, 1, 0, 4, 11, 12))];
    assert_eq!(found(&nobody).sessions, None);
}

/// What may be wrong with data, in one list.
fn wrong(d: &DataSummary) -> [u64; 7] {
    let sessions = d.sessions.unwrap_or_default();
    [
        d.lost.unwrap(),
        d.duplicated.unwrap(),
        d.unexpected.unwrap(),
        d.stale_reads.unwrap_or(0),
        d.backward_reads.unwrap_or(0),
        sessions.read_your_writes_violations,
        sessions.monotonic_reads_violations,
    ]
}

#[test]
fn a_legal_history_is_never_flagged_and_what_is_planted_is_always_found() {
    use simulated::{DEFECTS, Defect, Dice, legal, plant};
    let mut planted = [0; DEFECTS.len()];
    for seed in 0..400 {
        let spread = [0, 50, 5_000, 200_000][seed as usize % 4];
        let story = legal(seed, 150, 4, spread);
        let data = found(&story.history);
        assert_eq!(wrong(&data), [0; 7], "seed {seed}");
        assert_eq!(
            (data.acknowledged, data.indeterminate, data.recovered, data.read_back),
            (
                story.acknowledged,
                story.indeterminate,
                Some(story.recovered),
                Some(story.acknowledged)
            ),
            "seed {seed}"
        );
        for (index, defect) in DEFECTS.into_iter().enumerate() {
            let Some(history) = plant(&story, defect, &mut Dice::new(seed)) else { continue };
            planted[index] += 1;
            let [lost, twice, unexpected, stale, back, own_write, own_read] =
                wrong(&found(&history));
            let seen = match defect {
                Defect::Lost => lost == 1,
                Defect::NamedTwice | Defect::CountedTwice => twice == 1,
                Defect::RefusedYetFound => unexpected == 1 && lost == 0,
                Defect::NeverSent => unexpected == 1,
                Defect::Stale => stale == 1,
                Defect::WentBack => back >= 1 && own_read >= 1,
                Defect::OwnWriteMissed => stale >= 1 && own_write >= 1,
            };
            assert!(seen, "seed {seed} {defect:?}");
        }
    }
    assert!(planted.iter().all(|n| *n > 300), "every defect must have been there: {planted:?}");
}
