//! One run on one screen: what ends `brunt run` and `brunt load`.

use super::text::{health_text, push_wrapped};
use crate::analysis::comparison::{PROCESS_DEATH, WorstHealth, count_text, percent, short, within};
use crate::analysis::{FaultSummary, Level, Summary, TimeSummary};
use crate::base::Nanos;
use crate::objective::{Met, Verdict};
use crate::plan::{Arrivals, LoadPlan};
use crate::record::{Cause, Outcome, Record};

/// Response ÷ service time from which the difference deserves a sentence.
const APART: f64 = 1.2;
/// Causes of one outcome that are named.
const CAUSES: usize = 3;

pub fn run_text(record: &Record, s: &Summary, report: Option<&str>) -> String {
    let load = &record.manifest.plan.load;
    let mut out = String::new();
    let profile =
        if s.profile.is_empty() { String::new() } else { format!("profile {}, ", s.profile) };
    out.push_str(&format!(
        "{}        {profile}seed {}, {:.1} s\n\n",
        s.target, s.seed, s.duration_s
    ));
    push_requests(&mut out, s, &record.causes);
    push_times(&mut out, s, load);
    push_phases(&mut out, s);
    push_faults(&mut out, s);
    push_data(&mut out, s);
    push_cpu(&mut out, s);
    push_objectives(&mut out, s);
    push_verdict(&mut out, s);
    if let Some(path) = report {
        out.push_str(&format!("report {path}\n"));
    }
    out
}

fn push_requests(out: &mut String, s: &Summary, causes: &[(Outcome, Cause, u64)]) {
    let l = &s.ledger;
    let in_time = crate::analysis::share(s.in_time, l.planned).map_or("–".into(), percent);
    out.push_str(&format!(
        "requests   {} planned, {} ok, {in_time} in time\n",
        count_text(l.planned),
        count_text(l.ok)
    ));
    let bad: Vec<String> = [
        (Outcome::HttpError, "HTTP error", "HTTP errors", l.http_error),
        (Outcome::TransportError, "transport error", "transport errors", l.transport_error),
        (Outcome::Timeout, "timeout", "timeouts", l.timeout),
        (Outcome::Unfinished, "unfinished", "unfinished", l.unfinished),
        (Outcome::NeverSent, "never sent", "never sent", l.never_sent),
    ]
    .into_iter()
    .filter(|(_, _, _, n)| *n > 0)
    .map(|(outcome, one, many, n)| {
        let what = if n == 1 { one } else { many };
        format!("{} {what}{}", count_text(n), causes_text(outcome, causes))
    })
    .collect();
    if !bad.is_empty() {
        push_wrapped(out, &format!("           {}", bad.join(", ")));
    }
    out.push_str(&format!(
        "rate       {:.1}/s offered, {:.1}/s sent, {:.1}/s completed\n\n",
        s.rate.offered_per_s, s.rate.sent_per_s, s.rate.completed_per_s
    ));
}

/// ` (connection refused)`; several with their counts, the most frequent first. The record counts
/// causes over the whole run, warm-up included.
fn causes_text(outcome: Outcome, causes: &[(Outcome, Cause, u64)]) -> String {
    let mut of: Vec<_> = causes.iter().filter(|(o, _, n)| *o == outcome && *n > 0).collect();
    of.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
    match of.as_slice() {
        [] => String::new(),
        [(_, cause, _)] => format!(" ({cause})"),
        several => {
            let mut parts: Vec<String> = several
                .iter()
                .take(CAUSES)
                .map(|(_, cause, n)| format!("{} {cause}", count_text(*n)))
                .collect();
            if several.len() > CAUSES {
                let rest: u64 = several[CAUSES..].iter().map(|(_, _, n)| n).sum();
                parts.push(format!("{} others", count_text(rest)));
            }
            format!(" ({})", parts.join(", "))
        }
    }
}

fn push_times(out: &mut String, s: &Summary, load: &LoadPlan) {
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let values = |t: &TimeSummary| [t.p50, t.p90, t.p99, t.p999, t.max];
    out.push_str(&format!("{:<26}", ""));
    for name in names {
        out.push_str(&format!("{name:>11}"));
    }
    out.push('\n');
    for (name, times) in [
        ("response (from intended)", &s.response_time_ns),
        ("service (from sent)", &s.service_time_ns),
    ] {
        out.push_str(&format!("{name:<26}"));
        for value in values(times) {
            out.push_str(&format!("{:>11}", value.map_or("–".to_string(), |v| v.to_string())));
        }
        out.push('\n');
    }
    if let Some(sentence) = difference_of(s, load) {
        push_wrapped(out, &sentence);
    }
    if let Arrivals::Closed { connections, .. } = load.arrivals {
        let what = if connections == 1 { "connection" } else { "connections" };
        let connections = count_text(u64::from(connections));
        push_wrapped(
            out,
            &format!(
                "closed loop of {connections} {what}: waiting in front of a busy connection is \
                 not counted"
            ),
        );
    }
    out.push('\n');
}

/// Why visitors waited longer than the answers took, if they did.
pub fn difference(s: &Summary) -> Option<String> {
    explained(s, "because the target was slow to answer others")
}

/// The same, where the load is known: a wait for brunt's own limit is not blamed on the target.
fn difference_of(s: &Summary, load: &LoadPlan) -> Option<String> {
    let is_open = !matches!(load.arrivals, Arrivals::Closed { .. });
    let cap = u64::from(load.connections_max);
    // Workers share the cap, and a connection that is being made carries nothing yet.
    let is_at_cap = |most: u32| u64::from(most) * 20 >= cap * 19;
    if is_open && s.generator.in_flight_max.is_some_and(is_at_cap) {
        let most = count_text(cap);
        return explained(
            s,
            &format!("because all {most} connections allowed were in use (raise -c)"),
        );
    }
    difference(s)
}

fn explained(s: &Summary, why_waited: &str) -> Option<String> {
    let (name, response) = s.response_time_ns.highest()?;
    let service = s.service_time_ns.named(name)?;
    if (response.0 as f64) < service.0 as f64 * APART {
        return None;
    }
    let cause = if is_major(s.start_lag_ns.named(name), response, service) {
        "the generator itself started them late".to_string()
    } else if is_major(s.connection_wait_ns.named(name), response, service) {
        format!("they waited for a free or new connection, {why_waited}")
    } else {
        "requests without an answer count with the time that they waited".to_string()
    };
    Some(format!("At {name}, visitors waited {response} where an answer took {service}: {cause}."))
}

fn is_major(part: Option<Nanos>, response: Nanos, service: Nanos) -> bool {
    part.is_some_and(|p| p.0 * 2 >= response.saturating_sub(service).0)
}

fn push_phases(out: &mut String, s: &Summary) {
    let phases: Vec<_> = s.phases.iter().filter(|p| p.measured).collect();
    if phases.len() < 2 {
        return;
    }
    for p in phases {
        let share = p.in_time_share().map_or("–".into(), percent);
        let times = match (p.is_overloaded, p.response_time_ns.p50, p.response_time_ns.highest()) {
            (true, _, _) => "overloaded".to_string(),
            (_, Some(p50), Some((name, high))) if name != "p50" => {
                format!("p50 {p50}, {name} {high}")
            }
            (_, Some(p50), _) => format!("p50 {p50}"),
            _ => "too few samples".into(),
        };
        let seconds = p.end_s - p.start_s;
        let rate = if seconds > 0.0 { p.ledger.planned as f64 / seconds } else { 0.0 };
        out.push_str(&format!("{:<16}{rate:>8.0}/s   {share:>7} in time   {times}\n", p.name));
    }
    out.push('\n');
}

fn push_faults(out: &mut String, s: &Summary) {
    for fault in &s.faults {
        push_wrapped(out, &fault_text(fault));
    }
    if !s.faults.is_empty() {
        out.push('\n');
    }
}

/// One fault in one line.
pub fn fault_text(f: &FaultSummary) -> String {
    let what = format!("{} ({} on {})", f.name, f.kind, f.node);
    if let Some(why) = &f.skipped {
        return format!("{what}: not injected, {why}");
    }
    let seconds = |s: f64| match s {
        s if s < 1.0 => format!("{} s", short(s)),
        s => format!("{s:.1} s"),
    };
    let mut parts = vec![format!("{} not in time", count_text(f.not_in_time))];
    parts.extend(f.detected_after_s.map(|s| format!("noticed after {}", seconds(s))));
    parts.extend(f.failed_over_after_s.map(|s| format!("new leader after {}", seconds(s))));
    parts.push(match f.recovery_time_s {
        Some(0.0) => "the hypothesis held throughout".into(),
        Some(s) => format!("recovered {}", within(s)),
        None => "not recovered".into(),
    });
    if let (Some(repair), Some(recovery)) = (f.assumed_repair_s, f.recovery_time_s)
        && recovery >= repair
    {
        parts.push(format!("{} of it is the assumed repair time", seconds(repair)));
    }
    if !f.attributable {
        parts.push("not attributable: it was failing before".into());
    }
    format!("{what}: {}", parts.join(", "))
}

fn push_data(out: &mut String, s: &Summary) {
    let d = &s.data;
    if d.acknowledged == 0 {
        return;
    }
    let text = match (d.lost, d.read_back) {
        (Some(lost), Some(found)) => format!(
            "{} acknowledged, {} found again, {} lost, {} duplicated",
            count_text(d.acknowledged),
            count_text(found),
            count_text(lost),
            count_text(d.duplicated.unwrap_or(0))
        ),
        _ => format!("{} acknowledged, not read back", count_text(d.acknowledged)),
    };
    let mut text = format!("writes     {text}, {} indeterminate", count_text(d.indeterminate));
    if let Some(stale) = d.stale_reads {
        text.push_str(&format!(", {} stale reads", count_text(stale)));
    }
    let rare = [
        (d.backward_reads.unwrap_or(0), "reads that went back"),
        (d.unexpected.unwrap_or(0), "unexpected (refused, and yet found)"),
        (if d.lost.is_some() { d.unchecked } else { 0 }, "unchecked"),
        (d.not_recorded, "not recorded"),
    ];
    for (n, what) in rare.into_iter().filter(|(n, _)| *n > 0) {
        text.push_str(&format!(", {} {what}", count_text(n)));
    }
    push_wrapped(out, &text);
    if d.lost.is_some() && s.has_deaths() {
        push_wrapped(out, PROCESS_DEATH);
    }
}

fn push_cpu(out: &mut String, s: &Summary) {
    let (Some(used), Some(given)) = (s.cpu.used_s, s.cpu.given_cores) else { return };
    let mut text = format!("CPU        {used:.2} s used of {given:.2} cores given");
    if let Some(per) = s.cpu.per_1000_ok_s {
        text.push_str(&format!(", {per:.2} s per 1,000 answers"));
    }
    if let Some(capacity) = s.cpu.expected_capacity_per_s {
        text.push_str(&format!(", {capacity:.0}/s by arithmetic"));
    }
    push_wrapped(out, &text);
}

fn push_objectives(out: &mut String, s: &Summary) {
    for o in &s.objectives {
        let word = match o.verdict {
            Met::Pass => "pass",
            Met::Fail => "FAIL",
            Met::Inconclusive => "inconclusive",
            Met::NoData => "no data",
        };
        let observed = o.observed.map_or("–".to_string(), |v| format!("{v:.4}"));
        out.push_str(&format!("{word:<12} {}   observed {observed}\n", o.expression));
    }
}

fn push_verdict(out: &mut String, s: &Summary) {
    let v = &s.validity;
    let health = WorstHealth {
        start_lag_p99_ns: v.start_lag_p99_ns,
        generator_core_share: v.generator_core_share,
        steal_share: v.steal_share,
        steal_worst_share: v.steal_worst_share,
        work_off: v.work_off,
    };
    out.push('\n');
    let health = health_text(&health);
    let verdict = match s.verdict {
        // A run that nothing was asked of has passed nothing.
        Verdict::Pass if s.objectives.is_empty() => {
            format!("VALID  no objective was asked · {health}")
        }
        verdict => format!("{verdict}  {health}"),
    };
    push_wrapped(out, &verdict);
    for reason in &s.reasons {
        push_wrapped(out, &format!("- {reason}"));
    }
    for doubt in v.doubts.iter().filter(|d| d.level != Level::Invalid) {
        push_wrapped(out, &format!("warning: {}; {}", doubt.seen, doubt.remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, power_off_story};

    #[test]
    fn one_run_fits_one_screen() {
        let record = power_off_story().build();
        let text = run_text(&record, &summarise(&record), None);
        assert_eq!(text, include_str!("testdata/run.txt"), "\n{text}");
        assert!(text.lines().count() <= 24);
    }

    #[test]
    fn the_gap_between_response_and_service_has_a_sentence() {
        assert_eq!(difference(&summarise(&Builder::new("vertical").build())), None);
        let drowned = summarise(&Builder::new("garage").overloaded(6..20).build());
        let sentence = difference(&drowned).unwrap();
        assert!(sentence.contains("without an answer"), "{sentence}");
    }

    #[test]
    fn causes_are_named_the_most_frequent_first() {
        let refused = (Outcome::TransportError, Cause::ConnectRefused, 4_950);
        let reset = (Outcome::TransportError, Cause::Reset, 5_000);
        let status = (Outcome::HttpError, Cause::Status(500), 20);
        let text = |causes: &[_]| causes_text(Outcome::TransportError, causes);
        assert_eq!(text(&[refused, status]), " (connection refused)");
        assert_eq!(text(&[refused, reset]), " (5,000 connection reset, 4,950 connection refused)");
        assert_eq!(text(&[status]), "");
    }

    #[test]
    fn nothing_asked_is_nothing_passed() {
        let record = power_off_story().build();
        let mut summary = summarise(&record);
        summary.objectives.clear();
        summary.verdict = Verdict::Pass;
        let text = run_text(&record, &summary, None);
        assert!(text.contains("VALID  no objective was asked"), "{text}");
    }

    #[test]
    fn a_wait_for_ones_own_connections_is_not_blamed_on_the_target() {
        let record = power_off_story().build();
        let mut s = summarise(&record);
        let ms = |n| Some(Nanos::from_millis(n));
        s.response_time_ns.p99 = ms(900);
        s.service_time_ns.p99 = ms(100);
        s.connection_wait_ns.p99 = ms(800);
        let mut load = record.manifest.plan.load.clone();
        load.connections_max = 10;
        s.generator.in_flight_max = Some(10);
        let text = difference_of(&s, &load).unwrap();
        assert!(text.contains("raise -c") && !text.contains("slow"), "{text}");
        s.generator.in_flight_max = Some(5);
        assert!(difference_of(&s, &load).unwrap().contains("target was slow"));
    }
}
