//! What is held in a changed state while a fault is in force.
//!
//! A fault that lasts is a set of *holds*: a lever with an id of its own, put on at the injection
//! and taken off at the heal. Several holds may be on one resource at once; the strongest wins, and
//! taking one off leaves the others as they are.

use crate::base::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One resource in a changed state. What is absent from it is left as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "lever", rename_all = "kebab-case")]
pub enum Lever {
    /// The node's processes are stopped.
    Pause { node: String },
    /// The whole server is stopped; its kernel still accepts connections.
    Freeze { server: String },
    /// The fraction of its own CPU quota that the server keeps, in (0, 1).
    CpuShare { server: String, to: f64 },
    /// The fraction of its cores that the server keeps, at least one core, in (0, 1).
    CpuCores { server: String, to: f64 },
    /// A process beside the server's own, inside its CPU share, that burns this many cores.
    Competitor { server: String, cores: f64 },
    /// Bytes of memory that the server may have; beyond it the kernel reclaims, then kills.
    MemoryLimit { server: String, to: Bytes },
    /// Bytes of memory beyond which the server is slowed and reclaimed, never killed.
    MemoryPressure { server: String, to: Bytes },
    /// Open descriptors that each of the node's processes may have (its soft limit).
    Descriptors { node: String, to: u64 },
    /// Bytes per second that the server may read and write on the device of its data.
    DiskRate { server: String, to: Bytes },
    /// The bounded data folder of the run is filled up to this many free bytes.
    DiskFull { free: Bytes },
    /// What a bundled node does to itself.
    Node { node: String, rule: NodeRule },
    /// What the proxy does to a link's connections.
    Link { from: String, to: String, rule: LinkRule },
    /// What the kernel does to a link's packets, in the run's own network namespace.
    Packets { from: String, to: String, rule: PacketRule },
}

/// Which way a fault on a link works: from the dialling end to the dialled one, back, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    #[default]
    Both,
    /// What the dialling end sends.
    There,
    /// What the dialled end answers.
    Back,
}

/// A fault of the in-path TCP proxy. Bytes that are in the proxy when a rule begins obey it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkRule {
    #[serde(default)]
    pub direction: Direction,
    /// Of the connections, drawn once for each from the seed; all at 1.
    #[serde(default = "all")]
    pub share: f64,
    pub effect: LinkEffect,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum LinkEffect {
    /// Each byte arrives this much later, plus or minus a uniform draw of up to `jitter`; order is
    /// kept.
    Latency { delay: Nanos, jitter: Nanos },
    /// Bytes per second of each connection and direction.
    Bandwidth { rate: Bytes },
    /// Connections stay open and nothing flows; new ones are accepted and stay silent.
    Stall,
    /// Connections are reset, those that exist and those that come.
    Reset,
    /// The end of a stream is passed on this much later.
    SlowClose { delay: Nanos },
    /// A connection is reset after this many bytes in that direction.
    Cut { after: Bytes },
    /// As if the cable were pulled: nothing flows, and no new connection is accepted.
    Partition,
}

/// A fault at packet level, by nftables or a queueing discipline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PacketRule {
    #[serde(default)]
    pub direction: Direction,
    pub effect: PacketEffect,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum PacketEffect {
    /// The share of packets that are dropped; 1 is a partition.
    Loss { share: f64 },
    /// Bytes per second over all connections of the link (token bucket).
    Bandwidth { rate: Bytes },
    /// Each packet leaves later (netem).
    Latency { delay: Nanos, jitter: Nanos },
    /// The share of packets that overtake those before them (netem).
    Reorder { share: f64, delay: Nanos },
}

/// What a bundled node does on request of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum NodeRule {
    /// The share of service requests that are answered with this status, without work.
    Errors { share: f64, status: u16 },
    /// The share of service requests whose answer waits, after the work was done.
    Delay { share: f64, delay: Nanos, jitter: Nanos },
    /// The share of answers that promise more bytes than they bring, and are then closed.
    WrongLength { share: f64 },
    /// Each sync of the node's data to disk takes this much longer.
    SlowSync { delay: Nanos },
}

fn all() -> f64 {
    1.0
}

impl Lever {
    /// Whose change it is: a node, a server, a link or the run's data folder.
    pub fn object(&self) -> String {
        match self {
            Lever::Pause { node } | Lever::Descriptors { node, .. } | Lever::Node { node, .. } => {
                node.clone()
            }
            Lever::Freeze { server }
            | Lever::CpuShare { server, .. }
            | Lever::CpuCores { server, .. }
            | Lever::Competitor { server, .. }
            | Lever::MemoryLimit { server, .. }
            | Lever::MemoryPressure { server, .. }
            | Lever::DiskRate { server, .. } => server.clone(),
            Lever::DiskFull { .. } => "data folder".into(),
            Lever::Link { from, to, .. } | Lever::Packets { from, to, .. } => {
                format!("{from}->{to}")
            }
        }
    }
}
