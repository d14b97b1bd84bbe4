//! One table of nftables, `inet brunt`, which loses packets and sorts them into queues. It is made
//! anew as a whole, in one transaction, from everything that is held; its counters stay.

use super::super::super::operate::refused;
use super::counts::Packets;
use super::ways::Way;
use crate::host::program::{Inside, NFT};
use serde::Deserialize;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;

/// Where the packet has come in: its sender does not know that it is lost, as with a cable.
const LOSE: &str = "chain lose { type filter hook prerouting priority raw; policy accept; }";
const SORT: &str = "chain sort { type filter hook output priority filter; policy accept; }";
const SHARES: f64 = 10_000.0;

pub fn replace(run: &str, inside: Inside, all: &[Way]) -> io::Result<()> {
    NFT.run(run, inside, &["-f", "-"], &script(all)).map(drop)
}

/// Looks whether the table is as these ways want it.
pub fn verify(run: &str, all: &[Way]) -> io::Result<()> {
    let seen = NFT.run(run, Inside::Here, &["list", "ruleset"], "")?;
    let is_there = |mark: String| seen.contains(&mark);
    let is_so = match all.is_empty() {
        true => !seen.contains("table inet brunt"),
        false => all.iter().all(|way| {
            let is_lossy =
                way.lost == 0.0 || is_there(format!("counter name \"{}\" drop", lost(way)));
            let is_sorted =
                !way.is_queued() || is_there(format!("priority set 1:{:x}", way.number));
            is_lossy && is_sorted
        }),
    };
    match is_so {
        true => Ok(()),
        false => refused("nft took the rules, but does not show them".into()),
    }
}

pub fn count(run: &str, own: &[Way]) -> io::Result<Packets> {
    let text = NFT.run(run, Inside::Here, &["-j", "list", "counters"], "")?;
    let said: Said = serde_json::from_str(&text).map_err(io::Error::other)?;
    let counters = said.nftables.iter().filter_map(|o| o.counter.as_ref());
    let sum = |name: fn(&Way) -> String| {
        let is_own = |c: &&CounterSaid| c.table == "brunt" && own.iter().any(|w| name(w) == c.name);
        counters.clone().filter(is_own).map(|c| c.packets).sum()
    };
    Ok(Packets::Lost { of: sum(seen), lost: sum(lost) })
}

#[derive(Deserialize)]
struct Said {
    nftables: Vec<ObjectSaid>,
}

#[derive(Deserialize)]
struct ObjectSaid {
    counter: Option<CounterSaid>,
}

#[derive(Deserialize)]
struct CounterSaid {
    table: String,
    name: String,
    packets: u64,
}

fn script(all: &[Way]) -> String {
    if all.is_empty() {
        // What is not there cannot be deleted.
        return "add table inet brunt\ndelete table inet brunt\n".into();
    }
    let mut text = format!("table inet brunt {{\n{LOSE}\n{SORT}\n}}\n");
    text.push_str("flush chain inet brunt lose\nflush chain inet brunt sort\n");
    for way in all {
        if way.lost > 0.0 {
            lose(&mut text, way);
        }
        if way.is_queued() {
            let packets = packets(way);
            let _ = writeln!(
                text,
                "add rule inet brunt sort {packets} meta priority set 1:{:x}",
                way.number
            );
        }
    }
    text
}

fn lose(text: &mut String, way: &Way) {
    let (seen, lost, packets) = (seen(way), lost(way), packets(way));
    let share = match way.lost < 1.0 {
        true => format!("numgen random mod {SHARES} < {} ", (way.lost * SHARES).round().max(1.0)),
        false => String::new(),
    };
    let _ = writeln!(text, "add counter inet brunt {seen}");
    let _ = writeln!(text, "add counter inet brunt {lost}");
    let _ = writeln!(text, "add rule inet brunt lose {packets} counter name {seen}");
    let _ = writeln!(text, "add rule inet brunt lose {packets} {share}counter name {lost} drop");
}

fn packets(way: &Way) -> String {
    let family = match way.address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    };
    let end = if way.is_back { "saddr" } else { "daddr" };
    format!("{family} {end} {} meta l4proto tcp", way.address)
}

fn seen(way: &Way) -> String {
    format!("way{}-seen", way.number)
}

fn lost(way: &Way) -> String {
    format!("way{}-lost", way.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Bytes, Nanos};

    #[test]
    fn a_table_is_written_as_a_whole() {
        let way = Way {
            number: 0x1c,
            address: [127, 77, 1, 126].into(),
            is_back: true,
            lost: 0.3,
            rate: Some(Bytes(1000)),
            delay: Nanos::ZERO,
            jitter: Nanos::ZERO,
            reordered: 0.0,
        };
        let all = script(std::slice::from_ref(&way));
        assert!(all.contains("ip saddr 127.77.1.126 meta l4proto tcp numgen random mod 10000 < 3000 counter name way28-lost drop\n"), "{all}");
        assert!(all.contains("meta priority set 1:1c\n"), "{all}");
        let partition = script(&[Way { lost: 1.0, rate: None, ..way }]);
        assert!(!partition.contains("numgen") && !partition.contains("priority set"));
        assert!(script(&[]).ends_with("delete table inet brunt\n"));
    }
}
