//! What the generator is told: a complete, pure description of the load.

use crate::base::Nanos;
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
}

impl LoadPlan {
    /// When the last phase ends, since the start of the run.
    pub fn end(&self) -> Nanos {
        self.phases.last().map_or(Nanos::ZERO, |p| p.end)
    }

    /// The phase that an instant belongs to; the last one for anything later.
    pub fn phase_at(&self, at: Nanos) -> usize {
        self.phases.iter().position(|p| at < p.end).unwrap_or(self.phases.len().saturating_sub(1))
    }
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
    /// Requests per second at its start and end, linear between. Unused in a closed loop.
    pub rate_from: f64,
    pub rate_to: f64,
    pub measured: bool,
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
    /// Index into each region's `routes`.
    pub route: usize,
    /// Whether its operations are kept for the data check.
    pub check: Option<Check>,
}

/// What a request means to the data check. The key is the value of the first Zipf or uniform
/// placeholder,
/// the write's id is the value of a `write-id` placeholder, the version comes from the answer's
/// `X-Version` header.
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
