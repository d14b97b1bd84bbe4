//! Where everything stands: servers, nodes, addresses, and the links between them.

use super::compile::PlanError;
use super::load::RoutePlan;
use super::node::{LinkPlan, NodePlan, Peer};
use super::start::StartPlan;
use super::{HostFacts, ServerPlan};
use crate::base::Nanos;
use crate::fault::Selector;
use crate::profile::Profile;
use crate::target::{Attach, Role, ServerGroup, Start, Target, TargetNode};
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
    let ranks = Ranks::of(target);
    for (name, group) in ranks.groups(target) {
        for index in 0..group.count {
            let server = format!("{name}-{}", index + 1);
            let region = group.regions.get(index as usize).unwrap_or(&target.home);
            let (units, cores) = share(group, layout.host);
            let mut own = Vec::new();
            for node in ranks.nodes(group) {
                let role = node.role();
                let number = numbers.entry(role).or_default();
                *number += 1;
                let (listen, admin) = match given_address(node) {
                    Some(listen) => (listen, listen),
                    None => layout.node(target)?,
                };
                let name = format!("{}-{number}", role.name());
                own.push(name.clone());
                nodes.push(NodePlan {
                    data_folder: data_folder(node, &name),
                    name,
                    role,
                    start: StartPlan::of(target, node),
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
                units,
                cores,
                restart_after: group.restart_after,
                nodes: own,
            });
        }
    }
    nodes.sort_by_key(|n| ranks.rank(n.role));
    Ok((servers, nodes))
}

/// Units and cores of each server of a group.
fn share(group: &ServerGroup, host: &HostFacts) -> (f64, f64) {
    let is_attached = group.node.iter().any(|n| matches!(n.start, Start::Attach(_)));
    let all = host.stack_cpus.len() as f64;
    let in_units = |cores: f64| if host.unit_cores > 0.0 { cores / host.unit_cores } else { 0.0 };
    match (group.units, group.cores) {
        (Some(units), _) => (units, units * host.unit_cores),
        (None, Some(cores)) => (in_units(cores), cores),
        (None, None) if is_attached => (0.0, 0.0),
        (None, None) => (in_units(all), all),
    }
}

/// An address that is not brunt's to give.
fn given_address(node: &TargetNode) -> Option<SocketAddr> {
    let by_port = match node.start {
        Start::Attach(Attach::Port(port)) => Some(([127, 0, 0, 1], port).into()),
        _ => None,
    };
    node.listen.or(by_port)
}

/// Where it keeps what must be on disk.
fn data_folder(node: &TargetNode, name: &str) -> Option<PathBuf> {
    match node.start {
        Start::Bundled => (node.role() == Role::Database).then(|| name.into()),
        Start::Command(_) => Some(PathBuf::from(name).join("data")),
        Start::Attach(_) => None,
    }
}

/// The order in which roles are started: who is needed by others comes first.
struct Ranks(BTreeMap<Role, usize>);

impl Ranks {
    fn of(target: &Target) -> Ranks {
        let nodes: Vec<&TargetNode> = target.server.values().flat_map(|g| &g.node).collect();
        let bundled = START_ORDER.iter().enumerate().map(|(rank, role)| (*role, rank));
        let mut ranks: BTreeMap<Role, usize> = bundled.collect();
        // As many rounds as the longest chain has links; who need each other stop rising then.
        for _round in 0..nodes.len() {
            for node in nodes.iter().filter(|n| !n.role().is_bundled()) {
                let needed = nodes.iter().filter(|n| node.needs.contains(&n.role));
                let above = needed.filter_map(|n| ranks.get(&n.role())).max().map_or(0, |r| r + 1);
                let rank = ranks.entry(node.role()).or_insert(START_ORDER.len());
                *rank = (*rank).max(above);
            }
        }
        Ranks(ranks)
    }

    fn rank(&self, role: Role) -> usize {
        self.0.get(&role).copied().unwrap_or(START_ORDER.len())
    }

    fn groups<'a>(&self, target: &'a Target) -> Vec<(&'a String, &'a ServerGroup)> {
        let mut groups: Vec<_> = target.server.iter().collect();
        groups.sort_by_key(|(_, g)| g.node.iter().map(|n| self.rank(n.role())).min());
        groups
    }

    fn nodes<'a>(&self, group: &'a ServerGroup) -> Vec<&'a TargetNode> {
        let mut nodes: Vec<&TargetNode> = group.node.iter().collect();
        nodes.sort_by_key(|n| self.rank(n.role()));
        nodes
    }
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
        let needs: Vec<&str> = target
            .server
            .values()
            .flat_map(|g| &g.node)
            .filter(|n| n.role == node.role.name())
            .flat_map(|n| n.needs.iter().map(String::as_str))
            .collect();
        node.peers = all
            .iter()
            .filter(|p| p.name != node.name && needs.contains(&p.role.name()))
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
            let sides =
                [(&mut peer.dial, layout.host.port), (&mut peer.dial_admin, layout.host.port + 1)];
            // Only a bundled node has an admin side.
            let n_sides = if peer.role.is_bundled() { 2 } else { 1 };
            for (dial, port) in sides.into_iter().take(n_sides) {
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
    let last = target.public.entry.last().expect("checked when the target was read");
    let is_last = |n: &&NodePlan| n.name == *last || n.role.name() == last;
    let entry = nodes.iter().find(is_last).expect("checked when the target was read");
    let mut routes = vec![RoutePlan::Fixed(layout.visitors(target, region, entry, distance)?)];
    if target.has_edges() {
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
