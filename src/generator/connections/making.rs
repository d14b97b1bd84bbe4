//! Making a connection: from a socket to the point where a request can be sent, TLS and the choice
//! of a protocol included.

use super::{Connection, Connections, Sent, State};
use crate::base::Nanos;
use crate::generator::requests::{Key, NONE};
use crate::generator::transport::http2::Session;
use crate::generator::transport::ready::Token;
use crate::generator::transport::tls::Tls;
use crate::plan::Protocol;
use crate::record::Cause;
use rustix::event::epoll::{self, EventData};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, SocketAddr};

use super::traffic::{READING, WRITING, receive_after};

impl Connections {
    /// Begins to connect; the request goes out when the connection is there.
    ///
    /// # Errors
    /// What the kernel said; nothing is left behind.
    pub fn connect(
        &mut self,
        epoll: &OwnedFd,
        address: u32,
        key: Key,
        now: Nanos,
    ) -> Result<u32, Errno> {
        let to = self.addresses[address as usize];
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(source) = self.source(to) {
            bind(&socket, source)?;
        }
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(other) => return Err(other),
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slab.push(Connection::free());
            self.slab.len() as u32 - 1
        });
        let connection = &mut self.slab[index as usize];
        let data = EventData::new_u64(u64::from(connection.generation) << 32 | u64::from(index));
        if let Err(error) = epoll::add(epoll, &socket, data, WRITING) {
            self.free.push(index);
            return Err(error);
        }
        connection.socket = Some(socket);
        connection.address = address;
        connection.state = State::Connecting(key);
        connection.answers = 0;
        if let Some(timeout) = self.transport.connect_timeout {
            self.deadlines.push_back((now + timeout, index, connection.generation));
        }
        self.open += 1;
        self.note_underway(address);
        Ok(index)
    }

    /// The local address of the next connection, if the plan gives any of this kind.
    pub(super) fn source(&mut self, to: SocketAddr) -> Option<IpAddr> {
        let sources = &self.sources;
        let fits = |source: &&IpAddr| source.is_ipv4() == to.is_ipv4();
        let n = sources.iter().filter(fits).count();
        self.n_begun = self.n_begun.wrapping_add(1);
        sources.iter().filter(fits).nth(self.n_begun.checked_rem(n)?).copied()
    }

    fn note_underway(&mut self, address: u32) {
        self.connecting += 1;
        if self.transport.may_multiplex() {
            let underway = &mut self.underway[address as usize];
            underway.connecting += 1;
            underway.promised += self.transport.http2.streams_max.saturating_sub(1);
        }
    }

    /// A connection is no longer being made: it is there, or it never will be.
    pub(super) fn note_arrived(&mut self, address: u32) {
        self.connecting -= 1;
        if self.transport.may_multiplex() {
            let underway = &mut self.underway[address as usize];
            underway.connecting -= 1;
            underway.promised = match underway.connecting {
                0 => 0,
                _ => underway.promised.saturating_sub(self.transport.http2.streams_max - 1),
            };
        }
    }

    /// Whether a request does better to wait for a connection that is being made and will carry
    /// several than to have another made; `is_new` when it has not been told so yet.
    pub fn is_worth_waiting(&mut self, address: u32, is_new: bool) -> bool {
        let underway = &mut self.underway[address as usize];
        if underway.connecting == 0 || underway.is_single {
            return false;
        }
        if is_new {
            let is_promised = underway.promised > 0;
            underway.promised = underway.promised.saturating_sub(1);
            return is_promised;
        }
        true
    }

    /// A connection that ought to be there by now and is not, and the request that it is made for.
    pub fn overdue(&mut self, now: Nanos) -> Option<(u32, Key)> {
        while let Some((deadline, index, generation)) = self.deadlines.front().copied() {
            let connection = &self.slab[index as usize];
            let waits_for = match connection.state {
                State::Connecting(key) if connection.generation == generation => Some(key),
                _ => None,
            };
            if waits_for.is_some() && deadline > now {
                return None;
            }
            self.deadlines.pop_front();
            if let Some(key) = waits_for {
                return Some((index, key));
            }
        }
        None
    }

    /// When the next connection must be there.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.front().map(|(deadline, ..)| *deadline)
    }

    /// Something happened on a connection that is being made: whether it is there now, TLS
    /// included. One of HTTP/2 then has a session.
    ///
    /// # Errors
    /// Why it is not and never will be.
    pub fn go_on_connecting(
        &mut self,
        epoll: &OwnedFd,
        index: u32,
        is_ending: bool,
    ) -> Result<bool, Cause> {
        if self.slab[index as usize].tls.is_some() {
            let is_there = self.shake_hands(epoll, index)?;
            if is_ending {
                // No other event will tell of the end.
                self.look_again(epoll, index).map_err(connect_cause)?;
            }
            return match is_there || !is_ending {
                true => Ok(is_there),
                false => Err(Cause::TlsFailed),
            };
        }
        let connection = &mut self.slab[index as usize];
        sockopt::socket_error(connection.socket()).and_then(|e| e).map_err(connect_cause)?;
        let client = self.transport.tls.as_ref();
        let tls = client.map(|client| Tls::new(client, connection.address)).transpose();
        connection.tls = tls.map_err(|_| Cause::TlsFailed)?.map(Box::new);
        let is_there = connection.tls.is_none();
        self.watch(epoll, index, READING).map_err(connect_cause)?;
        if is_there {
            self.arrive(index, self.transport.protocol == Protocol::Http2)?;
        } else {
            self.send_outgoing(epoll, index)?;
        }
        Ok(is_there)
    }

    fn shake_hands(&mut self, epoll: &OwnedFd, index: u32) -> Result<bool, Cause> {
        self.send_rest(epoll, index).map_err(|_| Cause::TlsFailed)?;
        let connection = &mut self.slab[index as usize];
        let tls = connection.tls.as_mut().expect("the caller has looked");
        let socket = connection.socket.as_ref().expect("it is being made");
        let n = match receive_after(socket, tls.held(), &mut self.received) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(_) => return Err(Cause::TlsFailed),
        };
        tls.shake_hands(&mut self.received[..n]).map_err(|e| tls_cause(&e))?;
        let (is_there, speaks_http2) = (tls.is_open(), tls.speaks_http2());
        self.send_outgoing(epoll, index)?;
        if is_there {
            if self.transport.protocol == Protocol::Http2 && !speaks_http2 {
                return Err(Cause::NoHttp2);
            }
            self.arrive(index, speaks_http2)?;
        }
        Ok(is_there)
    }

    /// The bytes can flow: what will be spoken is known.
    fn arrive(&mut self, index: u32, speaks_http2: bool) -> Result<(), Cause> {
        let address = self.slab[index as usize].address;
        if speaks_http2 {
            let plan = &self.transport.http2;
            let allowed = self.underway[address as usize].allowed.unwrap_or(plan.streams_max);
            let session = Session::new(plan, allowed, self.transport.requests_max)
                .map_err(|_| Cause::ConnectFailed)?;
            self.slab[index as usize].session = Some(Box::new(session));
            // Nothing has polled it yet, so that nothing could wake it.
            Token::connection(index).waker().wake();
        } else {
            self.underway[address as usize].is_single = true;
        }
        self.slab[index as usize].state = if speaks_http2 { State::Shared } else { State::Idle };
        // Not in the stack: it belongs to the request that it was made for.
        self.slab[index as usize].idle_at = NONE;
        self.note_arrived(address);
        Ok(())
    }

    /// Sends what TLS itself has to say.
    pub(super) fn send_outgoing(&mut self, epoll: &OwnedFd, index: u32) -> Result<(), Cause> {
        let Some(tls) = &mut self.slab[index as usize].tls else { return Ok(()) };
        let mut out = std::mem::take(&mut self.encrypted);
        out.clear();
        tls.take_outgoing(&mut out);
        let sent = self.write(epoll, index, &out);
        self.encrypted = out;
        if matches!(sent, Sent::Nothing(_)) { Err(Cause::TlsFailed) } else { Ok(()) }
    }
}

/// Binds to an address without choosing a port: the kernel does that when it knows the other end,
/// so that the ports of an address serve each server anew.
fn bind(socket: &OwnedFd, source: IpAddr) -> Result<(), Errno> {
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
        .map_err(|e| Errno::from_raw_os_error(e as i32))?;
    rustix::net::bind(socket, &SocketAddr::new(source, 0)).map_err(|errno| match errno {
        // Said of a port it means something else.
        Errno::ADDRNOTAVAIL => Errno::NODEV,
        other => other,
    })
}

pub(in crate::generator) fn connect_cause(errno: Errno) -> Cause {
    match errno {
        Errno::CONNREFUSED => Cause::ConnectRefused,
        Errno::TIMEDOUT => Cause::ConnectTimeout,
        Errno::ADDRNOTAVAIL => Cause::OutOfPorts,
        Errno::NODEV => Cause::NoSuchSource,
        Errno::MFILE | Errno::NFILE => Cause::OutOfDescriptors,
        _ => Cause::ConnectFailed,
    }
}

fn tls_cause(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Cause::CertificateRefused
        }
        rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => {
            Cause::NoHttp2
        }
        _ => Cause::TlsFailed,
    }
}
