//! What faults tell: whom they hit, for how long, and why.

use super::{
    CLAIM_RATIO, Finding, Run, Say, Topic, are_counts_apart, ranked, ratio, sentence, why_slow,
};
use crate::analysis::comparison::cell::{count_text, short};
use crate::analysis::comparison::rows::{fault_label, fault_of, hits_database};
use crate::analysis::server_loads;
use crate::analysis::summary::{FaultSummary, ServerLoad};
use crate::fault::{Fault, FaultKind, ThrottleBy};
use crate::plan::{NodePlan, Plan};

/// Times of recovery are told in steps of one second: shorter ones are not told apart.
const STEP_S: f64 = 1.0;

impl Say<'_> {
    /// Only what the fault did to a target that was well before it.
    fn attributable<'a>(run: &Run<'a>, fault: &Fault) -> Option<&'a FaultSummary> {
        fault_of(run, &fault.name).filter(|f| f.injected_at_s.is_some() && f.attributable)
    }

    pub(super) fn hit(&self, fault: &Fault) -> Option<Finding> {
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

    pub(super) fn back_after(&self, fault: &Fault) -> Option<Finding> {
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

    pub(super) fn writes_out(&self, fault: &Fault) -> Option<Finding> {
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
}

fn on_hit_server(plan: &Plan, hit: &[&str], node: &str) -> bool {
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

/// Whether two recovery times can be told apart at all.
fn are_times_apart(a: f64, b: f64) -> bool {
    (b - a).abs() > STEP_S && b.max(STEP_S) >= CLAIM_RATIO * a.max(STEP_S)
}
