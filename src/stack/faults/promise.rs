//! Bodies that promise more than they bring. The length is in the head and the connection is closed
//! when the bytes are gone, so a client can see that something is missing, if it looks.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What is promised beyond what comes.
pub const MISSING_BYTES: u64 = 64;

/// A body with its promise, kept or not.
pub struct Promised<B> {
    body: B,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Kept,
    /// Promises too much, and still brings something.
    Brings,
    /// Everything was brought; hyper is given time to write it.
    Brought,
}

/// The promise was not kept; hyper closes the connection.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError<E> {
    #[error("a fault promised {MISSING_BYTES} bytes more")]
    Broken,
    #[error(transparent)]
    Body(E),
}

impl<B: Body> Promised<B> {
    pub fn kept(body: B) -> Self {
        Promised { body, stage: Stage::Kept }
    }

    /// Only for what [`has_length`].
    pub fn broken(mut answer: Response<B>) -> Response<Self> {
        // hyper writes it from the size hint.
        answer.headers_mut().remove(CONTENT_LENGTH);
        answer.map(|body| Promised { body, stage: Stage::Brings })
    }
}

impl<B> Promised<B> {
    pub fn body(&self) -> &B {
        &self.body
    }
}

/// Whether a length is sent, and as many bytes: not for HEAD, 204 and 304, nor for what is chunked.
pub fn has_length<B: Body>(asked: &Method, answer: &Response<B>) -> bool {
    asked != Method::HEAD
        && !matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && answer.body().size_hint().exact().is_some()
}

impl<B: Body<Data = Bytes> + Unpin> Body for Promised<B> {
    type Data = Bytes;
    type Error = PromiseError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.stage == Stage::Brought {
            return Poll::Ready(Some(Err(PromiseError::Broken)));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            // hyper writes what it has when a body is not ready, and drops it when a body fails.
            Poll::Ready(None) if this.stage == Stage::Brings => {
                this.stage = Stage::Brought;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => frame.map_err(PromiseError::Body),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Kept && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        match (self.stage, hint.exact()) {
            (Stage::Kept, _) | (_, None) => hint,
            (_, Some(length)) => SizeHint::with_exact(length + MISSING_BYTES),
        }
    }
}
