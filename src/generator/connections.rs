//! The connections of one worker: a slab, and per address a stack of idle ones. Opening, closing,
//! sending and receiving, without knowing what a request is.

mod making;
mod traffic;

pub(super) use making::connect_cause;

use super::checks;
use super::requests::{Key, NONE};
use super::transport::Transport;
use super::transport::http2::Session;
use super::transport::tls::Tls;
use crate::base::Nanos;
use crate::wire::http1::{Progress, ResponseError, ResponseReader};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
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
                let _ = rustix::net::send(connection.socket(), &self.encrypted, traffic::NO_SIGNAL);
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
