//! What one trial's record says of each objective: counts, and how much they come in bursts.

use super::objective::{BrokenBy, ShareObjective};
use super::trial::Reading;
use crate::analysis::stats::{Block, burstiness};
use crate::base::Nanos;
use crate::record::{Record, RecordError, SeriesRow, Tag};
use std::collections::BTreeMap;

/// What is back must stay for so long to be called back.
pub(super) const BACK_S: u32 = 5;

/// Each objective over the phases of this name.
///
/// # Errors
/// When the record's latency log cannot be read again.
pub fn readings(
    record: &Record,
    phase: &str,
    objectives: &[ShareObjective],
) -> Result<Vec<Reading>, RecordError> {
    let blocks = blocks(record, phase, objectives)?;
    let all = objectives.iter().zip(blocks);
    Ok(all.map(|(objective, blocks)| reading(objective, blocks.into_values())).collect())
}

/// Seconds after the end of an overload from which all objectives held again, for [`BACK_S`] at
/// once and for the rest of the phase together; `None` when they did not.
///
/// # Errors
/// When the record's latency log cannot be read again.
pub fn recovered_after_s(
    record: &Record,
    phase: &str,
    objectives: &[ShareObjective],
) -> Result<Option<f64>, RecordError> {
    let plan = record.manifest.plan.load.phases.iter().find(|p| p.name == phase);
    let Some(plan) = plan else { return Ok(None) };
    let first = (plan.start.0 / Nanos::SECOND.0) as u32;
    let last = (plan.end.0 / Nanos::SECOND.0) as u32;
    let blocks = blocks(record, phase, objectives)?;
    let holds = |from: u32, to: u32| {
        objectives.iter().zip(&blocks).all(|(objective, blocks)| {
            reading(objective, blocks.range(from..to).map(|(_, b)| *b)).burden() <= 1.0
        })
    };
    let back = (first..=last.saturating_sub(BACK_S))
        .find(|second| holds(*second, second + BACK_S) && holds(*second, u32::MAX));
    Ok(back.map(|second| f64::from(second - first)))
}

fn reading(objective: &ShareObjective, blocks: impl Iterator<Item = Block>) -> Reading {
    let blocks: Vec<Block> = blocks.collect();
    Reading {
        objective: objective.expression.clone(),
        allowed: objective.allowed,
        arrivals: blocks.iter().map(|b| b.arrivals).sum(),
        violations: blocks.iter().map(|b| b.violations).sum(),
        design_effect: burstiness(&blocks).map_or(1.0, |b| b.design_effect.max(1.0)),
    }
}

/// Per objective and second. A late answer counts in the second in which it came, which is as
/// bursty as the one in which it was asked for; everything else in the intended second.
fn blocks(
    record: &Record,
    phase: &str,
    objectives: &[ShareObjective],
) -> Result<Vec<BTreeMap<u32, Block>>, RecordError> {
    let load = &record.manifest.plan.load;
    let mut all = vec![BTreeMap::<u32, Block>::new(); objectives.len()];
    let mut count = |objective: usize, second: u32, arrivals: u64, violations: u64| {
        let block = all[objective].entry(second).or_default();
        block.arrivals += arrivals;
        block.violations += violations;
    };
    for row in record.series.iter().filter(|row| row.phase == phase) {
        for (index, objective) in objectives.iter().enumerate() {
            if objective.request.as_ref().is_none_or(|name| *name == row.request) {
                let (arrivals, violations) = of_row(row, objective.broken_by);
                count(index, row.second, arrivals, violations);
            }
        }
    }
    record.each_interval(&mut |tag, second, histogram| {
        let Tag::Response { request, phase: at } = *tag else { return };
        let request = load.requests.get(usize::from(request)).map(|r| r.name.as_str());
        if load.phases.get(usize::from(at)).is_none_or(|p| p.name != phase) {
            return;
        }
        for (index, objective) in objectives.iter().enumerate() {
            let BrokenBy::Later(limit) = objective.broken_by else { continue };
            if objective.request.as_deref().is_none_or(|name| Some(name) == request) {
                let in_limit = histogram.hdr().count_between(0, limit.0);
                count(index, second, histogram.count(), histogram.count() - in_limit);
            }
        }
    })?;
    Ok(all)
}

/// Arrivals and violations that the counters tell. Those whose time is in a histogram are counted
/// there: answered, timed out, and unanswered at the end.
fn of_row(row: &SeriesRow, broken_by: BrokenBy) -> (u64, u64) {
    match broken_by {
        BrokenBy::Failing => (row.planned, row.planned - row.ok),
        BrokenBy::NotInTime => (row.planned, row.planned - row.in_time),
        BrokenBy::Later(_) => {
            let without_time = row.http_error + row.transport_error + row.never_sent;
            (without_time, without_time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::Builder;
    use crate::base::Histogram;
    use crate::objective::Threshold;
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag as LogTag};
    use std::time::Duration;

    fn objectives(texts: &[&str]) -> Vec<ShareObjective> {
        let read = |text: &&str| ShareObjective::try_from(&text.parse::<Threshold>().unwrap());
        texts.iter().map(read).collect::<Result<_, _>>().unwrap()
    }

    /// 200 answers after 10 ms in each second of the peak; in one of them 20 took 300 ms.
    fn write_log(folder: &std::path::Path) {
        let mut out = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut log =
            IntervalLogWriterBuilder::new().begin_log_with(&mut out, &mut serializer).unwrap();
        for second in 6..10u64 {
            let mut histogram = Histogram::new();
            let late = if second == 8 { 20 } else { 0 };
            histogram.record_n(Nanos::from_millis(10), 200 - late);
            histogram.record_n(Nanos::from_millis(300), late);
            for tag in ["response.feed@peak", "response.feed@quiet", "service.feed@peak"] {
                let tag = Some(LogTag::new(tag).unwrap());
                let at = Duration::from_secs(second);
                log.write_histogram(histogram.hdr(), at, Duration::from_secs(1), tag).unwrap();
            }
        }
        std::fs::write(folder.join("latency.hlog"), out).unwrap();
    }

    #[test]
    fn late_answers_are_counted_in_the_log_and_failures_in_the_series() {
        let folder = tempfile::tempdir().unwrap();
        write_log(folder.path());
        let mut record = Builder::new("vertical").build();
        record.folder = folder.path().into();
        let row = record.series.iter_mut().find(|row| row.phase == "peak").unwrap();
        (row.http_error, row.ok) = (7, row.ok - 7);
        let asked = objectives(&[
            "response_time: p(99)<200ms",
            "response_time{request:feed}: p(99)<400ms",
            "response_time{request:other}: p(99)<400ms",
            "errors: rate<0.01",
        ]);
        let seen = readings(&record, "peak", &asked).unwrap();
        let counts: Vec<(u64, u64)> = seen.iter().map(|r| (r.arrivals, r.violations)).collect();
        assert_eq!(counts, [(807, 27), (807, 7), (0, 0), (800, 7)]);
        assert!(seen.iter().all(|r| r.design_effect >= 1.0));
        assert_eq!(seen[2].share(), 1.0, "no data never holds");
    }

    #[test]
    fn back_is_when_it_holds_and_stays() {
        let asked = objectives(&["errors: rate<0.01"]);
        let after =
            |builder: Builder| recovered_after_s(&builder.build(), "server lost", &asked).unwrap();
        assert_eq!(after(Builder::new("vertical")), Some(0.0));
        assert_eq!(after(Builder::new("vertical").answered(10..14, 0.5)), Some(4.0));
        assert_eq!(after(Builder::new("vertical").answered(10..20, 0.5)), None);
        let relapse = Builder::new("vertical").answered(10..11, 0.5).answered(18..20, 0.5);
        assert_eq!(after(relapse), None, "it held for seconds and then did not");
    }
}
