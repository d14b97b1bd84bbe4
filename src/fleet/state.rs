//! What brunt knows of its nodes, from what the keeper and the nodes told.

use crate::base::Nanos;
use crate::fault::Lever;
use crate::host::Identity;
use crate::record::NodeEventKind;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Its process runs and does not answer yet.
    Starting,
    /// It said that it is ready, and answered.
    Ready,
    /// Stopped by a fault, alone or with its server.
    Paused,
    /// No process.
    Down,
}

#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub server: String,
    /// Where `/healthz` is asked; none for what has no admin side.
    pub admin: Option<SocketAddr>,
    pub process: Option<Identity>,
    /// Counts starts, so that a late answer about an earlier process is told apart.
    pub starts: u32,
    pub is_ready: bool,
    pub leads_in_term: Option<u64>,
    /// How the last process ended.
    pub ended: Option<String>,
}

impl NodeInfo {
    pub fn state(&self, is_stopped: bool) -> NodeState {
        match (self.process, is_stopped, self.is_ready) {
            (None, _, _) => NodeState::Down,
            (Some(_), true, _) => NodeState::Paused,
            (Some(_), false, true) => NodeState::Ready,
            (Some(_), false, false) => NodeState::Starting,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct State {
    pub nodes: BTreeMap<String, NodeInfo>,
    pub servers: BTreeSet<String>,
    /// What faults hold, by the id of the hold.
    pub holds: BTreeMap<String, Lever>,
    pub is_keeper_lost: bool,
}

impl State {
    pub fn node_state(&self, name: &str) -> Option<NodeState> {
        let node = self.nodes.get(name)?;
        let is_stopped = self.holds.values().any(|lever| match lever {
            Lever::Pause { node } => node == name,
            Lever::Freeze { server } => *server == node.server,
            _ => false,
        });
        Some(node.state(is_stopped))
    }

    /// The node that claims the highest term among those whose process runs.
    pub fn leader(&self) -> Option<String> {
        let running = self.nodes.iter().filter(|(_, n)| n.process.is_some());
        let claims = running.filter_map(|(name, n)| Some((n.leads_in_term?, name)));
        claims.max().map(|(_, name)| name.clone())
    }

    pub fn admin_addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.nodes.iter().filter_map(|(name, n)| Some((name.clone(), n.admin?))).collect()
    }

    pub fn started(&mut self, name: &str, process: Identity) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.process = Some(process);
            node.starts += 1;
            node.is_ready = false;
            (node.leads_in_term, node.ended) = (None, None);
        }
    }

    pub fn exited(&mut self, name: &str, how: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.process = None;
            node.is_ready = false;
            node.leads_in_term = None;
            node.ended = Some(how.to_string());
        }
    }

    pub fn heard(&mut self, name: &str, what: &NodeEventKind) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        match what {
            NodeEventKind::Leader { term } => node.leads_in_term = Some(*term),
            NodeEventKind::Replica { .. } => node.leads_in_term = None,
            _ => {}
        }
    }
}

/// A node's consumption at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUsage {
    pub node: String,
    pub server: String,
    /// `None` while it does not run. CPU counts from the start of its present process.
    pub process: Option<crate::host::usage::ProcessUse>,
    /// The whole server's, since the start of the run; it never falls.
    pub server_cpu: Nanos,
    /// Time in which the server wanted to run and its share was spent.
    pub server_throttled: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let node = NodeInfo {
            server: "s".into(),
            admin: None,
            process: None,
            starts: 0,
            is_ready: false,
            leads_in_term: None,
            ended: None,
        };
        let nodes = ["a", "b"].map(|n| (n.to_string(), node.clone())).into();
        State {
            nodes,
            servers: ["s".to_string()].into(),
            holds: BTreeMap::new(),
            is_keeper_lost: false,
        }
    }

    #[test]
    fn the_leader_is_the_highest_term_among_the_living() {
        let mut state = state();
        let process = Identity::own();
        for (name, term) in [("a", 3), ("b", 4)] {
            state.started(name, process);
            state.heard(name, &NodeEventKind::Leader { term });
        }
        assert_eq!(state.leader().as_deref(), Some("b"));
        state.exited("b", "exited by signal 9");
        assert_eq!(state.leader().as_deref(), Some("a"));
        state.heard("a", &NodeEventKind::Replica { term: 5 });
        assert_eq!(state.leader(), None);
    }

    #[test]
    fn a_frozen_server_pauses_its_nodes() {
        let mut state = state();
        assert_eq!(state.node_state("a"), Some(NodeState::Down));
        state.started("a", Identity::own());
        assert_eq!(state.node_state("a"), Some(NodeState::Starting));
        state.holds.insert("h".into(), Lever::Freeze { server: "s".into() });
        assert_eq!(state.node_state("a"), Some(NodeState::Paused));
        assert_eq!(state.node_state("c"), None);
    }
}
