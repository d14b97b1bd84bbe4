//! From a record to its summary.

use super::lateness;
use super::load::{self, used_s};
use super::summary::{
    CpuSummary, GeneratorSummary, PhaseSummary, RateSummary, RequestSummary, SCHEMA, Summary,
    TimeSummary,
};
use super::timeline::Timeline;
use super::validity::{self, Health, Level};
use super::{check_data, comeback, data, impacts, recovery, server_loads};
use crate::base::{Histogram, Nanos};
use crate::objective::Verdict;
use crate::plan::{Arrivals, PhasePlan, Plan};
use crate::record::{Ledger, Record, SeriesRow, Tag};
use std::collections::BTreeMap;
use std::ops::Range;

/// Share in time under which a phase may be called overloaded.
const OVERLOADED_IN_TIME: f64 = 0.5;
/// A rate that changes by less over a phase is level.
const LEVEL_RATE: f64 = 0.1;

/// Everything that one record says. Its verdict is validity's; `gate` judges objectives.
pub fn summarise(record: &Record) -> Summary {
    let plan = &record.manifest.plan;
    let timeline = Timeline::of(record);
    let mut faults = impacts(record, &timeline);
    let (mut data, lost_at) = check_data(record);
    data.loss = data::attribute(&mut faults, data.lost.map(|_| lost_at.as_slice()));
    let in_force: Vec<Range<u64>> = (faults.iter())
        .filter_map(|(_, impact)| impact.as_ref())
        .map(|i| i.injected_ns..i.healed_ns.unwrap_or(i.until_ns).max(i.injected_ns + 1))
        .collect();
    let measured: Vec<Range<u32>> =
        plan.load.phases.iter().filter(|p| p.measured).map(seconds_of).collect();
    let injected = faults.iter().filter_map(|(_, impact)| impact.as_ref());
    let end = (record.load_end().0 / 1_000_000_000) as u32;
    let first = measured.first().map_or(0, |seconds| seconds.start);
    let needed = plan.hypothesis_in_time;
    let hypothesis = recovery::Hypothesis::of_run(record, &timeline);
    let recovery = recovery::after_heal(injected.clone(), &timeline, end, &hypothesis);
    let comeback = comeback::of_run(injected, &timeline, first, end, needed);
    let phases = phase_summaries(record, &timeline, &in_force);
    let (ledger, in_time, sent) = measured_totals(record);
    let mut summary = Summary {
        schema: SCHEMA,
        kind: "run".into(),
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        target: plan.target.clone(),
        profile: plan.profile.clone(),
        seed: plan.seed,
        duration_s: record.ended.as_secs_f64(),
        ledger,
        ledger_run: total(record.series.iter()),
        in_time,
        rate: rates(record, &ledger, sent),
        response_time_ns: TimeSummary::of(&merged(record, true, |_, p| is_measured(plan, p))),
        service_time_ns: TimeSummary::of(&merged(record, false, |_, p| is_measured(plan, p))),
        connection_wait_ns: single(record, &Tag::ConnectionWait),
        start_lag_ns: single(record, &Tag::StartLag),
        requests: request_summaries(record),
        cpu: cpu(record, &measured, &phases, &ledger),
        phases,
        faults: faults.into_iter().map(|(summary, _)| summary).collect(),
        injection_lateness_ns: lateness::of_injections(record),
        recovery,
        must_recover: plan.must_recover,
        comeback,
        data,
        objectives: Vec::new(),
        generator: generator(record),
        validity: Health::default(),
    };
    summary.validity = validity::examine(record, &summary, &measured);
    (summary.verdict, summary.reasons) = verdict(&summary.validity);
    summary
}

fn verdict(health: &Health) -> (Verdict, Vec<String>) {
    let reasons = (health.doubts.iter())
        .filter(|d| d.level == Level::Invalid)
        .map(|d| d.seen.clone())
        .collect::<Vec<_>>();
    (if reasons.is_empty() { Verdict::Pass } else { Verdict::Invalid }, reasons)
}

/// Response (or service) histograms of the requests and phases asked for, in one.
pub fn merged(record: &Record, response: bool, wanted: impl Fn(u16, u16) -> bool) -> Histogram {
    let mut all = Histogram::new();
    for (tag, histogram) in &record.latency {
        let (is_response, request, phase) = match tag {
            Tag::Response { request, phase } => (true, *request, *phase),
            Tag::Service { request, phase } => (false, *request, *phase),
            _ => continue,
        };
        if is_response == response && wanted(request, phase) {
            all.merge(histogram);
        }
    }
    all
}

fn single(record: &Record, tag: &Tag) -> TimeSummary {
    record.latency.get(tag).map(TimeSummary::of).unwrap_or_default()
}

fn is_measured(plan: &Plan, phase: u16) -> bool {
    plan.load.phases.get(usize::from(phase)).is_some_and(|p| p.measured)
}

fn total<'a>(rows: impl Iterator<Item = &'a SeriesRow>) -> Ledger {
    rows.fold(Ledger::default(), |mut sum, row| {
        sum.add(&row.ledger());
        sum
    })
}

/// Rows of the phases that are measured.
fn measured_rows(record: &Record) -> impl Iterator<Item = &SeriesRow> {
    let phases = &record.manifest.plan.load.phases;
    let measured: Vec<&str> =
        phases.iter().filter(|p| p.measured).map(|p| p.name.as_str()).collect();
    record.series.iter().filter(move |r| measured.contains(&r.phase.as_str()))
}

fn measured_totals(record: &Record) -> (Ledger, u64, u64) {
    let in_time = measured_rows(record).map(|r| r.in_time).sum();
    let sent = measured_rows(record).map(|r| r.sent).sum();
    (total(measured_rows(record)), in_time, sent)
}

fn rates(record: &Record, ledger: &Ledger, sent: u64) -> RateSummary {
    let phases = record.manifest.plan.load.phases.iter().filter(|p| p.measured);
    let seconds: f64 =
        phases.map(|p| p.end.min(record.ended).saturating_sub(p.start).as_secs_f64()).sum();
    let per_s = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
    RateSummary {
        offered_per_s: per_s(ledger.planned),
        sent_per_s: per_s(sent),
        completed_per_s: per_s(ledger.ok + ledger.http_error),
    }
}

/// The whole seconds that belong to a phase for the larger part.
pub(super) fn seconds_of(phase: &PhasePlan) -> Range<u32> {
    let round = |ns: u64| u32::try_from((ns + 500_000_000) / 1_000_000_000).unwrap_or(u32::MAX);
    round(phase.start.0)..round(phase.end.0)
}

/// Those of them that were run: `-n` requests, a guard or a person may end a run before its plan does.
fn seconds_run(record: &Record, phase: &PhasePlan) -> Range<u32> {
    let planned = seconds_of(phase);
    let ended = u32::try_from(record.ended.0.div_ceil(1_000_000_000)).unwrap_or(u32::MAX);
    planned.start..planned.end.min(ended).max(planned.start)
}

fn phase_summaries(
    record: &Record,
    timeline: &Timeline,
    in_force: &[Range<u64>],
) -> Vec<PhaseSummary> {
    let plan = &record.manifest.plan;
    let is_closed = plan.load.is_closed();
    (plan.load.phases.iter().enumerate())
        .map(|(index, phase)| {
            let rows = || record.series.iter().filter(|r| r.phase == phase.name);
            let is_level = is_closed || phase.is_level(LEVEL_RATE);
            let is_hit = in_force.iter().any(|f| f.start < phase.end.0 && f.end > phase.start.0);
            let mut summary = PhaseSummary {
                name: phase.name.clone(),
                measured: phase.measured,
                start_s: phase.start.as_secs_f64(),
                end_s: phase.end.as_secs_f64(),
                ledger: total(rows()),
                in_time: rows().map(|r| r.in_time).sum(),
                response_time_ns: times(record, true, index),
                service_time_ns: times(record, false, index),
                is_calm: phase.measured && is_level && !is_hit,
                is_overloaded: false,
                busiest: server_loads(record, seconds_run(record, phase)).into_iter().next(),
            };
            summary.is_overloaded =
                !is_hit && is_overloaded(&summary, timeline, seconds_run(record, phase), plan);
            summary
        })
        .collect()
}

fn times(record: &Record, response: bool, phase: usize) -> TimeSummary {
    TimeSummary::of(&merged(record, response, |_, p| usize::from(p) == phase))
}

/// Less than half in time in the phase's last third, and a sign that work piles up: requests that
/// fail or stay unanswered, response times near the time-out, or ever more in flight.
fn is_overloaded(
    phase: &PhaseSummary,
    timeline: &Timeline,
    seconds: Range<u32>,
    plan: &Plan,
) -> bool {
    if seconds.is_empty() {
        return false;
    }
    let third = ((seconds.end - seconds.start) / 3).max(1);
    let last_third = seconds.end.saturating_sub(third)..seconds.end;
    let late = timeline.in_time_share(last_third.clone()).is_some_and(|s| s < OVERLOADED_IN_TIME);
    let unanswered = phase.ok_share().is_some_and(|s| s < 0.95);
    let near_timeout =
        (phase.response_time_ns.highest()).is_some_and(|(_, at)| at.0 >= plan.load.timeout.0 / 2);
    let early = timeline.sum(seconds.start..seconds.start + third).in_flight;
    let growing = timeline.sum(last_third).in_flight > early.saturating_mul(2).max(10);
    late && (unanswered || near_timeout || growing)
}

fn request_summaries(record: &Record) -> BTreeMap<String, RequestSummary> {
    let plan = &record.manifest.plan;
    (plan.load.requests.iter().enumerate())
        .map(|(index, request)| {
            let rows = || measured_rows(record).filter(|r| r.request == request.name);
            let histogram =
                merged(record, true, |r, p| usize::from(r) == index && is_measured(plan, p));
            let summary = RequestSummary {
                ledger: total(rows()),
                in_time: rows().map(|r| r.in_time).sum(),
                response_time_ns: TimeSummary::of(&histogram),
            };
            (request.name.clone(), summary)
        })
        .collect()
}

fn cpu(
    record: &Record,
    measured: &[Range<u32>],
    phases: &[PhaseSummary],
    ledger: &Ledger,
) -> CpuSummary {
    let plan = &record.manifest.plan;
    let used = used_s(record, measured);
    let known = |value: f64| (value > 0.0).then_some(value);
    let calm =
        || (plan.load.phases.iter().zip(phases)).filter(|(_, s)| s.is_calm && !s.is_overloaded);
    let calm_seconds: Vec<Range<u32>> = calm().map(|(p, _)| seconds_of(p)).collect();
    let calm_ok: u64 = calm().map(|(_, s)| s.ledger.ok).sum();
    CpuSummary {
        unit_cores: known(plan.host.unit_cores),
        given_cores: known(plan.servers.iter().map(|s| s.cores).sum()),
        used_s: used,
        per_1000_ok_s: used.filter(|_| ledger.ok > 0).map(|s| s * 1000.0 / ledger.ok as f64),
        calibrated_ms: known(plan.cost_per_request.as_millis_f64()),
        observed_ms: used_s(record, &calm_seconds)
            .filter(|_| calm_ok > 0)
            .map(|s| s * 1000.0 / calm_ok as f64),
        expected_capacity_per_s: known(plan.expected_capacity_per_s),
    }
}

fn generator(record: &Record) -> GeneratorSummary {
    let rows = || record.nodes.iter().filter(|r| r.node == load::BRUNT);
    let is_sampled = rows().next().is_some();
    let sampled: u64 = rows().map(|r| r.cpu_ns).sum();
    let told = record.generator.map(|g| g.cpu).filter(|cpu| cpu.0 > 0);
    GeneratorSummary {
        // The samples are of brunt's own process alone.
        cpu_s: told.or(is_sampled.then_some(Nanos(sampled))).map(Nanos::as_secs_f64),
        rss_max_bytes: rows().map(|r| r.rss_bytes).max(),
        pss_max_bytes: record.generator.map(|g| g.pss_max_bytes),
        workers: record.manifest.workers,
        processes: record.generator.map(|g| g.processes),
        connections: match (record.generator, record.manifest.plan.load.arrivals) {
            (Some(g), _) => Some(g.connections_max as u32),
            (None, Arrivals::Closed { .. }) => Some(record.manifest.plan.load.connections_max),
            (None, _) => None,
        },
        in_flight_max: match record.generator {
            Some(g) => Some(g.in_flight_max as u32),
            None => record.series.iter().map(|r| r.in_flight).max(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, planned_for_a_day, power_off_story};

    #[test]
    fn totals_cover_the_measured_phases_and_close() {
        let s = summarise(&power_off_story().build());
        assert!(s.ledger.is_closed() && s.ledger_run.is_closed());
        assert_eq!(s.ledger_run.planned, 2 * 40 + 4 * 40 + 14 * 200);
        assert_eq!(s.ledger.planned, s.ledger_run.planned - 2 * 40);
        assert_eq!(s.requests["feed"].ledger, s.ledger);
        assert!((s.rate.offered_per_s - s.ledger.planned as f64 / 18.0).abs() < 1e-9);
        assert_eq!(s.phases.iter().map(|p| p.ledger.planned).sum::<u64>(), s.ledger_run.planned);
    }

    #[test]
    fn a_run_that_ends_before_its_plan_is_judged_by_what_was_run() {
        let s = summarise(&planned_for_a_day(Builder::new("garage").overloaded(6..20).build()));
        let last = s.phases.last().unwrap();
        assert!(last.is_overloaded && last.busiest.as_ref().unwrap().cpu_share > 0.9, "{last:?}");
        assert_eq!((last.end_s, s.when_run(last)), (86_400.0, Some((10.0, 20.0))));
        let mut cut = Builder::new("garage").overloaded(6..20).build();
        cut.ended = Nanos::from_secs(10);
        let s = summarise(&cut);
        assert_eq!(s.when_run(&s.phases[3]), None);
    }

    #[test]
    fn a_server_with_two_nodes_is_counted_once() {
        let s = summarise(&Builder::new("vertical").build());
        let ok = s.ledger.ok as f64;
        assert!((s.cpu.used_s.unwrap() - ok * 0.00177).abs() < 1e-6, "{:?}", s.cpu);
        assert!((s.cpu.observed_ms.unwrap() - 1.77).abs() < 1e-3, "{:?}", s.cpu);
        assert!((s.cpu.per_1000_ok_s.unwrap() - 1.77).abs() < 1e-3);
        assert_eq!(s.cpu.given_cores, Some(0.9));
    }

    #[test]
    fn the_json_has_the_contracts_names_and_null_for_what_did_not_happen() {
        let json = serde_json::to_value(summarise(&Builder::new("vertical").build())).unwrap();
        for key in [
            "schema",
            "kind",
            "verdict",
            "reasons",
            "target",
            "profile",
            "seed",
            "duration_s",
            "ledger",
            "ledger_run",
            "rate",
            "response_time_ns",
            "service_time_ns",
            "connection_wait_ns",
            "start_lag_ns",
            "phases",
            "requests",
            "cpu",
            "faults",
            "data",
            "objectives",
            "generator",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert!(json["response_time_ns"]["p99"].is_u64());
        assert!(json["response_time_ns"]["p9999"].is_null());
        assert!(json["data"]["lost"].is_null());
    }

    #[test]
    fn a_summary_of_an_older_brunt_is_read() {
        let s = summarise(&power_off_story().writes(0..20_000, 50).read_back(1).build());
        let mut json = serde_json::to_value(&s).unwrap();
        assert_eq!(serde_json::from_value::<Summary>(json.clone()).unwrap(), s);
        let drop_all = |value: &mut serde_json::Value, names: &[&str]| {
            let fields = value.as_object_mut().unwrap();
            names.iter().for_each(|name| assert!(fields.remove(*name).is_some(), "{name}"));
        };
        drop_all(&mut json, &["injection_lateness_ns", "recovery", "must_recover", "comeback"]);
        let data = ["recovered", "loss", "staleness", "sessions", "linearizability"];
        drop_all(&mut json["data"], &data);
        let outage = ["expected_gap_s", "unavailable_s", "from_s", "until_s"];
        drop_all(&mut json["faults"][0]["write_outage"], &outage);
        let fault = [
            "late_requests",
            "lost_goodput",
            "budget",
            "detection_bound_s",
            "election_bound_s",
            "failover",
            "lost_writes",
            "rpo_s",
            "heal_proof",
            "had_no_effect",
            "heal_failed",
        ];
        drop_all(&mut json["faults"][0], &fault);
        let old: Summary = serde_json::from_value(json).unwrap();
        assert_eq!((old.data.lost, old.faults[0].budget), (s.data.lost, None));
    }

    #[test]
    fn what_was_lost_is_given_to_the_fault() {
        let story = || power_off_story().writes(0..10_240, 50);
        let s = summarise(&story().read_back(2).build());
        assert_eq!((s.data.lost, s.faults[0].lost_writes), (Some(2), Some(2)));
        // Acknowledged at 10.155 s and 10.205 s; the fault came at 10.25 s.
        assert!((s.faults[0].rpo_s.unwrap() - 0.095).abs() < 1e-9, "{:?}", s.faults[0]);
        assert_eq!(s.data.loss.unwrap().fault.as_deref(), Some("lose-app"));
        let s = summarise(&story().read_back(0).build());
        assert_eq!((s.data.loss, s.faults[0].lost_writes), (None, Some(0)));
    }

    #[test]
    fn a_phase_that_drowns_is_overloaded_and_one_with_a_fault_is_not_calm() {
        let s = summarise(&Builder::new("garage").overloaded(6..20).build());
        let peak = s.phases.iter().find(|p| p.name == "peak").unwrap();
        assert!(peak.is_overloaded, "{peak:?}");
        let s = summarise(&power_off_story().build());
        let lost = s.phases.iter().find(|p| p.name == "server lost").unwrap();
        assert!(!lost.is_calm && !lost.is_overloaded);
    }
}
