//! What the charts are drawn from: plain series, by target, under one clock.

use super::bins::{Bins, mean};
use super::lanes::{Lane, lanes};
use super::letters::letter;
use super::nodes::{self, NodesData};
use crate::analysis::{Comparison, Run, Second, Timeline, merged, share};
use crate::base::{Histogram, Nanos, Quantile};
use crate::record::{EventKind, Heat, Record};
use serde::Serialize;

/// Points of a percentile curve per tenfold of samples.
const POINTS_PER_DECADE: u32 = 40;
/// Columns of a heat map that a screen can tell apart.
const HEAT_COLUMNS_MAX: u32 = 240;

#[derive(Debug, Serialize)]
pub struct ChartData {
    /// Seconds to a point of the timelines.
    pub step: u32,
    /// Where they end: with the longest run.
    end_s: f64,
    targets: Vec<TargetData>,
    phases: Vec<PhaseData>,
    faults: Vec<FaultData>,
    percentiles: Vec<PercentileData>,
    in_time_ms: f64,
    hypothesis: f64,
    /// Whether all targets were asked for the same, so that one area shows it.
    pub is_asked_once: bool,
}

#[derive(Debug, Serialize)]
struct TargetData {
    name: String,
    /// Per second, like all counts here.
    offered: Vec<f64>,
    answered: Vec<f64>,
    wrong: Vec<f64>,
    in_time: Vec<Option<f64>>,
    p50_ms: Vec<Option<f64>>,
    p99_ms: Vec<Option<f64>>,
    max_ms: Vec<Option<f64>>,
    nodes_total: usize,
    #[serde(flatten)]
    nodes: NodesData,
    marks: Vec<Mark>,
    lanes: Vec<Lane>,
    #[serde(skip)]
    lanes_left_out: usize,
    heat: HeatData,
}

/// Answers per second, by time of completion and by cell of response time.
#[derive(Debug, PartialEq, Serialize)]
struct HeatData {
    /// Seconds to a column.
    step: u32,
    /// The lower edge of each row, in milliseconds, and of the row above the last.
    edges_ms: Vec<f64>,
    rows: Vec<Vec<f64>>,
}

#[derive(Debug, Serialize)]
struct PhaseData {
    name: String,
    start: f64,
    end: f64,
}

#[derive(Debug, Serialize)]
struct FaultData {
    letter: String,
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
    /// From the last of these on, to the slowest answer: what fewer than ten samples say.
    beyond_x: Vec<f64>,
    beyond_ms: Vec<f64>,
}

impl ChartData {
    /// Whether there is anything to draw in the chart of this name.
    pub fn has(&self, chart: &str) -> bool {
        let any = |drawn: fn(&TargetData) -> bool| self.targets.iter().any(drawn);
        match chart {
            "lanes" => any(|t| !t.lanes.is_empty()),
            "heat" => any(|t| !t.heat.rows.is_empty()),
            "nodes" => any(|t| t.nodes_total > 0),
            "cpu" | "node-cpu" | "hits" | "lag" => self.targets.iter().any(|t| t.nodes.has(chart)),
            _ => true,
        }
    }

    /// Of the targets together.
    pub fn lanes_left_out(&self) -> usize {
        self.targets.iter().map(|t| t.lanes_left_out).sum()
    }
}

pub fn chart_data(c: &Comparison, runs: &[Run<'_>]) -> ChartData {
    let plan = &runs[0].record.manifest.plan;
    let end = runs.iter().map(|r| r.record.load_end()).max().unwrap_or_default();
    let timelines: Vec<Timeline> = runs.iter().map(|r| Timeline::of(r.record)).collect();
    let longest = timelines.iter().map(Timeline::end).max().unwrap_or(0);
    let step = Bins::of(longest).step;
    ChartData {
        step,
        end_s: end.as_secs_f64().ceil().max(1.0),
        targets: (runs.iter().zip(&timelines).zip(&c.targets))
            .map(|((r, timeline), name)| target_data(r, timeline, step, name))
            .collect(),
        phases: (plan.load.phases.iter().filter(|p| p.start < end))
            .map(|p| PhaseData {
                name: p.name.clone(),
                start: p.start.as_secs_f64(),
                end: p.end.min(end).as_secs_f64(),
            })
            .collect(),
        faults: fault_bands(runs),
        percentiles: percentiles(c, runs, end),
        in_time_ms: plan.load.in_time.as_millis_f64(),
        hypothesis: plan.hypothesis_in_time,
        is_asked_once: are_asked_the_same(&timelines),
    }
}

/// Whether no second of one run was asked for more than the same second of another, but for chance:
/// five standard deviations of two Poisson counts. What only the longer run has is not compared.
fn are_asked_the_same(timelines: &[Timeline]) -> bool {
    let Some((first, rest)) = timelines.split_first() else { return true };
    rest.iter().all(|other| {
        first.seconds.iter().zip(&other.seconds).all(|(a, b)| {
            let (a, b) = (a.ledger.planned as f64, b.ledger.planned as f64);
            (a - b).abs() <= 5.0 * (a + b).sqrt()
        })
    })
}

fn target_data(run: &Run<'_>, timeline: &Timeline, step: u32, name: &str) -> TargetData {
    let record = run.record;
    let seconds = &timeline.seconds;
    let bins = Bins::every(timeline.end(), step);
    let per_second = |count: fn(&Second) -> u64| {
        bins.each(seconds, |part| {
            round(mean(part.iter().map(|s| count(s) as f64)).unwrap_or_default())
        })
    };
    let worst = |of: fn(&Second) -> Option<u64>| {
        bins.each(seconds, |part| part.iter().filter_map(of).max().map(ms))
    };
    let longest = longest(record, timeline.end());
    let (lanes, lanes_left_out) = lanes(run);
    TargetData {
        name: name.into(),
        offered: per_second(|s| s.ledger.planned),
        answered: per_second(|s| s.ledger.ok),
        wrong: per_second(|s| s.ledger.planned - s.ledger.ok.min(s.ledger.planned)),
        in_time: bins.each(seconds, |part| {
            let sum = |of: fn(&Second) -> u64| part.iter().map(of).sum();
            share(sum(|s| s.in_time), sum(|s| s.ledger.planned)).map(round)
        }),
        p50_ms: worst(|s| s.p50_ns),
        p99_ms: worst(|s| s.p99_ns),
        max_ms: bins.each(&longest, |part| part.iter().flatten().max().map(|ns| ms(*ns))),
        nodes_total: record.manifest.plan.nodes.len(),
        nodes: nodes::nodes_data(record, bins),
        marks: marks(record),
        lanes,
        lanes_left_out,
        heat: heat(&record.heat, timeline.end()),
    }
}

fn ms(ns: u64) -> f64 {
    round(ns as f64 / 1e6)
}

/// The slowest answer of each second.
fn longest(record: &Record, seconds: u32) -> Vec<Option<u64>> {
    let mut all = vec![None; seconds as usize];
    for row in &record.series {
        let slot = &mut all[row.second as usize];
        *slot = (*slot).max(row.max_ns);
    }
    all
}

fn heat(heat: &Heat, seconds: u32) -> HeatData {
    let bins = Bins::with_at_most(seconds, HEAT_COLUMNS_MAX);
    let cells = || heat.seconds.values().flat_map(|cells| cells.keys().copied());
    let (Some(first), Some(last)) = (cells().min(), cells().max()) else {
        return HeatData { step: bins.step, edges_ms: Vec::new(), rows: Vec::new() };
    };
    let mut counts = vec![vec![0u64; bins.count()]; (last - first + 1) as usize];
    for (second, cells) in &heat.seconds {
        // What completed after the load was meant to start before its end.
        let column = bins.index(*second).unwrap_or(bins.count().saturating_sub(1));
        for (cell, n) in cells {
            if let Some(count) = counts[(cell - first) as usize].get_mut(column) {
                *count += n;
            }
        }
    }
    let per_second = |n: &u64| round(*n as f64 / f64::from(bins.step));
    HeatData {
        step: bins.step,
        edges_ms: (first..=last + 1).map(|cell| round(Heat::lower_ns(cell) / 1e6)).collect(),
        rows: counts.iter().map(|row| row.iter().map(per_second).collect()).collect(),
    }
}

/// Four significant digits are plenty for a picture.
pub fn round(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
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
    (names.enumerate())
        .filter_map(|(index, name)| {
            runs.iter().find_map(|run| {
                let fault = run.summary.faults.iter().find(|f| f.name == *name)?;
                let start = fault.injected_at_s?;
                let end = fault.healed_at_s.unwrap_or(run.record.load_end().as_secs_f64());
                Some(FaultData { letter: letter(index), name: name.clone(), start, end })
            })
        })
        .collect()
}

fn percentiles(c: &Comparison, runs: &[Run<'_>], end: Nanos) -> Vec<PercentileData> {
    let phases = &runs[0].record.manifest.plan.load.phases;
    (phases.iter().enumerate())
        .filter(|(_, phase)| phase.measured && phase.start < end)
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

/// Up to the last quantile that has ten samples above it, and apart from that to the slowest.
fn curve(histogram: &Histogram, target: usize, is_response: bool) -> Option<Curve> {
    let all = histogram.count() as f64;
    let mut curve = Curve {
        target,
        is_response,
        x: Vec::new(),
        ms: Vec::new(),
        beyond_x: Vec::new(),
        beyond_ms: Vec::new(),
    };
    for step in 0..=(8 * POINTS_PER_DECADE) {
        let x = 10f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE));
        let quantile = 1.0 - 1.0 / x;
        if let Some(value) = histogram.quantile(Quantile(quantile)) {
            curve.x.push(round(x));
            curve.ms.push(round(value.as_millis_f64()));
        } else if x < all {
            curve.beyond_x.push(round(x));
            curve.beyond_ms.push(ms(histogram.hdr().value_at_quantile(quantile)));
        }
    }
    if let (Some(x), Some(last)) = (curve.x.last(), curve.ms.last()) {
        curve.beyond_x.insert(0, *x);
        curve.beyond_ms.insert(0, *last);
        curve.beyond_x.push(round(all));
        curve.beyond_ms.push(ms(histogram.hdr().max()));
    }
    (curve.x.len() > 1).then_some(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, planned_for_a_day, power_off_story, with_trio};
    use crate::analysis::{compare, summarise};

    #[test]
    fn curves_end_where_samples_end_and_overloaded_ones_are_left_out() {
        with_trio(|c, runs| {
            let data = chart_data(c, runs);
            let peak = data.percentiles.iter().find(|p| p.phase == "peak").unwrap();
            assert_eq!(peak.overloaded, ["garage"]);
            assert_eq!(peak.curves.len(), 4);
            let last = peak.curves[0].x.last().unwrap();
            assert!((70.0..=80.0).contains(last), "800 samples reach 1 − 10/800: {last}");
            let grey = &peak.curves[0].beyond_x;
            assert_eq!((grey[0], grey.last()), (*last, Some(&800.0)));
            assert_eq!((data.step, data.targets[2].offered.len()), (1, 20));
            assert_eq!((data.faults[0].letter.as_str(), data.end_s), ("A", 20.0));
        });
    }

    /// `brunt load -n` plans a day, in whose one pixel the whole run would be.
    #[test]
    fn the_clock_ends_with_the_run_not_with_its_plan() {
        let record = planned_for_a_day(power_off_story().build());
        let summary = summarise(&record);
        let run = [Run { record: &record, summary: &summary }];
        let data = chart_data(&compare(&run), &run);
        assert_eq!((data.end_s, data.phases.last().unwrap().end), (20.0, 20.0));
        assert!(data.targets[0].lanes.iter().flat_map(|l| &l.bars).all(|b| b.end <= 20.0));
        let mut cut = record.clone();
        cut.ended = Nanos::from_secs(8);
        let summaries = [summarise(&cut), summary.clone()];
        let both = [&cut, &record].into_iter().zip(&summaries);
        let both: Vec<Run<'_>> = both.map(|(record, summary)| Run { record, summary }).collect();
        assert_eq!(chart_data(&compare(&both), &both).end_s, 20.0, "the longest run's");
    }

    #[test]
    fn one_area_shows_what_was_asked_only_where_it_was_the_same() {
        let asked = |factor: u64| {
            let mut record = Builder::new("vertical").build();
            record.series.iter_mut().for_each(|row| row.planned = row.planned * factor / 10);
            Timeline::of(&record)
        };
        assert!(are_asked_the_same(&[asked(10)]));
        assert!(are_asked_the_same(&[asked(10), asked(11)]), "by chance");
        assert!(!are_asked_the_same(&[asked(10), asked(10), asked(20)]));
    }

    #[test]
    fn a_heat_map_loses_no_answer() {
        let mut seen = Heat::default();
        for second in 0..1000 {
            seen.seconds.insert(second, [(48, 3), (60, 1)].into());
        }
        // Answered after the load.
        seen.seconds.insert(1003, [(72, 6)].into());
        let drawn = heat(&seen, 1000);
        assert_eq!((drawn.step, drawn.rows.len(), drawn.rows[0].len()), (5, 25, 200));
        assert_eq!(drawn.edges_ms.len(), 26);
        assert_eq!(drawn.rows[0][0], 3.0);
        let answers: f64 = drawn.rows.iter().flatten().map(|n| n * 5.0).sum();
        assert!((answers - 4006.0).abs() < 1.0, "{answers}");
        assert_eq!(heat(&Heat::default(), 10).rows.len(), 0);
    }
}
