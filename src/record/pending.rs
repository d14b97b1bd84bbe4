//! What the recorder has been told and cannot write yet: seconds that can still change.

use super::{Cell, SeriesRow, Snapshot, Tag};
use crate::base::{Histogram, Nanos, Quantile};
use crate::plan::LoadPlan;
use std::collections::BTreeMap;

/// A second's share of the response times, as `series.csv` shows it.
#[derive(Clone, Copy, Debug, Default)]
struct Digest {
    p50: Option<Nanos>,
    p90: Option<Nanos>,
    p99: Option<Nanos>,
    max: Option<Nanos>,
}

/// Intervals of the latency log whose snapshots have not all come.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    open: BTreeMap<u32, BTreeMap<Tag, Histogram>>,
    /// Intervals before this one have been written.
    written: u32,
}

impl Intervals {
    /// Adds a histogram to an interval; one that came too late goes into the earliest open one, so
    /// that no count is lost and the log stays in order.
    pub fn add(&mut self, second: u32, tag: Tag, histogram: &Histogram) {
        if histogram.is_empty() {
            return;
        }
        let second = second.max(self.written);
        self.open.entry(second).or_default().entry(tag).or_default().merge(histogram);
    }

    /// Takes the earliest interval before `limit`.
    pub fn take_before(&mut self, limit: u32) -> Option<(u32, BTreeMap<Tag, Histogram>)> {
        let second = *self.open.keys().next().filter(|second| **second < limit)?;
        self.written = second + 1;
        self.open.remove(&second).map(|tags| (second, tags))
    }
}

/// Rows of `series.csv` whose requests have not all ended.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    cells: BTreeMap<(u32, u16, u16), Cell>,
    digests: BTreeMap<(u32, u16, u16), Digest>,
    /// By second and worker.
    in_flight: BTreeMap<u32, BTreeMap<u32, u32>>,
}

impl Seconds {
    pub fn add(&mut self, second: u32, snapshot: &Snapshot) {
        for cell in &snapshot.cells {
            let key = (cell.second, cell.phase, cell.request);
            let Cell { second, phase, request, .. } = *cell;
            let sum =
                self.cells.entry(key).or_insert(Cell { second, phase, request, ..Cell::default() });
            sum.ledger.add(&cell.ledger);
            sum.sent += cell.sent;
            sum.in_time += cell.in_time;
            sum.retried += cell.retried;
            sum.repeated += cell.repeated;
        }
        let in_flight = self.in_flight.entry(second).or_default();
        in_flight.insert(snapshot.worker, snapshot.in_flight);
    }

    pub fn digest(&mut self, second: u32, tag: &Tag, histogram: &Histogram) {
        let Tag::Response { request, phase } = *tag else { return };
        let digest = Digest {
            p50: histogram.quantile(Quantile(0.5)),
            p90: histogram.quantile(Quantile(0.9)),
            p99: histogram.quantile(Quantile(0.99)),
            max: histogram.max(),
        };
        self.digests.insert((second, phase, request), digest);
    }

    /// Takes the rows of the seconds before `limit`, in order.
    pub fn take_before(&mut self, limit: u32, load: &LoadPlan) -> Vec<SeriesRow> {
        let later_cells = self.cells.split_off(&(limit, 0, 0));
        let cells = std::mem::replace(&mut self.cells, later_cells);
        let later_digests = self.digests.split_off(&(limit, 0, 0));
        let digests = std::mem::replace(&mut self.digests, later_digests);
        let later_in_flight = self.in_flight.split_off(&limit);
        let in_flight = std::mem::replace(&mut self.in_flight, later_in_flight);
        let mut keys: Vec<_> = cells.keys().chain(digests.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .map(|key| {
                let cell = cells.get(&key).copied().unwrap_or_default();
                let digest = digests.get(&key).copied().unwrap_or_default();
                let flying = in_flight.get(&key.0).map_or(0, |workers| workers.values().sum());
                row(key, &cell, digest, flying, load)
            })
            .collect()
    }
}

fn row(
    (second, phase, request): (u32, u16, u16),
    cell: &Cell,
    digest: Digest,
    in_flight: u32,
    load: &LoadPlan,
) -> SeriesRow {
    let name = |name: Option<&String>| name.cloned().unwrap_or_default();
    let ledger = cell.ledger;
    SeriesRow {
        second,
        phase: name(load.phases.get(usize::from(phase)).map(|p| &p.name)),
        request: name(load.requests.get(usize::from(request)).map(|r| &r.name)),
        planned: ledger.planned,
        sent: cell.sent,
        ok: ledger.ok,
        http_error: ledger.http_error,
        transport_error: ledger.transport_error,
        timeout: ledger.timeout,
        unfinished: ledger.unfinished,
        never_sent: ledger.never_sent,
        in_time: cell.in_time,
        retried: cell.retried,
        repeated: cell.repeated,
        in_flight,
        p50_ns: digest.p50.map(|n| n.0),
        p90_ns: digest.p90.map(|n| n.0),
        p99_ns: digest.p99.map(|n| n.0),
        max_ns: digest.max.map(|n| n.0),
    }
}
