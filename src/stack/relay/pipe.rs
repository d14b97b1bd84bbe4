//! One direction of a relayed connection: reads, keeps what is to arrive later, writes.

use super::bucket::Bucket;
use super::line::{Line, What};
use super::rule::{Count, Rule};
use super::timer::Timer;
use super::way::Way;
use crate::base::{Nanos, clock};
use bytes::BytesMut;
use std::io::{self, ErrorKind};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Largest piece read at once.
const CHUNK_MAX: usize = 64 * 1024;
/// A buffer with less room than this is not read into any more. Small pieces share one buffer, so
/// that they keep little more memory than they have bytes.
const ROOM_MIN: usize = 4 * 1024;

pub struct Pipe<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    /// Of the distance, one way.
    delay: Nanos,
    way: Way,
    passed: &'a Count,
    line: Line,
    /// When the head comes out, as the rules are now.
    head_due: Option<Nanos>,
    bucket: Bucket,
    timer: Option<Timer>,
    buffer: BytesMut,
    /// The sender may still send.
    is_open: bool,
    /// It was seen that the sender has gone, so what looks like its end is none.
    has_sender_gone: bool,
    /// The instant for which the bucket made the head wait.
    waits_for: Nanos,
}

/// How a direction is over.
pub enum Over {
    /// The sender's end was passed on.
    Ended,
    /// The connection is to be reset: so it came from the sender, or a rule wants it.
    Broken(Option<Rule>),
    /// The receiver has gone; it takes no more.
    Gone,
}

/// What nothing can be done before.
enum Wait {
    Nothing,
    Until(Nanos),
    Writable,
    Over(Over),
}

impl<'a> Pipe<'a> {
    pub fn new(
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        delay: Nanos,
        way: Way,
        passed: &'a Count,
    ) -> Self {
        Pipe {
            from,
            to,
            delay,
            way,
            passed,
            line: Line::default(),
            head_due: None,
            bucket: Bucket::default(),
            timer: None,
            buffer: BytesMut::new(),
            is_open: true,
            has_sender_gone: false,
            waits_for: Nanos::ZERO,
        }
    }

    /// The sender has gone, as the other direction has seen. That is news which travels as the
    /// sender's bytes do, and after those that it sent before.
    pub fn break_off(&mut self) {
        self.has_sender_gone = true;
        if !self.is_open {
            self.line.push(clock::now(), What::Break);
        }
    }

    /// Whether all that there was has come out.
    pub fn is_done(&self) -> bool {
        !self.is_open && self.line.head().is_none()
    }

    /// Passes on until this direction is over. May be dropped at any await and called again.
    pub async fn run(&mut self) -> Over {
        loop {
            if self.way.look(self.line.bytes()) {
                self.head_due = None;
            }
            if let Some(rule) = self.way.reset() {
                return Over::Broken(Some(rule.clone()));
            }
            let wait = self.pass();
            let until = match wait {
                Wait::Over(over) => return over,
                Wait::Until(at) => Some(at),
                Wait::Nothing | Wait::Writable => None,
            };
            if until.is_some() && self.timer.is_none() {
                match Timer::new() {
                    Ok(timer) => self.timer = Some(timer),
                    // Out of descriptors: a direct connection would have been refused.
                    Err(_) => return Over::Broken(None),
                }
            }
            tokio::select! {
                biased;
                () = self.way.changed() => {}
                () = reach(&mut self.timer, until) => {}
                _ = self.to.writable(), if matches!(wait, Wait::Writable) => {}
                came = read(&mut self.from, &mut self.buffer),
                    if self.is_open && self.line.has_room() => self.take(came),
            }
        }
    }

    fn take(&mut self, came: io::Result<usize>) {
        let what = match came {
            Ok(0) if !self.has_sender_gone => What::End,
            Ok(n @ 1..) => {
                self.way.came(n);
                What::Bytes(self.buffer.split().freeze())
            }
            Ok(0) | Err(_) => What::Break,
        };
        self.is_open = matches!(what, What::Bytes(_));
        self.line.push(clock::now(), what);
    }

    /// All that may come out now.
    fn pass(&mut self) -> Wait {
        loop {
            // An unlooked rule cannot be here: nothing was awaited since.
            let Some(head) = self.line.head() else { return Wait::Nothing };
            if self.way.is_silent() {
                return Wait::Nothing;
            }
            let is_end = !matches!(head.what, What::Bytes(_));
            let due = *self.head_due.get_or_insert_with(|| {
                let late = if is_end { self.way.slow_close() } else { Nanos::ZERO };
                head.read + self.delay + self.way.latency() + late
            });
            if due > head.read && due > clock::now() {
                return Wait::Until(due);
            }
            let wait = match &head.what {
                What::Bytes(_) => self.write(),
                What::End => Some(Wait::Over(self.end())),
                What::Break => {
                    self.way.ended();
                    Some(Wait::Over(Over::Broken(None)))
                }
            };
            if let Some(wait) = wait {
                return wait;
            }
        }
    }

    /// Writes of the head what may be written; what that has to wait for.
    fn write(&mut self) -> Option<Wait> {
        let Some(What::Bytes(bytes)) = self.line.head().map(|head| &head.what) else { return None };
        let mut n = self.way.until_cut().map_or(bytes.len(), |left| bytes.len().min(left as usize));
        let rate = self.way.rate();
        if let Some(rate) = rate {
            match self.bucket.allows(rate, n, clock::now()) {
                Ok(slice) => n = slice,
                Err(at) => {
                    if std::mem::replace(&mut self.waits_for, at) != at {
                        self.way.waits();
                    }
                    return Some(Wait::Until(at));
                }
            }
        }
        match self.to.try_write(&bytes[..n]) {
            Ok(n) => {
                if let Some(rate) = rate {
                    self.bucket.spend(rate, n, clock::now());
                }
                self.passed.add(n);
                self.way.passed(n);
                if self.line.advance(n) {
                    self.head_due = None;
                }
                let cut = self.way.reset().cloned();
                cut.map(|rule| Wait::Over(Over::Broken(Some(rule))))
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Some(Wait::Writable),
            Err(_) => Some(Wait::Over(Over::Gone)),
        }
    }

    fn end(&mut self) -> Over {
        self.line.pop();
        self.head_due = None;
        self.way.ended();
        match rustix::net::shutdown(self.to.as_ref(), rustix::net::Shutdown::Write) {
            // The receiver has gone already; there is nothing left to close.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Over::Ended,
            Err(_) => Over::Gone,
        }
    }
}

async fn read(from: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() < ROOM_MIN {
        buffer.reserve(CHUNK_MAX);
    }
    from.read_buf(buffer).await
}

/// Never, when there is nothing to wait for.
async fn reach(timer: &mut Option<Timer>, until: Option<Nanos>) {
    match (timer, until) {
        // The kernel takes any instant that a clock can show; should it not, now is the best answer.
        (Some(timer), Some(at)) => drop(timer.until(at).await),
        _ => std::future::pending().await,
    }
}
