//! A request on a connection: connecting, sending, receiving, and trying again when a pooled
//! connection turned out to be dead.

use super::connections::{Sent, State};
use super::requests::{Key, NONE};
use super::worker::Worker;
use crate::base::Nanos;
use crate::record::{Cause, Outcome};
use crate::wire::http1::Progress;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

/// Pieces read from one connection before the others get their turn.
const PIECES_MAX: usize = 16;

impl Worker {
    /// Opens a connection for a request that cannot have an idle one.
    pub(super) fn connect(&mut self, key: Key) {
        let Some(request) = self.requests.get(key) else { return };
        let address = self.load.routes.current(request.route as usize);
        match self.connections.connect(self.pacer.epoll(), address, key) {
            Ok(connection) => {
                if let Some(request) = self.requests.get_mut(key) {
                    request.connection = connection;
                }
            }
            Err(errno) => self.fail(key, connect_cause(errno)),
        }
    }

    /// Renders a request and hands it to a connection that is there.
    pub(super) fn send(&mut self, key: Key, connection: u32) {
        let Some(request) = self.requests.get(key).copied() else { return };
        let template = &self.load.templates[request.place.request as usize];
        let draws = self.load.draws(request.slot, request.index);
        template.render(&self.load.values, &draws, &mut self.request_text);
        self.connections.get(connection).reader.start(template.is_head);
        let now = self.now();
        let sent = self.connections.send(self.pacer.epoll(), connection, key, &self.request_text);
        if let Some(request) = self.requests.get_mut(key) {
            request.connection = connection;
        }
        match sent {
            Sent::All | Sent::Part => self.note_sent(key, now),
            Sent::Nothing(errno) => self.lost(connection, key, broken_cause(errno), true),
        }
    }

    /// The first byte has been handed to a socket; a second try does not count again.
    #[inline]
    fn note_sent(&mut self, key: Key, now: Nanos) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.sent.is_some() {
            return;
        }
        request.sent = Some(now);
        let (place, due) = (request.place, request.due);
        self.tally.cell(place).sent += 1;
        self.tally.record(crate::record::Tag::ConnectionWait, now - due);
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
    }

    /// Something happened on a connection.
    #[inline]
    pub(super) fn event(&mut self, connection: u32, flags: EventFlags) {
        match self.connections.get(connection).state {
            State::Busy(key) => {
                if flags.contains(EventFlags::OUT) && !self.go_on_sending(connection, key) {
                    return;
                }
                if flags.intersects(!EventFlags::OUT) {
                    self.receive(connection, key);
                }
            }
            State::Connecting(key) => {
                match self.connections.connected(self.pacer.epoll(), connection) {
                    Ok(()) => {
                        self.send(key, connection);
                        // Another may connect now.
                        self.serve_waiting();
                    }
                    Err(errno) => {
                        self.connections.close(connection);
                        self.fail(key, connect_cause(errno));
                        self.serve_waiting();
                    }
                }
            }
            // The server closed it, or said something that nobody asked for.
            State::Idle => self.connections.close(connection),
            State::Free => {}
        }
    }

    /// Whether the connection is still good.
    fn go_on_sending(&mut self, connection: u32, key: Key) -> bool {
        match self.connections.send_rest(self.pacer.epoll(), connection) {
            Ok(()) => true,
            Err(errno) => {
                self.lost(connection, key, broken_cause(errno), false);
                false
            }
        }
    }

    #[inline]
    fn receive(&mut self, connection: u32, key: Key) {
        for _ in 0..PIECES_MAX {
            let n = match self.connections.receive(connection, &mut self.piece) {
                Ok(n) => n,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(errno) => return self.lost(connection, key, broken_cause(errno), false),
            };
            let now = self.now();
            if n == 0 {
                return self.closed_by_server(connection, key, now);
            }
            let c = self.connections.get(connection);
            c.has_answer = true;
            match c.reader.feed(&self.piece[..n]) {
                Ok(Progress::Done { used }) => {
                    return self.answered(connection, key, now, used == n);
                }
                Ok(Progress::More) if n < self.piece.len() => return,
                Ok(Progress::More) => {}
                Err(_) => {
                    self.connections.close(connection);
                    self.finish(key, Outcome::TransportError, Some(Cause::BadResponse), now);
                    return self.serve_waiting();
                }
            }
        }
    }

    fn closed_by_server(&mut self, connection: u32, key: Key, now: Nanos) {
        let c = self.connections.get(connection);
        if c.has_answer && c.reader.finish().is_ok() {
            self.answered(connection, key, now, false);
        } else {
            self.lost(connection, key, Cause::ClosedEarly, false);
        }
    }

    /// The answer is complete; `is_clean` when nothing follows it.
    #[inline]
    fn answered(&mut self, connection: u32, key: Key, now: Nanos, is_clean: bool) {
        let c = self.connections.get(connection);
        let head = c.reader.head();
        if is_clean && c.is_sent() && head.keep_alive && self.load.keep_alive {
            self.connections.make_idle(connection);
        } else {
            self.connections.close(connection);
        }
        self.finish_answered(key, head, now);
        if !self.waiting.is_empty() {
            self.serve_waiting();
        }
    }

    /// The connection broke before the answer was complete. When it had served before and gave no
    /// byte of this answer it was probably closed between two requests: a request that may be sent
    /// twice, or that was not sent at all, gets one more try on a fresh connection.
    fn lost(&mut self, connection: u32, key: Key, cause: Cause, is_unsent: bool) {
        let c = self.connections.get(connection);
        let is_stale = c.answers > 0 && !c.has_answer;
        self.connections.close(connection);
        let Some(request) = self.requests.get_mut(key) else { return };
        request.connection = NONE;
        let is_idempotent = self.load.templates[request.place.request as usize].is_idempotent;
        if is_stale && !request.was_retried && (is_unsent || is_idempotent) {
            request.was_retried = true;
            let place = request.place;
            self.tally.cell(place).retried += 1;
            self.connect(key);
        } else {
            self.fail(key, cause);
        }
        self.serve_waiting();
    }

    fn fail(&mut self, key: Key, cause: Cause) {
        let now = self.now();
        self.finish(key, Outcome::TransportError, Some(cause), now);
    }
}

fn connect_cause(errno: Errno) -> Cause {
    match errno {
        Errno::CONNREFUSED => Cause::ConnectRefused,
        _ => Cause::ConnectFailed,
    }
}

fn broken_cause(errno: Errno) -> Cause {
    match errno {
        Errno::PIPE => Cause::ClosedEarly,
        _ => Cause::Reset,
    }
}
