//! Floor 3: target × profile × seed × host facts → a complete plan, which explains itself in words.
//! After this nothing is defaulted, drawn or looked up: same inputs, same bytes.

mod compile;
mod demand;
mod explain;
mod faults;
mod fitness;
mod load;
mod needs;
mod node;
mod start;
mod topology;
mod transport;

pub use compile::{PlanError, compile, cost_per_request};
pub use explain::explain;
pub use load::{
    Arrivals, Check, Expect, FeederOrder, FeederPlan, LoadPlan, PhasePlan, RegionPlan, RequestPlan,
    RetryPlan, RoutePlan, ValueKind, ValuePlan, is_secret_header,
};
pub use needs::Needs;
pub use node::{LinkPlan, NodePlan, Peer};
pub use start::{AttachPlan, CommandPlan, ReadyPlan, StartPlan};
pub use transport::{Http2Plan, Protocol, TlsPlan, TransportPlan};

use crate::base::Nanos;
use crate::fault::{Fault, FaultLimits};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One run, complete. Serialised into the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub target: String,
    pub profile: String,
    pub seed: u64,
    pub host: HostFacts,
    pub servers: Vec<ServerPlan>,
    pub nodes: Vec<NodePlan>,
    pub links: Vec<LinkPlan>,
    pub load: LoadPlan,
    pub faults: Vec<Fault>,
    #[serde(default)]
    pub fault_limits: FaultLimits,
    /// What must be there from the start because of the faults, and is there without them too.
    #[serde(default)]
    pub needs: Needs,
    /// The share of a phase's requests in time below which the steady state does not hold.
    pub hypothesis_in_time: f64,
    /// Whether the steady state must hold again after the last heal.
    #[serde(default)]
    pub must_recover: bool,
    /// Whether the target is started by brunt; else it is only a URL.
    pub is_bundled: bool,
    /// Expected uncached CPU of one average request, over all roles; zero when not bundled.
    pub cost_per_request: Nanos,
    /// What the target's CPU should carry, by arithmetic, in requests per second; zero when unknown.
    pub expected_capacity_per_s: f64,
    /// What must hold, as it was typed; each can be parsed.
    #[serde(default)]
    pub thresholds: Vec<String>,
    /// Ends the run once one of them is missed for certain.
    #[serde(default)]
    pub abort_on_fail: bool,
    /// What ends the run before it does harm, as it was written; each can be parsed.
    #[serde(default)]
    pub guards: Vec<String>,
}

impl Plan {
    /// The control run: the same in everything, what the faults need to be there included, but no
    /// fault is injected.
    pub fn without_faults(self) -> Plan {
        Plan { faults: Vec::new(), ..self }
    }

    /// A load of something that brunt does not start, without faults.
    pub fn of_load(target: String, profile: String, host: HostFacts, load: LoadPlan) -> Plan {
        Plan {
            target,
            profile,
            seed: load.seed,
            host,
            servers: Vec::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            load,
            faults: Vec::new(),
            fault_limits: FaultLimits::default(),
            needs: Needs::default(),
            hypothesis_in_time: 0.0,
            must_recover: false,
            is_bundled: false,
            cost_per_request: Nanos::ZERO,
            expected_capacity_per_s: 0.0,
            thresholds: Vec::new(),
            abort_on_fail: false,
            guards: Vec::new(),
        }
    }
}

impl Plan {
    /// Whether a server is a process that ran before.
    pub fn is_attached(&self, server: &ServerPlan) -> bool {
        let is_it = |n: &&NodePlan| n.server == server.name;
        let mut nodes = self.nodes.iter().filter(is_it);
        nodes.any(|n| matches!(n.start, StartPlan::Attach(_)))
    }

    /// Without credentials: what may be written down.
    pub fn redacted(&self) -> Plan {
        let nodes = self.nodes.iter().map(NodePlan::redacted).collect();
        Plan { load: self.load.redacted(), nodes, ..self.clone() }
    }
}

/// What the plan takes from the machine; resolved once per command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub cores: u32,
    /// Cores for brunt, the generator and the relays.
    pub brunt_cpus: Vec<u32>,
    /// Cores for the target.
    pub stack_cpus: Vec<u32>,
    /// Cores per unit.
    pub unit_cores: f64,
    /// Quota period.
    pub period: Nanos,
    /// Iterations of `base::work::burn` per millisecond of CPU.
    pub iterations_per_ms: f64,
    /// Second and third octet of this command's own loopback network, `127.a.b.0/24`.
    pub network: (u8, u8),
    /// Service port of every node; the admin port is the next one.
    pub port: u16,
    pub kernel: String,
    /// `cgroup v1`, `cgroup v2`, `cgroup v2 (delegated)` or `stop-when-spent`.
    pub quota_mechanism: String,
    /// Longest stall that the quota was measured to cause at this period and one unit.
    pub quota_stall: Nanos,
}

impl HostFacts {
    /// The last octet of the relay's admin address; those of nodes and links are above it.
    const RELAY_ADMIN: u8 = 9;

    /// Where the relay, which carries links, is asked for its counters and rules.
    pub fn relay_admin(&self) -> SocketAddr {
        let (a, b) = self.network;
        let address = Ipv4Addr::new(127, a, b, Self::RELAY_ADMIN);
        SocketAddr::new(IpAddr::V4(address), self.port + 1)
    }
}

/// A server: a cgroup with a CPU share and one or more nodes, which dies as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// Unique in the target: `app-1`.
    pub name: String,
    /// The `[server.GROUP]` it comes from.
    pub group: String,
    pub units: f64,
    /// Cores: `units × unit_cores`.
    pub cores: f64,
    /// After an exit that no fault explains.
    pub restart_after: Nanos,
    /// Names of its nodes, in the order in which they are started.
    pub nodes: Vec<String>,
}
