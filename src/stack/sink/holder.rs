//! One process of the sink: an epoll loop with one byte of state for each connection.

use super::shared::Shared;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use std::io;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheld\n";
const EVENTS_MAX: usize = 256;
/// Connections accepted before the others get their turn.
const ACCEPTS_MAX: usize = 256;

/// States of a connection, by descriptor. Below [`WAITS`]: how many bytes of the empty line that
/// ends a head have been seen.
const WAITS: u8 = 4;
const NONE: u8 = u8::MAX;

pub(super) struct Holder<'a> {
    listener: OwnedFd,
    epoll: OwnedFd,
    shared: &'a Shared,
    release_at: u64,
    states: Vec<u8>,
    piece: [u8; 4096],
    has_answered: bool,
}

impl<'a> Holder<'a> {
    pub fn new(listener: OwnedFd, shared: &'a Shared, release_at: u64) -> io::Result<Holder<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for fd in [&listener, &shared.bell] {
            let data = EventData::new_u64(fd.as_raw_fd() as u64);
            epoll::add(&epoll, fd, data, EventFlags::IN)?;
        }
        Ok(Holder {
            listener,
            epoll,
            shared,
            release_at,
            states: Vec::new(),
            piece: [0; 4096],
            has_answered: false,
        })
    }

    /// # Errors
    /// When epoll fails; otherwise it runs until the process is killed.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(other) => return Err(other.into()),
            }
            for event in &events {
                let fd = event.data.u64() as RawFd;
                if fd == self.listener.as_raw_fd() {
                    self.accept();
                } else if fd == self.shared.bell.as_raw_fd() {
                    self.answer_all();
                } else {
                    self.hear(fd);
                }
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Without room for more the others still wait; who is not accepted is not held.
            let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else { return };
            let data = EventData::new_u64(socket.as_raw_fd() as u64);
            if epoll::add(&self.epoll, &socket, data, EventFlags::IN).is_err() {
                continue;
            }
            let fd = socket.into_raw_fd();
            if self.states.len() <= fd as usize {
                self.states.resize(fd as usize + 1, NONE);
            }
            self.states[fd as usize] = 0;
            // The request has often come with the connection.
            self.hear(fd);
        }
    }

    fn socket(&self, fd: RawFd) -> Option<BorrowedFd<'static>> {
        let state = self.states.get(fd as usize).copied().unwrap_or(NONE);
        // SAFETY: a descriptor with a state is an open connection of this process.
        (state != NONE).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Reads what has come, keeping none of it.
    fn hear(&mut self, fd: RawFd) {
        let Some(socket) = self.socket(fd) else { return };
        match rustix::net::recv(socket, &mut self.piece, RecvFlags::empty()) {
            Ok((0, _)) => self.close(fd),
            Ok((n, _)) => self.read(fd, n),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.close(fd),
        }
    }

    /// Looks for the end of a head in what has been read.
    fn read(&mut self, fd: RawFd, n: usize) {
        for at in 0..n {
            let state = self.states[fd as usize];
            // Who waits may say what they like.
            if state >= WAITS {
                return;
            }
            let next = match (self.piece[at], state) {
                (b'\r', 2) => 3,
                (b'\r', _) => 1,
                (b'\n', 1 | 3) => state + 1,
                _ => 0,
            };
            self.states[fd as usize] = next;
            if next == WAITS {
                self.requested(fd);
            }
        }
    }

    fn requested(&mut self, fd: RawFd) {
        let is_enough = self.shared.arrived(self.release_at);
        if self.shared.is_released() {
            self.answer(fd);
        } else if is_enough {
            self.shared.release();
        }
    }

    /// The bell rings once and for all.
    fn answer_all(&mut self) {
        if self.has_answered {
            return;
        }
        self.has_answered = true;
        let _ = epoll::delete(&self.epoll, &self.shared.bell);
        for fd in 0..self.states.len() {
            if self.states[fd] == WAITS {
                self.answer(fd as RawFd);
            }
        }
    }

    fn answer(&mut self, fd: RawFd) {
        let Some(socket) = self.socket(fd) else { return };
        match rustix::net::send(socket, ANSWER, SendFlags::NOSIGNAL) {
            Ok(n) if n == ANSWER.len() => {
                self.shared.left();
                self.states[fd as usize] = 0;
            }
            // It takes no more than it has read: not worth a buffer.
            _ => self.close(fd),
        }
    }

    fn close(&mut self, fd: RawFd) {
        if self.socket(fd).is_none() {
            return;
        }
        if self.states[fd as usize] == WAITS {
            self.shared.left();
        }
        self.states[fd as usize] = NONE;
        // SAFETY: the descriptor is ours, and nothing names it any more.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}
