//! One thread, one epoll: reads requests, asks the desk when their answers are due, and begins
//! each answer at that instant.

use super::behaviour::{Behaviour, Desk, Fate};
use super::counters::Books;
use super::request::{self, Page, Read};
use crate::base::{Nanos, clock};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags, sockopt};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Event data of the listening socket.
const LISTENER: u64 = u64::MAX;
const EVENTS_MAX: usize = 512;
/// Connections taken at one event.
const ACCEPTS_MAX: usize = 256;
/// Without spinning, polling begins this long before an answer is due.
const LEAD: Nanos = Nanos::from_micros(80);
/// Longest sleep; only a bound.
const SLEEP_MAX: Nanos = Nanos::SECOND;
/// Longest writing of a page of the server's own.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ERROR: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno";

struct Connection {
    socket: OwnedFd,
    unread: Vec<u8>,
    /// An answer is outstanding; what comes meanwhile waits.
    is_busy: bool,
    generation: u32,
}

/// Something to write at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: Nanos,
    index: u32,
    generation: u32,
    what: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Writing {
    Ok,
    Error,
    SlowHead,
    /// So many pieces are still to come, this one included.
    Piece(u32),
}

pub(super) struct Server {
    epoll: OwnedFd,
    listener: OwnedFd,
    desk: Desk,
    books: Books,
    timers: BinaryHeap<Reverse<Timer>>,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    generation: u32,
    spins: bool,
    piece: Vec<u8>,
    /// Numbers requests that bear none.
    unnumbered: u64,
}

impl Server {
    pub fn new(listener: OwnedFd, behaviour: Behaviour, spins: bool) -> Result<Server, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        Ok(Server {
            epoll,
            listener,
            desk: Desk::new(behaviour),
            books: Books::new(),
            timers: BinaryHeap::new(),
            connections: Vec::new(),
            free: Vec::new(),
            generation: 0,
            spins,
            piece: vec![0; request::REQUEST_MAX],
            unnumbered: 0,
        })
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When epoll fails.
    pub fn run(mut self) -> Result<(), Errno> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
            // One stamp for all that were readable when the wait was over.
            let now = clock::now();
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(now),
                    data => self.readable(data, now),
                }
            }
            self.write_due();
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> Result<(), Errno> {
        let next = self.timers.peek().map(|Reverse(timer)| timer.at);
        let pause = match next {
            _ if self.spins => Nanos::ZERO,
            Some(at) => at.saturating_sub(clock::now() + LEAD).min(SLEEP_MAX),
            None => SLEEP_MAX,
        };
        let timeout = Timespec {
            tv_sec: (pause.0 / Nanos::SECOND.0) as i64,
            tv_nsec: (pause.0 % Nanos::SECOND.0) as _,
        };
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn accept(&mut self, now: Nanos) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..ACCEPTS_MAX {
            // Without descriptors the client waits in the kernel's queue: its time-out tells.
            let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else { return };
            let _ = sockopt::set_tcp_nodelay(&socket, true);
            self.generation = self.generation.wrapping_add(1);
            let generation = self.generation;
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() as u32 - 1
            });
            let data = u64::from(generation) << 32 | u64::from(index);
            let watched = epoll::add(
                &self.epoll,
                &socket,
                epoll::EventData::new_u64(data),
                epoll::EventFlags::IN,
            );
            if watched.is_err() {
                self.free.push(index);
                continue;
            }
            self.books.counters.connections += 1;
            let unread = Vec::new();
            self.connections[index as usize] =
                Some(Connection { socket, unread, is_busy: false, generation });
            self.readable(data, now);
        }
    }

    fn named(&mut self, index: u32, generation: u32) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(index as usize)?.as_mut()?;
        (connection.generation == generation).then_some(connection)
    }

    fn readable(&mut self, data: u64, now: Nanos) {
        let (index, generation) = (data as u32, (data >> 32) as u32);
        let mut piece = std::mem::take(&mut self.piece);
        if let Some(connection) = self.named(index, generation) {
            match rustix::net::recv(
                &connection.socket,
                &mut piece[..],
                rustix::net::RecvFlags::empty(),
            ) {
                Ok((n, _)) if n > 0 => {
                    connection.unread.extend_from_slice(&piece[..n]);
                    self.take_request(index, now);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                _ => self.close(index),
            }
        }
        self.piece = piece;
    }

    /// Takes the next request of a connection, if it is whole and no answer is outstanding.
    fn take_request(&mut self, index: u32, now: Nanos) {
        let Some(connection) = self.connections[index as usize].as_mut() else { return };
        if connection.is_busy && connection.unread.len() <= request::REQUEST_MAX {
            return;
        }
        match request::read(&connection.unread) {
            Read::Whole { page, used } if !connection.is_busy => {
                connection.unread.drain(..used);
                self.serve(index, page, now);
            }
            Read::More => {}
            _ => {
                self.books.counters.refused += 1;
                self.close(index);
            }
        }
    }

    fn serve(&mut self, index: u32, page: Page, now: Nanos) {
        let id = match page {
            Page::Counters => return self.own_page(index, &self.books.counters_json()),
            Page::Arrivals => return self.own_page(index, &self.books.arrivals_bytes()),
            Page::Load(Some(id)) => id,
            Page::Load(None) => {
                self.unnumbered += 1;
                self.unnumbered
            }
        };
        self.books.arrived(id, now);
        self.desk.begin(now);
        let what = match self.desk.behaviour().fate(id) {
            Fate::Drop => {
                self.books.counters.dropped += 1;
                return self.close(index);
            }
            Fate::Answer => Writing::Ok,
            Fate::Error => Writing::Error,
            Fate::Slow => Writing::SlowHead,
        };
        let at = self.desk.answer_at(id, now);
        let Some(connection) = self.connections[index as usize].as_mut() else { return };
        connection.is_busy = true;
        let generation = connection.generation;
        self.timers.push(Reverse(Timer { at, index, generation, what }));
    }

    fn write_due(&mut self) {
        while let Some(Reverse(timer)) = self.timers.peek().copied() {
            let now = clock::now();
            if timer.at > now {
                return;
            }
            self.timers.pop();
            self.books.lateness.record(now - timer.at);
            self.write(timer, now);
        }
    }

    fn write(&mut self, timer: Timer, now: Nanos) {
        let slow = self.desk.behaviour().slow;
        let Some(connection) = self.named(timer.index, timer.generation) else {
            self.books.counters.abandoned += 1;
            return;
        };
        let pieces = slow.map_or(1, |s| s.pieces.max(1));
        let head;
        let (text, left): (&[u8], u32) = match timer.what {
            Writing::Ok => (OK, 0),
            Writing::Error => (ERROR, 0),
            Writing::SlowHead => {
                head = format!("HTTP/1.1 200 OK\r\nContent-Length: {pieces}\r\n\r\n.");
                (head.as_bytes(), pieces - 1)
            }
            Writing::Piece(left) => (b".", left - 1),
        };
        let sent = rustix::net::send(&connection.socket, text, SendFlags::NOSIGNAL);
        if sent != Ok(text.len()) {
            self.books.counters.abandoned += 1;
            return self.close(timer.index);
        }
        match timer.what {
            Writing::SlowHead => self.books.counters.slowed += 1,
            Writing::Error => self.books.counters.errors += 1,
            Writing::Ok | Writing::Piece(_) => {}
        }
        if left > 0 {
            let every = slow.map_or(Nanos::ZERO, |s| s.every);
            let next = Timer { at: timer.at + every, what: Writing::Piece(left), ..timer };
            return self.timers.push(Reverse(next));
        }
        if timer.what != Writing::Error {
            self.books.counters.answered += 1;
        }
        self.next_request(timer.index, now);
    }

    /// An answer is complete; what the client sent meanwhile has its turn.
    fn next_request(&mut self, index: u32, now: Nanos) {
        let Some(connection) = self.connections[index as usize].as_mut() else { return };
        connection.is_busy = false;
        if !connection.unread.is_empty() {
            self.take_request(index, now);
        }
    }

    /// Answers with a page of the server's own and closes. It may be megabytes, so it blocks:
    /// ask when the load is over.
    fn own_page(&mut self, index: u32, body: &[u8]) {
        if let Some(connection) = self.connections[index as usize].as_ref() {
            let _ = write_blocking(&connection.socket, body);
        }
        self.close(index);
    }

    fn close(&mut self, index: u32) {
        if self.connections[index as usize].take().is_some() {
            self.free.push(index);
        }
    }
}

fn write_blocking(socket: &OwnedFd, body: &[u8]) -> Result<(), Errno> {
    rustix::io::ioctl_fionbio(socket, false)?;
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, Some(PAGE_TIMEOUT))?;
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    for part in [head.as_bytes(), body] {
        let mut left = part;
        while !left.is_empty() {
            let n = rustix::net::send(socket, left, SendFlags::NOSIGNAL)?;
            left = &left[n..];
        }
    }
    Ok(())
}
