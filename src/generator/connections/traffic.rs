//! Bytes on connections that are there: sending, receiving, and what to be told about.

use super::{Connections, Sent, State};
use crate::generator::requests::Key;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Edge-triggered: the kernel then looks at a socket once per answer instead of twice. So whoever
/// sends does so until the socket takes no more, a read that fills its buffer has the socket
/// reported again, and what an event says of the other side's end is kept in mind.
pub(super) const READING: EventFlags =
    EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
pub(super) const WRITING: EventFlags = READING.union(EventFlags::OUT);

impl Connections {
    /// Sets what to be told about a connection.
    pub(super) fn watch(
        &self,
        epoll: &OwnedFd,
        index: u32,
        flags: EventFlags,
    ) -> Result<(), Errno> {
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
    pub(super) fn write(&mut self, epoll: &OwnedFd, index: u32, bytes: &[u8]) -> Sent {
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
    pub(super) fn look_again(&self, epoll: &OwnedFd, index: u32) -> Result<(), Errno> {
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
pub(super) fn receive_after(
    socket: &OwnedFd,
    held: &[u8],
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    buffer[..held.len()].copy_from_slice(held);
    match receive(socket, &mut buffer[held.len()..])? {
        0 => Err(Errno::PIPE),
        n => Ok(held.len() + n),
    }
}

pub(super) const NO_SIGNAL: rustix::net::SendFlags = rustix::net::SendFlags::NOSIGNAL;
