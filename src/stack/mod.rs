//! Floor 5: the reference servers. Each node is a process of its own: `brunt serve ROLE` reads one
//! `NodePlan` on stdin and runs the role until it is killed.
//!
//! Only names travel in protocols; a node maps a peer's name to a dial address by its plan.

pub mod app;
pub mod balancer;
pub mod cache;
pub mod cdn;
pub mod database;
pub mod faults;
pub mod flight;
pub mod heartbeat;
pub mod held;
pub mod http;
pub mod known;
pub mod node;
pub mod relay;
pub mod rotation;
pub mod sink;

use crate::plan::NodePlan;
use crate::target::Role;
use node::{Node, NodeError};

/// Runs one node until it is killed.
///
/// # Errors
/// When it cannot start: its address is taken, its data folder cannot be used.
pub fn serve(plan: NodePlan) -> Result<(), NodeError> {
    let role = plan.role;
    let node = Node::new(plan);
    match role {
        Role::App => app::serve(node),
        Role::Balancer => balancer::serve(node),
        Role::Cache => cache::serve(node),
        Role::Database => database::serve(node),
        Role::Cdn => cdn::serve(node),
        Role::Directory => cdn::directory::serve(node),
        Role::Service(name) => {
            let what = format!("`{name:?}` is not of the bundled stack").replace('"', "");
            Err(NodeError::Role { node: node.plan().name.clone(), what })
        }
    }
}
