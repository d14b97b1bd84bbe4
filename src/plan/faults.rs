//! The profile's faults, checked against the target, with every instant that can be known drawn.

use super::compile::PlanError;
use super::fitness;
use super::node::NodePlan;
use super::topology::Topology;
use crate::base::{Nanos, random};
use crate::fault::{Fault, FaultKind, Need, Selector, Trigger, When};
use crate::profile::{Profile, ProfileFault};
use crate::target::{Role, Target};
use rand_xoshiro::rand_core::Rng;

/// Faults are moved by up to one heartbeat, drawn from the seed, so that they do not always hit
/// the same moment between two signs of life.
const FAULT_OFFSET: Nanos = Nanos::from_millis(250);
/// A plan with more is a mistake in a rate.
const FAULTS_MAX: usize = 1_000;

pub(super) fn faults(
    target: &Target,
    profile: &Profile,
    seed: u64,
    topology: &Topology,
) -> Result<Vec<Fault>, PlanError> {
    let mut all = Vec::new();
    for (index, fault) in profile.fault.iter().enumerate() {
        let refuse = |key: &str, problem: String| PlanError::Fault {
            profile: profile.name.clone(),
            fault: fault.name.clone(),
            key: key.into(),
            problem,
        };
        let kind = fault.fault_kind().map_err(|(key, problem)| refuse(&key, problem))?;
        if let Some(url) = &target.url
            && kind.need() == Need::Namespace
        {
            let problem = format!(
                "packets are lost in a network of the run's own, from where {url} cannot be \
                 reached; only a target that brunt starts can have this fault"
            );
            return Err(refuse("kind", problem));
        }
        if let (FaultKind::DiskSlow { .. }, Some(full)) = (&kind, fills_the_folder(profile)) {
            let problem = format!(
                "fault `{full}` fills the data folder, which is in memory for that, where no disk's \
                 rate counts; put one of them into a profile of its own"
            );
            return Err(refuse("kind", problem));
        }
        if let Some(missing) = missing(&fault.on, topology) {
            return Err(PlanError::FaultTarget {
                profile: profile.name.clone(),
                fault: fault.name.clone(),
                target: target.name.clone(),
                missing,
                known: known(topology),
            });
        }
        fitness::check(&kind, &fault.on, fault.lasts, topology)
            .map_err(|(key, problem)| refuse(key, problem))?;
        check_trigger(profile, fault, topology).map_err(|problem| refuse("after", problem))?;
        let lasts = if matches!(kind, FaultKind::Restart) { Nanos::ZERO } else { fault.lasts };
        let whens = whens(fault, profile.lasts(), seed, index as u64);
        let is_series = whens.len() > 1 || fault.per_minute.is_some();
        for (n, when) in whens.into_iter().enumerate() {
            let name = match is_series {
                true => format!("{}-{}", fault.name, n + 1),
                false => fault.name.clone(),
            };
            let (series, kind, on) = (fault.name.clone(), kind.clone(), fault.on.clone());
            all.push(Fault { name, series, kind, on, when, lasts });
        }
        if all.len() > FAULTS_MAX {
            return Err(refuse("per_minute", format!("makes more than {FAULTS_MAX} faults")));
        }
    }
    Ok(all)
}

fn fills_the_folder(profile: &Profile) -> Option<&str> {
    let fills = |fault: &&ProfileFault| {
        fault.fault_kind().is_ok_and(|kind| kind.need() == Need::BoundedFolder)
    };
    profile.fault.iter().find(fills).map(|fault| fault.name.as_str())
}

/// Every instant at which this fault fires, as far as a plan can know it.
fn whens(fault: &ProfileFault, load_lasts: Nanos, seed: u64, index: u64) -> Vec<When> {
    if let Some(after) = &fault.after {
        let wait = fault.wait.unwrap_or_default();
        return vec![When::After { after: after.clone(), wait }];
    }
    let mut draws = random::stream(seed, "fault-offset", index);
    let mut unit = || random::unit(draws.next_u64());
    if let Some(per_minute) = fault.per_minute {
        return poisson(fault, per_minute / 60.0, load_lasts, unit);
    }
    let at = fault.at.unwrap_or_default();
    let every = fault.every.unwrap_or_default();
    let jitter = fault.every_jitter.unwrap_or(FAULT_OFFSET);
    let one = |n: u64| {
        let moved = Nanos((unit() * jitter.0 as f64) as u64);
        When::At { at: Nanos(at.0 + n * every.0) + moved }
    };
    (0..u64::from(fault.times.unwrap_or(1))).map(one).collect()
}

/// A Poisson process: exponential gaps by inversion.
fn poisson(
    fault: &ProfileFault,
    rate_per_s: f64,
    load_lasts: Nanos,
    mut unit: impl FnMut() -> f64,
) -> Vec<When> {
    let until = fault.until.unwrap_or(load_lasts).as_secs_f64();
    let mut at = fault.from.unwrap_or_default().as_secs_f64();
    let mut all = Vec::new();
    while all.len() <= FAULTS_MAX {
        at += -(1.0 - unit()).ln() / rate_per_s;
        if at >= until {
            break;
        }
        all.push(When::At { at: Nanos::from_secs_f64(at) });
    }
    all
}

/// A fault may only wait for what can happen.
fn check_trigger(
    profile: &Profile,
    fault: &ProfileFault,
    topology: &Topology,
) -> Result<(), String> {
    let is_fault = |name: &str| {
        let is_it = |f: &&ProfileFault| f.name == name && f.name != fault.name;
        match profile.fault.iter().find(is_it) {
            Some(_) => Ok(()),
            None => Err(format!("there is no other fault `{name}`")),
        }
    };
    match &fault.after {
        None => Ok(()),
        Some(Trigger::Injected(name) | Trigger::Healed(name)) => is_fault(name),
        Some(Trigger::LeaderChanged(role)) => {
            match missing(&Selector::Leader(role.clone()), topology) {
                Some(missing) => Err(format!("the target has no {missing}")),
                None => Ok(()),
            }
        }
        Some(Trigger::MemberDown(name)) => {
            let is_it = |n: &&NodePlan| n.name == *name || n.role.name() == name;
            match topology.nodes.iter().find(is_it) {
                Some(_) => Ok(()),
                None => Err(format!("the target has no node or role `{name}`")),
            }
        }
    }
}

/// What a selector names that the target does not have.
fn missing(selector: &Selector, topology: &Topology) -> Option<String> {
    let has_role = |role: &str| topology.nodes.iter().any(|n| n.role.name() == role);
    // Only the bundled database says who leads it.
    let has_leader = |role: &str| {
        let is_it = |n: &NodePlan| n.role == Role::Database && n.role.name() == role;
        topology.nodes.iter().any(is_it)
    };
    let has_several =
        |role: &str| topology.nodes.iter().filter(|n| n.role.name() == role).count() > 1;
    let has_node = |name: &str| topology.nodes.iter().any(|n| n.name == name);
    match selector {
        Selector::Node(name) | Selector::ServerOf(name) if !has_node(name) => {
            Some(format!("node `{name}`"))
        }
        Selector::Role(role) | Selector::Share(role, _) if !has_role(role) => {
            Some(format!("role `{role}`"))
        }
        Selector::Leader(role) if !has_leader(role) => Some(format!("leader of `{role}`")),
        Selector::Replica(role) if !has_leader(role) || !has_several(role) => {
            Some(format!("replica of `{role}`"))
        }
        Selector::Link(from, to) => missing(from, topology)
            .or_else(|| missing(to, topology))
            .or_else(|| (!topology.has_link(from, to)).then(|| format!("link `{selector}`"))),
        _ => None,
    }
}

fn known(topology: &Topology) -> String {
    match topology.nodes.is_empty() {
        true => "no nodes of its own (it is only a URL)".into(),
        false => topology.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}
