//! The directory role.

use crate::stack::node::{Node, NodeError};

/// Runs this node until the process ends.
///
/// # Errors
/// When it cannot start.
pub fn serve(node: Node) -> Result<(), NodeError> {
    let what = "this role is not built yet".to_string();
    Err(NodeError::Role { node: node.plan().name.clone(), what })
}
