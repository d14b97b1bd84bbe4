//! How much may be broken at once.

use super::{Hit, NodeView};
use crate::fault::{Fault, FaultKind, FaultLimits};
use std::collections::{BTreeMap, BTreeSet};

/// The faults in force, by name.
pub type InForce = BTreeMap<String, (FaultKind, Hit)>;

/// The plan's limits, asked at the instant of each injection.
#[derive(Clone, Debug, Default)]
pub struct Limits(pub FaultLimits);

impl Limits {
    /// # Errors
    /// Why one more would be too much.
    pub fn allow(
        &self,
        in_force: &InForce,
        fault: &Fault,
        hit: &Hit,
        nodes: &[NodeView],
    ) -> Result<(), String> {
        if let Some(most) = self.0.at_most
            && in_force.len() >= most as usize
        {
            let names: Vec<&str> = in_force.keys().map(String::as_str).collect();
            return Err(format!("{} in force already, at most {most}", names.join(", ")));
        }
        match &self.0.keep_quorum {
            Some(role) => self.quorum(role, in_force, (&fault.kind, hit), nodes),
            None => Ok(()),
        }
    }

    fn quorum(
        &self,
        role: &str,
        in_force: &InForce,
        (kind, hit): (&FaultKind, &Hit),
        nodes: &[NodeView],
    ) -> Result<(), String> {
        let members: Vec<&NodeView> = nodes.iter().filter(|n| n.role == role).collect();
        let taken_by = |kind: &FaultKind, hit: &Hit| -> BTreeSet<&str> {
            let taken = members.iter().filter(|n| takes_away(kind, hit, n));
            taken.map(|n| n.name.as_str()).collect()
        };
        let own = taken_by(kind, hit);
        if own.is_empty() {
            return Ok(());
        }
        let before = in_force.values().flat_map(|(kind, hit)| taken_by(kind, hit));
        let mut lost: BTreeSet<&str> = before.chain(own).collect();
        lost.extend(members.iter().filter(|n| !n.is_alive).map(|n| n.name.as_str()));
        let majority = members.len() / 2 + 1;
        match members.len() - lost.len() >= majority {
            true => Ok(()),
            false => Err(format!(
                "{} of {} nodes of `{role}` would be left, {majority} are a majority",
                members.len() - lost.len(),
                members.len()
            )),
        }
    }
}

/// Whether this node takes no part in anything, or is not heard, while the fault is in force.
fn takes_away(kind: &FaultKind, hit: &Hit, node: &NodeView) -> bool {
    match kind {
        FaultKind::PowerOff => hit.servers.contains(&node.server),
        kind if kind.takes_away() => hit.has(node),
        kind if cuts_off(kind) => hit.links.iter().any(|l| l.to == node.name),
        _ => false,
    }
}

/// Whether nothing gets through a link that is hit: whoever is dialled cannot be reached there.
fn cuts_off(kind: &FaultKind) -> bool {
    match kind {
        FaultKind::Partition { link } | FaultKind::Stall { link } => link.share >= 1.0,
        FaultKind::Loss { share, .. } => *share >= 1.0,
        _ => false,
    }
}
