//! The fleet as chaos sees it.

use crate::chaos::{Done, NodeView, Stand};
use crate::fleet::{Fleet, FleetError, NodeState, Stamp};
use crate::plan::Plan;
use std::sync::Arc;

pub(super) struct FleetStand {
    fleet: Arc<Fleet>,
    /// Name, role, server.
    nodes: Vec<(String, &'static str, String)>,
    n_cores: u32,
}

impl FleetStand {
    pub fn new(plan: &Plan, fleet: Arc<Fleet>) -> Self {
        let nodes =
            plan.nodes.iter().map(|n| (n.name.clone(), n.role.name(), n.server.clone())).collect();
        FleetStand { fleet, nodes, n_cores: plan.host.stack_cpus.len() as u32 }
    }
}

fn done(stamp: Result<Stamp, FleetError>) -> Result<Done, String> {
    stamp
        .map(|s| Done { began: s.before, ended: s.after, mechanism: s.mechanism, proof: s.proof })
        .map_err(|e| e.to_string())
}

impl Stand for FleetStand {
    fn nodes(&self) -> Vec<NodeView> {
        let view = |(name, role, server): &(String, &'static str, String)| NodeView {
            name: name.clone(),
            role,
            server: server.clone(),
            is_alive: !matches!(self.fleet.node_state(name), None | Some(NodeState::Down)),
        };
        self.nodes.iter().map(view).collect()
    }

    fn leader(&self, role: &str) -> Option<String> {
        (role == "database").then(|| self.fleet.leader()).flatten()
    }

    fn kill_node(&self, node: &str) -> Result<Done, String> {
        done(self.fleet.kill_node(node))
    }

    fn terminate_node(&self, node: &str) -> Result<Done, String> {
        done(self.fleet.terminate_node(node))
    }

    fn start_node(&self, node: &str) -> Result<Done, String> {
        done(self.fleet.start_node(node))
    }

    fn pause_node(&self, node: &str) -> Result<Done, String> {
        done(self.fleet.pause_node(node))
    }

    fn resume_node(&self, node: &str) -> Result<Done, String> {
        done(self.fleet.resume_node(node))
    }

    fn freeze_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.freeze_server(server))
    }

    fn thaw_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.thaw_server(server))
    }

    fn kill_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.kill_server(server))
    }

    fn start_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.start_server(server))
    }

    fn set_server_share(&self, server: &str, share: f64) -> Result<Done, String> {
        done(self.fleet.set_server_share(server, share))
    }

    fn set_server_cores(&self, server: &str, share: f64) -> Result<Done, String> {
        done(match share < 1.0 {
            true => {
                let kept = (f64::from(self.n_cores) * share).floor().max(1.0) as u32;
                self.fleet.set_server_cpus(server, kept)
            }
            false => self.fleet.restore_server_cpus(server),
        })
    }
}
