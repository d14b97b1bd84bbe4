//! What faults tell: whom they hit, for how long, and why.

use super::{
    CLAIM_RATIO, Finding, Run, Say, Topic, are_counts_apart, ranked, ratio, sentence, why_slow,
};
use crate::analysis::comparison::cell::{count_text, short, under, within};
use crate::analysis::comparison::fault_cells::{fault_label, fault_of, hits_database};
use crate::analysis::server_loads;
use crate::analysis::summary::{FaultSummary, ServerLoad};
use crate::fault::{Fault, FaultKind, Selector, ThrottleBy};
use crate::plan::{NodePlan, Plan};

/// Times of recovery are told in steps of one second.
const STEP_S: f64 = 1.0;
/// Requests not in time must be apart by this share of the window's: two runs of one target differ
/// by as much when one bunch of requests is late in one of them.
const HIT_APART: f64 = 0.02;

impl Say<'_> {
    /// Only what the fault did to a target that was well before it.
    fn attributable<'a>(run: &Run<'a>, fault: &Fault) -> Option<&'a FaultSummary> {
        fault_of(run, &fault.name).filter(|f| f.injected_at_s.is_some() && f.attributable)
    }

    pub(super) fn hit(&self, fault: &Fault) -> Option<Finding> {
        let hits = self.hits(fault);
        let values = not_in_time(&hits);
        let ranked = ranked(&values);
        if !are_hits_apart(&hits) {
            return None;
        }
        let worst = ranked.last()?;
        let seen = Self::attributable(&self.runs[worst.0], fault)?;
        let why = self.why_hit(worst.0, seen);
        let list = self.list(&ranked, |n| count_text(n as u64));
        let text = format!("{}, requests not in time: {list}", when(fault));
        Some(Finding {
            topic: Topic::FaultHit,
            about: format!("{}: not in time", fault.name),
            unit: "requests",
            ratio: ratio(&ranked, 1.0),
            values,
            is_difference: true,
            text: sentence(&text, Some(&why)),
            why: Some(why),
        })
    }

    /// By target, what a fault did to it.
    fn hits(&self, fault: &Fault) -> Vec<Option<Hit>> {
        let hit = |r: &Run<'_>| {
            let seen = Self::attributable(r, fault)?;
            Some(Hit { not_in_time: seen.not_in_time, of: seen.requests_until_next })
        };
        self.runs.iter().map(hit).collect()
    }

    /// Who keeps more visitors when parts die: the sum over the same deaths for every target that
    /// was well before all of them; nothing where one of them tells the other story.
    pub(super) fn tougher(&self) -> Option<String> {
        let faults = self.runs[0].record.manifest.plan.faults.iter();
        let deaths: Vec<Vec<Option<Hit>>> = faults
            .filter(|f| matches!(f.kind, FaultKind::Kill | FaultKind::PowerOff))
            .map(|f| self.hits(f))
            .collect();
        let sum = |i: usize| {
            let of_target = deaths.iter().map(|hits| hits[i]);
            of_target.reduce(|a, b| {
                let (a, b) = (a?, b?);
                Some(Hit { not_in_time: a.not_in_time + b.not_in_time, of: a.of + b.of })
            })?
        };
        let sums: Vec<Option<Hit>> = (0..self.runs.len()).map(sum).collect();
        let ranked_sums = ranked(&not_in_time(&sums));
        let best = ranked_sums.first()?.0;
        let compared = |hits: &Vec<Option<Hit>>| -> Vec<Option<Hit>> {
            hits.iter().zip(&sums).map(|(hit, sum)| hit.filter(|_| sum.is_some())).collect()
        };
        let agrees = |hits: &Vec<Option<Hit>>| {
            let hits = compared(hits);
            let is_best = ranked(&not_in_time(&hits)).first().is_some_and(|(i, _)| *i == best);
            is_best || !are_hits_apart(&hits)
        };
        let list = self.list(&ranked_sums, |n| count_text(n as u64));
        (are_hits_apart(&sums) && deaths.iter().all(agrees)).then(|| {
            format!("{} keeps more visitors when parts die (not in time: {list})", self.names[best])
        })
    }

    /// What was missing while the fault was in force: the whole role, or CPU on what was left.
    fn why_hit(&self, index: usize, seen: &FaultSummary) -> String {
        let run = &self.runs[index];
        let plan = &run.record.manifest.plan;
        let hit: Vec<&str> = seen.node.split(' ').collect();
        let is_hit = |node: &&NodePlan| {
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
        why_slow(self.busiest_under(index, seen).as_ref())
    }

    /// The busiest server while the fault was in force. A throttled one had less to give, so only
    /// whole seconds of the throttle count, against what was left.
    fn busiest_under(&self, index: usize, seen: &FaultSummary) -> Option<ServerLoad> {
        let run = &self.runs[index];
        let from = seen.injected_at_s.unwrap_or(0.0);
        let to = seen.healed_at_s.unwrap_or(from + 1.0);
        let plan = &run.record.manifest.plan;
        let kind = plan.faults.iter().find(|f| f.name == seen.name).map(|f| &f.kind);
        let Some(FaultKind::Throttle { to: left, by: ThrottleBy::Quota }) = kind else {
            let seconds = from as u32..(to.ceil() as u32).max(from as u32 + 1);
            return server_loads(run.record, seconds).into_iter().next();
        };
        let inner = from.ceil() as u32..(to as u32).max(from.ceil() as u32 + 1);
        let mut loads = server_loads(run.record, inner);
        for load in loads.iter_mut().filter(|l| seen.node.split(' ').any(|n| n == l.server)) {
            load.cores *= left;
            load.cpu_share /= left;
        }
        loads.into_iter().max_by(|a, b| a.cpu_share.total_cmp(&b.cpu_share))
    }

    /// Only where the hits are apart too: one late bunch seconds after the fault moves the end of
    /// the recovery, and is not its doing.
    pub(super) fn back_after(&self, fault: &Fault) -> Option<Finding> {
        let values = self.values(|r| Self::attributable(r, fault)?.recovery_time_s);
        let ranked = ranked(&values);
        let (best, worst) = (ranked.first()?, ranked.last()?);
        let hits = self.hits(fault);
        let of = |i: usize| hits.get(i).copied().flatten();
        if !are_times_apart(best.1, worst.1) || !are_hits_apart(&[of(best.0), of(worst.0)]) {
            return None;
        }
        let own = own_length(fault, worst.1);
        // Held and back within one step are the same sentence.
        let list = self.list(&ranked, |s| within(s.max(STEP_S)));
        Some(Finding {
            topic: Topic::FaultRecovery,
            about: format!("{}: recovery time", fault.name),
            unit: "s",
            ratio: ratio(&ranked, STEP_S),
            values,
            is_difference: true,
            why: None,
            text: format!("{}, all is in time again: {list}{own}.", when(fault)),
        })
    }

    /// Gaps that the rate of writes cannot resolve count as long as they may have been.
    pub(super) fn writes_out(&self, fault: &Fault) -> Option<Finding> {
        if !hits_database(&fault.on) {
            return None;
        }
        let seen = |i: usize| Self::attributable(&self.runs[i], fault);
        let values = self.values(|r| Some(Self::attributable(r, fault)?.write_outage?.known_s()));
        let ranked = ranked(&values);
        let worst = ranked.last()?;
        let is_visible = |i: usize| {
            seen(i).and_then(|f| f.write_outage).is_some_and(|outage| outage.is_visible())
        };
        let ratio = ratio(&ranked, 0.0).filter(|r| *r >= CLAIM_RATIO && is_visible(worst.0))?;
        let parts: Vec<String> = (ranked.iter())
            .map(|(i, s)| {
                let text = if is_visible(*i) { format!("{s:.1} s") } else { under(*s) };
                let leader = seen(*i).and_then(|f| f.failed_over_after_s);
                let leader = leader.map(|s| format!(" (a new leader after {s:.2} s)"));
                format!("{} {text}{}", self.names[*i], leader.unwrap_or_default())
            })
            .collect();
        let own = own_length(fault, worst.1);
        let list = parts.join(", ");
        Some(Finding {
            topic: Topic::WriteOutage,
            about: format!("{}: writes out for", fault.name),
            unit: "s",
            values,
            ratio: Some(ratio),
            is_difference: true,
            why: None,
            text: format!("{}, no write is acknowledged for: {list}{own}.", when(fault)),
        })
    }
}

/// Requests not in time, of those until the next fault.
#[derive(Clone, Copy)]
struct Hit {
    not_in_time: u64,
    of: u64,
}

fn not_in_time(hits: &[Option<Hit>]) -> Vec<Option<f64>> {
    hits.iter().map(|hit| hit.map(|h| h.not_in_time as f64)).collect()
}

/// Requests that are late in one outage are one event and not as many independent ones, so three
/// standard deviations are not enough: best and worst must also be a part of the window apart.
fn are_hits_apart(hits: &[Option<Hit>]) -> bool {
    let ranked = ranked(&not_in_time(hits));
    let Some((best, worst)) = ranked.first().zip(ranked.last()) else { return false };
    let of = hits.iter().flatten().map(|h| h.of).max().unwrap_or(0) as f64;
    ratio(&ranked, 1.0).is_some_and(|r| r >= CLAIM_RATIO)
        && are_counts_apart(best.1, worst.1)
        && worst.1 - best.1 >= HIT_APART * of
}

fn on_hit_server(plan: &Plan, hit: &[&str], node: &str) -> bool {
    plan.servers.iter().any(|s| {
        let holds = |name: &str| s.nodes.iter().any(|n| n == name);
        holds(node) && (hit.contains(&s.name.as_str()) || hit.iter().any(|h| holds(h)))
    })
}

/// The part of an outage that the profile says, and no target can help.
fn own_length(fault: &Fault, worst_s: f64) -> String {
    let lasts = fault.lasts.as_secs_f64();
    if worst_s < lasts {
        return String::new();
    }
    match &fault.kind {
        kind if kind.is_repaired() => {
            format!(" ({} s of it is the assumed repair time)", short(lasts))
        }
        FaultKind::Restart => String::new(),
        _ => format!(" ({} s of it is the fault's own length)", short(lasts)),
    }
}

fn when(fault: &Fault) -> String {
    let (title, _) = fault_label(fault);
    match &fault.kind {
        FaultKind::PowerOff => "When a server dies".into(),
        FaultKind::Kill => format!("When the {title} is killed"),
        FaultKind::Pause => format!("While {title} is frozen"),
        FaultKind::Restart => format!("When {title} is restarted"),
        FaultKind::Throttle { to, .. } => {
            let the = if matches!(fault.on, Selector::ServerOf(_)) { "the " } else { "" };
            format!("With {the}{title} at {:.0} % CPU", to * 100.0)
        }
        kind => format!("With {title} {}", kind.words()),
    }
}

/// Whether two recovery times can be told apart at all: each may be off by a step.
fn are_times_apart(a: f64, b: f64) -> bool {
    let (a, b) = (a.ceil(), b.ceil());
    b - a >= 2.0 * STEP_S && b >= CLAIM_RATIO * a.max(STEP_S)
}
