//! A listener that does not answer: its queue is full, so the kernel drops each SYN, as on a pulled
//! cable. The client's connect waits and sends its SYN again, 1 s, 3 s, 7 s … after the first.
//!
//! The queue is made as short as it can be (two) and filled with connections of our own. One that
//! slips in between is established by the kernel and hears nothing. No privilege is needed.

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use tokio::net::TcpListener;

/// The kernel keeps one connection more than this. With zero it would take the listener for one
/// that is flooded and say so in its log.
const BACKLOG: i32 = 1;

pub struct Deaf<'a> {
    listener: &'a TcpListener,
    fillers: Vec<OwnedFd>,
}

impl<'a> Deaf<'a> {
    /// As deaf as can be made; without descriptors left, the queue is short and not full.
    pub fn new(listener: &'a TcpListener) -> Self {
        let _ = net::listen(listener, BACKLOG);
        let address = listener.local_addr();
        let filler = |_| address.as_ref().ok().and_then(|address| fill(*address).ok());
        Deaf { listener, fillers: (0..=BACKLOG).filter_map(filler).collect() }
    }

    /// Answers again. The connections that are given are ours; they will be accepted soon, and are
    /// nobody's.
    ///
    /// # Errors
    /// When the kernel refuses the length of the queue.
    pub fn hear(&self, backlog: u32) -> io::Result<HashSet<SocketAddr>> {
        net::listen(self.listener, backlog as i32)?;
        let is_made = |filler: &&OwnedFd| net::getpeername(filler).is_ok();
        let address = |filler: &OwnedFd| SocketAddr::try_from(net::getsockname(filler).ok()?).ok();
        Ok(self.fillers.iter().filter(is_made).filter_map(address).collect())
    }
}

/// A connection, made at once when there is room in the queue, else begun.
fn fill(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}
