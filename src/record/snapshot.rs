//! What a generator worker hands over once a second: differences since its last snapshot.

use crate::base::{Histogram, Nanos};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a planned request ended. Every one ends as exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    HttpError,
    TransportError,
    Timeout,
    /// In flight at the end.
    Unfinished,
    NeverSent,
}

impl Outcome {
    pub const ALL: [Outcome; 6] = [
        Outcome::Ok,
        Outcome::HttpError,
        Outcome::TransportError,
        Outcome::Timeout,
        Outcome::Unfinished,
        Outcome::NeverSent,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::HttpError => "http_error",
            Outcome::TransportError => "transport_error",
            Outcome::Timeout => "timeout",
            Outcome::Unfinished => "unfinished",
            Outcome::NeverSent => "never_sent",
        }
    }
}

/// Why an outcome was not ok; of one that was, its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The HTTP status: one that was not 200–399, or that of an ok answer.
    Status(u16),
    /// A check on the answer did not hold.
    CheckFailed,
    ConnectRefused,
    ConnectFailed,
    /// There was no connection within the connect time-out.
    ConnectTimeout,
    /// Every local port of every source address towards the server is in use.
    OutOfPorts,
    /// A source address of the plan is none of this machine's.
    NoSuchSource,
    /// The process may not open so many files.
    OutOfDescriptors,
    /// The TLS handshake or a record failed.
    TlsFailed,
    CertificateRefused,
    /// HTTP/2 was wanted, and the server did not choose it.
    NoHttp2,
    Reset,
    /// The server ended this stream, or the whole connection, of HTTP/2.
    StreamReset,
    GoAway,
    /// The server closed before the answer was complete.
    ClosedEarly,
    /// What would be sent is not HTTP.
    BadRequest,
    /// What came back is not HTTP.
    BadResponse,
    /// Timed out waiting for a connection / for the answer.
    TimeoutConnecting,
    TimeoutWaiting,
    TimeoutResponse,
    /// The bounded queue of waiting requests was full.
    QueueFull,
    /// The run was stopped before it was due or sent.
    Stopped,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Status(code) => write!(f, "status {code}"),
            Cause::CheckFailed => f.write_str("check failed"),
            Cause::ConnectRefused => f.write_str("connection refused"),
            Cause::ConnectFailed => f.write_str("connect failed"),
            Cause::ConnectTimeout => f.write_str("no connection within the connect time-out"),
            Cause::OutOfPorts => f.write_str(
                "no local port left: use fewer connections, keep them alive, or give more source \
                 addresses",
            ),
            Cause::NoSuchSource => f.write_str("the source address is none of this machine's"),
            Cause::OutOfDescriptors => f.write_str(
                "no file descriptor left: use fewer connections or raise the limit (ulimit -n)",
            ),
            Cause::TlsFailed => f.write_str("TLS failed"),
            Cause::CertificateRefused => f.write_str("certificate refused (-k takes any)"),
            Cause::NoHttp2 => f.write_str("the server does not speak HTTP/2"),
            Cause::StreamReset => f.write_str("stream reset by the server"),
            Cause::GoAway => f.write_str("connection ended by the server (GOAWAY)"),
            Cause::Reset => f.write_str("connection reset"),
            Cause::ClosedEarly => f.write_str("closed before the answer was complete"),
            Cause::BadRequest => f.write_str("the request cannot be sent"),
            Cause::BadResponse => f.write_str("not HTTP"),
            Cause::TimeoutConnecting => f.write_str("timed out connecting"),
            Cause::TimeoutWaiting => f.write_str("timed out waiting for a connection"),
            Cause::TimeoutResponse => f.write_str("timed out waiting for the answer"),
            Cause::QueueFull => f.write_str("queue full"),
            Cause::Stopped => f.write_str("run stopped"),
        }
    }
}

/// How many requests were planned and how they ended; the six outcomes add up to planned once
/// everything has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub planned: u64,
    pub ok: u64,
    pub http_error: u64,
    pub transport_error: u64,
    pub timeout: u64,
    pub unfinished: u64,
    pub never_sent: u64,
}

impl Ledger {
    pub fn count(&mut self, outcome: Outcome) {
        *self.slot(outcome) += 1;
    }

    pub fn get(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Ok => self.ok,
            Outcome::HttpError => self.http_error,
            Outcome::TransportError => self.transport_error,
            Outcome::Timeout => self.timeout,
            Outcome::Unfinished => self.unfinished,
            Outcome::NeverSent => self.never_sent,
        }
    }

    fn slot(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::HttpError => &mut self.http_error,
            Outcome::TransportError => &mut self.transport_error,
            Outcome::Timeout => &mut self.timeout,
            Outcome::Unfinished => &mut self.unfinished,
            Outcome::NeverSent => &mut self.never_sent,
        }
    }

    pub fn add(&mut self, other: &Ledger) {
        self.planned += other.planned;
        for outcome in Outcome::ALL {
            *self.slot(outcome) += other.get(outcome);
        }
    }

    /// The sum of the six outcomes.
    pub fn ended(&self) -> u64 {
        Outcome::ALL.iter().map(|o| self.get(*o)).sum()
    }

    /// Whether every planned request has ended exactly once.
    pub fn is_closed(&self) -> bool {
        self.ended() == self.planned
    }
}

/// What a histogram holds; in `latency.hlog` it is the line's tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tag {
    /// Indices into the plan's requests and phases.
    Response {
        request: u16,
        phase: u16,
    },
    Service {
        request: u16,
        phase: u16,
    },
    /// From due to sent; for a request that timed out without being sent, from due to giving it
    /// up, a lower bound. Like the start lag over the whole run, unmeasured phases included: both
    /// say how the generator fared.
    ConnectionWait,
    /// From the intended start to due: how late the generator noticed.
    StartLag,
    /// Gaps between the intended starts of a worker's requests, and between the instants at which
    /// it noticed that they were due: the arrivals as planned and as achieved. Open loops only.
    PlannedGap,
    DueGap,
    Hiccup,
}

/// Counters of the requests of one kind whose intended start lies in one second and one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub second: u32,
    pub phase: u16,
    pub request: u16,
    pub ledger: Ledger,
    pub sent: u64,
    pub in_time: u64,
    /// Sent more than once because a pooled connection had gone stale.
    pub retried: u64,
    /// Of the planned ones: asked again by a visitor who had got an error or no answer.
    #[serde(default)]
    pub repeated: u64,
}

/// One operation on a checked key; streamed to `history.bin`. Times since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub kind: OperationKind,
    /// Who asked, from 1: the shard of an open loop (all of its requests are taken as one visitor's)
    /// or the virtual user of a closed one. 0 where nobody told.
    pub session: u32,
    pub key: u64,
    /// The write's id; 0 for a read.
    pub id: u64,
    /// The version that the answer named; 0 when it named none.
    pub version: u64,
    /// Invoked: the intended start for writes, `sent` for reads.
    pub started: Nanos,
    pub ended: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    Read,
    /// A write that got a success.
    Acknowledged,
    /// A write that may or may not have happened: timed out, reset, unfinished, 5xx after it was sent.
    Indeterminate,
    /// A write that certainly did not happen: refused or never sent, 503 from admission.
    Failed,
    /// After the run, the database named this write's id under this key.
    ReadBack,
    /// After the run, everything under this key has been read; `version` is the database's count
    /// of applied writes there.
    ReadBackDone,
}

/// Differences since the worker's last snapshot, handed over once a second and at the end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub worker: u32,
    /// Since the start of the run.
    pub at: Nanos,
    pub cells: Vec<Cell>,
    pub histograms: Vec<(Tag, Histogram)>,
    pub causes: Vec<(Outcome, Cause, u64)>,
    pub operations: Vec<Operation>,
    /// Operations that did not fit the bounded buffer.
    pub operations_lost: u64,
    /// At this moment: sent and not completed, waiting for a connection, open connections.
    pub in_flight: u32,
    pub waiting: u32,
    pub connections: u32,
    /// Highest in-flight count since the last snapshot.
    pub in_flight_max: u32,
    /// CPU time of the worker since its start.
    pub cpu: Nanos,
    /// The same of the worker's own process, with all its threads; 0 for a thread of brunt.
    #[serde(default)]
    pub process_cpu: Nanos,
    /// Proportional set size of the worker's own process, bytes; 0 for a thread of brunt.
    pub memory: u64,
    /// The worker has ended; nothing follows.
    pub is_last: bool,
}
