//! The two ends of a connection's bytes: HTTP/2 reads and writes one, the worker fills and empties
//! the other. Nothing here waits or wakes: the worker polls after it has done either.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that HTTP/2 may have written and the socket not yet taken.
const OUT_MAX: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// From the socket, from `read` on not yet taken.
    incoming: Vec<u8>,
    read: usize,
    /// Nothing more will come.
    pub is_ended: bool,
    pub outgoing: Vec<u8>,
    /// HTTP/2 had more to write than fits.
    pub is_full: bool,
}

impl Pipe {
    /// Whether all that came has been taken, so that more may come.
    pub fn is_read(&self) -> bool {
        self.read == self.incoming.len()
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.is_read() {
            self.incoming.clear();
            self.read = 0;
        }
        self.incoming.extend_from_slice(bytes);
    }
}

/// The end that HTTP/2 holds.
#[derive(Debug)]
pub(super) struct PipeEnd(pub Rc<RefCell<Pipe>>);

impl AsyncRead for PipeEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut guard = self.0.borrow_mut();
        let pipe = &mut *guard;
        let rest = &pipe.incoming[pipe.read..];
        if rest.is_empty() {
            return if pipe.is_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let n = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..n]);
        pipe.read += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        let room = OUT_MAX.saturating_sub(pipe.outgoing.len());
        if room == 0 {
            pipe.is_full = true;
            return Poll::Pending;
        }
        let n = bytes.len().min(room);
        pipe.outgoing.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
