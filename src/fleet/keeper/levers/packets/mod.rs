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
use std::collections::BTreeSet;
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

/// What was made last, so that nothing has to be asked right before the instant of a change.
#[derive(Debug, Default)]
pub struct Made {
    /// Ways with counters in the table, which stay there as long as it does.
    counted: BTreeSet<u16>,
    queues: Queues,
}

pub fn set(keeper: &mut Keeper, lever: &Lever, rule: &PacketRule) -> io::Result<Stamp> {
    let run = keeper.setup.run.clone();
    let held = keeper.holds.values().filter(|h| h.is_on()).map(|h| &h.lever);
    let all = ways(&keeper.setup.links, held);
    let before = clock::now();
    let result = change(&run, &keeper.packets.queues, &all, rule);
    let after = clock::now();
    if is_queued(rule) {
        keeper.packets.queues = Queues::look(&run)?;
    }
    let lossy = all.iter().filter(|w| w.lost > 0.0).map(|w| w.number);
    match all.is_empty() {
        true => keeper.packets.counted.clear(),
        false => keeper.packets.counted.extend(lossy),
    }
    result?;
    filter::verify(&run, &all)?;
    keeper.packets.queues.verify(&all)?;
    let mechanism = match is_queued(rule) {
        false => "nftables",
        true if all.iter().any(Way::needs_netem) => "htb and netem by tc",
        true => "htb by tc",
    };
    let mechanism = format!("{mechanism}, in the run's own network");
    Ok(Stamp { before, after, mechanism, proof: proof(&all, &own(keeper, lever)) })
}

/// A queue is there before packets are sent to it, and goes after none is sent there.
fn change(run: &str, queues: &Queues, all: &[Way], rule: &PacketRule) -> io::Result<()> {
    match is_queued(rule) {
        false => filter::replace(run, Inside::Here, all),
        true => {
            queues.make(run, Inside::Here, all)?;
            filter::replace(run, Inside::Here, all)?;
            queues.remove_others(run, all)
        }
    }
}

pub fn count(keeper: &Keeper, lever: &Lever, rule: &PacketRule) -> Counted {
    let (run, own) = (keeper.setup.run.as_str(), own(keeper, lever));
    let Made { counted, queues } = &keeper.packets;
    let is_counted = own.iter().any(|w| counted.contains(&w.number));
    let queued = || if queues.are_of(&own) { queues::count(run, &own) } else { Ok((0, 0)) };
    let counted = match rule.effect {
        PacketEffect::Loss { .. } if !is_counted => Ok(Packets::Lost { of: 0, lost: 0 }),
        PacketEffect::Loss { .. } => filter::count(run, &own),
        PacketEffect::Bandwidth { .. } => {
            queued().map(|(packets, held)| Packets::Slowed { packets, held })
        }
        PacketEffect::Latency { .. } | PacketEffect::Reorder { .. } => {
            queued().map(|(packets, _)| Packets::Delayed { packets })
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
