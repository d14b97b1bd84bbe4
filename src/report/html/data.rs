//! What the charts are drawn from: plain series, by target, under one clock.

use super::lanes::{Lane, lanes};
use crate::analysis::{Comparison, Run, Timeline, merged};
use crate::base::{Histogram, Quantile};
use crate::record::{EventKind, Record};
use serde::Serialize;
use std::collections::BTreeMap;

/// Points of a percentile curve per tenfold of samples.
const POINTS_PER_DECADE: u32 = 40;

#[derive(Debug, Serialize)]
pub struct ChartData {
    targets: Vec<TargetData>,
    phases: Vec<PhaseData>,
    faults: Vec<FaultData>,
    percentiles: Vec<PercentileData>,
    in_time_ms: f64,
    hypothesis: f64,
}

#[derive(Debug, Serialize)]
struct TargetData {
    name: String,
    offered: Vec<u64>,
    answered: Vec<u64>,
    in_time: Vec<Option<f64>>,
    p50_ms: Vec<Option<f64>>,
    p99_ms: Vec<Option<f64>>,
    nodes_up: Vec<Option<u32>>,
    nodes_total: usize,
    /// Used ÷ given, by group of servers.
    cpu: BTreeMap<String, Vec<Option<f64>>>,
    marks: Vec<Mark>,
    lanes: Vec<Lane>,
}

#[derive(Debug, Serialize)]
struct PhaseData {
    name: String,
    start: f64,
    end: f64,
}

#[derive(Debug, Serialize)]
struct FaultData {
    letter: char,
    name: String,
    start: f64,
    end: f64,
}

#[derive(Debug, Serialize)]
struct Mark {
    at: f64,
    text: String,
}

#[derive(Debug, Serialize)]
struct PercentileData {
    phase: String,
    curves: Vec<Curve>,
    /// Targets whose curve would only tell how long the phase was.
    overloaded: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Curve {
    target: usize,
    is_response: bool,
    /// 1 ÷ (1 − quantile).
    x: Vec<f64>,
    ms: Vec<f64>,
}

pub fn chart_data(c: &Comparison, runs: &[Run<'_>]) -> ChartData {
    let plan = &runs[0].record.manifest.plan;
    ChartData {
        targets: runs.iter().zip(&c.targets).map(|(r, name)| target_data(r, name)).collect(),
        phases: (plan.load.phases.iter())
            .map(|p| PhaseData {
                name: p.name.clone(),
                start: p.start.as_secs_f64(),
                end: p.end.as_secs_f64(),
            })
            .collect(),
        faults: fault_bands(runs),
        percentiles: percentiles(c, runs),
        in_time_ms: plan.load.in_time.as_millis_f64(),
        hypothesis: plan.hypothesis_in_time,
    }
}

fn target_data(run: &Run<'_>, name: &str) -> TargetData {
    let record = run.record;
    let timeline = Timeline::of(record);
    let seconds = &timeline.seconds;
    let ms = |ns: Option<u64>| ns.map(|ns| round(ns as f64 / 1e6));
    TargetData {
        name: name.into(),
        offered: seconds.iter().map(|s| s.ledger.planned).collect(),
        answered: seconds.iter().map(|s| s.ledger.ok).collect(),
        in_time: (seconds.iter())
            .map(|s| crate::analysis::share(s.in_time, s.ledger.planned).map(round))
            .collect(),
        p50_ms: seconds.iter().map(|s| ms(s.p50_ns)).collect(),
        p99_ms: seconds.iter().map(|s| ms(s.p99_ns)).collect(),
        nodes_up: nodes_up(record, timeline.end()),
        nodes_total: record.manifest.plan.nodes.len(),
        cpu: cpu_by_group(record, timeline.end()),
        marks: marks(record),
        lanes: lanes(run),
    }
}

/// Four significant digits are plenty for a picture.
fn round(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

fn nodes_up(record: &Record, seconds: u32) -> Vec<Option<u32>> {
    let mut up = vec![None; seconds as usize];
    let own = |name: &str| record.manifest.plan.nodes.iter().any(|n| n.name == name);
    for row in record.nodes.iter().filter(|r| r.second < seconds && own(&r.node)) {
        let slot = up[row.second as usize].get_or_insert(0);
        *slot += u32::from(row.alive);
    }
    up
}

fn cpu_by_group(record: &Record, seconds: u32) -> BTreeMap<String, Vec<Option<f64>>> {
    let servers = &record.manifest.plan.servers;
    let mut used: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for row in record.nodes.iter().filter(|r| r.second < seconds) {
        let slot = used.entry((row.server.as_str(), row.second)).or_default();
        *slot = row.server_cpu_ns.max(*slot);
    }
    let mut groups: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for group in servers.iter().map(|s| &s.group) {
        let members = || servers.iter().filter(|s| s.group == *group);
        let cores: f64 = members().map(|s| s.cores).sum();
        let series = (0..seconds).map(|second| {
            let seen: Vec<u64> =
                members().filter_map(|s| used.get(&(s.name.as_str(), second)).copied()).collect();
            let is_known = !seen.is_empty() && cores > 0.0;
            is_known.then(|| round(seen.iter().sum::<u64>() as f64 / (cores * 1e9)))
        });
        groups.entry(group.clone()).or_insert_with(|| series.collect());
    }
    groups
}

/// New leaders, and members that a balancer or directory stopped or began to trust.
fn marks(record: &Record) -> Vec<Mark> {
    (record.events.iter())
        .filter(|e| e.at_ns > 0)
        .filter_map(|e| {
            let text = match e.kind {
                EventKind::BecameLeader => format!("{} leads", e.subject),
                EventKind::MemberDown => format!("{} sees {} down", e.subject, e.object),
                EventKind::MemberUp => format!("{} sees {} up", e.subject, e.object),
                EventKind::NodeExited => format!("{} exited", e.subject),
                EventKind::NodeReady => format!("{} ready", e.subject),
                _ => return None,
            };
            Some(Mark { at: round(e.at_ns as f64 / 1e9), text })
        })
        .collect()
}

/// In force, as the first run that had the fault saw it; the schedule is the same for all.
fn fault_bands(runs: &[Run<'_>]) -> Vec<FaultData> {
    let names = runs[0].summary.faults.iter().map(|f| &f.name);
    let end = runs[0].record.manifest.plan.load.end().as_secs_f64();
    (names.zip('A'..='Z'))
        .filter_map(|(name, letter)| {
            let seen = runs.iter().flat_map(|r| &r.summary.faults);
            let fault = seen.into_iter().find(|f| f.name == *name && f.injected_at_s.is_some())?;
            let start = fault.injected_at_s?;
            let end = fault.healed_at_s.unwrap_or(end);
            Some(FaultData { letter, name: name.clone(), start, end })
        })
        .collect()
}

fn percentiles(c: &Comparison, runs: &[Run<'_>]) -> Vec<PercentileData> {
    let phases = &runs[0].record.manifest.plan.load.phases;
    (phases.iter().enumerate())
        .filter(|(_, phase)| phase.measured)
        .map(|(index, phase)| {
            let mut data =
                PercentileData { phase: phase.name.clone(), curves: vec![], overloaded: vec![] };
            for (target, run) in runs.iter().enumerate() {
                let seen = run.summary.phases.iter().find(|p| p.name == phase.name);
                if seen.is_some_and(|p| p.is_overloaded) {
                    data.overloaded.push(c.targets[target].clone());
                    continue;
                }
                for is_response in [true, false] {
                    let all = merged(run.record, is_response, |_, p| usize::from(p) == index);
                    data.curves.extend(curve(&all, target, is_response));
                }
            }
            data
        })
        .collect()
}

/// Up to the last quantile that has ten samples above it.
fn curve(histogram: &Histogram, target: usize, is_response: bool) -> Option<Curve> {
    let mut curve = Curve { target, is_response, x: Vec::new(), ms: Vec::new() };
    for step in 0..=(5 * POINTS_PER_DECADE) {
        let x = 10f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE));
        let Some(value) = histogram.quantile(Quantile(1.0 - 1.0 / x)) else { break };
        curve.x.push(round(x));
        curve.ms.push(round(value.as_millis_f64()));
    }
    (curve.x.len() > 1).then_some(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::with_trio;

    #[test]
    fn curves_end_where_samples_end_and_overloaded_ones_are_left_out() {
        with_trio(|c, runs| {
            let data = chart_data(c, runs);
            let peak = data.percentiles.iter().find(|p| p.phase == "peak").unwrap();
            assert_eq!(peak.overloaded, ["garage"]);
            assert_eq!(peak.curves.len(), 4);
            let last = peak.curves[0].x.last().unwrap();
            assert!((70.0..=80.0).contains(last), "800 samples reach 1 − 10/800: {last}");
            let horizontal = &data.targets[2];
            assert_eq!(horizontal.cpu.len(), 5);
            assert_eq!(horizontal.nodes_up[3], Some(11));
            assert_eq!(data.faults[0].letter, 'A');
        });
    }
}
