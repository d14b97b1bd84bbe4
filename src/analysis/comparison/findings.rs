//! What may be said about several runs of one each: only differences beyond the noise between runs,
//! each with the resource that was measured to be exhausted, or the admission that it is not known.

use super::cell::{count_text, percent, short};
use super::rows::{
    common_quantile, fault_label, fault_of, hits_database, phase_of, phases_to_show,
};
use super::{CLAIM_RATIO, Run, same_cpu_groups};
use crate::analysis::server_loads;
use crate::analysis::summary::{FaultSummary, PhaseSummary, ServerLoad};
use crate::base::Nanos;
use crate::fault::{Fault, FaultKind};
use serde::Serialize;
use std::cmp::Ordering;

/// A server that used this much of its CPU was out of it.
pub const EXHAUSTED: f64 = 0.9;
/// Shares in time must be apart by this much, and by three standard deviations of the counts.
const SHARE_APART: f64 = 0.01;
/// Times of recovery are told in steps of one second: shorter ones are not told apart.
const STEP_S: f64 = 1.0;

/// What a finding is about, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Overload,
    InTime,
    Speed,
    Capacity,
    FaultHit,
    FaultRecovery,
    WriteOutage,
    LostWrites,
    Cpu,
}

/// One analysed statement with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub topic: Topic,
    pub about: String,
    pub unit: &'static str,
    /// By target; `None` where it was not measured or is not comparable.
    pub values: Vec<Option<f64>>,
    /// The worst ÷ the best.
    pub ratio: Option<f64>,
    /// Whether it tells the targets apart; else it is a fact about one of them.
    pub is_difference: bool,
    pub why: Option<String>,
    pub text: String,
}

pub fn findings(runs: &[Run<'_>], names: &[String]) -> Vec<Finding> {
    let say = Say { runs, names };
    let mut findings = Vec::new();
    for phase in phases_to_show(runs) {
        findings.extend(say.in_time(&phase));
    }
    findings.extend(say.speed());
    for fault in &runs[0].record.manifest.plan.faults {
        findings.extend(say.hit(fault));
        findings.extend(say.back_after(fault));
        findings.extend(say.writes_out(fault));
    }
    findings.extend(say.lost_writes());
    findings.extend(say.cpu_per_answer());
    findings
}

/// The trade in one sentence: who is faster while nothing breaks, who loses fewer visitors when
/// parts die, who cannot carry the load at all. `None` where nothing tells the targets apart.
pub fn headline(findings: &[Finding], names: &[String]) -> Option<String> {
    let of = |topic| findings.iter().filter(move |f| f.topic == topic && f.is_difference);
    let best = |f: &Finding| ranked(&f.values).first().map(|(i, _)| *i);
    let mut parts = Vec::new();
    let faster = of(Topic::Speed).next().and_then(best);
    parts.extend(faster.map(|i| format!("{} is faster while nothing breaks", names[i])));
    let hits: Vec<&Finding> = of(Topic::FaultHit).collect();
    let tougher = hits.first().and_then(|f| best(f));
    if let Some(i) = tougher.filter(|i| hits.iter().all(|f| best(f) == Some(*i))) {
        let sum = |pick: fn(&[(usize, f64)]) -> f64| {
            hits.iter().map(|f| pick(&ranked(&f.values))).sum::<f64>()
        };
        let fewest = count_text(sum(|r| r.first().map_or(0.0, |v| v.1)) as u64);
        let most = count_text(sum(|r| r.last().map_or(0.0, |v| v.1)) as u64);
        parts.push(format!(
            "{} fails fewer visitors when parts die ({fewest} against {most})",
            names[i]
        ));
    }
    let mut drowned: Vec<&str> = (of(Topic::Overload))
        .filter_map(|f| names.iter().find(|n| f.text.starts_with(&format!("{n} answered"))))
        .map(String::as_str)
        .collect();
    drowned.dedup();
    if !drowned.is_empty() {
        parts.push(format!("{} cannot carry the load", drowned.join(" and ")));
    }
    (!parts.is_empty()).then(|| format!("{}.", parts.join("; ")))
}

struct Say<'a> {
    runs: &'a [Run<'a>],
    names: &'a [String],
}

/// Values that exist, the best (lowest) first.
fn ranked(values: &[Option<f64>]) -> Vec<(usize, f64)> {
    let mut ranked: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).collect();
    ranked.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal));
    ranked
}

/// Worst ÷ best of the ranked values, neither below what can be told from nothing.
fn ratio(ranked: &[(usize, f64)], floor: f64) -> Option<f64> {
    let (best, worst) = (ranked.first()?.1.max(floor), ranked.last()?.1.max(floor));
    (ranked.len() > 1 && best > 0.0).then(|| worst / best)
}

impl Say<'_> {
    fn values(&self, value: impl Fn(&Run<'_>) -> Option<f64>) -> Vec<Option<f64>> {
        self.runs.iter().map(value).collect()
    }

    /// `vertical 10 ms, horizontal 25 ms`, the best first.
    fn list(&self, ranked: &[(usize, f64)], text: impl Fn(f64) -> String) -> String {
        let parts: Vec<String> =
            ranked.iter().map(|(i, v)| format!("{} {}", self.names[*i], text(*v))).collect();
        parts.join(", ")
    }

    /// A target that drowns in a calm phase, or shares that are clearly apart.
    fn in_time(&self, phase: &str) -> Vec<Finding> {
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
    fn speed(&self) -> Vec<Finding> {
        let rate = |name: &String| {
            let phase = phase_of(&self.runs[0], name);
            phase.map_or(0.0, |p| p.ledger.planned as f64 / (p.end_s - p.start_s).max(1e-9))
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
        findings.extend(self.faster(times, high, &budget, phase));
        findings
            .extend(self.carries(&among(&|i| self.runs[i].summary.cpu.expected_capacity_per_s)));
        findings
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

    /// Only what the fault did to a target that was well before it.
    fn attributable<'a>(run: &Run<'a>, fault: &Fault) -> Option<&'a FaultSummary> {
        fault_of(run, &fault.name).filter(|f| f.injected_at_s.is_some() && f.attributable)
    }

    fn hit(&self, fault: &Fault) -> Option<Finding> {
        let values = self.values(|r| Some(Self::attributable(r, fault)?.not_in_time as f64));
        let ranked = ranked(&values);
        let ratio = ratio(&ranked, 1.0).filter(|r| *r >= CLAIM_RATIO)?;
        let (best, worst) = (ranked.first()?, ranked.last()?);
        if !are_counts_apart(best.1, worst.1) {
            return None;
        }
        let seen = Self::attributable(&self.runs[worst.0], fault)?;
        let why = self.why_hit(worst.0, seen);
        let list = self.list(&ranked, |n| count_text(n as u64));
        let text = format!("{}, requests not in time: {list}", when(fault));
        Some(Finding {
            topic: Topic::FaultHit,
            about: format!("{}: not in time", fault.name),
            unit: "requests",
            values,
            ratio: Some(ratio),
            is_difference: true,
            text: sentence(&text, Some(&why)),
            why: Some(why),
        })
    }

    /// What was missing while the fault was in force: the whole role, or CPU on what was left.
    fn why_hit(&self, index: usize, seen: &FaultSummary) -> String {
        let run = &self.runs[index];
        let plan = &run.record.manifest.plan;
        let hit: Vec<&str> = seen.node.split(' ').collect();
        let is_hit = |node: &&crate::plan::NodePlan| {
            hit.contains(&node.name.as_str()) || hit.contains(&node.server.as_str())
        };
        let name = &self.names[index];
        let whole = seen.roles.iter().find(|role| {
            let mut nodes = plan.nodes.iter().filter(|n| n.role.name() == role.as_str());
            nodes.all(|n| {
                is_hit(&n) || seen.kind == "power-off" && on_hit_server(plan, &hit, &n.name)
            })
        });
        if let (Some(role), true) = (whole, seen.kind != "throttle") {
            return format!("{name} has no other {role}");
        }
        let from = seen.injected_at_s.unwrap_or(0.0) as u32;
        let to = seen.healed_at_s.map_or(from + 1, |s| s.ceil() as u32).max(from + 1);
        why_slow(server_loads(run.record, from..to).first())
    }

    fn back_after(&self, fault: &Fault) -> Option<Finding> {
        let values = self.values(|r| Self::attributable(r, fault)?.recovery_time_s);
        let ranked = ranked(&values);
        let (best, worst) = (ranked.first()?.1, ranked.last()?.1);
        if !are_times_apart(best, worst) {
            return None;
        }
        let assumed = assumed_repair(fault, worst);
        let list = self.list(&ranked, |s| format!("{s:.1} s"));
        Some(Finding {
            topic: Topic::FaultRecovery,
            about: format!("{}: recovery time", fault.name),
            unit: "s",
            ratio: ratio(&ranked, STEP_S),
            values,
            is_difference: true,
            why: None,
            text: format!("{}, all is in time again after: {list}{assumed}.", when(fault)),
        })
    }

    fn writes_out(&self, fault: &Fault) -> Option<Finding> {
        if !hits_database(&fault.on) {
            return None;
        }
        let outage = |r: &Run<'_>| Self::attributable(r, fault)?.write_outage;
        let values = self.values(|r| outage(r).map(|o| o.longest_s));
        let ranked = ranked(&values);
        let floor = self.runs.iter().filter_map(outage).map(|o| o.resolution_s).fold(0.0, f64::max);
        let ratio = ratio(&ranked, floor).filter(|r| *r >= CLAIM_RATIO)?;
        let assumed = assumed_repair(fault, ranked.last()?.1);
        let list = self.list(&ranked, |s| format!("{s:.1} s"));
        let text = format!("{}, no write is acknowledged for: {list}{assumed}.", when(fault));
        Some(Finding {
            topic: Topic::WriteOutage,
            about: format!("{}: writes out for", fault.name),
            unit: "s",
            values,
            ratio: Some(ratio),
            is_difference: true,
            why: None,
            text,
        })
    }

    /// A lost write is a fact, however few there are.
    fn lost_writes(&self) -> Option<Finding> {
        let values = self.values(|r| r.summary.data.lost.map(|n| n as f64));
        let lost: Vec<(usize, f64)> =
            ranked(&values).into_iter().filter(|(_, n)| *n > 0.0).collect();
        if lost.is_empty() {
            return None;
        }
        let list = self.list(&lost, |n| format!("lost {}", count_text(n as u64)));
        let is_difference = lost.len() < values.iter().flatten().count();
        Some(Finding {
            topic: Topic::LostWrites,
            about: "acknowledged writes lost".into(),
            unit: "writes",
            values,
            ratio: None,
            is_difference,
            why: None,
            text: format!("Acknowledged writes that were gone at the end: {list}."),
        })
    }

    fn cpu_per_answer(&self) -> Option<Finding> {
        let values = self.values(|r| r.summary.cpu.per_1000_ok_s);
        let ranked = ranked(&values);
        let ratio = ratio(&ranked, 0.0).filter(|r| *r >= CLAIM_RATIO)?;
        let list = self.list(&ranked, |s| format!("{s:.2} s"));
        Some(Finding {
            topic: Topic::Cpu,
            about: "CPU per 1,000 answers".into(),
            unit: "s",
            values,
            ratio: Some(ratio),
            is_difference: true,
            why: None,
            text: format!("CPU for 1,000 answers: {list}."),
        })
    }
}

fn on_hit_server(plan: &crate::plan::Plan, hit: &[&str], node: &str) -> bool {
    plan.servers.iter().any(|s| {
        let holds = |name: &str| s.nodes.iter().any(|n| n == name);
        holds(node) && (hit.contains(&s.name.as_str()) || hit.iter().any(|h| holds(h)))
    })
}

/// The part of an outage that the profile assumes.
fn assumed_repair(fault: &Fault, worst_s: f64) -> String {
    let lasts = fault.lasts.as_secs_f64();
    match fault.kind {
        FaultKind::Kill | FaultKind::PowerOff if worst_s >= lasts => {
            format!(" ({} s of it is the assumed repair time)", short(lasts))
        }
        _ => String::new(),
    }
}

fn when(fault: &Fault) -> String {
    let (title, _) = fault_label(fault);
    match &fault.kind {
        FaultKind::PowerOff => "When a server dies".into(),
        FaultKind::Kill => format!("When the {title} is killed"),
        FaultKind::Pause => format!("While {title} is frozen"),
        FaultKind::Restart => format!("When {title} is restarted"),
        FaultKind::Throttle { .. } => format!("With {title}"),
    }
}

/// One thing must be out: a server's CPU. Whatever else it may be was not measured.
fn why_slow(busiest: Option<&ServerLoad>) -> String {
    match busiest {
        Some(load) if load.cpu_share >= EXHAUSTED => format!(
            "{} was out of CPU, {} of its {:.2} cores used",
            load.server,
            percent(load.cpu_share.min(1.0)),
            load.cores
        ),
        Some(load) => format!(
            "why could not be told: no server was out of CPU, the busiest, {}, used {}",
            load.server,
            percent(load.cpu_share)
        ),
        None => "why could not be told: CPU was not measured".into(),
    }
}

fn sentence(text: &str, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("{text} ({why})."),
        None => format!("{text}."),
    }
}

/// Two shares of counts: one percentage point, half as many again, and three standard deviations.
fn is_share_apart(best: &PhaseSummary, worst: &PhaseSummary) -> bool {
    let late = |p: &PhaseSummary| (p.ledger.planned - p.in_time.min(p.ledger.planned)) as f64;
    let shares = best.in_time_share().zip(worst.in_time_share());
    shares.is_some_and(|(b, w)| b - w >= SHARE_APART)
        && late(worst) >= CLAIM_RATIO * late(best)
        && are_counts_apart(late(best), late(worst))
}

/// More than three standard deviations of two Poisson counts.
fn are_counts_apart(a: f64, b: f64) -> bool {
    (b - a).abs() > 3.0 * (a + b).sqrt()
}

/// Whether two recovery times can be told apart at all.
fn are_times_apart(a: f64, b: f64) -> bool {
    (b - a).abs() > STEP_S && b.max(STEP_S) >= CLAIM_RATIO * a.max(STEP_S)
}
