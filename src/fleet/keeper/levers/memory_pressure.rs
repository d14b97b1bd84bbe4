//! `Lever::MemoryPressure`: beyond so much memory the server is slowed down and reclaimed, never
//! killed. Only cgroup v2 can do it.

use super::super::Keeper;
use super::super::operate::refused;
use super::memory_limit::group;
use super::{Counted, least, mebibytes};
use crate::base::{Bytes, clock};
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::cgroup::Limit;
use std::io;

pub fn check(keeper: &Keeper, server: &str, to: Bytes) -> io::Result<()> {
    group(keeper, server)?.mark()?;
    match to.0 {
        0 => refused("a server that may have no memory stands still; pause it instead".into()),
        _ => Ok(()),
    }
}

pub fn set(keeper: &mut Keeper, server: &str, on: &[Lever]) -> io::Result<Stamp> {
    let group = group(keeper, server)?;
    let was = match keeper.server(server)?.was.memory_mark {
        Some(was) => was,
        None => group.mark()?,
    };
    keeper.server_mut(server)?.was.memory_mark = Some(was);
    let wanted: Limit = was.or_less(least(on));
    let before = clock::now();
    group.set_mark(wanted)?;
    let after = clock::now();
    if on.is_empty() {
        keeper.server_mut(server)?.was.memory_mark = None;
    }
    let used = group.used().map_or("?".into(), mebibytes);
    let proof = format!("memory.high {}, in use {used}", wanted.in_pages());
    Ok(Stamp { before, after, mechanism: "memory.high".into(), proof })
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let Some(server) = keeper.servers.get(server) else { return Counted::Nothing };
    let Some(group) = &server.group.memory else { return Counted::Nothing };
    let stalled = server.group.stalled("memory").unwrap_or_default();
    Counted::Pressure { slowed: group.events().slowed, stalled }
}
