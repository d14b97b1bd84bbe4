//! The lines of the table.

use super::cell::{Cell, OutFor, Row};
use super::{Run, short};
use crate::analysis::load::used_s;
use crate::analysis::summarise::seconds_of;
use crate::analysis::summary::{DataSummary, FaultSummary, PhaseSummary, TimeSummary};
use crate::fault::{Fault, FaultKind, Selector};
use crate::plan::{Arrivals, Plan};
use crate::target::Role;

/// Collects rows; a group is what belongs together.
struct Rows<'a> {
    runs: &'a [Run<'a>],
    group: usize,
    rows: Vec<Row>,
}

pub fn rows(runs: &[Run<'_>]) -> Vec<Row> {
    let mut rows = Rows { runs, group: 0, rows: Vec::new() };
    rows.add("servers, CPU given", "", |run| match run.summary.cpu.given_cores {
        Some(cores) => Cell::Servers { servers: run.record.manifest.plan.servers.len(), cores },
        None => Cell::Unknown,
    });
    rows.add("capacity by arithmetic", "", |run| {
        per_second(run.summary.cpu.expected_capacity_per_s)
    });
    for name in phases_to_show(runs) {
        rows.phase(&name);
    }
    for fault in &runs[0].record.manifest.plan.faults {
        rows.fault(fault);
    }
    rows.data();
    rows.next_group();
    let calm = calm_in_all(&runs.iter().collect::<Vec<_>>());
    rows.add("CPU-s per 1,000 answers, calm", "", |run| {
        calm_cpu_ms(run, &calm).map_or(Cell::Unknown, |value| Cell::CpuSeconds { value })
    });
    rows.rows
}

fn per_second(value: Option<f64>) -> Cell {
    value.map_or(Cell::Unknown, |value| Cell::PerSecond { value })
}

impl Rows<'_> {
    fn next_group(&mut self) {
        self.group += 1;
    }

    fn add(&mut self, label: &str, metric: &str, cell: impl Fn(&Run<'_>) -> Cell) {
        let cells: Vec<Cell> = self.runs.iter().map(cell).collect();
        if cells.iter().any(|c| *c != Cell::Unknown) {
            let (label, metric) = (label.to_string(), metric.to_string());
            self.rows.push(Row { group: self.group, label, metric, cells });
        }
    }

    fn phase(&mut self, name: &str) {
        self.next_group();
        let rate = rate_of(&self.runs[0].record.manifest.plan, name);
        self.add(&format!("{name} {rate}"), "in time", |run| {
            let held = run.record.manifest.plan.hypothesis_in_time;
            match phase_of(run, name).and_then(PhaseSummary::in_time_share) {
                Some(share) => Cell::InTime { share, held: share >= held },
                None => Cell::Unknown,
            }
        });
        let high = common_quantile(self.runs, name);
        self.add("", &format!("p50 / {high}"), |run| match phase_of(run, name) {
            Some(phase) if phase.is_overloaded => Cell::Overloaded,
            Some(phase) => quantiles(&phase.response_time_ns, high),
            None => Cell::Unknown,
        });
    }

    fn fault(&mut self, fault: &Fault) {
        self.next_group();
        let (title, detail) = fault_label(fault);
        match (&fault.kind, &fault.on) {
            (FaultKind::Throttle { to, .. }, _) => {
                self.add(&title, "in time", |run| fault_cell(run, fault, in_force_cell));
                self.add(&detail, "cores taken", |run| {
                    taken_cores(run, fault, *to)
                        .map_or(Cell::Unknown, |cores| Cell::Cores { cores })
                });
            }
            (FaultKind::Kill | FaultKind::Pause | FaultKind::Restart, on) if hits_database(on) => {
                self.add(&title, "writes out for", |run| fault_cell(run, fault, writes_cell));
                self.add(&detail, "not in time", |run| fault_cell(run, fault, hit_cell));
                self.measured("new leader", fault, leader_cell);
            }
            _ => {
                self.add(&title, "not in time", |run| fault_cell(run, fault, hit_cell));
                self.add(&detail, "recovered", |run| fault_cell(run, fault, recovered_cell));
                self.measured("noticed after", fault, noticed_cell);
            }
        }
        let role = role_hit(&self.runs[0].record.manifest.plan, &fault.on);
        if let (FaultKind::PowerOff, Some(role)) = (&fault.kind, role) {
            let metric = format!("× {} servers", role.name());
            self.add("", &metric, |run| fault_cell(run, fault, scaled_cell));
        }
    }

    /// A row for what only some targets can measure; none where no target did.
    fn measured(&mut self, metric: &str, fault: &Fault, cell: CellOfFault) {
        let is_known = |c: &Cell| matches!(c, Cell::After { .. });
        if self.runs.iter().any(|run| is_known(&fault_cell(run, fault, cell))) {
            self.add("", metric, |run| fault_cell(run, fault, cell));
        }
    }

    fn data(&mut self) {
        self.next_group();
        self.add("writes", "acked / lost", |run| {
            let data = &run.summary.data;
            match data.acknowledged {
                0 => Cell::Unknown,
                acknowledged => {
                    Cell::Data { acknowledged, lost: data.lost, unchecked: data.unchecked }
                }
            }
        });
        self.counted("", "unchecked", |data| data.lost.map(|_| data.unchecked));
        self.counted("", "not recorded", |data| Some(data.not_recorded));
        self.counted("", "refused, found", |data| data.unexpected);
        self.counted("reads", "stale", |data| data.stale_reads);
        self.counted("reads", "went back", |data| data.backward_reads);
    }

    /// A row for what should be 0; none where it is.
    fn counted(&mut self, label: &str, metric: &str, count: fn(&DataSummary) -> Option<u64>) {
        let counted = |run: &Run<'_>| count(&run.summary.data);
        if self.runs.iter().any(|run| counted(run).is_some_and(|n| n > 0)) {
            self.add(label, metric, |run| {
                counted(run).map_or(Cell::Unknown, |value| Cell::Count { value })
            });
        }
    }
}

/// The calm phases of any run; all measured ones where no phase is calm.
pub fn phases_to_show(runs: &[Run<'_>]) -> Vec<String> {
    let named = |wanted: fn(&PhaseSummary) -> bool| -> Vec<String> {
        let phases = runs[0].summary.phases.iter();
        let is_wanted = |name: &str| {
            runs.iter().any(|r| r.summary.phases.iter().any(|p| p.name == name && wanted(p)))
        };
        phases.map(|p| p.name.clone()).filter(|name| is_wanted(name)).collect()
    };
    let calm = named(|p| p.is_calm);
    if calm.is_empty() { named(|p| p.measured) } else { calm }
}

pub fn phase_of<'a>(run: &Run<'a>, name: &str) -> Option<&'a PhaseSummary> {
    run.summary.phases.iter().find(|p| p.name == name)
}

fn rate_of(plan: &Plan, phase: &str) -> String {
    let phase = plan.load.phases.iter().find(|p| p.name == phase);
    match (&plan.load.arrivals, phase) {
        (Arrivals::Closed { connections, .. }, _) => format!("{connections} conn."),
        (_, Some(p)) => format!("{:.0}/s", (p.rate_from + p.rate_to) / 2.0),
        (_, None) => String::new(),
    }
}

/// Phases that are calm and not overloaded in all of these runs: the same requests, answered.
pub fn calm_in_all(runs: &[&Run<'_>]) -> Vec<String> {
    let is_calm = |run: &Run<'_>, name: &str| {
        phase_of(run, name).is_some_and(|p| p.is_calm && !p.is_overloaded)
    };
    let phases = runs[0].summary.phases.iter().map(|p| p.name.clone());
    phases.filter(|name| runs.iter().all(|run| is_calm(run, name))).collect()
}

/// CPU milliseconds per answer in these phases, all servers; as many seconds per 1,000.
pub fn calm_cpu_ms(run: &Run<'_>, phases: &[String]) -> Option<f64> {
    let plans = &run.record.manifest.plan.load.phases;
    let seconds: Vec<_> =
        plans.iter().filter(|p| phases.contains(&p.name)).map(seconds_of).collect();
    let ok: u64 = phases.iter().filter_map(|name| Some(phase_of(run, name)?.ledger.ok)).sum();
    used_s(run.record, &seconds).filter(|_| ok > 0).map(|s| s * 1000.0 / ok as f64)
}

/// The highest quantile that every run can name for a phase, so that a row compares like with like.
pub fn common_quantile(runs: &[Run<'_>], phase: &str) -> &'static str {
    let times = || {
        let phases = runs.iter().filter_map(|r| phase_of(r, phase));
        phases.filter(|p| !p.is_overloaded).map(|p| &p.response_time_ns)
    };
    let all_have = |name: &&str| times().all(|t| t.named(name).is_some());
    ["p99", "p95", "p90", "p75"].into_iter().find(all_have).unwrap_or("p95")
}

fn quantiles(times: &TimeSummary, high: &str) -> Cell {
    match (times.p50, times.named(high)) {
        (None, None) => Cell::Unknown,
        (low_ns, high_ns) => Cell::Quantiles { low_ns, high_ns },
    }
}

/// What happened, and for how long, as two short lines.
pub fn fault_label(fault: &Fault) -> (String, String) {
    let on = match &fault.on {
        Selector::Leader(role) => format!("{role} leader"),
        Selector::ServerOf(node) => format!("server of {node}"),
        other => other.to_string(),
    };
    let lasts = format!("{} s", short(fault.lasts.as_secs_f64()));
    match &fault.kind {
        FaultKind::PowerOff => ("server lost".into(), format!("  for {lasts}")),
        FaultKind::Kill => (on, format!("  killed, {lasts}")),
        FaultKind::Pause => (on, format!("  frozen, {lasts}")),
        FaultKind::Restart => (on, "  restarted".into()),
        FaultKind::Throttle { to, .. } => (on, format!("  at {:.0} % CPU", to * 100.0)),
    }
}

pub fn hits_database(on: &Selector) -> bool {
    match on {
        Selector::Leader(role) | Selector::Role(role) | Selector::Share(role, _) => {
            role == Role::Database.name()
        }
        Selector::Node(node) => node.starts_with("database-"),
        Selector::ServerOf(_) => false,
    }
}

pub fn fault_of<'a>(run: &Run<'a>, name: &str) -> Option<&'a FaultSummary> {
    run.summary.faults.iter().find(|f| f.name == name)
}

type CellOfFault = fn(&Run<'_>, &Fault, &FaultSummary) -> Cell;

fn fault_cell(run: &Run<'_>, fault: &Fault, cell: CellOfFault) -> Cell {
    match fault_of(run, &fault.name) {
        None => Cell::Unknown,
        Some(seen) if seen.injected_at_s.is_none() => Cell::NotInjected,
        Some(seen) if !seen.attributable => Cell::AlreadyFailing,
        Some(seen) => cell(run, fault, seen),
    }
}

fn hit_cell(_: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    Cell::Hit { not_in_time: seen.not_in_time, of: seen.requests_until_next }
}

/// More servers of a role fail more often.
fn scaled_cell(run: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let plan = &run.record.manifest.plan;
    let Some(role) = role_hit(plan, &fault.on) else { return Cell::Unknown };
    let holds = |node: &String| plan.nodes.iter().any(|n| n.name == *node && n.role == role);
    let servers = plan.servers.iter().filter(|s| s.nodes.iter().any(holds)).count();
    Cell::HitTimesServers { not_in_time: seen.not_in_time, servers }
}

/// The role that a fault is aimed at.
fn role_hit(plan: &Plan, on: &Selector) -> Option<Role> {
    match on {
        Selector::Role(role) | Selector::Share(role, _) | Selector::Leader(role) => {
            Role::parse(role)
        }
        Selector::Node(name) | Selector::ServerOf(name) => {
            plan.nodes.iter().find(|n| n.name == *name).map(|n| n.role)
        }
    }
}

/// What a throttle took: the same share of a big server is more than of a small one.
fn taken_cores(run: &Run<'_>, fault: &Fault, left: f64) -> Option<f64> {
    let seen = fault_of(run, &fault.name).filter(|f| f.injected_at_s.is_some())?;
    let servers = run.record.manifest.plan.servers.iter();
    let hit = servers.filter(|s| seen.node.split(' ').any(|n| *n == s.name));
    Some(hit.map(|s| s.cores).sum::<f64>() * (1.0 - left)).filter(|cores| *cores > 0.0)
}

fn in_force_cell(run: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let held = run.record.manifest.plan.hypothesis_in_time;
    seen.in_time_share.map_or(Cell::Unknown, |share| Cell::InTime { share, held: share >= held })
}

fn recovered_cell(run: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let observed = seen.recovery_time_s;
    if observed == Some(0.0) {
        return Cell::Held;
    }
    Cell::OutFor(OutFor {
        seconds: observed.unwrap_or_else(|| observed_for(run, seen)),
        is_stepped: true,
        includes_repair: includes_repair(fault, observed),
        at_least: observed.is_none(),
        below_resolution: false,
    })
}

fn noticed_cell(run: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let bound_s = detection_bound_s(&run.record.manifest.plan, seen);
    seen.detected_after_s.map_or(Cell::Unknown, |seconds| Cell::After { seconds, bound_s })
}

fn leader_cell(run: &Run<'_>, _: &Fault, seen: &FaultSummary) -> Cell {
    let bound_s = election_bound_s(&run.record.manifest.plan);
    seen.failed_over_after_s.map_or(Cell::Unknown, |seconds| Cell::After { seconds, bound_s })
}

fn writes_cell(_: &Run<'_>, fault: &Fault, seen: &FaultSummary) -> Cell {
    let Some(outage) = seen.write_outage else { return Cell::Unknown };
    let is_visible = outage.is_visible();
    Cell::OutFor(OutFor {
        seconds: outage.known_s(),
        is_stepped: false,
        includes_repair: is_visible && includes_repair(fault, Some(outage.longest_s)),
        at_least: outage.is_open,
        below_resolution: !is_visible,
    })
}

/// From the injection to the end of the load, where nothing better is known.
fn observed_for(run: &Run<'_>, seen: &FaultSummary) -> f64 {
    let end = run.record.manifest.plan.load.end().as_secs_f64();
    let next = (run.summary.faults.iter())
        .filter_map(|f| f.injected_at_s)
        .filter(|at| Some(*at) > seen.injected_at_s)
        .fold(end, f64::min);
    next - seen.injected_at_s.unwrap_or(next)
}

fn includes_repair(fault: &Fault, seconds: Option<f64>) -> bool {
    matches!(fault.kind, FaultKind::Kill | FaultKind::PowerOff)
        && seconds.is_none_or(|s| s >= fault.lasts.as_secs_f64())
}

/// The balancer looks away from a silent member after this long, at the latest.
fn detection_bound_s(plan: &Plan, seen: &FaultSummary) -> Option<f64> {
    let apps = plan.nodes.iter().filter(|n| n.role == Role::App).count();
    let balancer = plan.nodes.iter().find(|n| n.role == Role::Balancer)?;
    let settings = &balancer.settings.balancer;
    let is_app = seen.roles.iter().any(|r| r == Role::App.name());
    (apps > 1 && is_app).then(|| settings.heartbeat.as_secs_f64() * f64::from(settings.missed))
}

/// A replica stands for election after at most twice its time-out.
fn election_bound_s(plan: &Plan) -> Option<f64> {
    let databases: Vec<_> = plan.nodes.iter().filter(|n| n.role == Role::Database).collect();
    let settings = &databases.first()?.settings.database;
    (databases.len() > 2).then(|| settings.election_timeout.as_secs_f64() * 2.0)
}

/// What lost writes are not a test of.
pub const PROCESS_DEATH: &str =
    "lost writes: process death, not power: the kernel's page cache survives";

/// The notes that marks in the cells point to.
pub fn footnotes(rows: &[Row], runs: &[Run<'_>]) -> Vec<String> {
    let cells = || rows.iter().flat_map(|r| &r.cells);
    let mut notes = Vec::new();
    if cells().any(|c| *c == Cell::AlreadyFailing) {
        notes.push("(a) already failing before the fault: not attributable".into());
    }
    if cells().any(|c| matches!(c, Cell::OutFor(o) if o.includes_repair)) {
        let mut repairs: Vec<String> = (runs[0].summary.faults.iter())
            .filter_map(|f| f.assumed_repair_s)
            .map(|s| format!("{s:.1} s"))
            .collect();
        repairs.dedup();
        notes.push(format!("(b) {} of it is the repair time in the profile", repairs.join(" or ")));
    }
    let is_printed = cells().any(|c| matches!(c, Cell::Data { .. }));
    if is_printed && runs.iter().any(|r| r.summary.has_deaths()) {
        notes.push(PROCESS_DEATH.into());
    }
    notes
}
