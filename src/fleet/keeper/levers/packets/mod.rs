//! `Lever::Packets`: what the kernel does to a link's packets, in the network that the run has for
//! itself. Links on which a fault can be go through brunt's proxy, each at an address of its own:
//! that tells the packets of a link, and the way that they go.

mod counts;
mod filter;
mod queues;
mod ways;

use super::super::Keeper;
use super::super::operate::refused;
use super::Counted;
use crate::base::clock;
use crate::fault::{Lever, PacketEffect, PacketRule};
use crate::fleet::protocol::Stamp;
use crate::host::namespace::is_in_own_network;
use crate::host::program::Inside;
pub use counts::Packets;
use queues::Queues;
use std::io;
use ways::{Way, ways};

pub fn check(keeper: &Keeper, lever: &Lever, rule: &PacketRule) -> io::Result<()> {
    if !keeper.setup.has_network || !is_in_own_network() {
        return refused("the run has no network of its own, and no other one is touched".into());
    }
    let own = own(keeper, lever);
    if own.is_empty() {
        return refused(format!("no address is {}'s alone", lever.object()));
    }
    // Tried where nobody is, so that a missing program or a kernel that cannot is known ahead.
    let (run, inside) = (keeper.setup.run.as_str(), Inside::ScratchNetwork);
    if is_queued(rule) {
        Queues::default().make(run, inside, &own)?;
    }
    filter::replace(run, inside, &own)
}

pub fn set(keeper: &mut Keeper, lever: &Lever, rule: &PacketRule) -> io::Result<Stamp> {
    let run = keeper.setup.run.clone();
    let held = keeper.holds.values().filter(|h| h.since.is_some()).map(|h| &h.lever);
    let all = ways(&keeper.setup.links, held);
    let here = Inside::Here;
    let queues = is_queued(rule).then(|| Queues::look(&run)).transpose()?;
    let before = clock::now();
    // A queue is there before packets are sent to it, and goes after none is sent there.
    if let Some(queues) = &queues {
        queues.make(&run, here, &all)?;
    }
    filter::replace(&run, here, &all)?;
    if let Some(queues) = &queues {
        queues.remove_others(&run, &all)?;
    }
    let after = clock::now();
    filter::verify(&run, &all)?;
    let mechanism = match &queues {
        None => "nftables",
        Some(_) => {
            Queues::look(&run)?.verify(&all)?;
            if all.iter().any(Way::needs_netem) { "htb and netem by tc" } else { "htb by tc" }
        }
    };
    let mechanism = format!("{mechanism}, in the run's own network");
    Ok(Stamp { before, after, mechanism, proof: proof(&all, &own(keeper, lever)) })
}

pub fn count(keeper: &Keeper, lever: &Lever, rule: &PacketRule) -> Counted {
    let (run, own) = (keeper.setup.run.as_str(), own(keeper, lever));
    let counted = match rule.effect {
        PacketEffect::Loss { .. } => filter::count(run, &own),
        PacketEffect::Bandwidth { .. } => {
            queues::count(run, &own).map(|(packets, held)| Packets::Slowed { packets, held })
        }
        PacketEffect::Latency { .. } | PacketEffect::Reorder { .. } => {
            queues::count(run, &own).map(|(packets, _)| Packets::Delayed { packets })
        }
    };
    counted.map_or(Counted::Nothing, Counted::Packets)
}

/// The ways that this lever alone is about.
fn own(keeper: &Keeper, lever: &Lever) -> Vec<Way> {
    ways(&keeper.setup.links, std::iter::once(lever))
}

fn is_queued(rule: &PacketRule) -> bool {
    !matches!(rule.effect, PacketEffect::Loss { .. })
}

/// How the ways of this lever are now.
fn proof(all: &[Way], own: &[Way]) -> String {
    let is_own = |way: &&Way| own.iter().any(|o| o.number == way.number);
    let words: Vec<String> = all.iter().filter(is_own).map(Way::words).collect();
    if words.is_empty() { "packets go as before".into() } else { words.join(", ") }
}
