//! What one node is told on its standard input, and the links between nodes.

use super::start::StartPlan;
use crate::base::Nanos;
use crate::target::{Role, Settings};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything a node needs to know. `brunt serve ROLE` reads it as one JSON object on stdin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Unique in the target: `app-1`.
    pub name: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "StartPlan::is_bundled")]
    pub start: StartPlan,
    /// The server that holds it.
    pub server: String,
    /// Where it stands; only the CDN and the visitors' distance look at it.
    pub region: String,
    /// Where its service listens.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/counters`, `/faults` and the role's own admin view of a bundled node are;
    /// of others nothing is there.
    pub admin: SocketAddr,
    /// Every node this one may talk to, by name.
    pub peers: Vec<Peer>,
    /// Where a node that keeps something on disk keeps it; relative to the run's work folder.
    pub data_folder: Option<PathBuf>,
    /// Threads for the service; one more thread is for the control side (heartbeats, admin).
    pub threads: u32,
    /// Iterations of `base::work::burn` per millisecond of CPU.
    pub iterations_per_ms: f64,
    /// The run's seed, for the node's own named streams.
    pub seed: u64,
    /// All roles' settings; a node reads its own role's.
    pub settings: Settings,
}

impl NodePlan {
    /// Peers of one role, in the order of their names.
    pub fn peers_of(&self, role: Role) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |p| p.role == role)
    }

    /// Where it is asked for its health, counters and rules, if it can be.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.start.is_bundled().then_some(self.admin)
    }

    /// Without credentials: what may be written down.
    pub fn redacted(&self) -> NodePlan {
        NodePlan { start: self.start.redacted(), ..self.clone() }
    }

    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|p| p.name == name)
    }
}

/// The dialling end of a link: how this node reaches another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub name: String,
    pub role: Role,
    pub region: String,
    /// Where to dial for its service: its own address, or a relay's when the link has a delay.
    pub dial: SocketAddr,
    /// Where to dial for its admin side (heartbeats, membership).
    pub dial_admin: SocketAddr,
}

/// A directed connection between two nodes, or between a visitors' region and a public node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// A node's name, or `visitors:<region>`.
    pub from: String,
    pub to: String,
    /// Where the dialling end connects.
    pub dial: SocketAddr,
    /// Where the service is. Equal to `dial` on a direct link.
    pub service: SocketAddr,
    /// Added to every answer: the round trip that the distance costs. Zero on a direct link.
    pub round_trip: Nanos,
}

impl LinkPlan {
    /// Whether a relay carries this link.
    pub fn is_relayed(&self) -> bool {
        self.dial != self.service
    }
}
