//! What may be said about several runs of one each: only differences beyond the noise between runs,
//! each with the resource that was measured to be exhausted, or the admission that it is not known.

mod faults;
mod phases;
mod totals;

use super::cell::percent;
use super::rows::phases_to_show;
use super::{CLAIM_RATIO, Run};
use crate::analysis::summary::ServerLoad;
use serde::Serialize;
use std::cmp::Ordering;

/// A server that used this much of its CPU was out of it.
pub const EXHAUSTED: f64 = 0.9;

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

impl Topic {
    /// Whether it is told by times or by what was carried, which another machine changes by itself.
    pub fn is_of_the_machine(self) -> bool {
        matches!(self, Topic::InTime | Topic::Speed | Topic::Capacity | Topic::Cpu)
    }
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
pub fn headline(findings: &[Finding], runs: &[Run<'_>], names: &[String]) -> Option<String> {
    let of = |topic| findings.iter().filter(move |f| f.topic == topic && f.is_difference);
    let best = |f: &Finding| ranked(&f.values).first().map(|(i, _)| *i);
    let mut parts = Vec::new();
    let faster = of(Topic::Speed).next().and_then(best);
    parts.extend(faster.map(|i| format!("{} is faster while nothing breaks", names[i])));
    parts.extend(Say { runs, names }.tougher());
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
        // Which of several half-idle servers is the busiest is chance: not named.
        Some(load) => format!(
            "why could not be told: no server was out of CPU, the busiest used {}",
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

/// More than three standard deviations of two Poisson counts.
fn are_counts_apart(a: f64, b: f64) -> bool {
    (b - a).abs() > 3.0 * (a + b).sqrt()
}
