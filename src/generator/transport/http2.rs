//! One HTTP/2 connection: its streams and what has become of them. The frames are h2's business;
//! it is polled here, on the worker's own loop, and only where something has happened.

use super::pipe::{Pipe, PipeEnd};
use super::ready::Token;
use crate::generator::checks;
use crate::generator::requests::Key;
use crate::plan::Http2Plan;
use crate::wire::http1::{HEAD_MAX, Head};
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(in crate::generator) struct Session {
    pipe: Rc<RefCell<Pipe>>,
    connection: Connection<PipeEnd, Bytes>,
    sender: SendRequest<Bytes>,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    n_active: u32,
    /// Streams at once that we and the server allow.
    limit: u32,
    streams_max: u32,
    /// Requests that it may still carry.
    n_left: u64,
    /// Takes no new streams, whatever room it has.
    is_retired: bool,
    is_over: bool,
}

struct Stream {
    key: Key,
    sender: SendStream<Bytes>,
    stage: Stage,
    /// The body as far as it is wanted.
    body: Option<Vec<u8>>,
}

enum Stage {
    Head(ResponseFuture),
    Body(Head, RecvStream),
}

/// A whole answer.
#[derive(Debug)]
pub(in crate::generator) struct Answer {
    pub key: Key,
    pub head: Head,
    pub body: Vec<u8>,
}

/// Why a stream has no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generator) enum Failure {
    /// The server says that it has not begun with it.
    Unprocessed,
    Reset,
    GoAway,
    /// The connection ended.
    Lost,
    /// The server broke the rules of HTTP/2.
    Protocol,
}

impl Session {
    /// `allowed`: the streams that the server allowed on an earlier connection; until it says so on
    /// this one there is nothing better to go by.
    pub fn new(plan: &Http2Plan, allowed: u32, requests_max: u64) -> Result<Session, h2::Error> {
        let pipe = Rc::new(RefCell::new(Pipe::default()));
        let end = PipeEnd(pipe.clone());
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(plan.stream_window)
            .initial_connection_window_size(plan.connection_window)
            .initial_max_send_streams(allowed as usize)
            .max_concurrent_reset_streams(plan.streams_max as usize)
            .max_header_list_size(HEAD_MAX as u32)
            .handshake::<_, Bytes>(end);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(made) = pin!(handshake).poll(&mut context) else {
            unreachable!("an empty pipe takes the preface at once");
        };
        let (sender, connection) = made?;
        Ok(Session {
            pipe,
            connection,
            sender,
            streams: Vec::new(),
            free: Vec::new(),
            n_active: 0,
            limit: plan.streams_max.min(allowed),
            streams_max: plan.streams_max,
            n_left: requests_max,
            is_retired: false,
            is_over: false,
        })
    }

    /// Streams at once that both sides allow.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    pub fn n_active(&self) -> u32 {
        self.n_active
    }

    /// Whether `more` streams fit now.
    pub fn has_room(&self, more: u32) -> bool {
        !self.is_retired && self.n_active + more <= self.limit && u64::from(more) <= self.n_left
    }

    /// Whether it has done all it ever will.
    pub fn is_spent(&self) -> bool {
        self.is_over || (self.n_active == 0 && (self.is_retired || self.n_left == 0))
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether it can take more bytes from the socket.
    pub fn is_hungry(&self) -> bool {
        self.pipe.borrow().is_read()
    }

    /// Whether it has more to say than could be written.
    pub fn is_full(&self) -> bool {
        self.pipe.borrow().is_full
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.pipe.borrow_mut().feed(bytes);
    }

    /// Nothing more will come from the socket.
    pub fn end(&mut self) {
        self.pipe.borrow_mut().is_ended = true;
    }

    /// Exchanges what has to be written for `empty`.
    pub fn swap_outgoing(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.pipe.borrow_mut().outgoing, empty);
    }

    /// Reads and writes frames as far as there is something to read and room to write.
    pub fn poll(&mut self, index: u32) {
        if self.is_over {
            return;
        }
        self.pipe.borrow_mut().is_full = false;
        let waker = Token::connection(index).waker();
        let polled = Pin::new(&mut self.connection).poll(&mut Context::from_waker(&waker));
        self.is_over = polled.is_ready();
        let allowed = u32::try_from(self.sender.current_max_send_streams()).unwrap_or(u32::MAX);
        self.limit = self.streams_max.min(allowed);
    }

    /// Starts a stream; `false` when the connection takes none any more.
    pub fn start(
        &mut self,
        index: u32,
        key: Key,
        request: Request<()>,
        body: Bytes,
        wants_body: bool,
    ) -> bool {
        let waker = Token::connection(index).waker();
        let is_ready = self.sender.poll_ready(&mut Context::from_waker(&waker));
        if !matches!(is_ready, Poll::Ready(Ok(()))) {
            self.is_retired = true;
            return false;
        }
        let has_body = !body.is_empty();
        let Ok((response, mut sender)) = self.sender.send_request(request, !has_body) else {
            self.is_retired = true;
            return false;
        };
        if has_body && sender.send_data(body, true).is_err() {
            return false;
        }
        let stage = Stage::Head(response);
        let stream = Stream { key, sender, stage, body: wants_body.then(Vec::new) };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as u32 - 1
        });
        self.streams[slot as usize] = Some(stream);
        self.n_active += 1;
        self.n_left -= 1;
        // Looked at once, so that the answer wakes it.
        Token { connection: index, stream: slot }.waker().wake();
        true
    }

    /// How far a stream is; when it has ended it is gone.
    pub fn poll_stream(
        &mut self,
        index: u32,
        slot: u32,
    ) -> Poll<Result<Answer, (Key, bool, Failure)>> {
        let Some(Some(stream)) = self.streams.get_mut(slot as usize) else { return Poll::Pending };
        let waker = Token { connection: index, stream: slot }.waker();
        let result = std::task::ready!(stream.poll(&mut Context::from_waker(&waker)));
        let stream = self.remove(slot).expect("it was there a moment ago");
        let has_head = matches!(stream.stage, Stage::Body(..));
        Poll::Ready(match result {
            Ok(head) => Ok(Answer { key: stream.key, head, body: stream.body.unwrap_or_default() }),
            Err(error) => Err((stream.key, has_head, failure(&error))),
        })
    }

    /// Tells the server that nobody waits for this answer any more.
    pub fn cancel(&mut self, key: Key) {
        let is_it = |s: &Option<Stream>| s.as_ref().is_some_and(|s| s.key == key);
        let Some(slot) = self.streams.iter().position(is_it) else { return };
        if let Some(mut stream) = self.remove(slot as u32) {
            stream.sender.send_reset(Reason::CANCEL);
        }
    }

    /// How many slots there are; each holds a stream or none.
    pub fn n_slots(&self) -> u32 {
        self.streams.len() as u32
    }

    /// Takes the stream out of a slot, whatever its state.
    pub fn evict(&mut self, slot: u32) -> Option<(Key, bool)> {
        let stream = self.remove(slot)?;
        Some((stream.key, matches!(stream.stage, Stage::Body(..))))
    }

    fn remove(&mut self, slot: u32) -> Option<Stream> {
        let stream = self.streams[slot as usize].take()?;
        self.free.push(slot);
        self.n_active -= 1;
        Some(stream)
    }
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, h2::Error>> {
        loop {
            match &mut self.stage {
                Stage::Head(response) => {
                    let answer = std::task::ready!(Pin::new(response).poll(context))?;
                    let head = head(&answer);
                    let body = answer.into_body();
                    let is_whole = body.is_end_stream();
                    self.stage = Stage::Body(head, body);
                    if is_whole {
                        return Poll::Ready(Ok(head));
                    }
                }
                Stage::Body(head, from) => match std::task::ready!(from.poll_data(context)) {
                    Some(data) => {
                        let data = data?;
                        from.flow_control().release_capacity(data.len())?;
                        if let Some(body) = &mut self.body {
                            checks::collect(body, &data);
                        }
                        if from.is_end_stream() {
                            return Poll::Ready(Ok(*head));
                        }
                    }
                    None => return Poll::Ready(Ok(*head)),
                },
            }
        }
    }
}

fn head(answer: &http::Response<RecvStream>) -> Head {
    let version = answer.headers().get("x-version").and_then(|value| value.to_str().ok());
    Head {
        status: answer.status().as_u16(),
        keep_alive: true,
        version: version.and_then(|text| text.trim().parse().ok()),
    }
}

fn failure(error: &h2::Error) -> Failure {
    let is_remote = error.is_remote();
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_reset() && is_remote => Failure::Unprocessed,
        // h2 gives this to the streams beyond the last one that the server will work on.
        Some(Reason::NO_ERROR) if error.is_go_away() && is_remote => Failure::Unprocessed,
        Some(_) if error.is_reset() && is_remote => Failure::Reset,
        Some(_) if error.is_go_away() && is_remote => Failure::GoAway,
        Some(_) => Failure::Protocol,
        None => Failure::Lost,
    }
}
