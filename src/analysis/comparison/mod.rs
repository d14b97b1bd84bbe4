//! Several runs of one profile beside each other: a table of values, the differences that may be
//! claimed, and what is not shown. Text is made from the values, never the other way round.

mod cell;
mod fault_cells;
mod findings;
mod rows;

pub use cell::{Cell, OutFor, Row, count_text, percent, short, within};
pub use findings::{Finding, Topic};
pub use rows::PROCESS_DEATH;

use super::summary::Summary;
use super::validity::Level;
use crate::base::Nanos;
use crate::objective::Verdict;
use crate::plan::{HostFacts, Plan, RequestPlan};
use crate::record::Record;
use crate::target::Role;
use serde::Serialize;
use std::collections::BTreeSet;

/// Two numbers of one run each may be called different from this ratio on: what repeats on a shared
/// machine differ by anyway lies below it (default comparison, rule 13).
pub const CLAIM_RATIO: f64 = 1.5;
/// Budgets within this are the same.
const SAME_CPU: f64 = 0.05;
/// Work per request may differ by this between targets that cache nothing (rule 12).
const SAME_WORK: f64 = 0.05;

/// Said first of runs that are not of one machine.
const NO_CLAIMS: &str = "Which is faster or carries more is not said: the runs were measured on other \
                         machines.";

/// A run that takes part.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub record: &'a Record,
    pub summary: &'a Summary,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Column names, unique.
    pub targets: Vec<String>,
    pub header: Header,
    pub rows: Vec<Row>,
    pub findings: Vec<Finding>,
    /// The trade in one sentence, where there is one.
    pub headline: Option<String>,
    /// The findings as sentences, or the one that says that there is no difference.
    pub sentences: Vec<String>,
    pub footnotes: Vec<String>,
    /// What the reader should know and the table does not show.
    pub notes: Vec<String>,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub health: WorstHealth,
}

/// What was the same for all, but for the machines where they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Header {
    pub profile: String,
    pub seed: u64,
    /// Of the load of the longest run.
    pub duration_s: f64,
    pub unit_cores: f64,
    pub period: Nanos,
    pub quota_mechanism: String,
    pub quota_stall: Nanos,
    pub cores: u32,
    /// Each run's machine, where they were not the same one by what is known of them.
    pub machines: Vec<String>,
    pub generator_cores: usize,
    pub is_generator_apart: bool,
    pub in_time: Nanos,
    pub hypothesis_in_time: f64,
    /// Requests that one app node serves at once.
    pub admission_limit: Option<u32>,
    pub balancing: Option<String>,
    /// Whether all were offered the same load: in a closed loop the target decides.
    pub is_open: bool,
    /// Targets that were given as much CPU as others of them, in groups.
    pub equal_cpu: Vec<Vec<String>>,
}

/// The worst of all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WorstHealth {
    pub start_lag_p99_ns: Option<Nanos>,
    pub generator_core_share: Option<f64>,
    pub steal_share: Option<f64>,
    pub steal_worst_share: Option<f64>,
    pub slowdown_worst: Option<f64>,
    /// Of all runs together.
    pub slow_seconds: u32,
    /// The largest distance from the calibration.
    pub work_off: Option<f64>,
}

/// Compares runs in the order in which they are to be shown.
///
/// # Panics
/// When there are no runs.
pub fn compare(runs: &[Run<'_>]) -> Comparison {
    assert!(!runs.is_empty(), "a comparison needs runs");
    let targets = unique_names(runs);
    let (verdict, reasons) = verdict(runs, &targets);
    let rows = rows::rows(runs);
    let mut findings = findings::findings(runs, &targets);
    let machines = machines(runs, &targets);
    if !machines.is_empty() {
        findings.retain(|finding| !finding.topic.is_of_the_machine());
        findings.iter_mut().for_each(|finding| finding.is_difference = false);
    }
    let sentences = match verdict {
        Verdict::Invalid => vec!["No claims: at least one run may not be believed.".into()],
        _ if machines.is_empty() => sentences(&findings, runs.len()),
        _ => (std::iter::once(NO_CLAIMS.to_string()))
            .chain(findings.iter().map(|finding| finding.text.clone()))
            .collect(),
    };
    Comparison {
        header: header(runs, &targets, machines.clone()),
        footnotes: rows::footnotes(&rows, runs),
        notes: notes(runs, &targets),
        health: worst_health(runs),
        headline: findings::headline(&findings, runs, &targets)
            .filter(|_| verdict != Verdict::Invalid && machines.is_empty()),
        targets,
        rows,
        findings,
        sentences,
        verdict,
        reasons,
    }
}

fn sentences(findings: &[Finding], n_runs: usize) -> Vec<String> {
    let mut sentences: Vec<String> = findings.iter().map(|f| f.text.clone()).collect();
    if n_runs > 1 && !findings.iter().any(|f| f.is_difference) {
        sentences.insert(
            0,
            format!("No difference: nothing measured differs by {CLAIM_RATIO} × or more beyond the noise of one run."),
        );
    }
    sentences
}

/// `vertical`, `vertical (2)`.
fn unique_names(runs: &[Run<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        let name = &run.summary.target;
        let twins = (2..).map(|n| format!("{name} ({n})"));
        let free = std::iter::once(name.clone()).chain(twins).find(|n| !names.contains(n));
        names.push(free.expect("the numbers do not end"));
    }
    names
}

fn equal_cpu(runs: &[Run<'_>], targets: &[String]) -> Vec<Vec<String>> {
    let named = |group: Vec<usize>| group.into_iter().map(|i| targets[i].clone()).collect();
    same_cpu_groups(runs).into_iter().map(named).filter(|names: &Vec<_>| names.len() > 1).collect()
}

fn header(runs: &[Run<'_>], targets: &[String], machines: Vec<String>) -> Header {
    let plan = &runs[0].record.manifest.plan;
    let host = &plan.host;
    let node = |role| {
        let plans = runs.iter().flat_map(|r| &r.record.manifest.plan.nodes);
        plans.into_iter().find(|n| n.role == role)
    };
    Header {
        profile: plan.profile.clone(),
        seed: plan.seed,
        duration_s: runs
            .iter()
            .map(|r| r.record.load_end())
            .max()
            .unwrap_or_default()
            .as_secs_f64(),
        unit_cores: host.unit_cores,
        period: host.period,
        quota_mechanism: host.quota_mechanism.clone(),
        quota_stall: host.quota_stall,
        cores: host.cores,
        machines,
        generator_cores: host.brunt_cpus.len(),
        is_generator_apart: !host.brunt_cpus.iter().any(|cpu| host.stack_cpus.contains(cpu)),
        in_time: plan.load.in_time,
        hypothesis_in_time: plan.hypothesis_in_time,
        admission_limit: node(Role::App).map(|n| n.settings.app.max_in_flight),
        balancing: node(Role::Balancer)
            .and_then(|n| serde_json::to_value(n.settings.balancer.algorithm).ok())
            .and_then(|v| v.as_str().map(|s| s.replace('-', " "))),
        is_open: !plan.load.is_closed(),
        equal_cpu: equal_cpu(runs, targets),
    }
}

fn verdict(runs: &[Run<'_>], targets: &[String]) -> (Verdict, Vec<String>) {
    let mut verdict = Verdict::Pass;
    let mut reasons = Vec::new();
    for (run, name) in runs.iter().zip(targets) {
        for doubt in &run.summary.validity.doubts {
            let level = match doubt.level {
                Level::Doubt => continue,
                Level::Inconclusive => Verdict::Inconclusive,
                Level::Invalid => Verdict::Invalid,
            };
            verdict = verdict.max(level);
            reasons.push(format!("{name}: {}; {}", doubt.seen, doubt.remedy));
        }
    }
    let different_machines = machines(runs, targets).first().map(|_| {
        "the runs were measured on other machines: times and capacities are not comparable; run all \
         targets in one command on one machine"
            .to_string()
    });
    let different = [different_load(runs), different_machines, different_work(runs, targets)];
    for reason in different.into_iter().flatten() {
        verdict = verdict.max(Verdict::Inconclusive);
        reasons.push(reason);
    }
    (verdict, reasons)
}

/// `vertical: 4 cores, Linux 6.1, cgroup v2`, where these facts are not the same for all runs.
fn machines(runs: &[Run<'_>], targets: &[String]) -> Vec<String> {
    let hosts = || runs.iter().map(|run| &run.record.manifest.plan.host);
    let facts = |h: &HostFacts| {
        (h.cores, h.kernel.clone(), h.quota_mechanism.clone(), h.stack_cpus.clone())
    };
    if hosts().all(|host| facts(host) == facts(hosts().next().expect("there are runs"))) {
        return Vec::new();
    }
    let named = hosts().zip(targets).map(|(host, name)| {
        let kernel = if host.kernel.is_empty() { "unknown" } else { &host.kernel };
        let quota = Some(format!(", {}", host.quota_mechanism))
            .filter(|_| !host.quota_mechanism.is_empty());
        format!(
            "{name}: {} cores, {} of them for the target, kernel {kernel}{}",
            host.cores,
            host.stack_cpus.len(),
            quota.unwrap_or_default()
        )
    });
    named.collect()
}

/// Only runs of the same load under the same limit can be compared.
fn different_load(runs: &[Run<'_>]) -> Option<String> {
    let first = &runs[0].record.manifest.plan;
    runs.iter().map(|r| &r.record.manifest.plan).find_map(|plan| {
        let asked = asked_differently(plan, first);
        let what = match () {
            () if plan.profile != first.profile => "profiles",
            () if plan.seed != first.seed => "seeds",
            () if plan.load.phases != first.load.phases => "phases or rates",
            () if asked.is_some() => asked?,
            () if plan.faults != first.faults => "faults",
            () if plan.cost_per_request != first.cost_per_request => "costs per request",
            () if plan.host.period != first.host.period => "quota periods",
            () if (plan.host.unit_cores - first.host.unit_cores).abs() > 1e-9 => "units of CPU",
            () => return None,
        };
        Some(format!("the runs had different {what}; compare runs of one command"))
    })
}

/// What visitors ask, how they come and what is held against it; not how many they are.
pub fn asked_differently(a: &Plan, b: &Plan) -> Option<&'static str> {
    Some(match () {
        () if a.load.in_time != b.load.in_time => "limits for in time",
        () if a.load.arrivals != b.load.arrivals => "arrivals",
        () if !are_requests_same(a, b) => "requests",
        () if !are_regions_same(a, b) => "regions",
        () if a.load.timeout != b.load.timeout => "time-outs",
        () if a.load.retry != b.load.retry => "repeats",
        () => return None,
    })
}

/// Under which name and on which of its routes a target is asked is its own affair.
fn are_requests_same(a: &Plan, b: &Plan) -> bool {
    let asked = |plan: &Plan| -> Vec<RequestPlan> {
        let requests = plan.load.requests.iter().cloned();
        requests.map(|r| RequestPlan { route: 0, host: String::new(), ..r }).collect()
    };
    asked(a) == asked(b) && a.load.values == b.load.values
}

/// Where their routes lead is the target's affair.
fn are_regions_same(a: &Plan, b: &Plan) -> bool {
    let visitors = |plan: &Plan| -> Vec<(String, f64)> {
        plan.load.regions.iter().map(|r| (r.name.clone(), r.weight)).collect()
    };
    visitors(a) == visitors(b)
}

/// Only phases that are calm in both of two targets had the same requests at the same rate, and only
/// targets of the same nodes do the same work: what a balancer, replicas or a cache cost and save is
/// a finding, not a doubt.
fn different_work(runs: &[Run<'_>], targets: &[String]) -> Option<String> {
    let is_cached = |i: usize| roles(&runs[i]).iter().any(|r| matches!(r, Role::Cache | Role::Cdn));
    let nodes = |i: usize| {
        let plan = &runs[i].record.manifest.plan;
        let mut all: Vec<Role> = plan.nodes.iter().map(|n| n.role).collect();
        all.sort_unstable();
        all
    };
    let pairs = (0..runs.len()).flat_map(|a| (a + 1..runs.len()).map(move |b| (a, b)));
    let pairs = pairs.filter(|(a, b)| !is_cached(*a) && nodes(*a) == nodes(*b));
    let mut works: Vec<[(f64, &String); 2]> = pairs
        .filter_map(|(a, b)| {
            let calm = rows::calm_in_all(&[&runs[a], &runs[b]]);
            let work = |i: usize| Some((rows::calm_cpu_ms(&runs[i], &calm)?, &targets[i]));
            let mut pair = [work(a)?, work(b)?];
            pair.sort_by(|a, b| a.0.total_cmp(&b.0));
            Some(pair)
        })
        .collect();
    works.sort_by(|x, y| (x[1].0 * y[0].0).total_cmp(&(y[1].0 * x[0].0)));
    let [(least, a), (most, b)] = works.last()?;
    (*most > least * (1.0 + SAME_WORK)).then(|| {
        format!("a request took {most:.2} ms of CPU on {b} and {least:.2} ms on {a}; run again on a quiet machine")
    })
}

fn roles(run: &Run<'_>) -> BTreeSet<Role> {
    run.record.manifest.plan.nodes.iter().map(|n| n.role).collect()
}

fn notes(runs: &[Run<'_>], targets: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    for (run, name) in runs.iter().zip(targets) {
        let plan = &run.record.manifest.plan;
        let balancers = plan.nodes.iter().filter(|n| n.role == Role::Balancer).count();
        let is_hit = (run.summary.faults.iter()).any(|f| f.roles.iter().any(|r| r == "balancer"));
        if balancers == 1 && plan.servers.len() > 1 && !is_hit {
            notes.push(format!(
                "Not shown: the balancer is one server; losing it stops {name} too."
            ));
        }
    }
    notes.extend(ended_early(runs, targets));
    if let Some(note) = several_changes(runs, targets) {
        notes.push(note);
    }
    if runs.len() > 1 {
        notes.push(format!("One run each: differences under {CLAIM_RATIO} × are not claims."));
    }
    notes
}

/// Runs that ended before their plans, other than by their number of requests.
fn ended_early(runs: &[Run<'_>], targets: &[String]) -> Vec<String> {
    let early = runs.iter().zip(targets).filter(|(run, _)| {
        let load = &run.record.manifest.plan.load;
        let is_counted = load.requests_max.is_some_and(|n| run.summary.ledger_run.planned >= n);
        run.record.ended < load.end() && !is_counted
    });
    early
        .map(|(run, name)| {
            let (ran, planned) = (run.record.ended, run.record.manifest.plan.load.end());
            format!(
                "{name} was run for {} s of the planned {} s; what was to come later is not in it.",
                short(ran.as_secs_f64()),
                short(planned.as_secs_f64())
            )
        })
        .collect()
}

/// Neighbours that differ in more than one kind of node do not show what caused a difference.
fn several_changes(runs: &[Run<'_>], targets: &[String]) -> Option<String> {
    (1..runs.len()).find_map(|i| {
        let (a, b) = (roles(&runs[i - 1]), roles(&runs[i]));
        let in_prose = |roles: BTreeSet<Role>| -> Vec<&str> {
            roles.into_iter().filter_map(role_in_prose).collect()
        };
        let more = in_prose(a.symmetric_difference(&b).copied().collect());
        let (last, rest) = more.split_last().filter(|(_, rest)| !rest.is_empty())?;
        let list = format!("{} and {last}", rest.join(", "));
        let text = match (in_prose(&a - &b).is_empty(), in_prose(&b - &a).is_empty()) {
            (true, _) => format!("{} also has {list}", targets[i]),
            (_, true) => format!("{} also has {list}", targets[i - 1]),
            _ => format!("{} and {} differ in {list}", targets[i - 1], targets[i]),
        };
        Some(format!("{text}. One change at a time: brunt compare --ladder"))
    })
}

fn role_in_prose(role: Role) -> Option<&'static str> {
    match role {
        Role::Cdn => Some("a CDN"),
        Role::Balancer => Some("a balancer"),
        Role::Cache => Some("a cache"),
        Role::Directory | Role::App | Role::Database | Role::Service(_) => None,
    }
}

fn worst_health(runs: &[Run<'_>]) -> WorstHealth {
    let all = || runs.iter().map(|r| &r.summary.validity);
    let max = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    WorstHealth {
        start_lag_p99_ns: all().filter_map(|h| h.start_lag_p99_ns).max(),
        generator_core_share: max(&mut all().filter_map(|h| h.generator_core_share)),
        steal_share: max(&mut all().filter_map(|h| h.steal_share)),
        steal_worst_share: max(&mut all().filter_map(|h| h.steal_worst_share)),
        slowdown_worst: max(&mut all().filter_map(|h| h.slowdown_worst)),
        slow_seconds: all().filter_map(|h| h.slow_seconds).sum(),
        work_off: max(&mut all().filter_map(|h| h.work_off.map(f64::abs))),
    }
}

/// Targets with the same CPU budget, in the order of the runs.
pub(super) fn same_cpu_groups(runs: &[Run<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(f64, Vec<usize>)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let Some(cores) = run.summary.cpu.given_cores else { continue };
        match groups.iter_mut().find(|(c, _)| (c - cores).abs() <= SAME_CPU * c.max(cores)) {
            Some((_, members)) => members.push(index),
            None => groups.push((cores, vec![index])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

#[cfg(test)]
mod tests;
