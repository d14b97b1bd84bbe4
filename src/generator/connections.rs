//! The connections of one worker: a slab, and per address a stack of idle ones. Opening, closing,
//! sending and receiving, without knowing what a request is.

use super::requests::{Key, NONE};
use crate::wire::http1::ResponseReader;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Connecting(Key),
    Busy(Key),
    Idle,
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: Option<OwnedFd>,
    generation: u32,
    pub address: u32,
    pub state: State,
    /// Where it is in its address's idle stack.
    idle_at: usize,
    pub reader: ResponseReader,
    /// Answers read on this connection before the current request.
    pub answers: u64,
    /// Whether a byte of the current answer has come.
    pub has_answer: bool,
    /// The part of the current request that the socket did not take yet.
    unsent: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connections {
    addresses: Vec<SocketAddr>,
    /// Local addresses, used in turn; none: the kernel's choice.
    sources: Vec<IpAddr>,
    next_source: usize,
    slab: Vec<Connection>,
    free: Vec<u32>,
    idle: Vec<Vec<u32>>,
    open: usize,
    open_max: usize,
    /// Connects under way, now and at most.
    connecting: usize,
    connecting_max: usize,
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

const READING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);
const WRITING: EventFlags = READING.union(EventFlags::OUT);

impl Connections {
    pub fn new(
        addresses: &[SocketAddr],
        sources: Vec<IpAddr>,
        open_max: usize,
        connecting_max: usize,
    ) -> Connections {
        Connections {
            addresses: addresses.to_vec(),
            sources,
            next_source: 0,
            slab: Vec::new(),
            free: Vec::new(),
            idle: vec![Vec::new(); addresses.len()],
            open: 0,
            open_max,
            connecting: 0,
            connecting_max,
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
        self.idle[address as usize].pop()
    }

    pub fn make_idle(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        connection.state = State::Idle;
        connection.answers += 1;
        let stack = &mut self.idle[connection.address as usize];
        connection.idle_at = stack.len();
        stack.push(index);
    }

    /// Whether another connection may be opened; closes an idle one elsewhere to make room.
    pub fn has_room(&mut self) -> bool {
        if self.connecting >= self.connecting_max {
            return false;
        }
        if self.open < self.open_max {
            return true;
        }
        let Some(victim) = self.idle.iter().find_map(|stack| stack.last().copied()) else {
            return false;
        };
        self.close(victim);
        true
    }

    /// Begins to connect; the request goes out when the connection is there.
    ///
    /// # Errors
    /// What the kernel said; nothing is left behind.
    pub fn connect(&mut self, epoll: &OwnedFd, address: u32, key: Key) -> Result<u32, Errno> {
        let to = self.addresses[address as usize];
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        self.bind(&socket)?;
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
        self.open += 1;
        self.connecting += 1;
        Ok(index)
    }

    /// Takes the next local address; the port is chosen when connecting, so that it need not be
    /// free towards everybody.
    fn bind(&mut self, socket: &OwnedFd) -> Result<(), Errno> {
        let Some(source) = self.sources.get(self.next_source).copied() else { return Ok(()) };
        self.next_source = (self.next_source + 1) % self.sources.len();
        let (level, name, on) =
            (nix::libc::IPPROTO_IP, nix::libc::IP_BIND_ADDRESS_NO_PORT, 1 as nix::libc::c_int);
        // SAFETY: the option's value is an integer that lives through the call.
        let result = unsafe {
            let (value, size) = ((&raw const on).cast(), size_of_val(&on) as u32);
            nix::libc::setsockopt(socket.as_raw_fd(), level, name, value, size)
        };
        if result < 0 {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
        }
        rustix::net::bind(socket, &SocketAddr::new(source, 0))
    }

    /// Whether a connection that became writable is really there.
    ///
    /// # Errors
    /// Why it is not.
    pub fn connected(&mut self, epoll: &OwnedFd, index: u32) -> Result<(), Errno> {
        let connection = &self.slab[index as usize];
        sockopt::socket_error(connection.socket())??;
        self.watch(epoll, index, READING)?;
        self.slab[index as usize].state = State::Idle;
        self.connecting -= 1;
        Ok(())
    }

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
        connection.unsent.clear();
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
        match rustix::net::send(connection.socket(), &connection.unsent, NO_SIGNAL) {
            Ok(taken) => drop(connection.unsent.drain(..taken)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        match connection.unsent.is_empty() {
            true => self.watch(epoll, index, READING),
            false => Ok(()),
        }
    }

    #[inline]
    pub fn receive(&self, index: u32, buffer: &mut [u8]) -> Result<usize, Errno> {
        let socket = self.slab[index as usize].socket();
        rustix::net::recv(socket, buffer, rustix::net::RecvFlags::empty()).map(|(n, _)| n)
    }

    /// Closes a connection; the kernel takes it out of the epoll set.
    pub fn close(&mut self, index: u32) {
        let connection = &mut self.slab[index as usize];
        if connection.state == State::Idle {
            let stack = &mut self.idle[connection.address as usize];
            // One that has just been taken from the stack is idle too, but no longer in it.
            if stack.get(connection.idle_at) == Some(&index) {
                let at = connection.idle_at;
                stack.swap_remove(at);
                if let Some(moved) = stack.get(at).copied() {
                    self.slab[moved as usize].idle_at = at;
                }
            }
        }
        let connection = &mut self.slab[index as usize];
        self.connecting -= usize::from(matches!(connection.state, State::Connecting(_)));
        connection.socket = None;
        connection.state = State::Free;
        connection.generation = connection.generation.wrapping_add(1);
        connection.unsent.clear();
        self.free.push(index);
        self.open -= 1;
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
        }
    }

    fn socket(&self) -> &OwnedFd {
        self.socket.as_ref().expect("a connection that is not free has a socket")
    }

    /// Whether the whole request has been handed to the socket.
    pub fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }
}
