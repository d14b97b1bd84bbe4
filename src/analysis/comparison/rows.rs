//! The lines of the table.

use super::Run;
use super::cell::{Cell, Row};
use super::fault_cells::{
    CellOfFault, fault_cell, fault_label, hit_cell, hits_database, in_force_cell, leader_cell,
    noticed_cell, recovered_cell, role_hit, scaled_cell, taken_cores, writes_cell,
};
use crate::analysis::load::used_s;
use crate::analysis::summarise::seconds_of;
use crate::analysis::summary::{DataSummary, PhaseSummary, TimeSummary};
use crate::fault::{Fault, FaultKind};
use crate::plan::{Arrivals, Plan};

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
    rows.add("  for each core given", "", |run| {
        let cpu = &run.summary.cpu;
        let given = cpu.given_cores.filter(|cores| *cores > 0.0);
        per_second(cpu.expected_capacity_per_s.zip(given).map(|(rate, cores)| rate / cores))
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
        (_, Some(p)) => format!("{:.0}/s", p.mean_rate()),
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
