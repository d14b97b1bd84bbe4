//! What a profile asks of a target, as the load that the generator is told.

use super::HostFacts;
use super::compile::PlanError;
use super::load::{
    Arrivals, Check, Expect, FeederOrder, FeederPlan, LoadPlan, PhasePlan, RegionPlan, RequestPlan,
    RoutePlan, ValueKind, ValuePlan,
};
use super::topology::Topology;
use super::transport::{Http2Plan, Protocol, TlsPlan, TransportPlan};
use crate::base::Nanos;
use crate::profile::{
    ArrivalKind, CheckSpec, ExpectSpec, Order, Profile, ProtocolName, RelativeRate, Request,
    ValueSpec,
};
use crate::target::{LoadUrl, Role, Target};
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
        let has_edges = target.public.entry.contains(&Role::Cdn);
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
            why: match self.target.url.is_some() {
                true => "the target is only a URL, whose cost per request is not known",
                false => "no request of the mix names what it `costs`",
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
                return refuse(key, "the bundled stack speaks plain HTTP/1.1, without TLS");
            }
            if protocol == Protocol::Http2 {
                return refuse("protocol", "the bundled stack speaks plain HTTP/1.1, not HTTP/2");
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
mod tests {
    use super::*;
    use crate::plan::{compile, explain};
    use crate::workload::Shape;

    const PROFILE: &str = r#"
in_time = "250ms"

[transport]
requests_per_connection = 100
connect_timeout = "1s"

[[phase]]
name = "steps"
lasts = "10s"
from = "100/s"
rate = "500/s"
shape = "steps"
levels = 5

[[phase]]
name = "wave"
lasts = "60s"
from = "100/s"
rate = "300/s"
shape = "sine"
period = "30s"

[[phase]]
name = "crowd"
lasts = "60s"
from = "50/s"
rate = "1k/s"
shape = "spike"
decay = "20s"

[[request]]
name = "login"
weight = 1
method = "post"
path = "/login/{users.name}?n={n}"
headers = { X-Trace = "{trace}", X-Mail = "{users.mail}" }
body_file = "login.json"
expect = { status = [200, 201], body_contains = "ok", json = { pointer = "/ok", equals = true } }

[[request]]
name = "upload"
weight = 1
method = "PUT"
path = "/upload"
body_file = "picture.bin"

[feeder.users]
file = "users.csv"
order = "sequential"

[value.n]
sequence = { from = 7 }

[value.trace]
uuid = {}
"#;

    const CLOSED: &str = r#"
in_time = "1s"
arrivals = "closed"
connections = 20
think = "500ms"
phase = [{ name = "all", lasts = "10s" }]
request = [{ name = "a", weight = 1, path = "/" }]
"#;

    /// Loads a profile from a folder with the files that it names.
    fn profile(text: &str) -> Result<Profile, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        write("p.toml", text.as_bytes());
        write("users.csv", b"name,mail\nann,ann@x.test\nbob,bob@x.test\n");
        write("broken.csv", b"name,mail\nann,\"a\nb\"\n");
        write("login.json", br#"{"name":"{users.name}"}"#);
        write("picture.bin", &[0, 255, 1]);
        let path = folder.path().join("p.toml").display().to_string();
        let named = |e: crate::profile::ProfileError| e.to_string();
        crate::profile::load(&path)
            .map_err(|e| named(e).replace(&format!("{}/", folder.path().display()), ""))
    }

    fn plan(text: &str, target: &str) -> Result<crate::plan::Plan, String> {
        let host =
            HostFacts { unit_cores: 0.1, network: (77, 1), port: 18080, ..HostFacts::default() };
        let target = crate::target::load(target).unwrap();
        compile(&target, &profile(text).unwrap(), 1, &host).map_err(|e| e.to_string())
    }

    #[test]
    fn a_profile_with_everything_becomes_a_plan() {
        let plan = plan(PROFILE, "http://127.0.0.1:1/").unwrap();
        let load = &plan.load;
        let shapes: Vec<Shape> = load.phases.iter().map(|p| p.shape).collect();
        let (period, decay) = (Nanos::from_secs(30), Nanos::from_secs(20));
        assert_eq!(
            shapes,
            [Shape::Steps { levels: 5 }, Shape::Sine { period }, Shape::Spike { decay }]
        );
        assert!((load.phases[1].mean_rate() - 200.0).abs() < 1e-9);
        assert_eq!(load.phases[1].rate_at(Nanos::from_secs(25)).round(), 300.0);
        assert!(!load.phases[1].is_level(0.1));
        let login = &load.requests[0];
        assert_eq!(login.body.as_deref(), Some(r#"{"name":"{users.name}"}"#));
        assert_eq!(login.expects.len(), 3);
        assert_eq!(load.requests[1].body_base64.as_deref(), Some("AP8B"));
        let names: Vec<&str> = load.values.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["n", "trace", "users.name", "users.mail"]);
        assert_eq!((load.feeders[0].n_rows, load.feeders[0].rows.len()), (2, 2));
        assert_eq!(load.transport.requests_per_connection, Some(100));
        assert_eq!(load.transport.tls, None);
        let words = explain(&plan);
        for part in [
            "100/s to 500/s in 5 level steps",
            "a wave from 100/s to 300/s and back, every 30s",
            "jumps to 1000/s and falls back towards 50/s, by 63 % in 20s",
        ] {
            assert!(words.contains(part), "{words}");
        }
        let text = serde_json::to_string(&load.redacted()).unwrap();
        assert!(!text.contains("ann@x.test"), "a record keeps no rows");
        assert_eq!(serde_json::from_str::<LoadPlan>(&text).unwrap(), load.redacted());
    }

    #[test]
    fn a_closed_loop_is_told_by_its_connections() {
        let plan = plan(CLOSED, "http://127.0.0.1:1/").unwrap();
        let think = Nanos::from_millis(500);
        assert_eq!(plan.load.arrivals, Arrivals::Closed { connections: 20, think });
        assert_eq!(plan.load.connections_max, 20);
        let words = explain(&plan);
        assert!(words.contains("closed loop of 20 connections"), "{words}");
        assert!(!words.contains("0/s"), "{words}");
    }

    #[test]
    fn https_makes_tls_and_the_stack_refuses_it() {
        let tls = |text: &str| format!("{text}\n[transport]\n");
        let insecure = tls(CLOSED) + "insecure = true";
        let plan_of = |target: &str| plan(&insecure, target);
        let secure = plan_of("https://127.0.0.1:1/").unwrap().load.transport.tls.unwrap();
        assert_eq!((secure.server_name.as_str(), secure.verifies), ("127.0.0.1", false));
        assert!(plan_of("garage").unwrap_err().contains("`transport.insecure`"));
        let http2 = tls(CLOSED) + "protocol = \"http2\"\nhttp2 = { streams = 8 }";
        assert!(plan(&http2, "garage").unwrap_err().contains("not HTTP/2"));
        let transport = plan(&http2, "http://127.0.0.1:1/").unwrap().load.transport;
        assert_eq!((transport.protocol, transport.http2.streams_max), (Protocol::Http2, 8));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_line_and_key() {
        for (from, to, part) in [
            ("levels = 5", "", "p.toml:9: `phase.steps.levels`: is needed by the shape `steps`"),
            ("levels = 5", "levels = 1", "p.toml:14: `phase.steps.levels`: use 2 levels or more"),
            (
                "shape = \"sine\"",
                "",
                "`phase.wave.period`: is needed by the shape `sine`, and only",
            ),
            ("from = \"50/s\"\n", "", "`phase.crowd.from`: is needed by this shape"),
            ("decay = \"20s\"", "decay = \"0s\"", "`phase.crowd.decay`: must be above 0"),
            ("rate = \"1k/s\"\n", "", "`phase.crowd.rate`: there is no rate"),
            ("rate = \"1k/s\"", "rate = \"11M/s\"", "`phase.crowd.rate`: is more than brunt"),
            (
                "file = \"users.csv\"",
                "file = \"no.csv\"",
                "`feeder.users.file`: cannot read no.csv",
            ),
            (
                "{users.name}?",
                "{users.nam}?",
                "`{users.nam}` is not a column of users.csv; it has name",
            ),
            ("{users.name}?", "{user.name}?", "`{user.name}` has no [feeder] of that name"),
            ("\"login.json\"", "\"no.json\"", "`request.login.body_file`: cannot read no.json"),
            (
                "users.csv",
                "broken.csv",
                "`request.login.headers`: X-Mail: `{users.mail}`, number 1",
            ),
            ("status = [200, 201]", "status = 7", "`request.login.expect`: 7 is not the status"),
            ("shape = \"sine\"", "shape = \"sin\"", "did you mean `sine`?"),
            ("in_time", "think = \"1s\"\nin_time", "`think`: is for `arrivals = \"closed\"`"),
        ] {
            assert!(PROFILE.contains(from), "{from}");
            let error = profile(&PROFILE.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(part), "{error}\nwithout {part}");
        }
        for (from, to, part) in [
            ("connections = 20", "", "`connections`: a closed loop needs"),
            ("connections = 20", "connections = 0", "`connections`: use 1 to 1000000"),
            ("lasts = \"10s\"", "lasts = \"10s\", rate = \"5/s\"", "a closed loop has no rate"),
        ] {
            let error = profile(&CLOSED.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
