//! What the charts of a search and of the sizes are drawn from.

use super::words;
use crate::analysis::capacity::{Answer, CapacityReport, Purpose, Scaling, TrialRow};
use crate::report::html::significant;
use serde::Serialize;

/// Points of a fitted law between none and its end, besides the sizes that were measured.
const CURVE_POINTS: u32 = 60;
/// Laws are drawn so far beyond the largest size.
const BEYOND: f64 = 1.2;

#[derive(Debug, Serialize)]
pub struct CapacityData {
    searches: Vec<SearchData>,
    scaling: Option<ScalingData>,
}

#[derive(Debug, Serialize)]
struct SearchData {
    name: String,
    capacity_per_s: Option<f64>,
    low_per_s: Option<f64>,
    high_per_s: Option<f64>,
    trials: Vec<TrialData>,
}

#[derive(Debug, Serialize)]
struct TrialData {
    name: String,
    rate_per_s: f64,
    answered_per_s: Option<f64>,
    /// Shares are in percent.
    in_time: Option<f64>,
    broke: Option<f64>,
    allowed: Option<f64>,
    objective: Option<String>,
    p99_ms: Option<f64>,
    result: &'static str,
    word: String,
}

#[derive(Debug, Serialize)]
struct ScalingData {
    points: Vec<PointData>,
    linear: Curve,
    fit: Option<FitData>,
}

#[derive(Debug, Serialize)]
struct PointData {
    target: String,
    size: f64,
    rate_per_s: f64,
    low_per_s: Option<f64>,
    high_per_s: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Curve {
    size: Vec<f64>,
    rate_per_s: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct FitData {
    law: String,
    peak_size: Option<f64>,
    #[serde(flatten)]
    curve: Curve,
}

impl CapacityData {
    pub fn of(report: &CapacityReport) -> CapacityData {
        let measured = report.answers.iter().filter(|a| !a.trials.is_empty());
        CapacityData {
            searches: measured.map(search).collect(),
            scaling: report.scaling.as_ref().map(|s| scaling(s, &report.answers)),
        }
    }

    /// Whether there is anything to draw in the chart of this name.
    pub fn has(&self, chart: &str) -> bool {
        let any = |drawn: fn(&TrialData) -> bool| {
            self.searches.iter().any(|s| s.trials.iter().any(drawn))
        };
        match chart {
            "knee" => any(|t| t.answered_per_s.is_some()),
            "broken" => any(|t| t.broke.is_some()),
            "p99" => any(|t| t.p99_ms.is_some()),
            _ => self.scaling.is_some(),
        }
    }
}

fn search(answer: &Answer) -> SearchData {
    SearchData {
        name: words::subject(answer),
        capacity_per_s: answer.capacity.map(|c| significant(c.rate_per_s)),
        low_per_s: answer.capacity.and_then(|c| c.low_per_s).map(significant),
        high_per_s: answer.capacity.and_then(|c| c.high_per_s).map(significant),
        trials: answer.trials.iter().map(trial).collect(),
    }
}

fn trial(row: &TrialRow) -> TrialData {
    let (trial, percent) = (&row.trial, |share: f64| significant(share * 100.0));
    let worst = trial.worst();
    TrialData {
        name: words::name(row),
        rate_per_s: significant(trial.rate_per_s),
        answered_per_s: row.answered_per_s.map(significant),
        in_time: row.in_time.map(percent),
        broke: worst.map(|reading| percent(reading.share())),
        allowed: worst.map(|reading| percent(reading.allowed)),
        objective: worst.map(|reading| reading.objective.clone()),
        p99_ms: row.p99.map(|p99| significant(p99.as_millis_f64())),
        result: match (&trial.flaw, trial.purpose) {
            (Some(_), _) => "not-believed",
            (None, Purpose::Overload) => "overload",
            (None, _) if trial.holds() => "holds",
            (None, _) => "fails",
        },
        word: words::result(trial),
    }
}

fn scaling(scaling: &Scaling, answers: &[Answer]) -> ScalingData {
    let points: Vec<PointData> = (scaling.points.iter())
        .map(|p| {
            let mut whole = answers.iter().filter(|a| a.fault.is_none() && a.target == p.target);
            let capacity = whole.find_map(|a| a.capacity);
            PointData {
                target: p.target.clone(),
                size: p.size,
                rate_per_s: significant(p.rate_per_s),
                low_per_s: capacity.and_then(|c| c.low_per_s).map(significant),
                high_per_s: capacity.and_then(|c| c.high_per_s).map(significant),
            }
        })
        .collect();
    let sizes = sizes(scaling);
    let fit = scaling.fit.as_ref().map(|fit| FitData {
        law: words::law(fit).into(),
        peak_size: fit.peak_size,
        curve: curve(&sizes, |size| fit.rate_per_s(size)),
    });
    let first = scaling.points.first().map_or(0.0, |p| p.rate_per_s / p.size);
    ScalingData { points, linear: curve(&sizes, |size| first * size), fit }
}

/// Evenly from none to beyond the largest, and the measured ones themselves.
fn sizes(scaling: &Scaling) -> Vec<f64> {
    let measured = scaling.points.iter().map(|p| p.size);
    let end = measured.clone().fold(0.0, f64::max) * BEYOND;
    let even = (0..=CURVE_POINTS).map(|i| end * f64::from(i) / f64::from(CURVE_POINTS));
    let mut all: Vec<f64> = even.chain(measured).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

fn curve(sizes: &[f64], rate: impl Fn(f64) -> f64) -> Curve {
    Curve {
        size: sizes.to_vec(),
        rate_per_s: sizes.iter().map(|size| significant(rate(*size))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{answer, report};
    use super::*;

    #[test]
    fn a_trial_is_told_by_its_verdict_and_an_answer_by_its_interval() {
        let mut one = answer(1, 100.0, None);
        let mut other = one.trials[0].clone();
        other.trial.readings[0].violations = 500;
        one.trials.push(other);
        let data = CapacityData::of(&report(vec![one]));
        let search = &data.searches[0];
        assert_eq!((search.low_per_s, search.high_per_s), (Some(95.0), Some(105.0)));
        let results: Vec<_> = search.trials.iter().map(|t| (t.result, t.broke)).collect();
        assert_eq!(results, [("holds", Some(0.25)), ("fails", Some(25.0))]);
        assert_eq!(
            (data.has("broken"), data.has("p99"), data.has("scaling")),
            (true, false, false)
        );
    }

    #[test]
    fn a_law_is_drawn_through_what_was_measured() {
        let law = |n: f64| 100.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.01 * n * (n - 1.0));
        let sizes = [1, 2, 3, 4, 6, 8, 12, 16];
        let answers = sizes.map(|n| answer(n, law(f64::from(n)), None)).to_vec();
        let seen = CapacityData::of(&report(answers)).scaling.unwrap();
        let fit = seen.fit.unwrap();
        assert!(fit.law.contains("Universal"), "{}", fit.law);
        for point in &seen.points {
            let at = fit.curve.size.iter().position(|size| *size == point.size).unwrap();
            assert!((fit.curve.rate_per_s[at] / point.rate_per_s - 1.0).abs() < 0.01, "{point:?}");
            assert!((seen.linear.rate_per_s[at] / (100.0 * point.size) - 1.0).abs() < 0.01);
        }
        assert_eq!(*fit.curve.size.last().unwrap(), 16.0 * BEYOND);
    }
}
