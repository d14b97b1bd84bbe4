//! `Lever::CpuShare`: the server keeps a fraction of its own CPU quota; at full speed, then stalled
//! to the end of the period.

use super::super::Keeper;
use super::super::operate::refused;
use super::Counted;
use crate::fleet::protocol::Stamp;
use std::io;

pub fn check(keeper: &Keeper, server: &str, to: f64) -> io::Result<()> {
    if !(to > 0.0 && to < 1.0) {
        return refused(format!("a share of {to} is not between 0 and 1"));
    }
    match &keeper.server(server)?.spec {
        spec if spec.cores.is_some() || spec.is_attached => Ok(()),
        _ => refused(format!("server {server} has no CPU share")),
    }
}

pub fn set(keeper: &mut Keeper, server: &str, to: f64) -> io::Result<Stamp> {
    match keeper.attached.contains_key(server) {
        true => keeper.share_attached(server, to),
        false => keeper.server_mut(server)?.set_share(to),
    }
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let Some(server) = keeper.servers.get(server) else { return Counted::Nothing };
    let cpu = keeper.cpu_use_of(server);
    Counted::Cpu { used: cpu.used, denied: cpu.throttled }
}
