//! `Lever::CpuCores`: the server keeps a fraction of its cores, at least one: less at once, without
//! stalls; its threads queue for what is left.

use super::super::Keeper;
use super::super::operate::refused;
use super::Counted;
use crate::base::{Nanos, clock};
use crate::fleet::protocol::Stamp;
use crate::host::affinity;
use crate::host::usage::queued;
use std::io;

pub fn kept(all: usize, to: f64) -> usize {
    ((all as f64 * to).floor() as usize).max(1)
}

pub fn check(keeper: &Keeper, server: &str, to: f64) -> io::Result<()> {
    keeper.server(server)?;
    let all = keeper.cores_of_attached(server).unwrap_or(keeper.setup.stack_cpus.len());
    match to > 0.0 && kept(all, to) < all {
        true => Ok(()),
        false => refused(format!("{} of {all} cores takes nothing away", kept(all, to))),
    }
}

pub fn set(keeper: &mut Keeper, server: &str, to: f64) -> io::Result<Stamp> {
    if keeper.attached.contains_key(server) {
        return keeper.cut_attached(server, to);
    }
    let all = keeper.setup.stack_cpus.clone();
    let cpus = if to < 1.0 { all[..kept(all.len(), to)].to_vec() } else { all };
    // First, so that a node that starts meanwhile has them too.
    keeper.server_mut(server)?.cpus = (to < 1.0).then(|| cpus.clone());
    let members = keeper.members(server, false);
    let before = clock::now();
    let mut threads = 0;
    for member in &members {
        match affinity::pin_process(member.identity.pid, &cpus) {
            Ok(n) => threads += n,
            Err(e) if member.identity.is_alive() => return Err(e),
            Err(_) => {}
        }
    }
    let after = clock::now();
    let proof = format!("{threads} threads on {} cores", cpus.len());
    Ok(Stamp { before, after, mechanism: "sched_setaffinity".into(), proof })
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let members = keeper.members(server, false);
    let waited = members.iter().map(|m| queued(m.identity.pid));
    let waited = waited.fold(Nanos::ZERO, |sum, one| sum + one);
    let used = keeper.servers.get(server).map_or(Nanos::ZERO, |s| s.cpu_use().used);
    Counted::Queue { used, waited }
}
