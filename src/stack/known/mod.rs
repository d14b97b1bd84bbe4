//! `brunt serve known`: a server whose answers come when a formula says, so that what `selftest`
//! sees beyond the formula is the measuring's own.
//!
//! Its workers are virtual: a request is answered by a timer, no CPU is burnt. What it cannot be
//! blamed for is known too: how late its own timers were stands under `/counters`, and when each
//! request came under `/arrivals`.

mod behaviour;
mod counters;
mod law;
mod request;
mod server;

pub use behaviour::{Behaviour, Desk, Fate, Slow, Stall};
pub use counters::{Arrival, Counters, read_arrivals};
pub use law::{Law, LawError};

use crate::host::{affinity, descriptors};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use server::Server;
use std::io::Write;
use std::net::SocketAddr;

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A server of known behaviour, and where it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownPlan {
    pub listen: SocketAddr,
    pub behaviour: Behaviour,
    /// Its thread is kept to these; empty: wherever.
    pub cpus: Vec<u32>,
    /// Polls all the time instead of sleeping: exact, and a whole core.
    pub spins: bool,
}

/// The line on stdout when it listens.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ready {
    pub address: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    #[error(
        "the known server cannot listen on {address}: {cause}; is it in use? (`ss -ltnp` tells)"
    )]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("the known server cannot {what}: {cause}")]
    System { what: &'static str, cause: std::io::Error },
}

impl KnownPlan {
    /// The flags of `brunt serve known` that mean this plan.
    pub fn flags(&self) -> Vec<String> {
        let b = &self.behaviour;
        let mut flags = vec![
            format!("--listen={}", self.listen),
            format!("--service={}", b.law),
            format!("--workers={}", b.workers.map_or("unlimited".into(), |n| n.to_string())),
            format!("--service-seed={}", b.seed),
            format!("--drop={}", b.drop_share),
            format!("--error={}", b.error_share),
        ];
        let text = crate::base::units::duration_text;
        flags.extend(b.stall.map(|s| format!("--stall={}@{}", text(s.lasts), text(s.at))));
        flags.extend(b.slow.map(|s| format!("--slow={}:{}x{}", s.share, s.pieces, text(s.every))));
        if !self.cpus.is_empty() {
            let names: Vec<String> = self.cpus.iter().map(u32::to_string).collect();
            flags.push(format!("--cpus={}", names.join(",")));
        }
        flags.extend(self.spins.then(|| "--spin".to_string()));
        flags
    }
}

/// Serves until the process ends, which it does with its parent. Prints [`Ready`] on stdout.
///
/// # Errors
/// When it cannot listen or the system refuses what it needs.
pub fn serve(plan: &KnownPlan) -> Result<(), KnownError> {
    let system = |what| move |cause: std::io::Error| KnownError::System { what, cause };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|e| system("end with its parent")(e.into()))?;
    if !plan.cpus.is_empty() {
        affinity::pin_self(&plan.cpus).map_err(system("run on these processors"))?;
    }
    let _ = nix::sys::prctl::set_timerslack(1);
    descriptors::raise_own();
    let wrap = |e: Errno| KnownError::Listen { address: plan.listen, cause: e.into() };
    let (listener, address) = listen(plan.listen).map_err(wrap)?;
    let epoll = |e: Errno| KnownError::System { what: "use epoll", cause: e.into() };
    let server = Server::new(listener, plan.behaviour.clone(), plan.spins).map_err(epoll)?;
    let line = serde_json::to_string(&Ready { address }).expect("an address is plain data");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(system("say that it is ready"))?;
    drop(out);
    server.run().map_err(epoll)
}

fn listen(address: SocketAddr) -> Result<(OwnedFd, SocketAddr), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let bound = rustix::net::getsockname(&socket)?;
    let bound = SocketAddr::try_from(bound).map_err(|_| Errno::AFNOSUPPORT)?;
    Ok((socket, bound))
}
