//! Thresholds against a summary. Missing data is its own answer.

use crate::analysis::stats::{Block, ShareRule, ShareVerdict, judge_share};
use crate::analysis::{PhaseSummary, Summary, TimeSummary};
use crate::objective::{Aggregation, Evidence, Met, Metric, Objective, Scope, Threshold};
use crate::record::{Ledger, OVER_LIMIT};

/// Judges one threshold. Where it says which share of the requests may break it, their seconds say
/// how sure that is; else it is about what was observed.
pub fn evaluate(t: &Threshold, s: &Summary, seconds: Option<&[Block]>) -> Objective {
    let plain = evaluate_plainly(t, s);
    match (t.allowed_share(), seconds) {
        (Some(allowed), Some(seconds)) => by_share(t, s, allowed, seconds, plain.observed),
        _ => plain,
    }
}

fn by_share(
    t: &Threshold,
    s: &Summary,
    allowed: f64,
    seconds: &[Block],
    observed: Option<f64>,
) -> Objective {
    // A short run is judged by its counts: that its seconds are few is no reason to say nothing.
    let seen = judge_share(seconds, ShareRule { fewest_blocks: 1, ..ShareRule::new(allowed) });
    let verdict = match seen.verdict {
        _ if seen.arrivals == 0 => Met::NoData,
        ShareVerdict::Pass => Met::Pass,
        ShareVerdict::Fail if s.validity.is_lower_bound && is_bounded(t.metric) => {
            Met::Inconclusive
        }
        ShareVerdict::Fail => Met::Fail,
        ShareVerdict::Inconclusive => Met::Inconclusive,
    };
    let evidence = (seen.arrivals > 0).then_some(Evidence {
        allowed,
        share: seen.share,
        low: seen.low,
        high: seen.high,
        requests: seen.arrivals,
        seconds: seconds.len() as u32,
        design_effect: seen.design_effect,
        needed: seen.needed,
    });
    Objective { expression: t.expression.clone(), observed, verdict, evidence }
}

fn evaluate_plainly(t: &Threshold, s: &Summary) -> Objective {
    let observed = match t.metric {
        Metric::ResponseTime => response_times(t, s).and_then(|times| aggregate(times, t)),
        Metric::ServiceTime => service_times(t, s).and_then(|times| aggregate(times, t)),
        Metric::StartLag => aggregate(&s.start_lag_ns, t),
        Metric::RecoveryTime => return recovery(t, s),
        Metric::Errors => counts(t, s).and_then(|(l, _)| rate(l.planned - l.ok, l.planned)),
        Metric::InTime => counts(t, s).and_then(|(l, in_time)| rate(in_time, l.planned)),
        Metric::Throughput => (s.ledger.planned > 0).then_some(s.rate.completed_per_s),
        // A loss that was found is one; none found is no proof while some were not looked at.
        Metric::LostWrites => (s.data.lost)
            .filter(|lost| *lost > 0 || s.data.unchecked + s.data.not_recorded == 0)
            .map(|n| n as f64),
    };
    let verdict = match observed {
        Some(value) if t.comparator.holds(value, t.limit) => Met::Pass,
        // The target may do better than a generator at its limit could show (invariant 11).
        Some(_) if s.validity.is_lower_bound && is_bounded(t.metric) => Met::Inconclusive,
        Some(_) => Met::Fail,
        None => Met::NoData,
    };
    Objective { expression: t.expression.clone(), observed, verdict, evidence: None }
}

/// What a generator at its limit makes look worse than it is.
fn is_bounded(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::Throughput | Metric::ResponseTime | Metric::ServiceTime | Metric::InTime
    )
}

fn rate(part: u64, whole: u64) -> Option<f64> {
    crate::analysis::share(part, whole)
}

fn phase<'a>(s: &'a Summary, name: &str) -> Option<&'a PhaseSummary> {
    s.phases.iter().find(|p| p.name == name)
}

fn response_times<'a>(t: &Threshold, s: &'a Summary) -> Option<&'a TimeSummary> {
    match &t.scope {
        Scope::Request(name) => s.requests.get(name).map(|r| &r.response_time_ns),
        Scope::Phase(name) => phase(s, name).map(|p| &p.response_time_ns),
        Scope::Whole | Scope::Fault(_) => Some(&s.response_time_ns),
    }
}

fn service_times<'a>(t: &Threshold, s: &'a Summary) -> Option<&'a TimeSummary> {
    match &t.scope {
        Scope::Phase(name) => phase(s, name).map(|p| &p.service_time_ns),
        _ => Some(&s.service_time_ns),
    }
}

fn counts<'a>(t: &Threshold, s: &'a Summary) -> Option<(&'a Ledger, u64)> {
    match &t.scope {
        Scope::Request(name) => s.requests.get(name).map(|r| (&r.ledger, r.in_time)),
        Scope::Phase(name) => phase(s, name).map(|p| (&p.ledger, p.in_time)),
        Scope::Whole | Scope::Fault(_) => Some((&s.ledger, s.in_time)),
    }
}

fn aggregate(times: &TimeSummary, t: &Threshold) -> Option<f64> {
    let value = match t.aggregation {
        Aggregation::Quantile(q) => times.named(name_of(q.0)),
        Aggregation::Mean => times.mean,
        Aggregation::Min => times.min,
        Aggregation::Max => times.max,
        Aggregation::Rate | Aggregation::Count => None,
    };
    value.map(|ns| ns.0 as f64)
}

fn name_of(quantile: f64) -> &'static str {
    let names =
        [(0.5, "p50"), (0.75, "p75"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p999")];
    let found = names.into_iter().find(|(q, _)| (q - quantile).abs() < 1e-9);
    found.map_or("p9999", |(_, name)| name)
}

/// The longest of the faults named; of one that could not be injected it is not known. One that was
/// injected and never recovered fails every limit.
fn recovery(t: &Threshold, s: &Summary) -> Objective {
    let is_other = |name: &str| matches!(&t.scope, Scope::Fault(only) if only != name);
    let is_missing = |why: &String| !why.starts_with(OVER_LIMIT);
    let asked = || s.faults.iter().filter(|f| !is_other(&f.name));
    let is_untested = asked().any(|f| f.skipped.as_ref().is_some_and(is_missing));
    let times: Vec<Option<f64>> = asked()
        .filter(|f| f.injected_at_s.is_some())
        .map(|f| f.recovery_time_s.map(|seconds| seconds * 1e9))
        .collect();
    let observed = match times.iter().all(Option::is_some) {
        true => times.iter().flatten().copied().reduce(f64::max),
        false => None,
    };
    let verdict = match (times.is_empty(), observed) {
        (true, _) => Met::NoData,
        (false, Some(value)) if t.comparator.holds(value, t.limit) => match is_untested {
            false => Met::Pass,
            true => Met::Inconclusive,
        },
        (false, _) => Met::Fail,
    };
    Objective { expression: t.expression.clone(), observed, verdict, evidence: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::power_off_story;

    #[test]
    fn thresholds_pass_fail_or_have_no_data() {
        let sound = summarise(&power_off_story().build());
        let broken = summarise(&power_off_story().share(10..20, 0.2).build());
        for (text, s, verdict) in [
            ("response_time{phase:peak}: p(95)<100ms", &sound, Met::Pass),
            ("response_time{phase:peak}: p(95)<10ms", &sound, Met::Fail),
            ("response_time{phase:peak}: p(99.9)<1s", &sound, Met::NoData),
            ("response_time{phase:night}: p(95)<1s", &sound, Met::NoData),
            ("errors: rate<0.05", &sound, Met::Pass),
            ("errors{request:feed}: rate<0.01", &sound, Met::Fail),
            ("in_time{phase:peak}: rate>=1", &sound, Met::Pass),
            ("throughput: rate>450", &sound, Met::Fail),
            ("lost_writes: count==0", &sound, Met::NoData),
            ("recovery_time{fault:lose-app}: max<10s", &sound, Met::Pass),
            ("recovery_time: max<1s", &sound, Met::Fail),
            ("recovery_time{fault:lose-app}: max<10s", &broken, Met::Fail),
            ("recovery_time{fault:other}: max<10s", &sound, Met::NoData),
            ("start_lag: p(99)<1ms", &sound, Met::Pass),
        ] {
            let met = evaluate(&text.parse().unwrap(), s, None);
            assert_eq!(met.verdict, verdict, "{met:?}");
        }
    }

    #[test]
    fn a_fault_that_could_not_be_injected_leaves_the_recovery_open() {
        let with = |skipped: &str| {
            let mut s = summarise(&power_off_story().build());
            let mut missing = s.faults[0].clone();
            (missing.name, missing.injected_at_s) = ("other".into(), None);
            missing.skipped = Some(skipped.into());
            s.faults.push(missing);
            evaluate(&"recovery_time: max<10s".parse().unwrap(), &s, None).verdict
        };
        assert_eq!(with("no node leads `database` now"), Met::Inconclusive);
        assert_eq!(with(&format!("{OVER_LIMIT}a in force already")), Met::Pass);
    }

    #[test]
    fn writes_that_were_not_all_looked_at_are_no_proof_of_no_loss() {
        let met = |lost, unchecked, not_recorded| {
            let mut s = summarise(&power_off_story().build());
            (s.data.lost, s.data.unchecked, s.data.not_recorded) =
                (Some(lost), unchecked, not_recorded);
            evaluate(&"lost_writes: count==0".parse().unwrap(), &s, None).verdict
        };
        assert_eq!(met(0, 0, 0), Met::Pass);
        assert_eq!((met(0, 1, 0), met(0, 0, 1)), (Met::NoData, Met::NoData));
        assert_eq!(met(1, 1, 0), Met::Fail);
    }

    #[test]
    fn what_a_generator_at_its_limit_missed_is_no_failure_of_the_target() {
        let mut s = summarise(&power_off_story().build());
        let verdict = |s: &Summary, text: &str| evaluate(&text.parse().unwrap(), s, None).verdict;
        let missed = ["throughput: rate>450", "response_time{phase:peak}: p(95)<10ms"];
        assert!(missed.iter().all(|text| verdict(&s, text) == Met::Fail));
        s.validity.is_lower_bound = true;
        assert!(missed.iter().all(|text| verdict(&s, text) == Met::Inconclusive));
        assert_eq!(verdict(&s, "throughput: rate>1"), Met::Pass);
        assert_eq!(verdict(&s, "errors{request:feed}: rate<0.01"), Met::Fail);
    }

    fn by_seconds(text: &str, seconds: &[(u64, u64)]) -> Objective {
        let s = summarise(&power_off_story().build());
        let block = |&(arrivals, violations)| Block { arrivals, violations };
        let blocks: Vec<Block> = seconds.iter().map(block).collect();
        evaluate(&text.parse().unwrap(), &s, Some(&blocks))
    }

    #[test]
    fn a_share_is_judged_by_how_sure_it_is() {
        let text = "response_time: p(99)<200ms";
        assert_eq!(by_seconds(text, &[(100, 0); 60]).verdict, Met::Pass);
        assert_eq!(by_seconds(text, &[(100, 5); 60]).verdict, Met::Fail);
        let close = by_seconds(text, &[(100, 1); 60]);
        assert_eq!(close.verdict, Met::Inconclusive);
        let few = by_seconds(text, &[(10, 0); 20]);
        assert_eq!((few.verdict, few.evidence.unwrap().needed), (Met::Inconclusive, Some(299)));
        assert_eq!(by_seconds(text, &[]).verdict, Met::NoData);
        let mut burst = vec![(100, 0); 60];
        burst[20..24].fill((100, 12));
        let bursty = by_seconds(text, &burst);
        assert_eq!(bursty.verdict, Met::Inconclusive, "0.8 % in one burst prove nothing");
        assert!(bursty.evidence.unwrap().design_effect > 5.0, "{bursty:?}");
    }

    #[test]
    fn a_short_run_is_judged_by_its_counts_and_that_none_fails_by_what_was_seen() {
        assert_eq!(by_seconds("errors: rate<0.01", &[(500, 0)]).verdict, Met::Pass);
        assert_eq!(by_seconds("errors: rate<0.01", &[(250, 0)]).verdict, Met::Inconclusive);
        let none = by_seconds("errors: rate<=0", &[(500, 0)]);
        assert_eq!((none.verdict, none.evidence), (Met::Fail, None), "the story has errors");
    }
}
