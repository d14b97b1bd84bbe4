//! Snapshots and events → what a watcher sees.

use super::watch::Progress;
use crate::base::{Histogram, Nanos, Quantile};
use crate::plan::Plan;
use crate::record::{Event, EventKind, Snapshot, Tag};
use std::collections::{BTreeMap, BTreeSet};

/// Collects what happened in each second, keeps the last complete one.
pub(super) struct Tally {
    workers: u32,
    pending: BTreeMap<u32, Second>,
    shown: Second,
    /// Over the whole run.
    ended: u64,
    in_flight: BTreeMap<u32, u32>,
    in_force: Vec<String>,
    down: BTreeSet<String>,
}

#[derive(Default)]
struct Second {
    reports: u32,
    planned: u64,
    ended: u64,
    ok: u64,
    in_time: u64,
    response: Option<Histogram>,
}

impl Tally {
    pub fn new(workers: u32) -> Self {
        Tally {
            workers,
            pending: BTreeMap::new(),
            shown: Second::default(),
            ended: 0,
            in_flight: BTreeMap::new(),
            in_force: Vec::new(),
            down: BTreeSet::new(),
        }
    }

    pub fn snapshot(&mut self, snapshot: &Snapshot) {
        self.in_flight.insert(snapshot.worker, snapshot.in_flight + snapshot.waiting);
        let index = (snapshot.at.0 / Nanos::SECOND.0) as u32;
        let second = self.pending.entry(index).or_default();
        second.reports += 1;
        for cell in &snapshot.cells {
            second.planned += cell.ledger.planned;
            second.ended += cell.ledger.ended();
            self.ended += cell.ledger.ended();
            second.ok += cell.ledger.ok;
            second.in_time += cell.in_time;
        }
        for (tag, histogram) in &snapshot.histograms {
            if matches!(tag, Tag::Response { .. }) {
                second.response.get_or_insert_default().merge(histogram);
            }
        }
        if second.reports >= self.workers {
            self.shown = self.pending.remove(&index).unwrap_or_default();
            self.pending.retain(|i, _| *i > index);
        }
    }

    pub fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::FaultInjected => self.in_force.push(event.subject.clone()),
            EventKind::FaultHealed | EventKind::HealFailed => {
                self.in_force.retain(|f| *f != event.subject);
            }
            EventKind::NodeExited => drop(self.down.insert(event.subject.clone())),
            EventKind::NodeReady => drop(self.down.remove(&event.subject)),
            _ => {}
        }
    }

    pub fn progress(&self, plan: &Plan, elapsed: Nanos) -> Progress {
        let load = &plan.load;
        let shown = &self.shown;
        Progress {
            target: plan.target.clone(),
            profile: plan.profile.clone(),
            phase: match elapsed < load.end() {
                true => load.phases[load.phase_at(elapsed)].name.clone(),
                false => "drain".to_string(),
            },
            elapsed,
            total: load.end(),
            requests: load.requests_max.map(|most| (self.ended, most)),
            offered_per_s: shown.planned as f64,
            completed_per_s: shown.ok as f64,
            in_time_share: (shown.ended > 0).then(|| shown.in_time as f64 / shown.ended as f64),
            p99: shown.response.as_ref().and_then(|h| h.quantile(Quantile(0.99)).or(h.max())),
            nodes_up: plan.nodes.len() - self.down.len(),
            nodes_total: plan.nodes.len(),
            faults_in_force: self.in_force.clone(),
            in_flight: self.in_flight.values().sum(),
        }
    }
}
