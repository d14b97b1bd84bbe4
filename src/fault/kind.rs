//! What is done to the selected nodes, servers or links, with its magnitude.

use super::lever::Direction;
use crate::base::units::{duration, size};
use crate::base::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL to the process; healed by starting it again.
    Kill,
    /// SIGTERM; the process ends by itself and stays down until it is started again.
    Terminate,
    /// The whole server falls silent (frozen, still accepting connections in its kernel), is killed
    /// when the repair time is over, and is started again.
    PowerOff,
    /// The processes are stopped, and continue afterwards as if nothing had happened.
    Pause,
    /// SIGTERM, wait for the exit, start again at once; of several nodes, one after the other, each
    /// when the one before is ready.
    Restart,
    /// CPU taken away from the server: `to` is the share of its own budget that is left.
    Throttle {
        to: f64,
        #[serde(default)]
        by: ThrottleBy,
    },
    /// A busy neighbour inside the server's own share, which burns this many cores if it can.
    Compete { cores: f64 },
    /// Memory taken away from the server.
    Memory {
        #[serde(with = "size")]
        to: Bytes,
        #[serde(default)]
        by: MemoryBy,
    },
    /// Open files that each of the node's processes may have.
    Descriptors { to: u64 },
    /// What the server may read and write per second on the disk of its data.
    DiskSlow {
        #[serde(with = "size")]
        rate: Bytes,
    },
    /// The data folder of the run is filled.
    DiskFull {
        #[serde(with = "size", default)]
        free: Bytes,
    },
    /// Each sync to disk of a bundled database takes this much longer.
    SlowSync {
        #[serde(with = "duration")]
        delay: Nanos,
    },
    /// A link's bytes arrive later.
    Latency {
        #[serde(with = "duration")]
        delay: Nanos,
        #[serde(with = "duration", default)]
        jitter: Nanos,
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// A link carries so many bytes per second.
    Bandwidth {
        #[serde(with = "size")]
        rate: Bytes,
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// A link's connections stay open and nothing flows.
    Stall {
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// A link's connections are reset.
    Reset {
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// The end of a link's streams is passed on later.
    SlowClose {
        #[serde(with = "duration")]
        delay: Nanos,
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// A link's connections are reset after so many bytes.
    Cut {
        #[serde(with = "size")]
        bytes: Bytes,
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// As if the cable were pulled.
    Partition {
        #[serde(default, flatten)]
        link: OnLink,
    },
    /// A share of a link's packets is lost.
    Loss {
        share: f64,
        #[serde(default)]
        direction: Direction,
    },
    /// A share of a link's packets overtakes others.
    Reorder {
        share: f64,
        #[serde(with = "duration")]
        delay: Nanos,
        #[serde(default)]
        direction: Direction,
    },
    /// A share of the node's answers are errors.
    HttpErrors {
        #[serde(default = "all")]
        share: f64,
        #[serde(default = "status")]
        status: u16,
    },
    /// A share of the node's answers come later.
    HttpDelay {
        #[serde(default = "all")]
        share: f64,
        #[serde(with = "duration")]
        delay: Nanos,
        #[serde(with = "duration", default)]
        jitter: Nanos,
    },
    /// A share of the node's answers are shorter than they say.
    HttpWrongLength {
        #[serde(default = "all")]
        share: f64,
    },
}

/// What all faults on links have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnLink {
    #[serde(default)]
    pub direction: Direction,
    /// Of the connections.
    #[serde(default = "all")]
    pub share: f64,
    #[serde(default)]
    pub by: LinkBy,
}

impl Default for OnLink {
    fn default() -> Self {
        OnLink { direction: Direction::Both, share: 1.0, by: LinkBy::Proxy }
    }
}

/// Who does it to a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkBy {
    /// brunt's own proxy, which is in the path from the start.
    #[default]
    Proxy,
    /// The kernel, in a network namespace that the run has for itself.
    Packets,
}

/// How CPU is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ThrottleBy {
    /// A smaller quota per period: full speed, then a stall.
    #[default]
    Quota,
    /// Fewer cores by affinity, at least one.
    Cores,
}

/// How memory is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryBy {
    /// The kernel reclaims beyond it, and kills when that is not enough.
    #[default]
    Limit,
    /// The server is slowed down and reclaimed, never killed.
    Pressure,
}

impl FaultKind {
    /// Of every kind, in the order of their declaration.
    pub const NAMES: [&str; 24] = [
        "kill",
        "terminate",
        "power-off",
        "pause",
        "restart",
        "throttle",
        "compete",
        "memory",
        "descriptors",
        "disk-slow",
        "disk-full",
        "slow-sync",
        "latency",
        "bandwidth",
        "stall",
        "reset",
        "slow-close",
        "cut",
        "partition",
        "loss",
        "reorder",
        "http-errors",
        "http-delay",
        "http-wrong-length",
    ];

    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Kill => "kill",
            FaultKind::Terminate => "terminate",
            FaultKind::PowerOff => "power-off",
            FaultKind::Pause => "pause",
            FaultKind::Restart => "restart",
            FaultKind::Throttle { .. } => "throttle",
            FaultKind::Compete { .. } => "compete",
            FaultKind::Memory { .. } => "memory",
            FaultKind::Descriptors { .. } => "descriptors",
            FaultKind::DiskSlow { .. } => "disk-slow",
            FaultKind::DiskFull { .. } => "disk-full",
            FaultKind::SlowSync { .. } => "slow-sync",
            FaultKind::Latency { .. } => "latency",
            FaultKind::Bandwidth { .. } => "bandwidth",
            FaultKind::Stall { .. } => "stall",
            FaultKind::Reset { .. } => "reset",
            FaultKind::SlowClose { .. } => "slow-close",
            FaultKind::Cut { .. } => "cut",
            FaultKind::Partition { .. } => "partition",
            FaultKind::Loss { .. } => "loss",
            FaultKind::Reorder { .. } => "reorder",
            FaultKind::HttpErrors { .. } => "http-errors",
            FaultKind::HttpDelay { .. } => "http-delay",
            FaultKind::HttpWrongLength { .. } => "http-wrong-length",
        }
    }

    /// Whether the node or server is gone while it is in force, so that `lasts` is the assumed
    /// repair time.
    pub fn is_repaired(&self) -> bool {
        matches!(self, FaultKind::Kill | FaultKind::Terminate | FaultKind::PowerOff)
    }

    /// Whether it is done to links rather than to nodes.
    pub fn is_on_links(&self) -> bool {
        self.on_link().is_some()
            || matches!(self, FaultKind::Loss { .. } | FaultKind::Reorder { .. })
    }

    /// What faults have that the proxy can do.
    pub fn on_link(&self) -> Option<&OnLink> {
        match self {
            FaultKind::Latency { link, .. }
            | FaultKind::Bandwidth { link, .. }
            | FaultKind::Stall { link }
            | FaultKind::Reset { link }
            | FaultKind::SlowClose { link, .. }
            | FaultKind::Cut { link, .. }
            | FaultKind::Partition { link } => Some(link),
            _ => None,
        }
    }

    /// Whether a node that is hit takes no part in anything while it is in force.
    pub fn takes_away(&self) -> bool {
        self.is_repaired() || matches!(self, FaultKind::Pause | FaultKind::Restart)
    }

    /// What the target must have from its start on, in the control run too.
    pub fn need(&self) -> Need {
        let can_be_packets = matches!(
            self,
            FaultKind::Latency { .. }
                | FaultKind::Bandwidth { .. }
                | FaultKind::Stall { .. }
                | FaultKind::Partition { .. }
        );
        match self {
            FaultKind::Loss { .. } | FaultKind::Reorder { .. } => Need::Namespace,
            FaultKind::DiskFull { .. } => Need::BoundedFolder,
            _ => match self.on_link() {
                Some(link) if link.by == LinkBy::Packets && can_be_packets => Need::Namespace,
                Some(_) => Need::Proxy,
                None => Need::Nothing,
            },
        }
    }
}

/// What must be there from the start, because it cannot be put under a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// A proxy in the links that the fault is on.
    Proxy,
    /// A network namespace of the run's own, and a proxy, whose address tells the link.
    Namespace,
    /// A data folder that is a small file system of its own.
    BoundedFolder,
}

fn all() -> f64 {
    1.0
}

fn status() -> u16 {
    503
}
