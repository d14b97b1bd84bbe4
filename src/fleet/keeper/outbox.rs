//! Lines to brunt, never waited for: a stopped brunt must not stop the keeper.

use crate::fleet::protocol::Tell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;

/// Beyond this, events are dropped and counted; answers are not (brunt asks one at a time a thread).
const BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<u8>,
    dropped: u64,
}

impl Outbox {
    pub fn push(&mut self, tell: &Tell) {
        let is_answer = matches!(tell, Tell::Answer { .. });
        if self.waiting.len() > BYTES_MAX && !is_answer {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 && self.waiting.len() < BYTES_MAX / 2 {
            let text = format!("{} events were dropped: brunt did not read", self.dropped);
            self.dropped = 0;
            self.append(&Tell::Note { text });
        }
        self.append(tell);
    }

    fn append(&mut self, tell: &Tell) {
        let line = serde_json::to_vec(tell).expect("a message is plain data");
        self.waiting.extend(line);
        self.waiting.push_back(b'\n');
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes what the socket takes. A broken socket shows as end of file on the reading side.
    pub fn flush(&mut self, socket: &mut UnixStream) {
        while !self.waiting.is_empty() {
            match socket.write(self.waiting.as_slices().0) {
                Ok(0) => return,
                Ok(n) => drop(self.waiting.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.waiting.clear(),
            }
        }
    }
}
