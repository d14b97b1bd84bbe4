//! Whom a fault hit, from the names in its events: nodes, servers or links, several in one name.

use crate::fault::FaultKind;
use crate::plan::Plan;

/// Whom a fault hit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blow {
    /// Nodes that it stops or slows: all of a server where it hits one, of a link the dialled end.
    pub nodes: Vec<String>,
    /// Links, each from the end that dials to the one that is dialled.
    pub links: Vec<(String, String)>,
    /// On so many things it was done, each of which says for itself what was seen of it.
    pub parts: usize,
}

impl Blow {
    pub fn of(plan: &Plan, kind: &FaultKind, objects: &[&str]) -> Blow {
        let names =
            || objects.iter().flat_map(|object| object.split(' ')).filter(|n| !n.is_empty());
        let link = |name: &str| {
            let (from, to) = name.split_once("->")?;
            Some((from.to_string(), to.to_string()))
        };
        let links: Vec<(String, String)> = names().filter_map(link).collect();
        if !links.is_empty() {
            let nodes = distinct(links.iter().map(|(_, to)| to.clone()));
            return Blow { nodes, parts: links.len(), links };
        }
        let is_whole = is_server_wide(kind);
        let is_node = |name: &str| plan.nodes.iter().any(|n| n.name == name);
        let servers = || {
            let is_it = |name: &str| {
                plan.servers.iter().find(|s| {
                    let has_it = s.nodes.iter().any(|n| n == name);
                    s.name == name && !is_node(name) || is_whole && has_it
                })
            };
            names().map(move |name| (name, is_it(name)))
        };
        let nodes = distinct(servers().flat_map(|(name, server)| match server {
            Some(server) => server.nodes.clone(),
            None => vec![name.to_string()],
        }));
        let of_part = |(name, server): (&str, Option<&crate::plan::ServerPlan>)| {
            server.map_or(name, |s| s.name.as_str()).to_string()
        };
        let parts = if matches!(kind, FaultKind::DiskFull { .. }) { 1 } else { usize::MAX };
        let parts = distinct(servers().map(of_part)).len().min(parts);
        Blow { nodes, links, parts }
    }

    /// Whether this node is hit, or dials what is.
    pub fn touches(&self, node: &str) -> bool {
        self.hits(node) || self.links.iter().any(|(from, _)| from == node)
    }

    pub fn hits(&self, node: &str) -> bool {
        self.nodes.iter().any(|n| n == node)
    }
}

/// Kinds that take from the server what all of its nodes share, whichever of them was named.
fn is_server_wide(kind: &FaultKind) -> bool {
    use FaultKind::{Compete, DiskSlow, Memory, PowerOff, Throttle};
    matches!(kind, PowerOff | Throttle { .. } | Compete { .. } | Memory { .. } | DiskSlow { .. })
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::Builder;

    fn blow(target: &str, kind: &str, object: &str) -> Blow {
        let plan = Builder::new(target).build().manifest.plan;
        Blow::of(&plan, &toml::from_str(&format!("kind = \"{kind}\"")).unwrap(), &[object])
    }

    #[test]
    fn several_names_in_one_event_are_several_nodes() {
        assert_eq!(blow("horizontal", "kill", "app-1 app-2").nodes, ["app-1", "app-2"]);
        assert_eq!(blow("horizontal", "kill", "app-1 app-2").parts, 2);
        assert_eq!(blow("horizontal", "power-off", "app-1 app-2").nodes, ["app-1", "app-2"]);
        assert_eq!(blow("horizontal", "kill", "").nodes, [""; 0]);
    }

    #[test]
    fn of_a_link_the_dialled_end_is_hit_and_the_dialling_one_touched() {
        let cut = blow("horizontal", "partition", "cdn-1->balancer-1 cdn-2->balancer-1");
        assert_eq!((cut.nodes.as_slice(), cut.parts), (["balancer-1".to_string()].as_slice(), 2));
        assert!(cut.touches("cdn-2") && !cut.hits("cdn-2") && cut.touches("balancer-1"));
    }

    #[test]
    fn what_takes_from_the_server_hits_all_of_it() {
        let both = ["app-1", "database-1"];
        let kinds = [
            "power-off",
            "throttle\"\nto = 0.5\nby = \"quota",
            "compete\"\ncores = 1.0\n#",
            "memory\"\nto = \"1MiB",
            "disk-slow\"\nrate = \"1MiB",
        ];
        for kind in kinds {
            let found = blow("vertical", kind, "app-1");
            assert_eq!(
                (found.nodes.as_slice(), found.parts),
                (both.map(String::from).as_slice(), 1)
            );
        }
        assert_eq!(blow("vertical", "kill", "app-1").nodes, ["app-1"], "a process alone");
        assert_eq!(blow("vertical", "pause", "main-1").nodes, both, "a server by its name");
    }
}
