//! Faults that hold something in a changed state: which levers each kind pulls on whom.

use super::{Done, Hit, Injector, Stand, each, each_all};
use crate::fault::{
    Direction, FaultKind, Lever, LinkBy, LinkEffect, LinkRule, MemoryBy, NodeRule, OnLink,
    PacketEffect, PacketRule, ThrottleBy,
};

pub(super) struct Holding {
    pub name: String,
    pub kind: FaultKind,
}

impl Holding {
    /// Each lever with the id of its hold.
    fn holds(&self, hit: &Hit) -> Result<Vec<(String, Lever)>, String> {
        let levers = levers(&self.kind, hit);
        match levers.is_empty() {
            true => Err(format!("`{}` cannot be done to {}", self.kind.name(), hit.object())),
            false => Ok(levers.into_iter().map(|l| (hold_id(&self.name, &l), l)).collect()),
        }
    }
}

/// A fault holds an object at most once with one kind of lever.
pub(super) fn hold_id(fault: &str, lever: &Lever) -> String {
    format!("{fault}@{}", lever.object())
}

impl Injector for Holding {
    fn prepare(&self, hit: &Hit, stand: &dyn Stand) -> Result<(), String> {
        self.holds(hit)?.iter().try_for_each(|(id, lever)| stand.prepare(id, lever))
    }

    fn heal_prepared(&self, hit: &Hit, stand: &dyn Stand) -> Result<(), String> {
        self.heal(hit, stand).map(drop)
    }

    fn inject(&self, hit: &Hit, stand: &dyn Stand, _: &dyn Fn() -> bool) -> Result<Done, String> {
        each(&self.holds(hit)?, |(id, lever): &(String, Lever)| stand.hold(id, lever))
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each_all(&self.holds(hit)?, |(id, _): &(String, Lever)| stand.release(id))
    }
}

/// What a kind holds, on whom. Empty where it cannot be done to what was selected.
fn levers(kind: &FaultKind, hit: &Hit) -> Vec<Lever> {
    let servers = |lever: &dyn Fn(String) -> Lever| {
        hit.servers.iter().cloned().map(lever).collect::<Vec<_>>()
    };
    let nodes =
        |lever: &dyn Fn(String) -> Lever| hit.nodes.iter().cloned().map(lever).collect::<Vec<_>>();
    match kind.clone() {
        FaultKind::Pause if hit.is_server_wide => servers(&|server| Lever::Freeze { server }),
        FaultKind::Pause => nodes(&|node| Lever::Pause { node }),
        FaultKind::Throttle { to, by: ThrottleBy::Quota } => {
            servers(&|server| Lever::CpuShare { server, to })
        }
        FaultKind::Throttle { to, by: ThrottleBy::Cores } => {
            servers(&|server| Lever::CpuCores { server, to })
        }
        FaultKind::Compete { cores } => servers(&|server| Lever::Competitor { server, cores }),
        FaultKind::Memory { to, by: MemoryBy::Limit } => {
            servers(&|server| Lever::MemoryLimit { server, to })
        }
        FaultKind::Memory { to, by: MemoryBy::Pressure } => {
            servers(&|server| Lever::MemoryPressure { server, to })
        }
        FaultKind::Descriptors { to } => nodes(&|node| Lever::Descriptors { node, to }),
        FaultKind::DiskSlow { rate } => servers(&|server| Lever::DiskRate { server, to: rate }),
        FaultKind::DiskFull { free } => vec![Lever::DiskFull { free }],
        FaultKind::SlowSync { delay } => {
            nodes(&|node| Lever::Node { node, rule: NodeRule::SlowSync { delay } })
        }
        FaultKind::HttpErrors { share, status } => {
            nodes(&|node| Lever::Node { node, rule: NodeRule::Errors { share, status } })
        }
        FaultKind::HttpDelay { share, delay, jitter } => {
            nodes(&|node| Lever::Node { node, rule: NodeRule::Delay { share, delay, jitter } })
        }
        FaultKind::HttpWrongLength { share } => {
            nodes(&|node| Lever::Node { node, rule: NodeRule::WrongLength { share } })
        }
        FaultKind::Latency { delay, jitter, link } => {
            on_links(hit, link, LinkEffect::Latency { delay, jitter })
        }
        FaultKind::Bandwidth { rate, link } => on_links(hit, link, LinkEffect::Bandwidth { rate }),
        FaultKind::Stall { link } => on_links(hit, link, LinkEffect::Stall),
        FaultKind::Reset { link } => on_links(hit, link, LinkEffect::Reset),
        FaultKind::SlowClose { delay, link } => {
            on_links(hit, link, LinkEffect::SlowClose { delay })
        }
        FaultKind::Cut { bytes, link } => on_links(hit, link, LinkEffect::Cut { after: bytes }),
        FaultKind::Partition { link } => on_links(hit, link, LinkEffect::Partition),
        FaultKind::Loss { share, direction } => {
            on_packets(hit, direction, PacketEffect::Loss { share })
        }
        FaultKind::Reorder { share, delay, direction } => {
            on_packets(hit, direction, PacketEffect::Reorder { share, delay })
        }
        FaultKind::Kill | FaultKind::Terminate | FaultKind::PowerOff | FaultKind::Restart => vec![],
    }
}

fn on_links(hit: &Hit, link: OnLink, effect: LinkEffect) -> Vec<Lever> {
    if link.by == LinkBy::Packets {
        let packets = match effect {
            LinkEffect::Latency { delay, jitter } => PacketEffect::Latency { delay, jitter },
            LinkEffect::Bandwidth { rate } => PacketEffect::Bandwidth { rate },
            LinkEffect::Stall | LinkEffect::Partition => PacketEffect::Loss { share: 1.0 },
            _ => return Vec::new(),
        };
        return on_packets(hit, link.direction, packets);
    }
    let rule = LinkRule { direction: link.direction, share: link.share, effect };
    let lever = |l: &super::LinkView| Lever::Link {
        from: l.from.clone(),
        to: l.to.clone(),
        rule: rule.clone(),
    };
    hit.links.iter().map(lever).collect()
}

fn on_packets(hit: &Hit, direction: Direction, effect: PacketEffect) -> Vec<Lever> {
    let rule = PacketRule { direction, effect };
    let lever = |l: &super::LinkView| Lever::Packets {
        from: l.from.clone(),
        to: l.to.clone(),
        rule: rule.clone(),
    };
    hit.links.iter().map(lever).collect()
}
