//! The body of an answer on its way to the client. What is already there whole (most answers)
//! is passed as one piece and the link is free at once; the rest streams.

use super::link::Link;
use super::seat::Seat;
use super::shard::{IDLE_MAX, Lease, Shard, UnderWay};
use crate::base::clock;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub enum Answer {
    Whole(Bytes),
    Stream(Box<Stream>),
}

/// Why a streamed body ended too early; hyper then closes the client's connection, so that the
/// client cannot take the part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("the member broke off in the middle of its answer: {0}")]
    Broken(hyper::Error),
    #[error("the member stopped in the middle of its answer")]
    Interrupted,
}

pub struct Stream {
    shard: Rc<Shard>,
    seat: Rc<Seat>,
    lease: Lease,
    link: Option<Box<Link>>,
    body: Incoming,
    /// Read together with the head.
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    _under_way: UnderWay,
}

impl Answer {
    /// Takes over the rest of an exchange whose head has arrived.
    pub fn of(
        shard: &Rc<Shard>,
        seat: &Rc<Seat>,
        lease: Lease,
        link: Box<Link>,
        mut body: Incoming,
        under_way: UnderWay,
    ) -> Answer {
        let now = clock::now();
        let mut first = None;
        let is_whole = body.is_end_stream() || {
            let quiet = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(quiet) {
                first = frame;
            }
            body.is_end_stream()
        };
        if is_whole && first.as_ref().is_none_or(|f| f.as_ref().is_ok_and(Frame::is_data)) {
            if link.is_ready_now() {
                shard.keep_link(lease.member, link, now);
            }
            seat.arm(now + IDLE_MAX, None);
            let data = first.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
            return Answer::Whole(data.unwrap_or_default());
        }
        seat.arm(now + shard.settings.response_timeout, Some(lease.member));
        let (shard, seat, link) = (shard.clone(), seat.clone(), Some(link));
        let stream = Stream { shard, seat, lease, link, body, first, _under_way: under_way };
        Answer::Stream(Box::new(stream))
    }
}

impl Answer {
    /// Sets the deadline anew for who has to take this answer.
    pub fn arm(&self, seat: &Seat) {
        let now = clock::now();
        match self {
            Answer::Whole(_) => seat.arm(now + IDLE_MAX, None),
            Answer::Stream(stream) => {
                let deadline = now + stream.shard.settings.response_timeout;
                seat.arm(deadline, Some(stream.lease.member));
            }
        }
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let Some(link) = self.link.as_mut() else { return Poll::Ready(None) };
        let next = match self.first.take() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => link.poll_body(cx, &mut self.body),
        };
        match next {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = clock::now() + self.shard.settings.response_timeout;
                self.seat.arm(deadline, Some(self.lease.member));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.shard.table.failed(self.lease.member);
                self.link = None;
                Poll::Ready(Some(Err(StreamError::Broken(error))))
            }
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(None)
            }
            Poll::Pending if self.seat.interrupted().is_some() => {
                self.link = None;
                Poll::Ready(Some(Err(StreamError::Interrupted)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let now = clock::now();
        self.seat.arm(now + IDLE_MAX, None);
        if let Some(mut link) = self.link.take()
            && link.is_ready(cx)
        {
            self.shard.keep_link(self.lease.member, link, now);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // hyper stops polling a body once its announced length is written.
        if self.body.is_end_stream() {
            self.finish(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match self.get_mut() {
            Answer::Whole(data) if data.is_empty() => Poll::Ready(None),
            Answer::Whole(data) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Answer::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole(data) => data.is_empty(),
            Answer::Stream(stream) => stream.first.is_none() && stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(data) => SizeHint::with_exact(data.len() as u64),
            Answer::Stream(stream) => {
                let first = stream.first.as_ref().and_then(|frame| frame.as_ref().ok());
                let read = first.and_then(Frame::data_ref).map_or(0, Bytes::len);
                match stream.body.size_hint().exact() {
                    Some(left) => SizeHint::with_exact(left + read as u64),
                    None => SizeHint::default(),
                }
            }
        }
    }
}
