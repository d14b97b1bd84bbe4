//! Doubts about the record itself: a ledger that does not close, writes that were not looked at,
//! an end that came too early, and what the run noted.

use super::{About, Doubt, Level, doubt};
use crate::analysis::summary::Summary;
use crate::record::{EventKind, Record};

/// The record was not brought to its end.
pub(super) fn unsealed(record: &Record) -> Option<Doubt> {
    let killed = "the record was not sealed: brunt was killed, and counts of the last seconds are \
                  missing";
    let why = record.cut_short.as_deref().or((!record.is_sealed).then_some(killed))?;
    Some(doubt(About::Record, Level::Invalid, why, "run it again and let it come to its end"))
}

/// What was known at the start.
pub(super) fn from_manifest(record: &Record) -> Vec<Doubt> {
    let doubts = record.manifest.doubts.iter();
    doubts.map(|text| doubt(About::Manifest, Level::Doubt, text, "run again without it")).collect()
}

pub(super) fn open_ledger(s: &Summary) -> Option<Doubt> {
    (!s.ledger_run.is_closed()).then(|| {
        doubt(
            About::Ledger,
            Level::Invalid,
            format!(
                "the ledger does not close: {} planned, {} ended",
                s.ledger_run.planned,
                s.ledger_run.ended()
            ),
            "the record is incomplete or brunt has a bug; run again, and report it if it stays",
        )
    })
}

pub(super) fn data_check(s: &Summary) -> Option<Doubt> {
    (s.data.acknowledged > 0 && s.data.lost.is_none()).then(|| {
        doubt(
            About::DataCheck,
            Level::Doubt,
            format!(
                "{} acknowledged writes were not read back: nothing is known about lost data",
                s.data.acknowledged
            ),
            "let the run end, with the target up",
        )
    })
}

/// What was looked at only in part may not pass as "nothing lost".
pub(super) fn partly_checked(s: &Summary) -> Option<Doubt> {
    let d = &s.data;
    let mut seen = Vec::new();
    if d.lost.is_some() && d.unchecked > 0 {
        let (n, all) = (d.unchecked, d.acknowledged);
        seen.push(format!("{n} of {all} acknowledged writes were not read back"));
    }
    if d.not_recorded > 0 {
        seen.push(format!("{} checked operations did not fit brunt's buffers", d.not_recorded));
    }
    (!seen.is_empty()).then(|| {
        doubt(
            About::DataCheck,
            Level::Inconclusive,
            format!("{}: nothing is known about them", seen.join(", and ")),
            "let the run end with the target up, or lower the rate of writes",
        )
    })
}

pub(super) fn from_events(record: &Record) -> Vec<Doubt> {
    let seen = |e: &crate::record::Event| format!("{} {}", e.subject, e.detail).trim().to_string();
    (record.events.iter())
        .filter_map(|e| match e.kind {
            EventKind::HealFailed => Some(doubt(
                About::Heal,
                Level::Doubt,
                format!("healing was incomplete: {}", seen(e)),
                "look with brunt heal",
            )),
            EventKind::GuardTripped => Some(doubt(
                About::Guard,
                Level::Inconclusive,
                format!("a guard ended the run: {}", seen(e)),
                "see the guard's limit in the profile",
            )),
            EventKind::ThresholdLost => Some(doubt(
                About::Lost,
                Level::Doubt,
                format!("a threshold could not be met any more, which ended the run: {}", seen(e)),
                "without --abort-on-fail it goes on to its end",
            )),
            EventKind::Note if e.subject == "doubt" => {
                Some(doubt(About::Manifest, Level::Doubt, &e.detail, "run one brunt at a time"))
            }
            _ => None,
        })
        .collect()
}
