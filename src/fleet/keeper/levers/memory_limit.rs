//! `Lever::MemoryLimit`: the server has so much memory. What it needs beyond, the kernel reclaims,
//! and when that is not enough it kills one of the server's processes.

use super::super::Keeper;
use super::super::operate::refused;
use super::{Counted, least, mebibytes};
use crate::base::{Bytes, clock};
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::cgroup::MemoryGroup;
use std::io;

pub fn check(keeper: &Keeper, server: &str, to: Bytes) -> io::Result<()> {
    group(keeper, server)?;
    match to.0 {
        0 => refused("a server cannot live with no memory; kill it instead".into()),
        _ => Ok(()),
    }
}

pub(super) fn group(keeper: &Keeper, server: &str) -> io::Result<MemoryGroup> {
    let group = keeper.server(server)?.group.memory.clone();
    let none = "no group of the memory controller can be made here: run as root or in a delegated \
                cgroup";
    group.ok_or_else(|| io::Error::other(none))
}

pub fn set(keeper: &mut Keeper, server: &str, on: &[Lever]) -> io::Result<Stamp> {
    let group = group(keeper, server)?;
    let was = match keeper.server(server)?.was.memory_limit {
        Some(was) => was,
        None => group.limit()?,
    };
    keeper.server_mut(server)?.was.memory_limit = Some(was);
    let wanted = was.or_less(least(on));
    let used = || group.used().map_or("?".into(), mebibytes);
    let (used_before, before) = (used(), clock::now());
    let seen = group.set_limit(wanted)?;
    let after = clock::now();
    if on.is_empty() {
        keeper.server_mut(server)?.was.memory_limit = None;
    }
    let mut proof =
        format!("{} {seen}, in use {used_before} before and {} after", group.limit_file(), used());
    if seen != wanted.in_pages() {
        let why = "cgroup v1 takes no limit under what cannot be reclaimed, so it has the lowest \
                   that it took";
        proof.push_str(&format!(" ({wanted} was asked for; {why})"));
    }
    Ok(Stamp { before, after, mechanism: group.limit_file().into(), proof })
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let group = keeper.servers.get(server).and_then(|s| s.group.memory.as_ref());
    group.map_or(Counted::Nothing, |group| {
        let events = group.events();
        Counted::Memory { kills: events.kills, hits: events.hits }
    })
}
