//! Requests on the streams of HTTP/2 connections: the counterpart of `exchange`, where a connection
//! carries many at once. What ends a stream ends one request; what ends the connection ends, or
//! sends once more, all that it carried.

use super::connections::State;
use super::exchange::ENDING;
use super::requests::{Key, NONE};
use super::transport::http2::{Answer, Failure};
use super::transport::ready::{self, Token};
use super::transport::request::Prototype;
use super::worker::Worker;
use crate::record::{Cause, Outcome};
use http::uri::Scheme;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use std::task::Poll;

/// How often what is ready is looked through before the loop turns; what is left then keeps it
/// from waiting.
const ROUNDS_MAX: usize = 16;
/// Pieces read from one connection before the others get their turn.
const PIECES_MAX: usize = 16;

/// What a worker keeps for its HTTP/2 requests.
#[derive(Debug)]
pub(super) struct Streams {
    /// By kind of request.
    prototypes: Vec<Prototype>,
    scheme: Scheme,
    tokens: Vec<Token>,
    /// Whether requests have been put back into the queue.
    has_returned: bool,
}

impl Streams {
    pub fn new(n_kinds: usize, is_tls: bool) -> Streams {
        Streams {
            prototypes: (0..n_kinds).map(|_| Prototype::default()).collect(),
            scheme: if is_tls { Scheme::HTTPS } else { Scheme::HTTP },
            tokens: Vec::new(),
            has_returned: false,
        }
    }
}

impl Worker {
    /// Starts a stream for a request.
    pub(super) fn send_on_stream(&mut self, key: Key, connection: u32) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.connection = connection;
        let kind = request.place.request as usize;
        let template = &self.load.templates[kind];
        let text = self.load.text(request, &mut self.request_text);
        let wants_body = template.wants_body;
        let prototype = &mut self.streams.prototypes[kind];
        let Some((parts, body)) = prototype.request(text, &self.streams.scheme) else {
            self.fail(key, Cause::BadRequest);
            return self.settle(connection);
        };
        let now = self.now();
        let c = self.connections.get(connection);
        let Some(session) = &mut c.session else { return };
        if session.start(connection, key, parts, body, wants_body) {
            c.answers += 1;
            self.note_sent(key, now);
        } else {
            let has_served = c.answers > 0;
            self.send_again(key, Cause::GoAway, has_served);
            self.settle(connection);
        }
    }

    /// Something happened on an HTTP/2 connection.
    pub(super) fn session_event(&mut self, connection: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT)
            && let Err(errno) = self.connections.send_rest(self.pacer.epoll(), connection)
        {
            return self.session_lost(connection, super::exchange::broken_cause(errno));
        }
        if flags.intersects(!EventFlags::OUT) {
            return self.receive_frames(connection, flags.intersects(ENDING));
        }
        self.run_session(connection);
    }

    fn receive_frames(&mut self, connection: u32, is_ending: bool) {
        for _ in 0..PIECES_MAX {
            let received =
                self.connections.receive(self.pacer.epoll(), connection, &mut self.piece);
            let c = self.connections.get(connection);
            let Some(session) = &mut c.session else { return };
            match received {
                Ok(0) => {
                    session.end();
                    session.poll(connection);
                    return self.session_lost(connection, Cause::ClosedEarly);
                }
                Ok(n) => session.feed(&self.piece[..n]),
                Err(Errno::AGAIN) if is_ending => continue,
                Err(Errno::AGAIN) => return,
                Err(errno) => {
                    let cause = super::exchange::broken_cause(errno);
                    return self.session_lost(connection, cause);
                }
            }
            // Where the end has been told of it must be read now.
            let is_last = !is_ending && received.is_ok_and(|n| n < self.piece.len());
            let is_full = !self.run_session(connection);
            if is_full || (is_last && !self.connections.has_more(connection)) {
                return;
            }
        }
    }

    /// Lets a session read and write what it can; whether it can take more from the socket.
    fn run_session(&mut self, connection: u32) -> bool {
        let Some(session) = &mut self.connections.get(connection).session else { return false };
        session.poll(connection);
        let flushed = self.connections.flush(self.pacer.epoll(), connection);
        let c = self.connections.get(connection);
        let is_sent = c.is_sent();
        let Some(session) = &mut c.session else { return false };
        if let Err(errno) = flushed {
            self.session_lost(connection, super::exchange::broken_cause(errno));
            return false;
        }
        if session.is_over() {
            self.session_lost(connection, Cause::ClosedEarly);
            return false;
        }
        if session.is_full() && is_sent {
            // There is room again: what it could not write goes out in the next round.
            Token::connection(connection).waker().wake();
        }
        let is_hungry = session.is_hungry();
        if !is_sent || !is_hungry {
            let _ = self.connections.listen(self.pacer.epoll(), connection, is_hungry);
        }
        self.settle(connection);
        is_hungry
    }

    /// Closes a connection that has done its work; lists one that has room.
    fn settle(&mut self, connection: u32) {
        let c = self.connections.get(connection);
        if c.state != State::Shared {
            return;
        }
        match &c.session {
            Some(session) if session.is_spent() => self.connections.close(connection),
            _ => self.connections.list_shared(connection),
        }
    }

    /// Looks at every connection and stream for which something has happened.
    pub(super) fn run_ready(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !ready::is_any() {
                break;
            }
            let mut tokens = std::mem::take(&mut self.streams.tokens);
            ready::take(&mut tokens);
            for token in tokens.drain(..) {
                match token.stream {
                    Token::WHOLE => drop(self.run_session(token.connection)),
                    stream => self.run_stream(token.connection, stream),
                }
            }
            self.streams.tokens = tokens;
        }
        if std::mem::take(&mut self.streams.has_returned) {
            self.serve_waiting();
        }
    }

    fn run_stream(&mut self, connection: u32, stream: u32) {
        let Some(session) = &mut self.connections.get(connection).session else { return };
        match session.poll_stream(connection, stream) {
            Poll::Pending => return,
            Poll::Ready(Ok(Answer { key, head, body })) => {
                let now = self.now();
                self.finish_answered(key, head, &body, now);
            }
            Poll::Ready(Err((key, has_head, failure))) => {
                self.stream_failed(connection, key, has_head, failure, Cause::ClosedEarly);
            }
        }
        self.settle(connection);
        if !self.waiting.is_empty() {
            self.serve_waiting();
        }
    }

    /// The connection is gone. Streams whose answers had come whole are answered all the same.
    fn session_lost(&mut self, connection: u32, cause: Cause) {
        let c = self.connections.get(connection);
        let Some(mut session) = c.session.take() else { return };
        for slot in 0..session.n_slots() {
            match session.poll_stream(connection, slot) {
                Poll::Ready(Ok(Answer { key, head, body })) => {
                    let now = self.now();
                    self.finish_answered(key, head, &body, now);
                }
                Poll::Ready(Err((key, has_head, failure))) => {
                    self.stream_failed(connection, key, has_head, failure, cause);
                }
                Poll::Pending => {
                    if let Some((key, has_head)) = session.evict(slot) {
                        self.stream_failed(connection, key, has_head, Failure::Lost, cause);
                    }
                }
            }
        }
        self.connections.close(connection);
        self.serve_waiting();
    }

    /// A request may be sent again when the server says that it has not begun with it, or when it
    /// may be sent twice and nothing says that it has.
    fn stream_failed(
        &mut self,
        connection: u32,
        key: Key,
        has_head: bool,
        failure: Failure,
        lost: Cause,
    ) {
        let Some(request) = self.requests.get(key) else { return };
        let is_idempotent = self.load.templates[request.place.request as usize].is_idempotent;
        let has_served = self.connections.get(connection).answers > 1;
        let (cause, may_repeat) = match failure {
            Failure::Unprocessed => (Cause::StreamReset, true),
            Failure::Reset => (Cause::StreamReset, false),
            Failure::GoAway => (Cause::GoAway, false),
            Failure::Protocol => (Cause::BadResponse, false),
            Failure::Lost => (lost, has_served && is_idempotent),
        };
        self.send_again(key, cause, may_repeat && !has_head);
    }

    /// Lets a request wait for another connection, once, or fails it.
    fn send_again(&mut self, key: Key, cause: Cause, may_repeat: bool) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.connection = NONE;
        if !may_repeat || request.was_retried {
            return self.finish(key, Outcome::TransportError, Some(cause), self.now());
        }
        request.was_retried = true;
        let place = request.place;
        self.tally.cell(place).retried += 1;
        // It became due before all that wait.
        self.waiting.push_front(key);
        self.streams.has_returned = true;
    }

    /// A request has timed out: its stream ends, its connection goes on. A connection that carries
    /// one at a time cannot be used again.
    pub(super) fn abandon(&mut self, connection: u32, key: Key) {
        match &mut self.connections.get(connection).session {
            Some(session) => {
                session.cancel(key);
                self.settle(connection);
            }
            None => self.connections.close(connection),
        }
    }
}
