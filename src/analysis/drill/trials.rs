//! One drill, many times: where in a heartbeat a fault falls is chance, so a single figure says
//! little. Each figure over all trials, with how many of them had it at all.

use crate::analysis::summary::{FaultSummary, Summary};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trials {
    pub n: u32,
    pub seeds: Vec<u64>,
    pub figures: Vec<Spread>,
}

/// One figure over all trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub fault: String,
    pub name: &'static str,
    pub unit: &'static str,
    /// Trials in which it was seen; it is told of no others.
    pub n: u32,
    pub median: f64,
    pub p95: f64,
    pub max: f64,
    /// In the order of the trials; `None` where it was not seen.
    pub values: Vec<Option<f64>>,
}

type Figure = (&'static str, &'static str, fn(&FaultSummary, &Summary) -> Option<f64>);

const FIGURES: [Figure; 9] = [
    ("noticed after", "s", |f, _| f.detected_after_s),
    ("new leader after", "s", |f, _| f.failed_over_after_s),
    ("writes out", "s", |f, _| f.write_outage.map(|o| o.longest_s)),
    ("reads out", "s", |f, _| f.read_outage.map(|o| o.longest_s)),
    ("in time again after", "s", |f, _| f.recovery_time_s),
    ("in time again after the heal", "s", |f, _| f.recovery_after_heal_s),
    ("requests failed", "", |f, _| Some(f.failed_requests as f64)),
    ("requests late", "", |f, _| Some(f.not_in_time.saturating_sub(f.failed_requests) as f64)),
    ("writes lost", "", |_, s| s.data.lost.map(|n| n as f64)),
];

/// Figures of faults that were injected in at least one of the runs, in the order of the plan.
pub fn trials<'a>(runs: impl Iterator<Item = &'a Summary>) -> Trials {
    let runs: Vec<&Summary> = runs.collect();
    let names = runs.first().map_or(Vec::new(), |s| s.faults.iter().map(|f| &f.name).collect());
    let spreads = names.into_iter().flat_map(|fault| {
        let seen = |run: &Summary| {
            run.faults.iter().find(|f| f.name == *fault && f.skipped.is_none()).cloned()
        };
        let faults: Vec<Option<FaultSummary>> = runs.iter().map(|run| seen(run)).collect();
        let spread = |(name, unit, figure): &Figure| {
            let values: Vec<Option<f64>> = faults
                .iter()
                .zip(&runs)
                .map(|(fault, run)| fault.as_ref().and_then(|f| figure(f, run)))
                .collect();
            spread(fault, name, unit, values)
        };
        FIGURES.iter().filter_map(spread).collect::<Vec<_>>()
    });
    Trials {
        n: runs.len() as u32,
        seeds: runs.iter().map(|s| s.seed).collect(),
        figures: spreads.collect(),
    }
}

fn spread(
    fault: &str,
    name: &'static str,
    unit: &'static str,
    values: Vec<Option<f64>>,
) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let max = *sorted.last()?;
    Some(Spread {
        fault: fault.into(),
        name,
        unit,
        n: sorted.len() as u32,
        median: quantile(&sorted, 0.5),
        p95: quantile(&sorted, 0.95),
        max,
        values,
    })
}

/// The smallest value that at least this share of them do not exceed (nearest rank): one that was
/// measured, never one between two.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::Builder;

    #[test]
    fn quantiles_are_measured_values() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.95)), (10.0, 19.0));
        assert_eq!((quantile(&values[..1], 0.5), quantile(&values[..1], 0.95)), (1.0, 1.0));
        assert_eq!((quantile(&values[..2], 0.5), quantile(&values[..2], 0.95)), (1.0, 2.0));
    }

    #[test]
    fn what_was_not_seen_is_told_of_and_not_counted() {
        let leader =
            |after| summarise(&Builder::new("horizontal").leader_killed_at(10.0, after).build());
        let mut runs: Vec<Summary> = [0.8, 0.2, 0.4].map(leader).to_vec();
        runs[1].faults[0].failed_over_after_s = None;
        let found = trials(runs.iter());
        let figure = found.figures.iter().find(|f| f.name == "new leader after").unwrap();
        assert_eq!((figure.n, figure.median, figure.max), (2, 0.4, 0.8));
        assert_eq!(figure.values, [Some(0.8), None, Some(0.4)]);
        assert!(found.figures.iter().all(|f| f.name != "noticed after"), "{found:?}");
        assert_eq!(found.n, 3);
    }
}
