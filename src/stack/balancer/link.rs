//! One connection to a member: hyper's client, driven by whoever uses it. There is no task behind
//! it, so an exchange needs no wake-up from one task to another; an idle link costs nothing, and
//! that its peer closed it is found at the next use, before anything is sent.

use super::seat::{Interrupt, Seat};
use crate::base::Nanos;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::net::TcpStream;

/// Largest head of an answer, and how much of a body is read at once.
const BUFFER_MAX: usize = 64 * 1024;

/// What is sent to a member as the body of a request.
#[derive(Debug)]
pub enum Upload {
    Empty,
    Stream(Incoming),
}

impl Upload {
    pub fn of(body: Incoming) -> Upload {
        match body.is_end_stream() {
            true => Upload::Empty,
            false => Upload::Stream(body),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Upload::Empty)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Upload::Empty => Poll::Ready(None),
            Upload::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Empty => true,
            Upload::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Stream(body) => body.size_hint(),
        }
    }
}

/// Why an exchange gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// Not one byte was written; here is the request again.
    Unsent(Box<Request<Upload>>),
    /// Sent at least in part; the member broke off or answered nonsense.
    Broken,
    /// The client broke off while its body was being passed on.
    ClientGone,
    Interrupted(Interrupt),
}

pub struct Link {
    sender: SendRequest<Upload>,
    /// Dropped as soon as it ends: that is what hands an unsent request back.
    driver: Option<Connection<TokioIo<TcpStream>, Upload>>,
    /// Whether it carried an exchange before: its peer may have closed it since.
    pub is_reused: bool,
    pub idle_since: Nanos,
}

impl Link {
    /// Connects, unless the seat is interrupted before.
    ///
    /// # Errors
    /// Refused or interrupted; nothing was sent in either case.
    pub async fn connect(address: SocketAddr, seat: &Seat) -> Result<Box<Link>, Option<Interrupt>> {
        let mut connecting = pin!(TcpStream::connect(address));
        let stream = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done.map_err(|_| None)),
            Poll::Pending => match seat.interrupted() {
                Some(why) => Poll::Ready(Err(Some(why))),
                None => Poll::Pending,
            },
        })
        .await?;
        let _ = stream.set_nodelay(true);
        let (sender, driver) = Builder::new()
            .max_buf_size(BUFFER_MAX)
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| None)?;
        let idle_since = Nanos::ZERO;
        Ok(Box::new(Link { sender, driver: Some(driver), is_reused: false, idle_since }))
    }

    /// One request, the head of its answer.
    ///
    /// # Errors
    /// See [`Failure`]; after one the link is of no use.
    pub async fn send(
        &mut self,
        seat: &Seat,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            drive(&mut self.driver, cx);
            // Only the driver can bring the answer, and it runs here: no waker is needed, unless
            // tokio put the task off because it did enough for one turn.
            let quiet = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(done) = answer.as_mut().poll(quiet) {
                return Poll::Ready(done.map_err(|mut e| match e.take_message() {
                    Some(request) => Failure::Unsent(Box::new(request)),
                    None if e.error().is_user() => Failure::ClientGone,
                    None => Failure::Broken,
                }));
            }
            if let Some(why) = seat.interrupted() {
                return Poll::Ready(Err(Failure::Interrupted(why)));
            }
            if !tokio::task::coop::has_budget_remaining() {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    /// The next piece of an answer's body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let quiet = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(quiet) {
            return Poll::Ready(frame);
        }
        drive(&mut self.driver, cx);
        Pin::new(body).poll_frame(quiet)
    }

    /// After an answer was read to its end: whether another request can be sent.
    pub fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.sender.is_ready() {
            drive(&mut self.driver, cx);
        }
        self.is_ready_now()
    }

    /// The same without a task at hand.
    pub fn is_ready_now(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn drive(driver: &mut Option<Connection<TokioIo<TcpStream>, Upload>>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
    }
}
