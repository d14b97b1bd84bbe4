//! What a profile asks of a target, as the load that the generator is told.

use super::HostFacts;
use super::compile::PlanError;
use super::load::{
    Arrivals, Check, Expect, FeederOrder, FeederPlan, LoadPlan, PhasePlan, RegionPlan, RequestPlan,
    RetryPlan, RoutePlan, ValueKind, ValuePlan,
};
use super::topology::Topology;
use super::transport::{Http2Plan, Protocol, TlsPlan, TransportPlan};
use crate::base::Nanos;
use crate::profile::{
    ArrivalKind, CheckSpec, ExpectSpec, Order, Profile, ProtocolName, RelativeRate, Request,
    ValueSpec,
};
use crate::target::{LoadUrl, Target};
use std::net::SocketAddr;

/// The schedule is always cut into so many shards.
const SHARDS: u32 = 16;
/// Requests that may wait for a connection, over all workers.
const WAITING_MAX: u32 = 100_000;

/// A profile before a target.
pub(super) struct Situation<'a> {
    pub target: &'a Target,
    pub profile: &'a Profile,
    pub host: &'a HostFacts,
    /// CPU-seconds of an average request; 0 when unknown.
    pub cost_s: f64,
}

impl Situation<'_> {
    pub fn load(
        &self,
        seed: u64,
        regions: &[(String, f64)],
        topology: &Topology,
    ) -> Result<LoadPlan, PlanError> {
        let (target, profile) = (self.target, self.profile);
        let fixed = target.url.as_deref().map(resolve_url).transpose()?;
        let host = fixed.as_ref().map_or("brunt.test", |(url, _)| &url.authority);
        let has_edges = target.has_edges();
        let arrivals = arrivals(profile);
        let regions = regions.iter().map(|(name, weight)| RegionPlan {
            name: name.clone(),
            weight: *weight,
            routes: match &fixed {
                Some((_, address)) => vec![RoutePlan::Fixed(*address)],
                None => topology.routes(name),
            },
        });
        Ok(LoadPlan {
            seed,
            arrivals,
            shards: SHARDS,
            phases: self.phases()?,
            requests: (profile.request.iter())
                .map(|r| request(r, host, usize::from(r.edge && has_edges)))
                .collect(),
            values: values(profile),
            feeders: feeders(profile),
            regions: regions.collect(),
            timeout: profile.timeout,
            in_time: profile.in_time,
            connections_max: match arrivals {
                Arrivals::Closed { connections, .. } => connections,
                Arrivals::Poisson | Arrivals::Constant => profile.connections_max,
            },
            waiting_max: WAITING_MAX,
            keep_alive: profile.transport.keep_alive,
            requests_max: None,
            transport: self.transport(fixed.as_ref().map(|(url, _)| url))?,
            retry: profile.retry.map(|r| RetryPlan { attempts: r.attempts, after: r.after }),
        })
    }

    fn phases(&self) -> Result<Vec<PhasePlan>, PlanError> {
        let mut start = Nanos::ZERO;
        let mut phases = Vec::with_capacity(self.profile.phase.len());
        for phase in &self.profile.phase {
            let rate = |rate| self.rate(&phase.name, rate);
            let end = start + phase.lasts;
            phases.push(PhasePlan {
                name: phase.name.clone(),
                start,
                end,
                rate_from: rate(phase.from.or(phase.rate))?,
                rate_to: rate(phase.rate)?,
                shape: phase.shape().map_err(|(key, problem)| PlanError::Phase {
                    profile: self.profile.name.clone(),
                    phase: phase.name.clone(),
                    key,
                    problem,
                })?,
                measured: phase.measured,
            });
            start = end;
        }
        Ok(phases)
    }

    /// A rate per second; 0 in a closed loop, which has none.
    fn rate(&self, phase: &str, rate: Option<RelativeRate>) -> Result<f64, PlanError> {
        let Some(rate) = rate else { return Ok(0.0) };
        rate.resolve(self.host.unit_cores, self.cost_s).ok_or_else(|| PlanError::RelativeRate {
            profile: self.profile.name.clone(),
            phase: phase.to_string(),
            why: match (&self.target.url, self.target.has_bundled()) {
                (Some(_), _) => "the target is only a URL, whose cost per request is not known",
                (None, false) => "the target runs programs whose cost per request is not known",
                (None, true) => "no request of the mix names what it `costs`",
            },
        })
    }

    fn transport(&self, url: Option<&LoadUrl>) -> Result<TransportPlan, PlanError> {
        let spec = &self.profile.transport;
        let refuse = |key, problem| {
            Err(PlanError::Transport { profile: self.profile.name.clone(), key, problem })
        };
        let protocol = match spec.protocol {
            ProtocolName::Http1 => Protocol::Http1,
            ProtocolName::Http2 => Protocol::Http2,
            ProtocolName::Negotiated => Protocol::Negotiated,
        };
        if url.is_none() {
            if let Some(key) = spec.tls_key() {
                return refuse(key, "what brunt starts is loaded over plain HTTP/1.1, without TLS");
            }
            if protocol == Protocol::Http2 {
                return refuse(
                    "protocol",
                    "what brunt starts is loaded over plain HTTP/1.1, not HTTP/2",
                );
            }
        }
        let usual = Http2Plan::default();
        Ok(TransportPlan {
            protocol,
            tls: url.filter(|url| url.is_tls).map(|url| TlsPlan {
                server_name: url.host.clone(),
                verifies: !spec.insecure,
                authorities: spec.authorities.clone(),
                client_certificate: spec.client_certificate.clone(),
                client_key: spec.client_key.clone(),
                resumption: spec.resumption,
            }),
            connect_timeout: spec.connect_timeout,
            requests_per_connection: spec.requests_per_connection,
            http2: Http2Plan {
                streams_max: spec.http2.streams.unwrap_or(usual.streams_max),
                stream_window: spec.http2.stream_window.unwrap_or(usual.stream_window),
                connection_window: spec.http2.connection_window.unwrap_or(usual.connection_window),
            },
            sources: spec.sources.clone(),
        })
    }
}

fn arrivals(profile: &Profile) -> Arrivals {
    match profile.arrivals {
        ArrivalKind::Poisson => Arrivals::Poisson,
        ArrivalKind::Constant => Arrivals::Constant,
        ArrivalKind::Closed => Arrivals::Closed {
            connections: profile.connections.unwrap_or(1),
            think: profile.think.unwrap_or(Nanos::ZERO),
        },
    }
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
        body_base64: request.body_base64.clone(),
        route,
        check: request.check.map(|check| match check {
            CheckSpec::Read => Check::Read,
            CheckSpec::Write => Check::Write,
        }),
        expects: request.expect.0.iter().flat_map(expects).collect(),
    }
}

fn expects(spec: &ExpectSpec) -> Vec<Expect> {
    let status = (!spec.status.0.is_empty()).then(|| Expect::Status { of: spec.status.0.clone() });
    let texts = spec.body_contains.0.iter().map(|text| Expect::BodyContains { text: text.clone() });
    let json = spec
        .json
        .0
        .iter()
        .map(|j| Expect::Json { pointer: j.pointer.clone(), equals: j.equals.clone() });
    status.into_iter().chain(texts).chain(json).collect()
}

/// Generators by their names, then the feeders' columns as `feeder.column`.
fn values(profile: &Profile) -> Vec<ValuePlan> {
    let drawn = profile.value.iter().map(|(name, spec)| value(name, spec));
    let columns = profile.feeder.iter().enumerate().flat_map(|(feeder, (name, spec))| {
        spec.table.columns.iter().enumerate().map(move |(column, column_name)| ValuePlan {
            name: format!("{name}.{column_name}"),
            kind: ValueKind::Column { feeder, column },
        })
    });
    drawn.chain(columns).collect()
}

fn value(name: &str, spec: &ValueSpec) -> ValuePlan {
    let kind = match spec {
        ValueSpec::Zipf { n, exponent } => ValueKind::Zipf { n: *n, exponent: *exponent },
        ValueSpec::Uniform { n } => ValueKind::Uniform { n: *n },
        ValueSpec::Choice { of } => ValueKind::Choice { of: of.clone() },
        ValueSpec::WriteId {} => ValueKind::WriteId,
        ValueSpec::Sequence { from } => ValueKind::Sequence { from: *from },
        ValueSpec::Uuid {} => ValueKind::Uuid,
    };
    ValuePlan { name: name.to_string(), kind }
}

fn feeders(profile: &Profile) -> Vec<FeederPlan> {
    let plan = |(name, spec): (&String, &crate::profile::FeederSpec)| FeederPlan {
        name: name.clone(),
        columns: spec.table.columns.clone(),
        rows: spec.table.rows.clone(),
        n_rows: spec.table.rows.len() as u64,
        hash: spec.table.hash(),
        order: match spec.order {
            Order::Random => FeederOrder::Random,
            Order::Sequential => FeederOrder::Sequential,
        },
    };
    profile.feeder.iter().map(plan).collect()
}

/// The parts and the address of a URL target.
fn resolve_url(url: &str) -> Result<(LoadUrl, SocketAddr), PlanError> {
    let parsed =
        LoadUrl::parse(url).map_err(|problem| PlanError::Url { url: url.into(), problem })?;
    let address = parsed.resolve().map_err(|cause| PlanError::Resolve {
        url: url.into(),
        host: parsed.host.clone(),
        cause,
    })?;
    Ok((parsed, address))
}

#[cfg(test)]
mod tests;
