//! Where everything stands: servers, nodes, addresses, and the links between them.

use super::compile::PlanError;
use super::load::RoutePlan;
use super::node::{LinkPlan, NodePlan, Peer};
use super::{HostFacts, ServerPlan};
use crate::base::Nanos;
use crate::fault::Selector;
use crate::profile::Profile;
use crate::target::{Role, ServerGroup, Target};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Last octets: nodes from here, relays from there.
const FIRST_NODE: u8 = 10;
const FIRST_RELAY: u8 = 120;

/// The order in which roles are started: who is needed by others comes first.
const START_ORDER: [Role; 6] =
    [Role::Database, Role::Cache, Role::Directory, Role::Balancer, Role::App, Role::Cdn];

pub(super) struct Topology {
    pub servers: Vec<ServerPlan>,
    pub nodes: Vec<NodePlan>,
    pub links: Vec<LinkPlan>,
    /// Region → routes: 0 is the entry that takes everything, 1 the edges where there are any.
    routes: BTreeMap<String, Vec<RoutePlan>>,
}

impl Topology {
    pub fn routes(&self, region: &str) -> Vec<RoutePlan> {
        self.routes.get(region).cloned().unwrap_or_default()
    }

    /// Whether a node of the first ever dials one of the second; a leader is one of its role.
    pub fn has_link(&self, from: &Selector, to: &Selector) -> bool {
        let is_to = |name: &str, role: Role| selects(to, name, role);
        match from {
            Selector::Visitors(region) => self.links.iter().any(|l| {
                let end = l.from.strip_prefix("visitors:");
                let is_from = end.is_some_and(|e| region.as_ref().is_none_or(|r| r == e));
                is_from && self.nodes.iter().any(|n| n.name == l.to && is_to(&n.name, n.role))
            }),
            from => self
                .nodes
                .iter()
                .filter(|n| selects(from, &n.name, n.role))
                .any(|n| n.peers.iter().any(|peer| is_to(&peer.name, peer.role))),
        }
    }
}

/// Lays the target out on the command's own loopback network.
pub(super) fn lay_out(
    target: &Target,
    profile: &Profile,
    regions: &[(String, f64)],
    seed: u64,
    host: &HostFacts,
) -> Result<Topology, PlanError> {
    let mut layout = Layout {
        host,
        next_node: FIRST_NODE,
        next_relay: FIRST_RELAY,
        links: vec![],
        proxied: proxied(profile),
    };
    let (servers, mut nodes) = place(target, seed, &mut layout)?;
    connect(target, &mut nodes);
    relay_links(target, profile, &mut nodes, &mut layout)?;
    let mut topology = Topology { servers, nodes, links: Vec::new(), routes: BTreeMap::new() };
    if target.url.is_none() {
        for (region, _) in regions {
            let routes = routes(target, profile, region, &topology.nodes, &mut layout)?;
            topology.routes.insert(region.clone(), routes);
        }
    }
    topology.links = layout.links;
    Ok(topology)
}

/// Whether this node can ever be meant by the end of a link.
fn selects(end: &Selector, name: &str, role: Role) -> bool {
    match end {
        Selector::Node(node) => node == name,
        Selector::Role(named)
        | Selector::Share(named, _)
        | Selector::Leader(named)
        | Selector::Replica(named) => named == role.name(),
        Selector::ServerOf(_) | Selector::Link(..) | Selector::Visitors(_) => false,
    }
}

/// Links that must have a proxy from the start, because a fault may be put on them.
fn proxied(profile: &Profile) -> Vec<(&Selector, &Selector)> {
    let mut all = Vec::new();
    for fault in &profile.fault {
        if let Selector::Link(from, to) = &fault.on {
            all.push((&**from, &**to));
        }
    }
    all
}

/// Hands out addresses and collects links.
struct Layout<'a> {
    host: &'a HostFacts,
    next_node: u8,
    next_relay: u8,
    links: Vec<LinkPlan>,
    proxied: Vec<(&'a Selector, &'a Selector)>,
}

impl Layout<'_> {
    fn address(&self, last: u8, port: u16) -> SocketAddr {
        let (a, b) = self.host.network;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, a, b, last)), port)
    }

    fn node(&mut self, target: &Target) -> Result<(SocketAddr, SocketAddr), PlanError> {
        if self.next_node >= FIRST_RELAY {
            let room = usize::from(FIRST_RELAY - FIRST_NODE);
            return Err(PlanError::TooManyNodes { target: target.name.clone(), room });
        }
        let last = self.next_node;
        self.next_node += 1;
        Ok((self.address(last, self.host.port), self.address(last, self.host.port + 1)))
    }

    /// The last octet of a new relay's address.
    fn relay(&mut self, target: &Target) -> Result<u8, PlanError> {
        if self.next_relay == u8::MAX {
            let room = usize::from(u8::MAX - FIRST_RELAY);
            return Err(PlanError::TooManyNodes { target: target.name.clone(), room });
        }
        self.next_relay += 1;
        Ok(self.next_relay - 1)
    }

    /// A link of visitors to a node: direct, or through a relay that adds the distance.
    fn visitors(
        &mut self,
        target: &Target,
        region: &str,
        node: &NodePlan,
        distance: Nanos,
    ) -> Result<SocketAddr, PlanError> {
        let is_far = region != node.region && distance.0 > 0;
        let may_fail = self.proxied.iter().any(|(from, to)| {
            let is_from = match from {
                Selector::Visitors(named) => named.as_ref().is_none_or(|r| r == region),
                _ => false,
            };
            is_from && selects(to, &node.name, node.role)
        });
        let dial = match is_far || may_fail {
            true => self.relay(target).map(|last| self.address(last, self.host.port))?,
            false => node.listen,
        };
        self.links.push(LinkPlan {
            from: format!("visitors:{region}"),
            to: node.name.clone(),
            dial,
            service: node.listen,
            round_trip: if is_far { distance } else { Nanos::ZERO },
        });
        Ok(dial)
    }
}

fn place(
    target: &Target,
    seed: u64,
    layout: &mut Layout<'_>,
) -> Result<(Vec<ServerPlan>, Vec<NodePlan>), PlanError> {
    let mut numbers: BTreeMap<Role, u32> = BTreeMap::new();
    let mut servers = Vec::new();
    let mut nodes = Vec::new();
    for (name, group) in in_start_order(target) {
        for index in 0..group.count {
            let server = format!("{name}-{}", index + 1);
            let region = group.regions.get(index as usize).unwrap_or(&target.home);
            let cores = group.units * layout.host.unit_cores;
            let mut own = Vec::new();
            for node in sorted_nodes(group) {
                let number = numbers.entry(node).or_default();
                *number += 1;
                let (listen, admin) = layout.node(target)?;
                let name = format!("{}-{number}", node.name());
                own.push(name.clone());
                nodes.push(NodePlan {
                    data_folder: (node == Role::Database).then(|| PathBuf::from(&name)),
                    name,
                    role: node,
                    server: server.clone(),
                    region: region.clone(),
                    listen,
                    admin,
                    peers: Vec::new(),
                    threads: (cores.ceil() as u32)
                        .clamp(1, (layout.host.stack_cpus.len() as u32).max(1)),
                    iterations_per_ms: layout.host.iterations_per_ms,
                    seed,
                    settings: target.settings(),
                });
            }
            servers.push(ServerPlan {
                name: server,
                group: name.clone(),
                units: group.units,
                cores,
                restart_after: group.restart_after,
                nodes: own,
            });
        }
    }
    nodes.sort_by_key(|n| start_rank(n.role));
    Ok((servers, nodes))
}

fn start_rank(role: Role) -> usize {
    START_ORDER.iter().position(|r| *r == role).unwrap_or(START_ORDER.len())
}

fn in_start_order(target: &Target) -> Vec<(&String, &ServerGroup)> {
    let mut groups: Vec<_> = target.server.iter().collect();
    groups.sort_by_key(|(_, g)| g.node.iter().map(|n| start_rank(n.role)).min());
    groups
}

fn sorted_nodes(group: &ServerGroup) -> Vec<Role> {
    let mut roles: Vec<Role> = group.node.iter().map(|n| n.role).collect();
    roles.sort_by_key(|r| start_rank(*r));
    roles
}

/// Gives each node the peers that its role `needs`.
fn connect(target: &Target, nodes: &mut [NodePlan]) {
    let all: Vec<Peer> = nodes
        .iter()
        .map(|n| Peer {
            name: n.name.clone(),
            role: n.role,
            region: n.region.clone(),
            dial: n.listen,
            dial_admin: n.admin,
        })
        .collect();
    for node in nodes {
        let needs: Vec<Role> = target
            .server
            .values()
            .flat_map(|g| &g.node)
            .filter(|n| n.role == node.role)
            .flat_map(|n| n.needs.iter().copied())
            .collect();
        node.peers = all
            .iter()
            .filter(|p| p.name != node.name && needs.contains(&p.role))
            .cloned()
            .collect();
    }
}

/// Puts a relay into every link between nodes that has a distance or may get a fault; the dialling
/// node only sees another address.
fn relay_links(
    target: &Target,
    profile: &Profile,
    nodes: &mut [NodePlan],
    layout: &mut Layout<'_>,
) -> Result<(), PlanError> {
    let names = |name: &str, role: Role, named: &str| named == name || named == role.name();
    let proxied = proxied(profile);
    let mut is_found = vec![false; target.link.len()];
    for node in nodes {
        let (from, from_role) = (node.name.clone(), node.role);
        for peer in &mut node.peers {
            let mut round_trip = None;
            for (link, is_found) in target.link.iter().zip(&mut is_found) {
                if names(&from, from_role, &link.from) && names(&peer.name, peer.role, &link.to) {
                    (round_trip, *is_found) = (Some(link.round_trip), true);
                }
            }
            let may_fail = proxied
                .iter()
                .any(|(a, b)| selects(a, &from, from_role) && selects(b, &peer.name, peer.role));
            if round_trip.is_none() && !may_fail {
                continue;
            }
            let last = layout.relay(target)?;
            for (dial, port) in
                [(&mut peer.dial, layout.host.port), (&mut peer.dial_admin, layout.host.port + 1)]
            {
                let service = std::mem::replace(dial, layout.address(last, port));
                layout.links.push(LinkPlan {
                    from: from.clone(),
                    to: peer.name.clone(),
                    dial: *dial,
                    service,
                    round_trip: round_trip.unwrap_or_default(),
                });
            }
        }
    }
    match target.link.iter().zip(is_found).find(|(_, is_found)| !is_found) {
        None => Ok(()),
        Some((link, _)) => Err(PlanError::Link {
            target: target.name.clone(),
            profile: profile.name.clone(),
            from: link.from.clone(),
            to: link.to.clone(),
        }),
    }
}

/// How a region's visitors reach the target: the entry that takes everything, then the edges.
fn routes(
    target: &Target,
    profile: &Profile,
    region: &str,
    nodes: &[NodePlan],
    layout: &mut Layout<'_>,
) -> Result<Vec<RoutePlan>, PlanError> {
    let distance = profile.distance.between_regions;
    let of = |role: Role| nodes.iter().filter(move |n| n.role == role);
    let last = *target.public.entry.last().expect("checked when the target was read");
    let entry = of(last).next().expect("checked when the target was read");
    let mut routes = vec![RoutePlan::Fixed(layout.visitors(target, region, entry, distance)?)];
    if target.public.entry.contains(&Role::Cdn) {
        let mut edges: Vec<&NodePlan> = of(Role::Cdn).collect();
        edges.sort_by_key(|e| (e.region != region, e.name.clone()));
        let directory = of(Role::Directory).next().expect("checked when the target was read");
        routes.push(RoutePlan::Directory {
            ask: directory.listen,
            edges: edges
                .into_iter()
                .map(|e| Ok((e.name.clone(), layout.visitors(target, region, e, distance)?)))
                .collect::<Result<_, PlanError>>()?,
        });
    }
    Ok(routes)
}
