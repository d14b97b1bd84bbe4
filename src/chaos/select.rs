//! Resolves a selector against the target as it is when the fault fires.

use super::{Hit, NodeView, Stand};
use crate::fault::Selector;

/// # Errors
/// A sentence when nothing can be hit; the fault is then skipped, never turned on something else.
pub(super) fn resolve(selector: &Selector, stand: &dyn Stand) -> Result<Hit, String> {
    let nodes = stand.nodes();
    let is_server_wide = matches!(selector, Selector::ServerOf(_));
    let named = |name: &str| nodes.iter().filter(|n| n.name == name).collect::<Vec<_>>();
    let of_role = |role: &str| nodes.iter().filter(|n| n.role == role).collect::<Vec<_>>();
    let mut leader_of = None;
    let chosen: Vec<&NodeView> = match selector {
        Selector::Node(name) | Selector::ServerOf(name) => named(name),
        Selector::Role(role) => of_role(role),
        Selector::Share(role, share) => {
            let mut all = of_role(role);
            all.truncate((all.len() as f64 * share).ceil() as usize);
            all
        }
        Selector::Leader(role) => {
            leader_of = Some(role.clone());
            let leader = stand.leader(role).ok_or(format!("no node leads `{role}` now"))?;
            named(&leader)
        }
    };
    if chosen.is_empty() {
        return Err(format!("`{selector}` is not there"));
    }
    if let Some(dead) = chosen.iter().find(|n| !n.is_alive) {
        return Err(format!("{} is not running", dead.name));
    }
    let mut servers: Vec<String> = chosen.iter().map(|n| n.server.clone()).collect();
    servers.dedup();
    let nodes = chosen.iter().map(|n| n.name.clone()).collect();
    Ok(Hit { nodes, servers, is_server_wide, leader_of })
}
