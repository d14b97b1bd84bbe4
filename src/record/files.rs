//! The rows and documents that a record's folder holds, as values. `Recorder` writes them,
//! `Record::open` reads them; analysis and reports see only these.

use super::{Cause, Event, Heat, Ledger, Operation, Outcome, Tag};
use crate::base::{Histogram, Nanos};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the record's layout; raised when a reader of the old one would be misled.
pub const SCHEMA: u32 = 1;

/// `manifest.json`: what was run, where. Written before the run starts; no host name, no absolute path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub brunt_version: String,
    pub run_id: String,
    pub plan: Plan,
    /// Wall clock at the start of the run, nanoseconds since the Unix epoch.
    pub started_wall_ns: u64,
    /// `CLOCK_MONOTONIC` at the start of the run: instant 0 of every other time in the record.
    pub started_monotonic_ns: u64,
    pub workers: u32,
    /// Reasons for doubt that were known before the start (another brunt running, stale faults).
    pub doubts: Vec<String>,
}

/// One row of `series.csv`: an intended second, a phase and a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesRow {
    pub second: u32,
    pub phase: String,
    pub request: String,
    pub planned: u64,
    pub sent: u64,
    pub ok: u64,
    pub http_error: u64,
    pub transport_error: u64,
    pub timeout: u64,
    pub unfinished: u64,
    pub never_sent: u64,
    pub in_time: u64,
    pub retried: u64,
    /// Of the planned ones: asked again by a visitor who had got an error or no answer.
    #[serde(default)]
    pub repeated: u64,
    /// Over all requests, at the end of this second.
    pub in_flight: u32,
    /// Response times of what completed in this second; empty with too few samples.
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

impl SeriesRow {
    pub fn ledger(&self) -> Ledger {
        Ledger {
            planned: self.planned,
            ok: self.ok,
            http_error: self.http_error,
            transport_error: self.transport_error,
            timeout: self.timeout,
            unfinished: self.unfinished,
            never_sent: self.never_sent,
        }
    }
}

/// The role of a generator worker's row in `nodes.csv`; its server is brunt's own.
pub const WORKER: &str = "worker";

/// One row of `nodes.csv`: a second and a node. brunt itself is the node `brunt`, role `generator`;
/// its workers have a row each, with their own CPU alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    pub second: u32,
    pub node: String,
    pub server: String,
    /// `app`, `balancer`, …; a database node's is `database/leader` or `database/replica`.
    pub role: String,
    /// Whether the process was alive at this sample.
    pub alive: bool,
    /// CPU used by the node's process in this second.
    pub cpu_ns: u64,
    /// CPU used, and time throttled, by the whole server in this second; the same on every node of
    /// a server. Of a generator's worker: by its own process, 0 when it is a thread of brunt.
    pub server_cpu_ns: u64,
    pub server_throttled_ns: u64,
    pub rss_bytes: u64,
    pub threads: u32,
    pub fds: u32,
    /// Differences of the node's own counters in this second.
    pub requests: u64,
    pub cache_hits: u64,
    pub cache_misses: u64,
    /// Log entries that the node is behind the leader; empty where it has no meaning.
    pub replication_lag: Option<u64>,
    /// Share of the machine's CPU time that a hypervisor took; only in brunt's own row.
    pub steal_share: Option<f64>,
    /// How many times longer than at its best the slowest core took for the same computation; only
    /// in brunt's own row.
    #[serde(default)]
    pub slowdown: Option<f64>,
}

/// What the generator took over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorUsage {
    /// The most requests that were sent and not completed at one time: a single worker's exact
    /// maximum; of several, that of their sum between the turns of their loops.
    pub in_flight_max: u64,
    /// The most connections that were open at one time, between turns.
    pub connections_max: u64,
    /// Each process's largest proportional set size, added up, brunt's own included.
    pub pss_max_bytes: u64,
    /// Processes that generated load; 1 when brunt's own threads did.
    pub processes: u32,
    /// CPU of brunt's own process from preparing the load until it had ended, and of each worker
    /// process in its whole life. Zero in a record of a brunt that did not tell.
    #[serde(default)]
    pub cpu: Nanos,
}

/// A whole record, read into memory (it is bounded: invariant 12).
#[derive(Clone, Debug)]
pub struct Record {
    pub folder: PathBuf,
    pub manifest: Manifest,
    pub series: Vec<SeriesRow>,
    pub nodes: Vec<NodeRow>,
    pub events: Vec<Event>,
    /// Merged over the run, by tag.
    pub latency: BTreeMap<Tag, Histogram>,
    /// The response times of all requests, by the second in which they completed.
    pub heat: Heat,
    /// `(outcome, cause, count)` over the whole run.
    pub causes: Vec<(Outcome, Cause, u64)>,
    /// Operations on checked keys, in the order in which they were written.
    pub history: Vec<Operation>,
    /// Checked operations that did not fit the generator's buffers, and are missing in `history`.
    pub operations_lost: u64,
    /// `None` when the record was not sealed, or by a brunt that did not tell.
    pub generator: Option<GeneratorUsage>,
    /// Whether the record was sealed; one that was not is readable up to where it ends.
    pub is_sealed: bool,
    /// Why it ends before the run was meant to: a signal, a full disk.
    pub cut_short: Option<String>,
    /// When the load ended, since the start.
    pub ended: Nanos,
}

impl Record {
    /// When the load ended: as planned, or before that with a run that was ended early.
    pub fn load_end(&self) -> Nanos {
        self.manifest.plan.load.end().min(self.ended)
    }
}
