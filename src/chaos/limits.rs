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
            Some(role) if fault.kind.takes_away() => self.quorum(role, in_force, hit, nodes),
            _ => Ok(()),
        }
    }

    fn quorum(
        &self,
        role: &str,
        in_force: &InForce,
        hit: &Hit,
        nodes: &[NodeView],
    ) -> Result<(), String> {
        let members: Vec<&NodeView> = nodes.iter().filter(|n| n.role == role).collect();
        let taken = in_force.values().filter(|(kind, _)| kind.takes_away()).map(|(_, hit)| hit);
        let mut lost: BTreeSet<&str> =
            taken.chain([hit]).flat_map(|hit| members_hit(hit, &members)).collect();
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

fn members_hit<'a>(hit: &Hit, members: &[&'a NodeView]) -> Vec<&'a str> {
    let is_hit = |n: &&&NodeView| {
        hit.nodes.contains(&n.name) || hit.is_server_wide && hit.servers.contains(&n.server)
    };
    members.iter().filter(is_hit).map(|n| n.name.as_str()).collect()
}
