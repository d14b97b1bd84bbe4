//! One run on one screen: what ends `brunt run` and `brunt load`.

mod errors;
mod times;
mod why;

pub use why::difference_of;

use super::staleness::staleness;
use super::text::{health_text, push_wrapped_at};
use crate::analysis::comparison::{PROCESS_DEATH, WorstHealth, count_text, percent, short, within};
use crate::analysis::{
    ComebackOutcome, FaultSummary, GeneratorSummary, Level, Linearizability, Linearizable, Loss,
    Recovery, Summary,
};
use crate::base::Nanos;
use crate::objective::{Met, Objective, Threshold, Verdict};
use crate::plan::LoadPlan;
use crate::record::Record;

/// Columns of the screen that it fits.
const WIDTH: usize = 80;

fn push(out: &mut String, text: &str) {
    push_wrapped_at(out, text, WIDTH);
}

pub fn run_text(record: &Record, s: &Summary, report: Option<&str>) -> String {
    let mut out = String::new();
    let profile =
        if s.profile.is_empty() { String::new() } else { format!("profile {}, ", s.profile) };
    out.push_str(&format!(
        "{}        {profile}seed {}, {:.1} s\n\n",
        s.target, s.seed, s.duration_s
    ));
    push_requests(&mut out, s, record);
    push_times(&mut out, s, record);
    push_phases(&mut out, s);
    push_faults(&mut out, s);
    push_data(&mut out, s);
    push_cpu(&mut out, s);
    push_generator(&mut out, s);
    push_objectives(&mut out, s);
    push_verdict(&mut out, s);
    if let Some(path) = report {
        out.push_str(&format!("report {path}\n"));
    }
    out
}

fn push_requests(out: &mut String, s: &Summary, record: &Record) {
    let l = &s.ledger;
    let in_time = crate::analysis::share(s.in_time, l.planned).map_or("–".into(), percent);
    out.push_str(&format!(
        "requests   {} planned, {} ok, {in_time} in time\n",
        count_text(l.planned),
        count_text(l.ok)
    ));
    let bad: Vec<String> = [
        ("HTTP error", "HTTP errors", l.http_error),
        ("transport error", "transport errors", l.transport_error),
        ("timeout", "timeouts", l.timeout),
        ("unfinished", "unfinished", l.unfinished),
        ("never sent", "never sent", l.never_sent),
    ]
    .into_iter()
    .filter(|(_, _, n)| *n > 0)
    .map(|(one, many, n)| format!("{} {}", count_text(n), if n == 1 { one } else { many }))
    .collect();
    if !bad.is_empty() {
        push(out, &format!("           {}", bad.join(", ")));
    }
    errors::push_errors(out, &record.causes, s.ledger_run.ok > l.ok);
    out.push_str(&format!(
        "rate       {:.1}/s offered, {:.1}/s sent, {:.1}/s completed\n",
        s.rate.offered_per_s, s.rate.sent_per_s, s.rate.completed_per_s
    ));
    if let Some(arrivals) = times::arrivals_text(record) {
        push(out, &format!("arrivals   {arrivals}"));
    }
    out.push('\n');
}

fn push_times(out: &mut String, s: &Summary, record: &Record) {
    let load = &record.manifest.plan.load;
    times::push_table(out, record, s);
    if let Some(sentence) = difference_of(s, load) {
        push(out, &sentence);
    }
    if load.is_closed() {
        push(
            out,
            &format!(
                "closed loop of {}: waiting in front of a busy connection is not counted; \
                 -r RATE counts it",
                connections_text(load)
            ),
        );
    }
    out.push('\n');
}

fn connections_text(load: &LoadPlan) -> String {
    let what = if load.connections_max == 1 { "connection" } else { "connections" };
    let connections = format!("{} {what}", count_text(u64::from(load.connections_max)));
    match why::streams(load) {
        1 => connections,
        n => format!("{connections} with {n} streams each"),
    }
}

/// What the generator itself took. Of nothing it is not said that it was at most nothing.
fn push_generator(out: &mut String, s: &Summary) {
    let g = &s.generator;
    let mut parts = Vec::new();
    parts.extend(g.cpu_s.map(|cpu| format!("{cpu:.2} s of CPU")));
    parts.extend(memory_text(g));
    let counted = |n: Option<u32>| n.filter(|n| *n > 0).map(|n| count_text(u64::from(n)));
    parts.extend(counted(g.connections).map(|n| match n.as_str() {
        "1" => "1 connection".to_string(),
        _ => format!("{n} connections"),
    }));
    parts.extend(counted(g.in_flight_max).map(|n| format!("at most {n} in flight")));
    if g.workers > 1 && g.processes.unwrap_or(1) <= 1 {
        parts.push(format!("{} workers", g.workers));
    }
    if !parts.is_empty() {
        push(out, &format!("generator  {}", parts.join(", ")));
    }
}

/// Of all processes where that was told, else of brunt's own.
fn memory_text(g: &GeneratorSummary) -> Option<String> {
    let of_all = g.pss_max_bytes.filter(|bytes| *bytes > 0);
    let mib = of_all.or(g.rss_max_bytes)? as f64 / f64::from(1 << 20);
    let size =
        if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.2} GiB", mib / 1024.0) };
    Some(match g.processes {
        // brunt itself is one more.
        Some(workers @ 2..) if of_all.is_some() => {
            format!("{size} of memory in {} processes", count_text(u64::from(workers) + 1))
        }
        _ => format!("{size} of memory"),
    })
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
        let Some((from, to)) = s.when_run(p) else {
            out.push_str(&format!("{:<16}not begun\n", p.name));
            continue;
        };
        let rate = p.ledger.planned as f64 / (to - from);
        out.push_str(&format!("{:<16}{rate:>8.0}/s   {share:>7} in time   {times}\n", p.name));
    }
    out.push('\n');
}

fn push_faults(out: &mut String, s: &Summary) {
    for fault in &s.faults {
        push(out, &fault_text(fault));
    }
    push_recovery(out, s);
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
    push(out, &text);
    if let Some(stale) = d.staleness.as_ref().and_then(staleness) {
        push(out, &format!("reads      {stale}"));
    }
    if let Some(loss) = &d.loss {
        push(out, &loss_text(loss));
    }
    if let Some(found) = &d.linearizability {
        push(out, &linearizability_text(found));
    }
    if d.lost.is_some() && s.has_deaths() {
        push(out, PROCESS_DEATH);
    }
}

fn loss_text(loss: &Loss) -> String {
    let span = format!("{:.3} s to {:.3} s", loss.oldest_at_s, loss.newest_at_s);
    let until = match (&loss.fault, loss.rpo_s) {
        (Some(fault), Some(rpo)) if rpo >= 0.0 => {
            format!(", the oldest {} s before {fault}", short(rpo))
        }
        (Some(fault), Some(rpo)) => format!(", the oldest {} s into {fault}", short(-rpo)),
        _ => String::new(),
    };
    format!("lost       {} writes acknowledged from {span}{until}", count_text(loss.writes))
}

fn linearizability_text(found: &Linearizability) -> String {
    let keys = |n| format!("{} keys", count_text(n));
    let mut text = match found.verdict {
        Linearizable::Ok => format!("order      every one of {} is linearizable", keys(found.ok)),
        Linearizable::Unknown => format!("order      {} not known", keys(found.unknown)),
        Linearizable::Illegal => format!("order      {} NOT linearizable", keys(found.illegal)),
    };
    for (why, n) in &found.why_unknown {
        text.push_str(&format!("; {} unknown: {why}", keys(*n)));
    }
    if let Some(violation) = &found.violation {
        let facts = violation.facts.join(", yet ");
        text.push_str(&format!("; of key {}, {facts}", violation.key));
    }
    text
}

fn push_recovery(out: &mut String, s: &Summary) {
    let text = match &s.recovery {
        None => return,
        Some(Recovery::Held { after_heal_s: 0.0 }) => "steady again from the last heal on".into(),
        Some(Recovery::Held { after_heal_s }) => {
            format!("steady again {} after the last heal", within(*after_heal_s))
        }
        Some(Recovery::NotRecovered { in_time_share, watched_s, .. }) => format!(
            "NOT RECOVERED {watched_s:.1} s after the last heal: {} in time at the end",
            percent(*in_time_share)
        ),
        Some(Recovery::NotEnoughTime { watched_s, needed_s }) => format!(
            "too early to say whether it is steady again: {watched_s:.1} s after the last heal, \
             {needed_s:.0} s of it steady are needed"
        ),
    };
    push(out, &text);
    if let Some(ComebackOutcome::Stuck { .. }) = s.comeback.as_ref().map(|c| c.outcome) {
        push(out, "the load that it bore before the first fault keeps it down without one");
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
    push(out, &text);
}

fn push_objectives(out: &mut String, s: &Summary) {
    if !s.objectives.is_empty() {
        out.push('\n');
    }
    for o in &s.objectives {
        let word = match o.verdict {
            Met::Pass => "pass",
            Met::Fail => "FAIL",
            Met::Inconclusive => "inconclusive",
            Met::NoData => "no data",
        };
        push(out, &format!("{word:<12} {}   observed {}", o.expression, observed_text(o)));
    }
}

fn observed_text(o: &Objective) -> String {
    let is_time = o.expression.parse::<Threshold>().is_ok_and(|t| t.metric.is_time());
    match o.observed {
        None => "–".into(),
        Some(ns) if is_time => Nanos(ns.max(0.0) as u64).to_string(),
        Some(value) => format!("{value:.4}"),
    }
}

fn push_verdict(out: &mut String, s: &Summary) {
    let v = &s.validity;
    let health = WorstHealth {
        start_lag_p99_ns: v.start_lag_p99_ns,
        generator_core_share: v.generator_core_share,
        steal_share: v.steal_share,
        steal_worst_share: v.steal_worst_share,
        slowdown_worst: v.slowdown_worst,
        slow_seconds: v.slow_seconds.unwrap_or(0),
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
    push(out, &verdict);
    for reason in &s.reasons {
        push(out, &format!("- {reason}"));
    }
    for doubt in v.doubts.iter().filter(|d| d.level != Level::Invalid) {
        push(out, &format!("warning: {}; {}", doubt.seen, doubt.remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::power_off_story;

    #[test]
    fn one_run_fits_one_screen() {
        let record = power_off_story().build();
        let text = run_text(&record, &summarise(&record), None);
        assert_eq!(text, include_str!("../testdata/run.txt"), "\n{text}");
        assert!(text.lines().count() <= 40);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
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
    fn the_generators_line_has_what_is_known_of_all_its_processes() {
        let record = power_off_story().build();
        let mut s = summarise(&record);
        let line = |g: GeneratorSummary, s: &mut Summary| {
            let mut out = String::new();
            s.generator = g;
            push_generator(&mut out, s);
            out
        };
        let many = GeneratorSummary {
            cpu_s: Some(61.04),
            rss_max_bytes: Some(30 << 20),
            pss_max_bytes: Some(3 << 30),
            workers: 72,
            processes: Some(72),
            connections: Some(1_000_000),
            in_flight_max: Some(900_000),
        };
        assert_eq!(
            line(many, &mut s).split_whitespace().collect::<Vec<_>>().join(" "),
            "generator 61.04 s of CPU, 3.00 GiB of memory in 73 processes, 1,000,000 connections, \
             at most 900,000 in flight"
        );
        let one = GeneratorSummary {
            processes: Some(1),
            pss_max_bytes: Some(0),
            workers: 2,
            connections: Some(1),
            in_flight_max: Some(0),
            ..many
        };
        let text = line(one, &mut s);
        assert_eq!(
            text,
            "generator  61.04 s of CPU, 30.0 MiB of memory, 1 connection, 2 workers\n"
        );
    }

    #[test]
    fn an_observed_time_has_a_unit() {
        let objective = |expression: &str, observed| Objective {
            expression: expression.into(),
            observed,
            verdict: Met::Pass,
            evidence: None,
        };
        let text = |e, v| observed_text(&objective(e, v));
        assert_eq!(text("response_time: p(99)<1s", Some(1.5e6)), "1.50 ms");
        assert_eq!(text("errors: rate<0.01", Some(0.002)), "0.0020");
        assert_eq!(text("errors: rate<0.01", None), "–");
    }
}
