//! Target × profile × seed × host facts → plan.

use super::demand;
use super::faults;
use super::topology::{self, Topology};
use super::{HostFacts, Needs, Plan};
use crate::base::Nanos;
use crate::profile::{Profile, Request};
use crate::target::{Role, Target};

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "profile {profile}: `request.{request}.costs`: `{costs}` is not a cost; use feed, video, like, comment or static"
    )]
    UnknownCost { profile: String, request: String, costs: String },
    #[error(
        "profile {profile}: `phase.{phase}.rate` is relative, but {why}; give it per second, like \"500/s\""
    )]
    RelativeRate { profile: String, phase: String, why: &'static str },
    #[error(
        "profile {profile}: `fault.{fault}.on`: target {target} has no {missing}; it has {known}"
    )]
    FaultTarget { profile: String, fault: String, target: String, missing: String, known: String },
    #[error("profile {profile}: `fault.{fault}.{key}`: {problem}")]
    Fault { profile: String, fault: String, key: String, problem: String },
    #[error("profile {profile}: `phase.{phase}.{key}`: {problem}")]
    Phase { profile: String, phase: String, key: &'static str, problem: &'static str },
    #[error("profile {profile}: `transport.{key}`: {problem}")]
    Transport { profile: String, key: &'static str, problem: &'static str },
    #[error("target {url}: {problem}")]
    Url { url: String, problem: String },
    #[error("target {url}: cannot resolve `{host}`: {cause}")]
    Resolve { url: String, host: String, cause: std::io::Error },
    #[error("target {target} has more nodes or relays than one network has room for ({room})")]
    TooManyNodes { target: String, room: usize },
    #[error(
        "target {target}: `link` from `{from}` to `{to}`: there is no such link; name nodes or roles of which the first `needs` the second (profile {profile})"
    )]
    Link { target: String, profile: String, from: String, to: String },
}

/// Uncached CPU-seconds of one average request of this profile at this target; 0 when unknown.
///
/// # Errors
/// When a request names a cost that does not exist.
pub fn cost_per_request(target: &Target, profile: &Profile) -> Result<f64, PlanError> {
    if !target.has_bundled() {
        return Ok(0.0);
    }
    let mut cost = 0.0;
    for request in &profile.request {
        let (app, database) = costs(target, profile, request)?;
        cost += request.weight * (app + database);
    }
    Ok(cost / profile.request.iter().map(|r| r.weight).sum::<f64>())
}

/// CPU-seconds of a request in the app and in the database.
fn costs(target: &Target, profile: &Profile, request: &Request) -> Result<(f64, f64), PlanError> {
    let Some(key) = &request.costs else { return Ok((0.0, 0.0)) };
    match (target.app.cost.get(key), target.database.cost.get(key)) {
        (Some(app), Some(database)) => Ok((app.as_secs_f64(), database.as_secs_f64())),
        _ => Err(PlanError::UnknownCost {
            profile: profile.name.clone(),
            request: request.name.clone(),
            costs: key.clone(),
        }),
    }
}

/// Compiles the complete plan of one run.
///
/// # Errors
/// When target and profile do not fit each other.
pub fn compile(
    target: &Target,
    profile: &Profile,
    seed: u64,
    host: &HostFacts,
) -> Result<Plan, PlanError> {
    let cost_s = cost_per_request(target, profile)?;
    let regions = regions(target, profile);
    let topology = topology::lay_out(target, profile, &regions, seed, host)?;
    let situation = demand::Situation { target, profile, host, cost_s };
    let load = situation.load(seed, &regions, &topology)?;
    let faults = faults::faults(target, profile, seed, &topology)?;
    Ok(Plan {
        target: target.name.clone(),
        profile: profile.name.clone(),
        seed,
        host: host.clone(),
        needs: Needs::of(faults.iter().map(|f| &f.kind)),
        faults,
        fault_limits: profile.faults.clone(),
        expected_capacity_per_s: expected_capacity(target, profile, &topology)?,
        servers: topology.servers,
        nodes: topology.nodes,
        links: topology.links,
        load,
        hypothesis_in_time: profile.steady.in_time,
        must_recover: profile.steady.must_recover,
        is_bundled: target.url.is_none(),
        cost_per_request: Nanos::from_secs_f64(cost_s),
        thresholds: Vec::new(),
        abort_on_fail: false,
        guards: profile.guard.clone(),
    })
}

/// Visitors' regions with weights; the target's home when the profile names none.
fn regions(target: &Target, profile: &Profile) -> Vec<(String, f64)> {
    match profile.region.is_empty() {
        true => vec![(target.home.clone(), 1.0)],
        false => profile.region.iter().map(|r| (r.name.clone(), r.weight)).collect(),
    }
}

/// By arithmetic: each server's cores over the CPU that its roles cost per request of the whole
/// target, and the smallest of these. Cache and CDN are not credited.
fn expected_capacity(
    target: &Target,
    profile: &Profile,
    topology: &Topology,
) -> Result<f64, PlanError> {
    let weights: f64 = profile.request.iter().map(|r| r.weight).sum();
    let (mut app_s, mut database_s) = (0.0, 0.0);
    if target.has_bundled() {
        for request in &profile.request {
            let (app, database) = costs(target, profile, request)?;
            app_s += app * request.weight / weights;
            database_s += database * request.weight / weights;
        }
    }
    let capacity = topology.servers.iter().filter_map(|server| {
        let cost: f64 = server
            .nodes
            .iter()
            .filter_map(|name| topology.nodes.iter().find(|n| n.name == *name))
            .map(|node| match node.role {
                Role::App => app_s / f64::from(target.count(Role::App)),
                Role::Database => database_s / f64::from(target.count(Role::Database)),
                _ => 0.0,
            })
            .sum();
        (cost > 0.0).then_some(server.cores / cost)
    });
    Ok(capacity.min_by(f64::total_cmp).unwrap_or(0.0))
}
