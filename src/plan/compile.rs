//! Target × profile × seed × host facts → plan.

use super::load::{
    Arrivals, Check, LoadPlan, PhasePlan, RegionPlan, RequestPlan, RoutePlan, ValueKind, ValuePlan,
};
use super::topology::{self, Topology};
use super::{HostFacts, Plan, TransportPlan};
use crate::base::{Nanos, random};
use crate::fault::{Fault, FaultKind, Selector};
use crate::profile::{ArrivalKind, CheckSpec, Profile, Request, ValueSpec};
use crate::target::{LoadUrl, Role, Target};
use crate::workload::Shape;
use std::net::SocketAddr;

/// The schedule is always cut into so many shards.
const SHARDS: u32 = 16;
/// Requests that may wait for a connection, over all workers.
const WAITING_MAX: u32 = 100_000;
/// Faults are moved by up to one heartbeat, drawn from the seed, so that they do not always hit
/// the same moment between two signs of life.
const FAULT_OFFSET: Nanos = Nanos::from_millis(250);

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
    Fault { profile: String, fault: String, key: &'static str, problem: &'static str },
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
    if target.url.is_some() {
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
    let load = load(target, profile, seed, host, cost_s, &regions, &topology)?;
    Ok(Plan {
        target: target.name.clone(),
        profile: profile.name.clone(),
        seed,
        host: host.clone(),
        faults: faults(target, profile, seed, &topology)?,
        expected_capacity_per_s: expected_capacity(target, profile, &topology)?,
        servers: topology.servers,
        nodes: topology.nodes,
        links: topology.links,
        load,
        hypothesis_in_time: profile.steady.in_time,
        is_bundled: target.url.is_none(),
        cost_per_request: Nanos::from_secs_f64(cost_s),
    })
}

/// Visitors' regions with weights; the target's home when the profile names none.
fn regions(target: &Target, profile: &Profile) -> Vec<(String, f64)> {
    match profile.region.is_empty() {
        true => vec![(target.home.clone(), 1.0)],
        false => profile.region.iter().map(|r| (r.name.clone(), r.weight)).collect(),
    }
}

fn load(
    target: &Target,
    profile: &Profile,
    seed: u64,
    host: &HostFacts,
    cost_s: f64,
    regions: &[(String, f64)],
    topology: &Topology,
) -> Result<LoadPlan, PlanError> {
    let fixed = target.url.as_deref().map(resolve_url).transpose()?;
    let has_edges = target.public.entry.contains(&Role::Cdn);
    let host_header = match &fixed {
        Some((host, _)) => host.clone(),
        None => "brunt.test".to_string(),
    };
    Ok(LoadPlan {
        seed,
        arrivals: match profile.arrivals {
            ArrivalKind::Poisson => Arrivals::Poisson,
            ArrivalKind::Constant => Arrivals::Constant,
        },
        shards: SHARDS,
        phases: phases(target, profile, host, cost_s)?,
        requests: profile
            .request
            .iter()
            .map(|r| request(r, &host_header, usize::from(r.edge && has_edges)))
            .collect(),
        values: profile.value.iter().map(|(name, spec)| value(name, spec)).collect(),
        feeders: Vec::new(),
        regions: regions
            .iter()
            .map(|(name, weight)| RegionPlan {
                name: name.clone(),
                weight: *weight,
                routes: match &fixed {
                    Some((_, address)) => vec![RoutePlan::Fixed(*address)],
                    None => topology.routes(name),
                },
            })
            .collect(),
        timeout: profile.timeout,
        in_time: profile.in_time,
        connections_max: profile.connections_max,
        waiting_max: WAITING_MAX,
        keep_alive: true,
        requests_max: None,
        transport: TransportPlan::default(),
    })
}

fn phases(
    target: &Target,
    profile: &Profile,
    host: &HostFacts,
    cost_s: f64,
) -> Result<Vec<PhasePlan>, PlanError> {
    let mut start = Nanos::ZERO;
    let mut phases = Vec::with_capacity(profile.phase.len());
    for phase in &profile.phase {
        let resolve = |rate: crate::profile::RelativeRate| {
            rate.resolve(host.unit_cores, cost_s).ok_or_else(|| PlanError::RelativeRate {
                profile: profile.name.clone(),
                phase: phase.name.clone(),
                why: match target.url.is_some() {
                    true => "the target is only a URL, whose cost per request is not known",
                    false => "no request of the mix names what it `costs`",
                },
            })
        };
        let end = start + phase.lasts;
        phases.push(PhasePlan {
            name: phase.name.clone(),
            start,
            end,
            rate_from: resolve(phase.from.unwrap_or(phase.rate))?,
            rate_to: resolve(phase.rate)?,
            shape: Shape::Linear,
            measured: phase.measured,
        });
        start = end;
    }
    Ok(phases)
}

fn request(request: &Request, host: &str, route: usize) -> RequestPlan {
    RequestPlan {
        name: request.name.clone(),
        weight: request.weight,
        method: request.method.to_uppercase(),
        path: request.path.clone(),
        host: host.to_string(),
        headers: request.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        body: request.body.clone(),
        route,
        check: request.check.map(|check| match check {
            CheckSpec::Read => Check::Read,
            CheckSpec::Write => Check::Write,
        }),
        expects: Vec::new(),
    }
}

fn value(name: &str, spec: &ValueSpec) -> ValuePlan {
    let kind = match spec {
        ValueSpec::Zipf { n, exponent } => ValueKind::Zipf { n: *n, exponent: *exponent },
        ValueSpec::Uniform { n } => ValueKind::Uniform { n: *n },
        ValueSpec::Choice { of } => ValueKind::Choice { of: of.clone() },
        ValueSpec::WriteId {} => ValueKind::WriteId,
    };
    ValuePlan { name: name.to_string(), kind }
}

/// Host header and address of a URL target.
fn resolve_url(url: &str) -> Result<(String, SocketAddr), PlanError> {
    let parsed =
        LoadUrl::parse(url).map_err(|problem| PlanError::Url { url: url.into(), problem })?;
    let address = parsed.resolve().map_err(|cause| PlanError::Resolve {
        url: url.into(),
        host: parsed.host.clone(),
        cause,
    })?;
    Ok((parsed.authority, address))
}

fn faults(
    target: &Target,
    profile: &Profile,
    seed: u64,
    topology: &Topology,
) -> Result<Vec<Fault>, PlanError> {
    profile
        .fault
        .iter()
        .enumerate()
        .map(|(index, fault)| {
            let kind = fault.fault_kind().map_err(|(key, problem)| PlanError::Fault {
                profile: profile.name.clone(),
                fault: fault.name.clone(),
                key,
                problem,
            })?;
            if let Some(missing) = missing(&fault.on, topology) {
                return Err(PlanError::FaultTarget {
                    profile: profile.name.clone(),
                    fault: fault.name.clone(),
                    target: target.name.clone(),
                    missing,
                    known: known(topology),
                });
            }
            let is_instant = matches!(kind, FaultKind::Restart);
            Ok(Fault {
                name: fault.name.clone(),
                kind,
                on: fault.on.clone(),
                at: fault.at + offset(seed, index),
                lasts: if is_instant { Nanos::ZERO } else { fault.lasts },
            })
        })
        .collect()
}

fn offset(seed: u64, index: usize) -> Nanos {
    use rand_xoshiro::rand_core::Rng;
    let draw = random::unit(random::stream(seed, "fault-offset", index as u64).next_u64());
    Nanos((draw * FAULT_OFFSET.0 as f64) as u64)
}

/// What a selector names that the target does not have.
fn missing(selector: &Selector, topology: &Topology) -> Option<String> {
    let has_role = |role: &str| topology.nodes.iter().any(|n| n.role.name() == role);
    let has_node = |name: &str| topology.nodes.iter().any(|n| n.name == name);
    match selector {
        Selector::Node(name) if !has_node(name) => Some(format!("node `{name}`")),
        Selector::ServerOf(name) if !has_node(name) => Some(format!("node `{name}`")),
        Selector::Role(role) | Selector::Share(role, _) if !has_role(role) => {
            Some(format!("role `{role}`"))
        }
        Selector::Leader(role) if role != "database" || !has_role(role) => {
            Some(format!("leader of `{role}`"))
        }
        _ => None,
    }
}

fn known(topology: &Topology) -> String {
    match topology.nodes.is_empty() {
        true => "no nodes of its own (it is only a URL)".into(),
        false => topology.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
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
    if target.url.is_none() {
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
