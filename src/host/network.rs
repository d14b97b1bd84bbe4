//! A loopback network for one command: `127.a.b.0/24`, so that two brunts never share an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The first octet after 127 that is tried; far from 127.0.x.x, where other programs listen.
const FIRST: u8 = 77;
const LAST: u8 = 80;

/// Holds a network until it is dropped. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct NetworkClaim {
    pub network: (u8, u8),
    _lock: UnixListener,
}

impl NetworkClaim {
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.network.0, self.network.1, host)
    }
}

/// Claims the first network that no other brunt holds and where both ports can be bound.
///
/// # Errors
/// When all are taken, or the ports are in use everywhere.
pub fn claim(port: u16) -> io::Result<NetworkClaim> {
    let mut last = io::Error::new(io::ErrorKind::AddrInUse, "every network is held by a brunt");
    for network in (FIRST..=LAST).flat_map(|a| (1..=254).map(move |b| (a, b))) {
        match claim_one(network, port) {
            Ok(claim) => return Ok(claim),
            Err(e) => last = e,
        }
    }
    Err(io::Error::new(
        last.kind(),
        format!("no free network in 127.{FIRST}.1.0 to 127.{LAST}.254.0 for port {port}: {last}"),
    ))
}

fn claim_one(network: (u8, u8), port: u16) -> io::Result<NetworkClaim> {
    let name = format!("brunt-net-{}-{}", network.0, network.1);
    let lock = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    let claim = NetworkClaim { network, _lock: lock };
    for port in [port, port.saturating_add(1)] {
        TcpListener::bind(SocketAddrV4::new(claim.address(1), port))?;
    }
    Ok(claim)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn two_claims_differ() {
        let first = claim(17_000).unwrap();
        let second = claim(17_000).unwrap();
        assert_ne!(first.network, second.network);
        assert!(claim_one(first.network, 17_000).is_err());
    }

    /// Outside what `claim` hands out, and another network for every process, so that no other test takes it
    /// meanwhile. A child that another test has forked and that has not yet called exec holds a copy of the
    /// lock, so it may be free only a little later.
    #[test]
    fn a_dropped_claim_is_free_again() {
        let pid = std::process::id();
        let network = (LAST + 1, u8::try_from(1 + pid % 254).unwrap());
        let held = claim_one(network, 17_000).unwrap();
        assert!(claim_one(network, 17_000).is_err());
        drop(held);
        let until = Instant::now() + Duration::from_secs(20);
        while let Err(e) = claim_one(network, 17_000) {
            assert!(Instant::now() < until, "still held after 20 s: {e}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_network_whose_port_is_taken_is_passed_over() {
        let claimed = claim(17_100).unwrap();
        let network = claimed.network;
        let taken = TcpListener::bind((claimed.address(1), 17_101)).unwrap();
        drop(claimed);
        assert!(claim_one(network, 17_100).is_err());
        drop(taken);
    }
}
