//! One direction of a relayed connection: a delay line with bounded content.

use super::timer::Timer;
use crate::base::{Nanos, clock};
use bytes::{Bytes, BytesMut};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes under way in one direction of one connection; beyond it the sender is not read until
/// some have arrived, as with a full TCP window. At 50 ms one way this allows 20 MB/s.
const UNDER_WAY_MAX: usize = 1024 * 1024;
/// Largest piece read at once.
const CHUNK_MAX: usize = 32 * 1024;
/// Pieces under way, so that single bytes cannot make the line long.
const CHUNKS_MAX: usize = 4096;

struct Piece {
    due: Nanos,
    what: io::Result<Bytes>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Moves bytes from one socket to the other until the first says it is done, then half-closes.
///
/// # Errors
/// When either side breaks; a reset is reported when it is due, not when it is seen.
pub async fn carry(from: &TcpStream, to: &TcpStream, delay: Nanos) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let timer = Timer::new()?;
    let (_, written) = tokio::join!(fill(from, sender, delay), drain(to, receiver, &timer));
    written
}

/// Reads and stamps. Ends after the end of the stream, an error, or when nobody takes pieces.
async fn fill(from: &TcpStream, line: mpsc::Sender<Piece>, delay: Nanos) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut buffer = BytesMut::new();
    loop {
        let piece = tokio::select! {
            // Whoever drains has failed: there is no use in reading on.
            () = line.closed() => return,
            read = read(from, &mut buffer) => read,
        };
        let is_last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
        let due = clock::now() + delay;
        let n = piece.as_ref().map_or(0, Bytes::len) as u32;
        let taken = room.clone().acquire_many_owned(n);
        let _room = tokio::select! {
            () = line.closed() => return,
            taken = taken => taken.ok(),
        };
        if line.send(Piece { due, what: piece, _room }).await.is_err() || is_last {
            return;
        }
    }
}

/// The next bytes; none at the end of the stream.
async fn read(from: &TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    loop {
        from.readable().await?;
        buffer.reserve(CHUNK_MAX);
        match from.try_read_buf(buffer) {
            Ok(_) => return Ok(buffer.split().freeze()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

async fn drain(to: &TcpStream, mut line: mpsc::Receiver<Piece>, timer: &Timer) -> io::Result<()> {
    while let Some(piece) = line.recv().await {
        timer.until(piece.due).await?;
        let bytes = piece.what?;
        if bytes.is_empty() {
            return half_close(to);
        }
        write_all(to, &bytes).await?;
    }
    Ok(())
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn half_close(to: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        // The other side has gone already; there is nothing left to close.
        Err(rustix::io::Errno::NOTCONN) => Ok(()),
        other => Ok(other?),
    }
}
