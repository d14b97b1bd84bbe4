//! Resolves a selector against the target as it is when the fault fires.

use super::{Hit, LinkView, NodeView, Stand};
use crate::fault::Selector;

/// # Errors
/// A sentence when nothing can be hit; the fault is then skipped, never turned on something else.
pub(super) fn resolve(selector: &Selector, stand: &dyn Stand) -> Result<Hit, String> {
    let nodes = stand.nodes();
    if let Selector::Link(from, to) = selector {
        return links(selector, (from, to), &nodes, stand);
    }
    let chosen = named(selector, &nodes, stand)?;
    if let Some(dead) = chosen.iter().find(|n| !n.is_alive) {
        return Err(format!("{} is not running", dead.name));
    }
    let leader_of = match selector {
        Selector::Leader(role) => Some(role.clone()),
        _ => None,
    };
    let is_server_wide = matches!(selector, Selector::ServerOf(_));
    Ok(hit(&chosen, Vec::new(), is_server_wide, leader_of))
}

fn hit(
    chosen: &[&NodeView],
    links: Vec<LinkView>,
    is_server_wide: bool,
    leader_of: Option<String>,
) -> Hit {
    let mut servers: Vec<String> = chosen.iter().map(|n| n.server.clone()).collect();
    servers.dedup();
    let nodes = chosen.iter().map(|n| n.name.clone()).collect();
    Hit { nodes, servers, links, is_server_wide, leader_of }
}

/// The nodes that a selector of nodes means now, dead ones too.
fn named<'a>(
    selector: &Selector,
    nodes: &'a [NodeView],
    stand: &dyn Stand,
) -> Result<Vec<&'a NodeView>, String> {
    let of_name = |name: &str| nodes.iter().filter(|n| n.name == name).collect::<Vec<_>>();
    let of_role = |role: &str| nodes.iter().filter(|n| n.role == role).collect::<Vec<_>>();
    let chosen = match selector {
        Selector::Node(name) | Selector::ServerOf(name) => of_name(name),
        Selector::Role(role) => of_role(role),
        Selector::Share(role, share) => {
            let mut all = of_role(role);
            all.truncate((all.len() as f64 * share).ceil() as usize);
            all
        }
        Selector::Leader(role) => {
            let leader = stand.leader(role).ok_or(format!("no node leads `{role}` now"))?;
            of_name(&leader)
        }
        Selector::Replica(role) => {
            let leader = stand.leader(role).ok_or(format!("no node leads `{role}` now"))?;
            let mut all = of_role(role);
            all.retain(|n| n.name != leader && n.is_alive);
            all.truncate(1);
            all
        }
        Selector::Link(..) | Selector::Visitors(_) => Vec::new(),
    };
    match chosen.is_empty() {
        true => Err(format!("`{selector}` is not there")),
        false => Ok(chosen),
    }
}

/// Links have two ends; whether these live does not matter to the link.
fn links(
    selector: &Selector,
    (from, to): (&Selector, &Selector),
    nodes: &[NodeView],
    stand: &dyn Stand,
) -> Result<Hit, String> {
    let to = named(to, nodes, stand)?;
    let is_from: Box<dyn Fn(&str) -> bool> = match from {
        Selector::Visitors(None) => Box::new(|end| end.starts_with("visitors:")),
        Selector::Visitors(Some(region)) => {
            let end = format!("visitors:{region}");
            Box::new(move |from| from == end)
        }
        from => {
            let names: Vec<String> =
                named(from, nodes, stand)?.iter().map(|n| n.name.clone()).collect();
            Box::new(move |end| names.iter().any(|n| n == end))
        }
    };
    let mut links = stand.links();
    links.retain(|l| is_from(&l.from) && to.iter().any(|n| n.name == l.to));
    match links.is_empty() {
        true => Err(format!("there is no link `{selector}` now")),
        false => Ok(hit(&to, links, false, None)),
    }
}
