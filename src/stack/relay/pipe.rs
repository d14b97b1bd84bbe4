//! One direction of a relayed connection: a delay line with bounded content.

use super::link::Way;
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
    /// When it was read; the distance and what faults add count from here.
    read: Nanos,
    what: io::Result<Bytes>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Moves bytes from one socket to the other until the first says it is done, then half-closes.
/// `delay` is the distance; `way` what faults want of this direction.
///
/// # Errors
/// When either side breaks, or a fault breaks it; a reset is reported when it is due, not when it
/// is seen.
pub async fn carry(from: &TcpStream, to: &TcpStream, delay: Nanos, way: Way) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let drain = Drain { to, timer: Timer::new()?, delay, way, free_at: Nanos::ZERO };
    let (_, written) = tokio::join!(fill(from, sender), drain.run(receiver));
    written
}

/// Reads and stamps. Ends after the end of the stream, an error, or when nobody takes pieces.
async fn fill(from: &TcpStream, line: mpsc::Sender<Piece>) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut buffer = BytesMut::new();
    loop {
        let piece = tokio::select! {
            // Whoever drains has failed: there is no use in reading on.
            () = line.closed() => return,
            piece = read(from, &mut buffer) => piece,
        };
        let is_last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
        let read = clock::now();
        let n = piece.as_ref().map_or(0, Bytes::len) as u32;
        let taken = room.clone().acquire_many_owned(n);
        let _room = tokio::select! {
            () = line.closed() => return,
            taken = taken => taken.ok(),
        };
        if line.send(Piece { read, what: piece, _room }).await.is_err() || is_last {
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

/// The end of a direction where bytes come out.
struct Drain<'a> {
    to: &'a TcpStream,
    timer: Timer,
    delay: Nanos,
    way: Way,
    /// With a bandwidth: when the next slice may go.
    free_at: Nanos,
}

/// At a bandwidth, bytes go in slices of so long.
const SLICE: Nanos = Nanos::from_millis(5);

impl Drain<'_> {
    async fn run(mut self, mut line: mpsc::Receiver<Piece>) -> io::Result<()> {
        loop {
            // A reset hits a connection on which nothing is under way, too.
            let piece = tokio::select! {
                piece = line.recv() => piece,
                () = self.way.changed() => {
                    self.break_when_reset()?;
                    continue;
                }
            };
            let Some(piece) = piece else { return Ok(()) };
            self.arrive(&piece).await?;
            let bytes = piece.what?;
            if bytes.is_empty() {
                return half_close(self.to);
            }
            self.write(&bytes).await?;
        }
    }

    /// Waits until this piece is to come out, as the rules want it now; a rule that changes
    /// meanwhile counts from then on.
    async fn arrive(&mut self, piece: &Piece) -> io::Result<()> {
        if !self.way.is_free() {
            self.way.look();
        }
        let is_end = !matches!(&piece.what, Ok(bytes) if !bytes.is_empty());
        loop {
            self.break_when_reset()?;
            if self.way.is_silent() {
                self.way.changed().await;
                continue;
            }
            let mut due = piece.read + self.delay + self.way.latency();
            if is_end {
                due += self.way.slow_close();
            }
            tokio::select! {
                biased;
                done = self.timer.until(due) => return done,
                () = self.way.changed() => {}
            }
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slice = self.slice(bytes.len()).await?;
            if slice == 0 {
                self.way.cut();
                return Err(ErrorKind::ConnectionReset.into());
            }
            write_all(self.to, &bytes[..slice]).await?;
            self.way.passed(slice);
            bytes = &bytes[slice..];
        }
        Ok(())
    }

    /// How many of these bytes may go now, after the wait that a bandwidth asks for; none when the
    /// connection is to be cut here.
    async fn slice(&mut self, n: usize) -> io::Result<usize> {
        loop {
            self.break_when_reset()?;
            if self.way.is_silent() {
                self.way.changed().await;
                continue;
            }
            let allowed = self.way.until_cut().map_or(n, |left| n.min(left as usize));
            let Some(rate) = self.way.rate() else { return Ok(allowed) };
            let slice = allowed.min((rate as f64 * SLICE.as_secs_f64()).ceil() as usize);
            tokio::select! {
                biased;
                done = self.timer.until(self.free_at) => done?,
                () = self.way.changed() => continue,
            }
            let cost = Nanos::from_secs_f64(slice as f64 / rate as f64);
            self.free_at = self.free_at.max(clock::now()) + cost;
            return Ok(slice);
        }
    }

    fn break_when_reset(&self) -> io::Result<()> {
        match self.way.is_reset() {
            true => Err(ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
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
