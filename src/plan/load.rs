//! What the generator is told: a complete, pure description of the load.

use super::transport::TransportPlan;
use crate::base::Nanos;
use crate::workload::{Course, Shape};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The load of one run. Rates are absolute; nothing is defaulted after this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadPlan {
    pub seed: u64,
    pub arrivals: Arrivals,
    /// The schedule is cut into this many seeded slices; a worker owns some of them. How many
    /// workers there are never changes an intended start.
    pub shards: u32,
    /// In order, without gaps, from zero.
    pub phases: Vec<PhasePlan>,
    pub requests: Vec<RequestPlan>,
    /// Named value generators for the placeholders of request templates.
    pub values: Vec<ValuePlan>,
    /// Tables that [`ValueKind::Column`] draws from.
    #[serde(default)]
    pub feeders: Vec<FeederPlan>,
    pub regions: Vec<RegionPlan>,
    /// From `due`; then the request is a timeout.
    pub timeout: Nanos,
    /// Answered correctly within this of the intended start is "in time".
    pub in_time: Nanos,
    /// Open connections at most, over all workers and routes.
    pub connections_max: u32,
    /// Requests that may wait for a connection, over all workers; beyond it `never_sent` with
    /// cause `queue_full`.
    pub waiting_max: u32,
    /// Whether a connection is used for more than one request.
    pub keep_alive: bool,
    /// Ends the load after this many requests, when earlier than the phases.
    pub requests_max: Option<u64>,
    /// How connections are made and what is spoken on them.
    #[serde(default)]
    pub transport: TransportPlan,
    /// What visitors do who got an error or no answer; without it they go away.
    #[serde(default)]
    pub retry: Option<RetryPlan>,
}

/// Visitors who ask again: the same request, so long after it failed. Each time is a planned request
/// of its own; the schedule of the first ones does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPlan {
    /// Times in all that a visitor asks, the first included.
    pub attempts: u8,
    pub after: Nanos,
}

impl LoadPlan {
    /// Every address that a request may go to; some more than once.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let routes = self.regions.iter().flat_map(|r| &r.routes);
        let of = |route: &RoutePlan| match route {
            RoutePlan::Fixed(address) => vec![*address],
            RoutePlan::Directory { edges, .. } => edges.iter().map(|(_, a)| *a).collect(),
        };
        routes.flat_map(of).collect()
    }

    /// Whether all of it goes to loopback addresses of this machine.
    pub fn is_to_loopback(&self) -> bool {
        self.addresses().iter().all(|a| a.ip().is_loopback())
    }

    /// A load with what most loads have: one region without distance, ten seconds of patience,
    /// keep-alive over plain HTTP/1.1.
    pub fn new(
        arrivals: Arrivals,
        phases: Vec<PhasePlan>,
        requests: Vec<RequestPlan>,
        routes: Vec<RoutePlan>,
    ) -> LoadPlan {
        let timeout = Nanos::from_secs(10);
        LoadPlan {
            seed: 1,
            arrivals,
            shards: 16,
            phases,
            requests,
            values: Vec::new(),
            feeders: Vec::new(),
            regions: vec![RegionPlan { name: "here".into(), weight: 1.0, routes }],
            timeout,
            in_time: timeout,
            connections_max: match arrivals {
                Arrivals::Closed { connections, .. } => connections,
                Arrivals::Poisson | Arrivals::Constant => 4096,
            },
            waiting_max: 1_000_000,
            keep_alive: true,
            requests_max: None,
            transport: TransportPlan::default(),
            retry: None,
        }
    }

    /// Whether the answers set the rate: no instant is planned for a request.
    pub fn is_closed(&self) -> bool {
        matches!(self.arrivals, Arrivals::Closed { .. })
    }

    /// When the last phase ends, since the start of the run.
    pub fn end(&self) -> Nanos {
        self.phases.last().map_or(Nanos::ZERO, |p| p.end)
    }

    /// The phase that an instant belongs to; the last one for anything later.
    pub fn phase_at(&self, at: Nanos) -> usize {
        self.phases.iter().position(|p| at < p.end).unwrap_or(self.phases.len().saturating_sub(1))
    }

    /// The same load without the credentials in its headers: what may be written down.
    pub fn redacted(&self) -> LoadPlan {
        let mut plan = self.clone();
        for (name, value) in plan.requests.iter_mut().flat_map(|r| &mut r.headers) {
            if is_secret_header(name) && !is_reference(value) {
                *value = REDACTED.into();
            }
        }
        for feeder in &mut plan.feeders {
            feeder.rows.clear();
        }
        if let Some(tls) = &mut plan.transport.tls {
            tls.client_key = None;
        }
        plan
    }
}

/// What stands in a record where a credential was.
const REDACTED: &str = "redacted";

/// Whether a header of this name holds a credential.
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_named = matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie");
    let is_like_one = name.ends_with("-token") || name.ends_with("-key");
    is_named || (is_like_one && name != "idempotency-key")
}

/// Whether a value is nothing but `${env:NAME}`.
fn is_reference(value: &str) -> bool {
    let name = value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// When requests are meant to start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "process", rename_all = "kebab-case")]
pub enum Arrivals {
    /// Open: independent visitors.
    Poisson,
    /// Open: equal gaps.
    Constant,
    /// Closed: a fixed number of connections, each waiting `think` after an answer.
    Closed { connections: u32, think: Nanos },
}

/// A segment of the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhasePlan {
    pub name: String,
    pub start: Nanos,
    pub end: Nanos,
    /// Requests per second; what they mean is the shape's matter: at the start and at the end of a
    /// linear one. Unused in a closed loop.
    pub rate_from: f64,
    pub rate_to: f64,
    #[serde(default)]
    pub shape: Shape,
    pub measured: bool,
}

impl PhasePlan {
    /// A measured phase of one rate, from `start`.
    pub fn level(name: &str, start: Nanos, lasts: Nanos, rate: f64) -> PhasePlan {
        PhasePlan {
            name: name.into(),
            start,
            end: start + lasts,
            rate_from: rate,
            rate_to: rate,
            shape: Shape::Linear,
            measured: true,
        }
    }

    fn course(&self) -> Course {
        Course {
            from: self.rate_from,
            to: self.rate_to,
            seconds: self.end.saturating_sub(self.start).as_secs_f64(),
            shape: self.shape,
        }
    }

    /// Requests per second at an instant of the run; before and after the phase, that of its ends.
    pub fn rate_at(&self, at: Nanos) -> f64 {
        let course = self.course();
        course.rate(at.saturating_sub(self.start).as_secs_f64().min(course.seconds))
    }

    /// Expected requests: the integral of the rate.
    pub fn expected_requests(&self) -> f64 {
        self.course().total()
    }

    /// Requests per second over the whole phase.
    pub fn mean_rate(&self) -> f64 {
        let course = self.course();
        if course.seconds > 0.0 { course.total() / course.seconds } else { self.rate_to }
    }

    /// Whether the rate never leaves a band of such a share of its highest. Every shape stays
    /// between its two rates.
    pub fn is_level(&self, share: f64) -> bool {
        let is_one_level = matches!(self.shape, Shape::Steps { levels: 1 });
        let change = (self.rate_to - self.rate_from).abs();
        is_one_level || change <= share * self.rate_from.max(self.rate_to)
    }
}

/// One kind of request in the mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestPlan {
    pub name: String,
    pub weight: f64,
    pub method: String,
    /// Path and query, with `{value}` placeholders.
    pub path: String,
    /// `Host` unless it is in `headers`.
    pub host: String,
    pub headers: Vec<(String, String)>,
    /// With `{value}` placeholders.
    pub body: Option<String>,
    /// Instead of `body`: bytes that are sent as they are, in base64.
    #[serde(default)]
    pub body_base64: Option<String>,
    /// Index into each region's `routes`.
    pub route: usize,
    /// Whether its operations are kept for the data check.
    pub check: Option<Check>,
    /// What an answer must be to be ok; without any, a status of 200–399.
    #[serde(default)]
    pub expects: Vec<Expect>,
}

impl RequestPlan {
    /// `GET path` of the first route.
    pub fn get(name: &str, host: &str, path: &str) -> RequestPlan {
        RequestPlan {
            name: name.into(),
            weight: 1.0,
            method: "GET".into(),
            path: path.into(),
            host: host.into(),
            headers: Vec::new(),
            body: None,
            body_base64: None,
            route: 0,
            check: None,
            expects: Vec::new(),
        }
    }
}

/// What must hold of an answer. One of which it does not hold is an HTTP error with the cause
/// `check failed`, or with its status where that is outside 200–399.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// One of these; then a status outside 200–399 may be ok too.
    Status { of: Vec<u16> },
    /// The body has this text in it. A body of more than 1 MiB fails.
    BodyContains { text: String },
    /// The body is JSON, has a value at this pointer (RFC 6901), and the value is this one if any.
    Json { pointer: String, equals: Option<serde_json::Value> },
}

/// What a request means to the data check. The key is the value of the first Zipf or uniform
/// placeholder, the write's id that of a `write-id` placeholder, the version comes from the
/// answer's `X-Version` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    Read,
    Write,
}

/// A named generator of placeholder values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValuePlan {
    pub name: String,
    #[serde(flatten)]
    pub kind: ValueKind,
}

/// How a placeholder's value is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// 1..=n, rank k with weight k^-exponent.
    Zipf { n: u64, exponent: f64 },
    /// 1..=n.
    Uniform { n: u64 },
    /// One of these, equally likely.
    Choice { of: Vec<String> },
    /// A 64-bit id, unique in the run, 16 hexadecimal digits.
    WriteId,
    /// `from`, `from + 1`, …: each number once in the run, in the order of a shard's own requests.
    /// Requests of a kind that does not use it have their numbers too, so a mix leaves gaps.
    Sequence { from: u64 },
    /// A random UUID (RFC 9562, version 4), from the seed.
    Uuid,
    /// A column of a feeder; all columns that a request uses come from the same row.
    Column { feeder: usize, column: usize },
}

/// A table of values, from a CSV file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeederPlan {
    pub name: String,
    pub columns: Vec<String>,
    /// Not in a record: it may be large, and may hold credentials.
    pub rows: Vec<Vec<String>>,
    /// How many rows there are, and a hash of them, for the record.
    pub n_rows: u64,
    pub hash: String,
    pub order: FeederOrder,
}

/// Which row a request gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeederOrder {
    #[default]
    Random,
    /// The run's n-th request gets row n modulo their number: each row once before any comes again,
    /// where every request of the mix takes one.
    Sequential,
}

/// Where visitors come from, and how they reach each route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionPlan {
    pub name: String,
    pub weight: f64,
    pub routes: Vec<RoutePlan>,
}

/// How a region reaches an entry of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoutePlan {
    /// Always here.
    Fixed(SocketAddr),
    /// The nearest healthy edge, asked from a directory and kept for its TTL.
    Directory {
        /// The directory's service address: `GET /edges?region=NAME`.
        ask: SocketAddr,
        /// Edge name → where this region dials it, nearest first.
        edges: Vec<(String, SocketAddr)>,
    },
}

#[cfg(test)]
mod tests {
    use super::{is_reference, is_secret_header};

    #[test]
    fn credentials_are_known_by_the_name_of_their_header() {
        for name in ["Authorization", "Proxy-Authorization", "COOKIE", "X-Api-Key", "x-csrf-token"]
        {
            assert!(is_secret_header(name), "{name}");
        }
        for name in ["Accept", "Idempotency-Key", "tokens", "keyboard"] {
            assert!(!is_secret_header(name), "{name}");
        }
    }

    #[test]
    fn only_a_bare_reference_is_no_credential() {
        assert!(is_reference("${env:TOKEN}"));
        for value in ["Bearer abc", "Bearer ${env:TOKEN}", "${env:A}b}", "${env:}", ""] {
            assert!(!is_reference(value), "{value}");
        }
    }
}
