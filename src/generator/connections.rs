//! The connections of one worker: a slab, and per address a stack of idle ones. Opening, closing,
//! sending and receiving, without knowing what a request is.

use super::checks;
use super::requests::{Key, NONE};
use super::transport::Transport;
use super::transport::http2::Session;
use super::transport::ready::Token;
use super::transport::tls::Tls;
use crate::base::Nanos;
use crate::plan::Protocol;
use crate::record::Cause;
use crate::wire::http1::{Progress, ResponseError, ResponseReader};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Connecting(Key),
    Busy(Key),
    Idle,
    /// HTTP/2: any number of requests, also none.
    Shared,
}

pub(super) struct Connection {
    socket: Option<OwnedFd>,
    generation: u32,
    pub address: u32,
    pub state: State,
    /// Where it is in its address's idle stack.
    idle_at: u32,
    pub reader: ResponseReader,
    /// Answers read on this connection before the current request.
    pub answers: u64,
    /// Whether a byte of the current answer has come.
    pub has_answer: bool,
    /// The part of the current request that the socket did not take yet.
    unsent: Vec<u8>,
    /// The answer's body, where a check wants it. Boxed, as few connections have one and a million
    /// pay for its size.
    #[allow(clippy::box_collection)]
    pub body: Option<Box<Vec<u8>>>,
    pub tls: Option<Box<Tls>>,
    pub session: Option<Box<Session>>,
}

pub(super) struct Connections {
    addresses: Vec<SocketAddr>,
    /// Local addresses, used in turn; none: the kernel's choice.
    sources: Vec<IpAddr>,
    transport: Arc<Transport>,
    /// Connections being made, now and at most.
    connecting: usize,
    connecting_max: usize,
    slab: Vec<Connection>,
    free: Vec<u32>,
    idle: Vec<Vec<u32>>,
    open: usize,
    open_max: usize,
    /// Until when the connections being made must be there, oldest first; with their generation.
    deadlines: VecDeque<(Nanos, u32, u32)>,
    /// By address.
    underway: Vec<Underway>,
    /// How many connections were begun, for taking the source addresses in turn.
    n_begun: usize,
    /// For all TLS sessions: what came from a socket, what goes to one.
    received: Vec<u8>,
    encrypted: Vec<u8>,
    /// For all HTTP/2 sessions: frames on their way out.
    pub(super) frames: Vec<u8>,
}

/// The connections being made to an address.
#[derive(Clone, Copy, Debug, Default)]
struct Underway {
    connecting: u32,
    /// Requests that they may carry beside those that they are made for.
    promised: u32,
    /// The server has chosen HTTP/1.1.
    is_single: bool,
    /// Streams that the server allows on a connection, once it has said so.
    allowed: Option<u32>,
}

/// What became of bytes handed to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The rest is kept and goes out when the socket takes it.
    Part,
    /// Nothing was taken.
    Nothing(Errno),
}

/// Bytes taken from a socket at once, for TLS.
const RECEIVED_MAX: usize = 64 * 1024;

/// Edge-triggered: the kernel then looks at a socket once per answer instead of twice. So whoever
/// sends does so until the socket takes no more, a read that fills its buffer has the socket
/// reported again, and what an event says of the other side's end is kept in mind.
const READING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
const WRITING: EventFlags = READING.union(EventFlags::OUT);

impl Connections {
    /// Memory for each connection that is open at once.
    #[cfg(test)]
    pub const BYTES_EACH: usize = size_of::<Connection>() + size_of::<u32>();

    pub fn new(
        addresses: &[SocketAddr],
        sources: Vec<IpAddr>,
        open_max: usize,
        connecting_max: usize,
        transport: Arc<Transport>,
    ) -> Connections {
        Connections {
            addresses: addresses.to_vec(),
            sources,
            connecting: 0,
            connecting_max,
            deadlines: VecDeque::new(),
            underway: vec![Underway::default(); addresses.len()],
            n_begun: 0,
            received: vec![0; if transport.tls.is_some() { RECEIVED_MAX } else { 0 }],
            encrypted: Vec::new(),
            frames: Vec::new(),
            transport,
            slab: Vec::new(),
            free: Vec::new(),
            idle: vec![Vec::new(); addresses.len()],
            open: 0,
            open_max,
        }
    }

    pub fn open(&self) -> usize {
        self.open
    }

    /// The connection that an event's data names, if it is still the same one.
    #[inline]
    pub fn named(&self, data: u64) -> Option<u32> {
        let (index, generation) = (data as u32, (data >> 32) as u32);
        let connection = self.slab.get(index as usize)?;
        let is_same = connection.generation == generation && connection.state != State::Free;
        is_same.then_some(index)
    }

    #[inline]
    pub fn get(&mut self, index: u32) -> &mut Connection {
        &mut self.slab[index as usize]
    }

    /// Takes an idle connection to an address, the one used last.
    #[inline]
    pub fn take_idle(&mut self, address: u32) -> Option<u32> {
        let stack = &mut self.idle[address as usize];
        loop {
            let index = *stack.last()?;
            match &self.slab[index as usize].session {
                // One that still has room afterwards stays.
                Some(session) if session.has_room(2) => return Some(index),
                Some(session) if !session.has_room(1) => drop(stack.pop()),
                _ => {
                    stack.pop();
                    return Some(index);
                }
            }
        }
    }

    pub fn make_idle(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        connection.state = State::Idle;
        connection.answers += 1;
        let stack = &mut self.idle[connection.address as usize];
        connection.idle_at = stack.len() as u32;
        stack.push(index);
    }

    /// Lists a connection that has room for another stream among those to be taken.
    pub fn list_shared(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        let Some(session) = &connection.session else { return };
        self.underway[connection.address as usize].allowed = Some(session.limit());
        let has_room = session.has_room(1);
        let stack = &mut self.idle[connection.address as usize];
        if has_room && stack.get(connection.idle_at as usize) != Some(&index) {
            connection.idle_at = stack.len() as u32;
            stack.push(index);
        }
    }

    /// Whether another connection may be opened; closes an idle one elsewhere to make room.
    pub fn has_room(&mut self) -> bool {
        if self.connecting >= self.connecting_max {
            return false;
        }
        if self.open < self.open_max {
            return true;
        }
        let is_unused = |i: &u32| {
            self.slab[*i as usize].session.as_ref().is_none_or(|session| session.n_active() == 0)
        };
        let last = |stack: &Vec<u32>| stack.last().copied().filter(is_unused);
        let Some(victim) = self.idle.iter().find_map(last) else { return false };
        self.close(victim);
        true
    }

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
    fn source(&mut self, to: SocketAddr) -> Option<IpAddr> {
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
    fn note_arrived(&mut self, address: u32) {
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
    fn send_outgoing(&mut self, epoll: &OwnedFd, index: u32) -> Result<(), Cause> {
        let Some(tls) = &mut self.slab[index as usize].tls else { return Ok(()) };
        let mut out = std::mem::take(&mut self.encrypted);
        out.clear();
        tls.take_outgoing(&mut out);
        let sent = self.write(epoll, index, &out);
        self.encrypted = out;
        if matches!(sent, Sent::Nothing(_)) { Err(Cause::TlsFailed) } else { Ok(()) }
    }

    /// Sets what to be told about a connection.
    fn watch(&self, epoll: &OwnedFd, index: u32, flags: EventFlags) -> Result<(), Errno> {
        let connection = &self.slab[index as usize];
        let data = EventData::new_u64(u64::from(connection.generation) << 32 | u64::from(index));
        epoll::modify(epoll, connection.socket(), data, flags)
    }

    /// Sends a request on a connection that carries no other.
    pub fn send(&mut self, epoll: &OwnedFd, index: u32, key: Key, bytes: &[u8]) -> Sent {
        let connection = &mut self.slab[index as usize];
        connection.state = State::Busy(key);
        connection.has_answer = false;
        if connection.tls.is_some() {
            return self.write_encrypted(epoll, index, bytes);
        }
        self.write(epoll, index, bytes)
    }

    /// Sends bytes, through TLS where there is TLS.
    pub fn write_encrypted(&mut self, epoll: &OwnedFd, index: u32, bytes: &[u8]) -> Sent {
        let Some(tls) = &mut self.slab[index as usize].tls else {
            return self.write(epoll, index, bytes);
        };
        let mut out = std::mem::take(&mut self.encrypted);
        out.clear();
        tls.take_outgoing(&mut out);
        let sent = match tls.encrypt(bytes, &mut out) {
            Ok(()) => self.write(epoll, index, &out),
            Err(_) => Sent::Nothing(Errno::PROTO),
        };
        self.encrypted = out;
        sent
    }

    /// Sends bytes as they are, behind those that the socket did not take yet.
    fn write(&mut self, epoll: &OwnedFd, index: u32, bytes: &[u8]) -> Sent {
        let connection = &mut self.slab[index as usize];
        if !connection.unsent.is_empty() {
            connection.unsent.extend_from_slice(bytes);
            return Sent::Part;
        }
        let taken = match rustix::net::send(connection.socket(), bytes, NO_SIGNAL) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Sent::Nothing(error),
        };
        if taken == bytes.len() {
            return Sent::All;
        }
        connection.unsent.extend_from_slice(&bytes[taken..]);
        match self.watch(epoll, index, WRITING) {
            Ok(()) => Sent::Part,
            Err(error) => Sent::Nothing(error),
        }
    }

    /// Sends more of what the socket did not take.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_rest(&mut self, epoll: &OwnedFd, index: u32) -> Result<(), Errno> {
        let connection = &mut self.slab[index as usize];
        if connection.unsent.is_empty() {
            return Ok(());
        }
        while !connection.unsent.is_empty() {
            match rustix::net::send(connection.socket(), &connection.unsent, NO_SIGNAL) {
                Ok(taken) => drop(connection.unsent.drain(..taken)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.watch(epoll, index, READING)
    }

    /// Takes what has come. Over TLS a connection that ends without saying so is `PIPE`, because
    /// something may be missing, and one that does not speak TLS is `PROTO`.
    #[inline]
    pub fn receive(
        &mut self,
        epoll: &OwnedFd,
        index: u32,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        let connection = &self.slab[index as usize];
        if connection.tls.is_some() {
            return self.receive_encrypted(epoll, index, buffer);
        }
        let n = receive(connection.socket(), buffer)?;
        if n == buffer.len() {
            self.look_again(epoll, index)?;
        }
        Ok(n)
    }

    /// Has epoll report again what it has reported before, if it is still so.
    fn look_again(&self, epoll: &OwnedFd, index: u32) -> Result<(), Errno> {
        let is_sent = self.slab[index as usize].is_sent();
        self.watch(epoll, index, if is_sent { READING } else { WRITING })
    }

    fn receive_encrypted(
        &mut self,
        epoll: &OwnedFd,
        index: u32,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        let connection = &mut self.slab[index as usize];
        let socket = connection.socket.as_ref().expect("an open connection has a socket");
        let tls = connection.tls.as_mut().expect("the caller has looked");
        let early = tls.take_early(buffer);
        if early > 0 || tls.has_ended() {
            return Ok(early);
        }
        let n = receive_after(socket, tls.held(), &mut self.received)?;
        let mut at = 0;
        let copy = |plain: &[u8]| {
            buffer[at..at + plain.len()].copy_from_slice(plain);
            at += plain.len();
        };
        tls.take(&mut self.received[..n], copy).map_err(|_| Errno::PROTO)?;
        let has_ended = tls.has_ended();
        if n == self.received.len() {
            self.look_again(epoll, index)?;
        }
        match at {
            0 if !has_ended => Err(Errno::AGAIN),
            n => Ok(n),
        }
    }

    /// Whether something remains to be received that no event will tell of.
    #[inline]
    pub fn has_more(&self, index: u32) -> bool {
        self.slab[index as usize].tls.as_ref().is_some_and(|tls| tls.has_ended())
    }

    /// Whether an event on an idle connection was nothing but TLS's own business.
    pub fn is_still_idle(&mut self, epoll: &OwnedFd, index: u32, buffer: &mut [u8]) -> bool {
        let is_plain = self.slab[index as usize].tls.is_none();
        !is_plain && matches!(self.receive(epoll, index, buffer), Err(Errno::AGAIN))
    }

    /// Sends the frames that a session has made.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self, epoll: &OwnedFd, index: u32) -> Result<(), Errno> {
        let connection = &mut self.slab[index as usize];
        let Some(session) = &mut connection.session else { return Ok(()) };
        if !connection.unsent.is_empty() {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut self.frames);
        session.swap_outgoing(&mut frames);
        let sent = match frames.is_empty() {
            true => Sent::All,
            false => self.write_encrypted(epoll, index, &frames),
        };
        frames.clear();
        self.frames = frames;
        match sent {
            Sent::All | Sent::Part => Ok(()),
            Sent::Nothing(errno) => Err(errno),
        }
    }

    /// Stops listening to a server that does not read what it asked for, until it does.
    ///
    /// # Errors
    /// When epoll fails.
    pub fn listen(&self, epoll: &OwnedFd, index: u32, listens: bool) -> Result<(), Errno> {
        let is_sent = self.slab[index as usize].is_sent();
        let flags = match (listens, is_sent) {
            (false, _) => EventFlags::OUT,
            (true, false) => WRITING,
            (true, true) => READING,
        };
        self.watch(epoll, index, flags)
    }

    /// Closes a connection; the kernel takes it out of the epoll set.
    pub fn close(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        let address = connection.address;
        match connection.state {
            State::Idle | State::Shared => self.unlist(index),
            State::Connecting(_) => self.note_arrived(address),
            State::Busy(_) | State::Free => {}
        }
        let connection = &mut self.slab[index as usize];
        if let Some(mut tls) = connection.tls.take() {
            self.encrypted.clear();
            tls.take_outgoing(&mut self.encrypted);
            tls.close(&mut self.encrypted);
            // A courtesy, as far as the socket takes it.
            if connection.unsent.is_empty() {
                let _ = rustix::net::send(connection.socket(), &self.encrypted, NO_SIGNAL);
            }
        }
        connection.session = None;
        connection.socket = None;
        connection.state = State::Free;
        connection.generation = connection.generation.wrapping_add(1);
        connection.unsent.clear();
        self.free.push(index);
        self.open -= 1;
    }

    fn unlist(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        let stack = &mut self.idle[connection.address as usize];
        let at = connection.idle_at as usize;
        // One that has just been taken from the stack is idle too, but no longer in it.
        if stack.get(at) == Some(&index) {
            stack.swap_remove(at);
            if let Some(moved) = stack.get(at).copied() {
                self.slab[moved as usize].idle_at = at as u32;
            }
        }
    }
}

#[inline]
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, rustix::net::RecvFlags::empty()) {
            Ok((n, _)) => return Ok(n),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Receives behind the beginning of a record that came before; says how much there is in all.
fn receive_after(socket: &OwnedFd, held: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
    buffer[..held.len()].copy_from_slice(held);
    match receive(socket, &mut buffer[held.len()..])? {
        0 => Err(Errno::PIPE),
        n => Ok(held.len() + n),
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

pub(super) fn connect_cause(errno: Errno) -> Cause {
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

const NO_SIGNAL: rustix::net::SendFlags = rustix::net::SendFlags::NOSIGNAL;

impl Connection {
    fn free() -> Connection {
        Connection {
            socket: None,
            generation: 0,
            address: NONE,
            state: State::Free,
            idle_at: 0,
            reader: ResponseReader::default(),
            answers: 0,
            has_answer: false,
            unsent: Vec::new(),
            body: None,
            tls: None,
            session: None,
        }
    }

    fn socket(&self) -> &OwnedFd {
        self.socket.as_ref().expect("a connection that is not free has a socket")
    }

    /// Says whether the next answer's body is to be kept.
    #[inline]
    pub fn want_body(&mut self, wants: bool) {
        match &mut self.body {
            Some(body) if wants => body.clear(),
            None if wants => self.body = Some(Box::default()),
            Some(_) => self.body = None,
            None => {}
        }
    }

    /// Takes a piece of the answer; the body is kept where it is wanted.
    #[inline]
    pub fn read(&mut self, piece: &[u8]) -> Result<Progress, ResponseError> {
        let Some(body) = &mut self.body else { return self.reader.feed(piece) };
        self.reader.feed_with(piece, |part| checks::collect(body, part))
    }

    /// Whether the whole request has been handed to the socket.
    pub fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }
}
