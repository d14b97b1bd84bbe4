//! Links and the ways that packets go on them, with the strongest of what is held on each.

use crate::base::units::{duration_text, size_text};
use crate::base::{Bytes, Nanos};
use crate::fault::{Direction, Lever, PacketEffect, PacketRule};
use crate::fleet::protocol::LinkSpec;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Small numbers have a meaning of their own where queues are named.
const FIRST: u16 = 0x10;

/// One direction of a link. What is zero or absent is as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Names its counters and its queue.
    pub number: u16,
    pub address: IpAddr,
    pub is_back: bool,
    pub lost: f64,
    pub rate: Option<Bytes>,
    pub delay: Nanos,
    pub jitter: Nanos,
    pub reordered: f64,
}

/// Every way on which something is held; levers on anything else are passed over.
pub fn ways<'a>(links: &[LinkSpec], held: impl Iterator<Item = &'a Lever>) -> Vec<Way> {
    let mut all = BTreeMap::new();
    for lever in held {
        let Lever::Packets { from, to, rule } = lever else { continue };
        for (index, link) in links.iter().enumerate() {
            if link.from != *from || link.to != *to {
                continue;
            }
            for is_back in directions(rule.direction) {
                let number = FIRST + 2 * index as u16 + u16::from(*is_back);
                let untouched = || Way::untouched(number, link.address, *is_back);
                all.entry(number).or_insert_with(untouched).add(rule);
            }
        }
    }
    all.into_values().collect()
}

fn directions(direction: Direction) -> &'static [bool] {
    match direction {
        Direction::Both => &[false, true],
        Direction::There => &[false],
        Direction::Back => &[true],
    }
}

impl Way {
    fn untouched(number: u16, address: IpAddr, is_back: bool) -> Way {
        let (lost, rate, reordered) = (0.0, None, 0.0);
        let (delay, jitter) = (Nanos::ZERO, Nanos::ZERO);
        Way { number, address, is_back, lost, rate, delay, jitter, reordered }
    }

    fn add(&mut self, rule: &PacketRule) {
        match rule.effect {
            PacketEffect::Loss { share } => self.lost = self.lost.max(share),
            PacketEffect::Bandwidth { rate } => {
                self.rate = Some(self.rate.map_or(rate, |r| Bytes(r.0.min(rate.0))));
            }
            PacketEffect::Latency { delay, jitter } => {
                self.delay = self.delay.max(delay);
                self.jitter = self.jitter.max(jitter);
            }
            PacketEffect::Reorder { share, delay } => {
                self.delay = self.delay.max(delay);
                self.reordered = self.reordered.max(share);
            }
        }
    }

    pub fn needs_netem(&self) -> bool {
        self.delay.0 > 0
    }

    pub fn is_queued(&self) -> bool {
        self.rate.is_some() || self.needs_netem()
    }

    /// For the proof: `127.77.1.120 there: 30 % lost`.
    pub fn words(&self) -> String {
        let percent = |share: f64| (share * 1e4).round() / 1e2;
        let mut words = Vec::new();
        if self.lost > 0.0 {
            words.push(format!("{} % lost", percent(self.lost)));
        }
        if let Some(rate) = self.rate {
            words.push(format!("{}/s", size_text(rate)));
        }
        if self.delay.0 > 0 {
            words.push(format!("{} later", duration_text(self.delay)));
        }
        if self.reordered > 0.0 {
            words.push(format!("{} % overtake", percent(self.reordered)));
        }
        let way = if self.is_back { "back" } else { "there" };
        format!("{} {way}: {}", self.address, words.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<LinkSpec> {
        let link = |to: &str, last: u8| LinkSpec {
            from: "a".into(),
            to: to.into(),
            address: IpAddr::from([127, 77, 1, last]),
        };
        vec![link("b", 120), link("c", 121)]
    }

    fn lever(to: &str, direction: Direction, effect: PacketEffect) -> Lever {
        let rule = PacketRule { direction, effect };
        Lever::Packets { from: "a".into(), to: to.into(), rule }
    }

    #[test]
    fn the_strongest_of_each_effect_wins_on_each_way() {
        let held = [
            lever("c", Direction::Both, PacketEffect::Loss { share: 0.1 }),
            lever("c", Direction::Back, PacketEffect::Loss { share: 0.3 }),
            lever("c", Direction::There, PacketEffect::Bandwidth { rate: Bytes(2000) }),
            lever("c", Direction::There, PacketEffect::Bandwidth { rate: Bytes(1000) }),
            Lever::DiskFull { free: Bytes(0) },
        ];
        let all = ways(&links(), held.iter());
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].number, all[0].is_back), (0x12, false));
        assert_eq!((all[0].lost, all[0].rate), (0.1, Some(Bytes(1000))));
        assert_eq!((all[1].number, all[1].is_back), (0x13, true));
        assert_eq!((all[1].lost, all[1].rate), (0.3, None));
        assert_eq!(all[1].words(), "127.77.1.121 back: 30 % lost");
        // In any order.
        assert_eq!(ways(&links(), held.iter().rev()), all);
    }

    #[test]
    fn a_link_without_an_address_of_its_own_has_no_way() {
        let lever = lever("d", Direction::Both, PacketEffect::Loss { share: 1.0 });
        assert!(ways(&links(), std::iter::once(&lever)).is_empty());
    }
}
