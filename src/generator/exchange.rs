//! A request on a connection of its own: sending, receiving, and trying again when a pooled
//! connection turned out to be dead.

use super::connections::{Sent, State};
use super::requests::{Key, NONE};
use super::worker::Worker;
use crate::base::Nanos;
use crate::record::{Cause, Outcome};
use crate::wire::http1::Progress;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

/// The server sends no more than what can be read now.
pub(super) const ENDING: EventFlags =
    EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);
/// Pieces read from one connection before the others get their turn.
const PIECES_MAX: usize = 16;

impl Worker {
    /// Renders a request and hands it to a connection that is there.
    /// `now` has just been read: nothing but rendering lies between it and the sending.
    #[inline]
    pub(super) fn send(&mut self, key: Key, connection: u32, now: Nanos) {
        if self.connections.get(connection).session.is_some() {
            return self.send_on_stream(key, connection);
        }
        let Some(request) = self.requests.get(key) else { return };
        let template = &self.load.templates[request.place.request as usize];
        let text = self.load.text(request, &mut self.request_text);
        let c = self.connections.get(connection);
        c.reader.start(template.is_head);
        c.want_body(template.wants_body);
        let sent = self.connections.send(self.pacer.epoll(), connection, key, text);
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
    pub(super) fn note_sent(&mut self, key: Key, now: Nanos) {
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
        if !self.load.is_closed_loop {
            self.lookout.sent(now, self.in_flight);
        }
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
                    self.receive(connection, key, flags.intersects(ENDING));
                }
            }
            State::Connecting(key) => {
                self.go_on_connecting(connection, key, flags.intersects(ENDING));
            }
            State::Shared => self.session_event(connection, flags),
            // The server closed it, or said something that nobody asked for.
            State::Idle => {
                let is_ending = flags.intersects(ENDING);
                let (epoll, piece) = (self.pacer.epoll(), &mut self.piece);
                if is_ending || !self.connections.is_still_idle(epoll, connection, piece) {
                    self.connections.close(connection);
                }
            }
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
    fn receive(&mut self, connection: u32, key: Key, is_ending: bool) {
        for _ in 0..PIECES_MAX {
            let n = match self.connections.receive(self.pacer.epoll(), connection, &mut self.piece)
            {
                Ok(n) => n,
                // What could be read was no plain text yet, and the end is still to come.
                Err(Errno::AGAIN) if is_ending => continue,
                Err(Errno::AGAIN) => return,
                Err(errno) => return self.lost(connection, key, broken_cause(errno), false),
            };
            let now = self.now();
            if n == 0 {
                return self.closed_by_server(connection, key, now);
            }
            let c = self.connections.get(connection);
            c.has_answer = true;
            match c.read(&self.piece[..n]) {
                Ok(Progress::Done { used }) => {
                    return self.answered(connection, key, now, used == n && !is_ending);
                }
                Ok(Progress::More)
                    if n < self.piece.len()
                        && !is_ending
                        && !self.connections.has_more(connection) =>
                {
                    return;
                }
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
        let is_spent = c.answers + 1 >= self.load.transport.requests_max;
        if let Some(body) = &mut c.body {
            self.body.clear();
            std::mem::swap(&mut self.body, body);
        }
        if is_clean && c.is_sent() && head.keep_alive && !is_spent {
            self.connections.make_idle(connection);
        } else {
            self.connections.close(connection);
        }
        let body = std::mem::take(&mut self.body);
        self.finish_answered(key, head, &body, now);
        self.body = body;
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
}

pub(super) fn broken_cause(errno: Errno) -> Cause {
    match errno {
        Errno::PIPE => Cause::ClosedEarly,
        Errno::PROTO => Cause::TlsFailed,
        _ => Cause::Reset,
    }
}
