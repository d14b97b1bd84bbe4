//! What calm phases tell: who drowns, who is faster, who carries more.

use super::{
    CLAIM_RATIO, Finding, Say, Topic, are_counts_apart, ranked, ratio, sentence, why_slow,
};
use crate::analysis::comparison::cell::{count_text, percent};
use crate::analysis::comparison::rows::{common_quantile, phase_of, phases_to_show};
use crate::analysis::comparison::same_cpu_groups;
use crate::analysis::summary::PhaseSummary;
use crate::base::Nanos;

/// Shares in time must be apart by this much, and by three standard deviations of the counts.
/// Late requests come in bunches: one stall of half a second in a phase of ten is one event, and
/// makes 5 % late.
const SHARE_APART: f64 = 0.05;

impl Say<'_> {
    /// A target that drowns in a calm phase, or shares that are clearly apart.
    pub(super) fn in_time(&self, phase: &str) -> Vec<Finding> {
        let at = |i: usize| phase_of(&self.runs[i], phase);
        let values = self.values(|r| phase_of(r, phase).and_then(PhaseSummary::in_time_share));
        let mut ranked = ranked(&values);
        ranked.reverse();
        let (Some((best, _)), Some((worst, _))) = (ranked.first(), ranked.last()) else {
            return Vec::new();
        };
        let is_apart = at(*best).zip(at(*worst)).is_some_and(|(b, w)| is_share_apart(b, w));
        let drowned: Vec<usize> =
            (0..self.runs.len()).filter(|i| at(*i).is_some_and(|p| p.is_overloaded)).collect();
        if drowned.is_empty() && !is_apart {
            return Vec::new();
        }
        let mut findings: Vec<Finding> =
            drowned.iter().filter_map(|i| self.drowned(*i, phase, &values, is_apart)).collect();
        if drowned.is_empty() {
            let why = at(*worst).map(|p| why_slow(p.busiest.as_ref()));
            let list = self.list(&ranked, percent);
            findings.push(Finding {
                topic: Topic::InTime,
                about: format!("{phase}: in time"),
                unit: "share",
                values,
                ratio: None,
                is_difference: true,
                text: sentence(&format!("{phase}: in time {list}"), why.as_deref()),
                why,
            });
        }
        findings
    }

    fn drowned(
        &self,
        index: usize,
        phase: &str,
        values: &[Option<f64>],
        is_apart: bool,
    ) -> Option<Finding> {
        let seen = phase_of(&self.runs[index], phase)?;
        let (ok, in_time) = (seen.ok_share()?, seen.in_time_share()?);
        let why = why_slow(seen.busiest.as_ref());
        let text = format!(
            "{} answered {} of the {phase}, but only {} in time",
            self.names[index],
            percent(ok),
            percent(in_time)
        );
        Some(Finding {
            topic: Topic::Overload,
            about: format!("{phase}: overloaded"),
            unit: "share",
            values: values.to_vec(),
            ratio: None,
            is_difference: is_apart,
            text: sentence(&text, Some(&why)),
            why: Some(why),
        })
    }

    /// Response times of the busiest calm phase, among equal budgets where there are any.
    pub(super) fn speed(&self) -> Vec<Finding> {
        let rate = |name: &String| {
            let phase = phase_of(&self.runs[0], name);
            let ran = phase.and_then(|p| Some((p, self.runs[0].summary.when_run(p)?)));
            ran.map_or(0.0, |(p, (from, to))| p.ledger.planned as f64 / (to - from).max(1e-9))
        };
        let Some(phase) = (phases_to_show(self.runs).into_iter())
            .filter(|name| self.alive(name).len() > 1)
            .max_by(|a, b| rate(a).total_cmp(&rate(b)))
        else {
            return Vec::new();
        };
        let alive = self.alive(&phase);
        let mut groups: Vec<Vec<usize>> = same_cpu_groups(self.runs)
            .into_iter()
            .map(|g| g.into_iter().filter(|i| alive.contains(i)).collect())
            .filter(|g: &Vec<usize>| g.len() > 1)
            .collect();
        let are_equal = !groups.is_empty();
        if !are_equal {
            groups = vec![alive];
        }
        groups.iter().flat_map(|g| self.speed_in(g, &phase, are_equal)).collect()
    }

    /// Runs that were not overloaded in a phase.
    fn alive(&self, phase: &str) -> Vec<usize> {
        let is_alive =
            |i: &usize| phase_of(&self.runs[*i], phase).is_some_and(|p| !p.is_overloaded);
        (0..self.runs.len()).filter(is_alive).collect()
    }

    fn speed_in(&self, group: &[usize], phase: &str, are_equal: bool) -> Vec<Finding> {
        let high = common_quantile(self.runs, phase);
        let among = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<Option<f64>> {
            (0..self.runs.len()).map(|i| value(i).filter(|_| group.contains(&i))).collect()
        };
        let times = among(&|i| {
            let times = &phase_of(&self.runs[i], phase)?.response_time_ns;
            times.named(high).map(|n| n.0 as f64)
        });
        let cores = self.runs[group[0]].summary.cpu.given_cores;
        let budget = match cores.filter(|_| are_equal) {
            Some(cores) => format!("Same {cores:.2} cores"),
            None => "With different CPU".to_string(),
        };
        let mut findings = Vec::new();
        let times = times.into_iter();
        let times: Vec<Option<f64>> = match self.is_slower_throughout(group, high, phase) {
            true => times.collect(),
            false => times.map(|_| None).collect(),
        };
        findings.extend(self.faster(times, high, &budget, phase));
        findings
            .extend(self.carries(&among(&|i| self.runs[i].summary.cpu.expected_capacity_per_s)));
        findings
    }

    /// Whether the slowest at a quantile is as much slower at the next lower one, by more than the
    /// quota itself stalls a server. A tail alone is not a claim: one stall of a tenth of a second
    /// in ten makes it, and it is not there the next time.
    fn is_slower_throughout(&self, group: &[usize], high: &str, phase: &str) -> bool {
        let names = ["p99", "p95", "p90", "p75", "p50"];
        let Some(at) = names.iter().position(|n| *n == high) else { return false };
        let ends = |name: &str| {
            let time = |i: &usize| {
                let times = &phase_of(&self.runs[*i], phase)?.response_time_ns;
                times.named(name).map(|t| (*i, t.0 as f64))
            };
            let mut all: Vec<(usize, f64)> = group.iter().filter_map(time).collect();
            all.sort_by(|a, b| a.1.total_cmp(&b.1));
            Some((*all.first()?, *all.last()?))
        };
        let stall = |i: usize| self.runs[i].record.manifest.plan.host.quota_stall.0 as f64;
        let (Some((best, worst)), Some((low_best, low_worst))) =
            (ends(high), names.get(at + 1).and_then(|name| ends(name)))
        else {
            return false;
        };
        worst.1 - best.1 > stall(worst.0)
            && (best.0, worst.0) == (low_best.0, low_worst.0)
            && low_worst.1 >= CLAIM_RATIO * low_best.1
    }

    fn faster(
        &self,
        values: Vec<Option<f64>>,
        high: &str,
        budget: &str,
        phase: &str,
    ) -> Option<Finding> {
        let ranked = ranked(&values);
        let ratio = ratio(&ranked, 1.0).filter(|r| *r >= CLAIM_RATIO)?;
        let (best, worst) = (ranked.first()?, ranked.last()?);
        let why = why_slow(phase_of(&self.runs[worst.0], phase)?.busiest.as_ref());
        let rest = self.list(&ranked[1..], |ns| Nanos(ns as u64).to_string());
        let text = format!(
            "{budget}: while nothing breaks ({phase}), {} is faster: {high} {}, against {rest}",
            self.names[best.0],
            Nanos(best.1 as u64)
        );
        Some(Finding {
            topic: Topic::Speed,
            about: format!("{phase}: {high} response time"),
            unit: "ns",
            values,
            ratio: Some(ratio),
            is_difference: true,
            text: sentence(&text, Some(&why)),
            why: Some(why),
        })
    }

    /// Arithmetic, not a measurement: said as such, and no difference by itself.
    fn carries(&self, values: &[Option<f64>]) -> Option<Finding> {
        let ranked = ranked(values);
        let ratio = ratio(&ranked, 1.0).filter(|r| *r >= 1.1)?;
        let ((least, low), (most, high)) = (ranked.first()?, ranked.last()?);
        Some(Finding {
            topic: Topic::Capacity,
            about: "capacity by arithmetic".into(),
            unit: "per_s",
            values: values.to_vec(),
            ratio: Some(ratio),
            is_difference: false,
            why: None,
            text: format!(
                "By arithmetic, {} carries {ratio:.1} × more than {} ({}/s against {}/s).",
                self.names[*most],
                self.names[*least],
                count_text(high.round() as u64),
                count_text(low.round() as u64)
            ),
        })
    }
}

/// Two shares of counts: far enough apart, half as many again, and three standard deviations.
fn is_share_apart(best: &PhaseSummary, worst: &PhaseSummary) -> bool {
    let late = |p: &PhaseSummary| (p.ledger.planned - p.in_time.min(p.ledger.planned)) as f64;
    let shares = best.in_time_share().zip(worst.in_time_share());
    shares.is_some_and(|(b, w)| b - w >= SHARE_APART)
        && late(worst) >= CLAIM_RATIO * late(best)
        && are_counts_apart(late(best), late(worst))
}
