//! Answers of one connection while a fault is in force at this node: errors instead of work, answers
//! that wait, bulk strings that promise too much. Answers keep the order of their commands, and each
//! waits by itself: ten delayed commands of a pipeline take no longer than one.

use super::commands::{Commands, Then};
use crate::stack::faults::{Faults, MISSING_BYTES};
use crate::wire::resp::Value;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use tokio::task::JoinHandle;

/// Answers that may wait; no further command is read meanwhile.
const WAITING_MAX: usize = 1024;

/// Answers on their way out, the oldest first.
#[derive(Default)]
pub struct Late {
    waiting: VecDeque<Waiting>,
    is_closing: bool,
}

struct Waiting {
    delay: Option<JoinHandle<()>>,
    answer: Bytes,
    then: Then,
}

impl Late {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one more command may be executed.
    pub fn has_room(&self) -> bool {
        !self.is_closing && self.waiting.len() < WAITING_MAX
    }

    /// Executes a command, or not, as the rules in force will have it.
    pub fn execute(&mut self, commands: &Commands, faults: &Faults, parts: &[Bytes]) {
        let mut out = BytesMut::new();
        let mut then = Then::GoOn;
        match faults.error() {
            Some(status) => {
                commands.requests.add(1);
                let text = format!(
                    "ERR a fault asked for this error ({}); nothing was done",
                    status.as_u16()
                );
                Value::Error(text).encode(&mut out);
            }
            None => then = commands.execute(parts, &mut out),
        }
        let delay = faults.delay().map(|delay| tokio::spawn(delay.over()));
        if let Some(length) = length(&out)
            && faults.is_short()
        {
            out = short(length, &out);
            then = Then::Close;
        }
        self.push(out.freeze(), delay, then);
    }

    /// An answer after which the connection is closed, in its turn.
    pub fn end_with(&mut self, answer: Bytes) {
        self.push(answer, None, Then::Close);
    }

    fn push(&mut self, answer: Bytes, delay: Option<JoinHandle<()>>, then: Then) {
        self.is_closing |= then == Then::Close;
        self.waiting.push_back(Waiting { delay, answer, then });
    }

    /// The oldest answer, when it has waited long enough; never when there is none. May be given up
    /// and asked again.
    pub async fn next(&mut self) -> (Bytes, Then) {
        let Some(first) = self.waiting.front_mut() else { return std::future::pending().await };
        if let Some(delay) = first.delay.as_mut() {
            // It does not panic; were it to, the answer is late enough.
            let _ = delay.await;
        }
        let first = self.waiting.pop_front().expect("it was looked at a moment ago");
        (first.answer, first.then)
    }
}

impl Drop for Late {
    /// Nobody waits any more.
    fn drop(&mut self) {
        self.waiting.iter().filter_map(|w| w.delay.as_ref()).for_each(JoinHandle::abort);
    }
}

/// The length that an answer promises; only a bulk string does.
fn length(answer: &[u8]) -> Option<u64> {
    let line = answer.strip_prefix(b"$")?;
    let end = line.iter().position(|b| *b == b'\r')?;
    std::str::from_utf8(&line[..end]).ok()?.parse().ok()
}

/// The same bytes after a larger promise, without the end.
fn short(length: u64, answer: &[u8]) -> BytesMut {
    let data = &answer[answer.len() - 2 - length as usize..answer.len() - 2];
    let mut out = BytesMut::from(format!("${}\r\n", length + MISSING_BYTES).as_bytes());
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::resp::put_bulk;

    #[test]
    fn only_a_bulk_string_promises_a_length() {
        for other in ["+OK\r\n", "$-1\r\n", ":12\r\n", "*1\r\n$1\r\na\r\n", "-ERR x\r\n", ""] {
            assert_eq!(length(other.as_bytes()), None, "{other}");
        }
        for data in ["", "a", "a\r\nb", &"x".repeat(1000)] {
            let mut bulk = BytesMut::new();
            put_bulk(&mut bulk, data.as_bytes());
            assert_eq!(length(&bulk), Some(data.len() as u64));
            let expected = format!("${}\r\n{data}", data.len() + 64);
            assert_eq!(short(data.len() as u64, &bulk), expected.as_bytes());
        }
    }
}
