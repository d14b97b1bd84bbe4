//! How many requests broke a threshold, second by second: what its confidence rests on.

use super::stats::Block;
use super::summarise::merged;
use crate::base::Nanos;
use crate::objective::{Aggregation, Metric, Threshold};
use crate::record::{Record, RecordError, SeriesRow, Tag};
use std::collections::BTreeMap;

/// Of each threshold that allows a share of the requests to break it; `None` for the others.
/// Errors and lateness count in the second of the intended start, response times in the second in
/// which they were known. What failed, at any speed, broke a limit of the response time too.
///
/// # Errors
/// When the record's latency log cannot be read.
pub fn broken_by_second(
    record: &Record,
    thresholds: &[Threshold],
) -> Result<Vec<Option<Vec<Block>>>, RecordError> {
    let mut counted: Vec<Option<Counted<'_>>> =
        thresholds.iter().map(|t| Counted::of(t, record)).collect();
    let needs_times = |c: &Option<Counted<'_>>| c.as_ref().is_some_and(|c| c.limit.is_some());
    if counted.iter().any(needs_times) {
        record.each_interval(&mut |tag, second, histogram| {
            for counted in counted.iter_mut().flatten() {
                let Some(limit) = counted.limit.filter(|_| counted.wants(tag)) else { continue };
                counted.add(second, histogram.count(), histogram.count_above(limit));
            }
        })?;
    }
    let finish = |counted: Option<Counted<'_>>| counted.map(Counted::blocks);
    Ok(counted.into_iter().map(finish).collect())
}

/// A threshold and what broke it so far.
struct Counted<'a> {
    record: &'a Record,
    threshold: &'a Threshold,
    /// Of times.
    limit: Option<Nanos>,
    seconds: BTreeMap<u32, Block>,
    timed: u64,
}

impl<'a> Counted<'a> {
    fn of(threshold: &'a Threshold, record: &'a Record) -> Option<Counted<'a>> {
        threshold.allowed_share()?;
        let is_quantile = matches!(threshold.aggregation, Aggregation::Quantile(_));
        let limit = is_quantile.then_some(Nanos(threshold.limit.max(0.0) as u64));
        let mut counted = Counted { record, threshold, limit, seconds: BTreeMap::new(), timed: 0 };
        if limit.is_none() {
            counted.add_rows(|row| match threshold.metric {
                Metric::InTime => (row.planned, row.planned - row.in_time),
                _ => (row.planned, row.planned - row.ok),
            });
        }
        Some(counted)
    }

    fn add(&mut self, second: u32, arrivals: u64, violations: u64) {
        let block = self.seconds.entry(second).or_default();
        block.arrivals += arrivals;
        block.violations += violations;
        self.timed += arrivals;
    }

    fn add_rows(&mut self, counts: impl Fn(&SeriesRow) -> (u64, u64)) {
        for row in &self.record.series {
            if self.has(&row.request, &row.phase) {
                let (arrivals, violations) = counts(row);
                self.add(row.second, arrivals, violations);
            }
        }
    }

    /// Whether it is about requests of this name in this phase.
    fn has(&self, request: &str, phase: &str) -> bool {
        let phases = &self.record.manifest.plan.load.phases;
        let is_measured = phases.iter().any(|p| p.name == phase && p.measured);
        let scope = &self.threshold.scope;
        scope.has_request(request) && scope.has_phase(phase, is_measured)
    }

    fn wants(&self, tag: &Tag) -> bool {
        let (request, phase) = match (self.threshold.metric, tag) {
            (Metric::ResponseTime, Tag::Response { request, phase })
            | (Metric::ServiceTime, Tag::Service { request, phase }) => (*request, *phase),
            _ => return false,
        };
        self.is_of(request, phase)
    }

    fn is_of(&self, request: u16, phase: u16) -> bool {
        let load = &self.record.manifest.plan.load;
        let request = load.requests.get(usize::from(request));
        let phase = load.phases.get(usize::from(phase));
        request.zip(phase).is_some_and(|(r, p)| self.has(&r.name, &p.name))
    }

    fn blocks(mut self) -> Vec<Block> {
        if let Some(limit) = self.limit {
            self.add_times_without_seconds(limit);
        }
        if self.threshold.metric == Metric::ResponseTime {
            self.add_failures();
        }
        self.seconds.into_values().filter(|block| block.arrivals > 0).collect()
    }

    /// Where the log holds less than the record, nothing is known of when: all at one time.
    fn add_times_without_seconds(&mut self, limit: Nanos) {
        let is_response = self.threshold.metric == Metric::ResponseTime;
        let all = merged(self.record, is_response, |request, phase| self.is_of(request, phase));
        if self.timed < all.count() {
            self.seconds.clear();
            self.timed = 0;
            self.add(0, all.count(), all.count_above(limit));
        }
    }

    /// What has no response time: errors, and what was never sent for another reason than the end of
    /// the run, which counts with its lower bound.
    fn add_failures(&mut self) {
        let timed = self.timed;
        let rows = self.record.series.iter().filter(|r| self.has(&r.request, &r.phase));
        let (planned, errors) = rows.fold((0, 0), |(planned, errors), row| {
            (planned + row.planned, errors + row.http_error + row.transport_error)
        });
        let has_unsent = timed + errors < planned;
        self.add_rows(|row| {
            let unsent = if has_unsent { row.never_sent } else { 0 };
            let failed = row.http_error + row.transport_error + unsent;
            (failed, failed)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, power_off_story};

    fn blocks(record: &Record, text: &str) -> Option<Vec<Block>> {
        broken_by_second(record, &[text.parse().unwrap()]).unwrap().remove(0)
    }

    fn sums(record: &Record, text: &str) -> (usize, u64, u64) {
        let blocks = blocks(record, text).unwrap();
        let violations = blocks.iter().map(|b| b.violations).sum();
        (blocks.len(), blocks.iter().map(|b| b.arrivals).sum(), violations)
    }

    #[test]
    fn rates_are_counted_by_their_intended_second() {
        let record = Builder::new("vertical").answered(6..8, 0.5).share(12..13, 0.25).build();
        let (seconds, planned) = (18, 4 * 40 + 14 * 200);
        assert_eq!(sums(&record, "errors: rate<0.01"), (seconds, planned, 200));
        assert_eq!(sums(&record, "in_time: rate>0.99"), (seconds, planned, 200 + 150));
        assert_eq!(sums(&record, "errors{phase:peak}: rate<0.01"), (4, 800, 200));
        assert_eq!(sums(&record, "errors{request:feed}: rate<0.01"), (seconds, planned, 200));
        assert_eq!(blocks(&record, "throughput: rate>1"), None);
        assert_eq!(blocks(&record, "errors: rate<=0"), None);
    }

    #[test]
    fn failures_break_a_limit_of_times_as_late_answers_do() {
        let record = Builder::new("vertical").build();
        let (_, requests, late) = sums(&record, "response_time: p(99)<10s");
        assert_eq!((requests, late), (4 * 40 + 14 * 200, 0));
        let (_, _, late) = sums(&record, "response_time: p(99)<1ns");
        assert_eq!(late, requests);
        let failing = power_off_story().build();
        let errors: u64 = failing
            .series
            .iter()
            .filter(|r| r.phase != "warm-up")
            .map(|r| r.http_error + r.transport_error)
            .sum();
        assert_eq!(sums(&failing, "response_time: p(99)<1h").2, errors);
    }
}
