//! The fleet as chaos sees it.

use crate::chaos::{Done, LinkView, NodeView, Stand};
use crate::fault::Lever;
use crate::fleet::{Fleet, FleetError, NodeState, Stamp};
use crate::plan::{LinkPlan, Plan};
use std::sync::Arc;

pub(super) struct FleetStand {
    fleet: Arc<Fleet>,
    /// Name, role, server.
    nodes: Vec<(String, &'static str, String)>,
    links: Vec<LinkView>,
}

impl FleetStand {
    pub fn new(plan: &Plan, fleet: Arc<Fleet>) -> Self {
        let nodes =
            plan.nodes.iter().map(|n| (n.name.clone(), n.role.name(), n.server.clone())).collect();
        let view = |l: &LinkPlan| LinkView { from: l.from.clone(), to: l.to.clone() };
        let mut links: Vec<LinkView> = plan.links.iter().map(view).collect();
        links.dedup();
        FleetStand { fleet, nodes, links }
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

    fn links(&self) -> Vec<LinkView> {
        self.links.clone()
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

    fn kill_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.kill_server(server))
    }

    fn start_server(&self, server: &str) -> Result<Done, String> {
        done(self.fleet.start_server(server))
    }

    fn await_ready(&self, node: &str) -> Result<(), String> {
        self.fleet.await_ready_again(node).map_err(|e| e.to_string())
    }

    fn prepare(&self, hold: &str, lever: &Lever) -> Result<(), String> {
        self.fleet.prepare(hold, lever).map(drop).map_err(|e| e.to_string())
    }

    fn hold(&self, hold: &str, lever: &Lever) -> Result<Done, String> {
        done(self.fleet.hold(hold, lever))
    }

    fn release(&self, hold: &str) -> Result<Done, String> {
        done(self.fleet.release(hold))
    }
}
