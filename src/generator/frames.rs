//! What brunt and its worker processes say to each other: values in postcard's encoding, each
//! behind its length.

use super::exact::Exact;
use crate::base::Nanos;
use crate::record::Snapshot;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};

/// A longer frame is nonsense; a plan with a large table fits.
const FRAME_MAX: usize = 1 << 30;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// A [`WorkerPlan`](super::WorkerPlan).
    Plan(Exact),
    /// Instant 0 on `CLOCK_MONOTONIC`, which all processes of a machine share.
    Begin(Nanos),
    Stop,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// Waits for [`ToWorker::Begin`].
    Ready,
    /// Boxed for its size.
    Snapshot(Box<Snapshot>),
    /// Nothing follows; why when it was not as it should be.
    Ended(Result<(), String>),
}

/// A value as it is written into a socket.
pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let bytes = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    seal(bytes)
}

fn seal(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let length = bytes.len() - 4;
    if length > FRAME_MAX {
        let text = format!("{length} bytes are too many for another process ({FRAME_MAX} at most)");
        return Err(io::Error::other(text));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Bytes that have come and are not a whole value yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Reads once; whether the other end is still there.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn fill(&mut self, socket: &mut impl Read) -> io::Result<bool> {
        let mut piece = [0; 64 << 10];
        match socket.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.bytes.extend_from_slice(&piece[..n]);
                Ok(true)
            }
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                Ok(true)
            }
            Err(e) => Err(e),
        }
    }

    /// The next value if all of it has come.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > FRAME_MAX {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let value = postcard::from_bytes(body).map_err(io::Error::other)?;
        self.bytes.drain(..4 + length);
        Ok(Some(value))
    }

    /// Waits for the next value on a socket that blocks; `None` when the other end has gone.
    ///
    /// # Errors
    /// As [`Inbox::fill`] and [`Inbox::take`].
    pub fn wait<T: DeserializeOwned>(&mut self, socket: &mut impl Read) -> io::Result<Option<T>> {
        loop {
            if let Some(value) = self.take()? {
                return Ok(Some(value));
            }
            if !self.fill(socket)? {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Histogram;
    use crate::record::{Cause, Cell, Ledger, Operation, OperationKind, Outcome, Tag};
    use proptest::prelude::*;

    fn snapshot(values: &[u64], counts: &[u64]) -> Snapshot {
        let mut histogram = Histogram::new();
        values.iter().for_each(|v| histogram.record(Nanos(*v)));
        let cell = |n: &u64| Cell {
            second: *n as u32,
            request: 3,
            ledger: Ledger { planned: *n, ok: n / 2, ..Ledger::default() },
            sent: n / 3,
            ..Cell::default()
        };
        let operation = Operation {
            kind: OperationKind::Acknowledged,
            session: 16,
            key: u64::MAX,
            id: 7,
            version: 0,
            started: Nanos(1),
            ended: Nanos::MAX,
        };
        Snapshot {
            worker: 71,
            at: Nanos(5),
            cells: counts.iter().map(cell).collect(),
            histograms: vec![
                (Tag::Response { request: 1, phase: 2 }, histogram),
                (Tag::StartLag, Histogram::new()),
            ],
            causes: vec![(Outcome::HttpError, Cause::Status(503), u64::MAX)],
            operations: vec![operation],
            memory: 1 << 40,
            is_last: true,
            ..Snapshot::default()
        }
    }

    proptest! {
        #[test]
        fn what_arrives_in_pieces_is_what_was_sent(
            values in proptest::collection::vec(0u64..8_000_000_000_000, 0..200),
            counts: Vec<u64>,
            cut in 1usize..4096,
        ) {
            let sent = snapshot(&values, &counts);
            let mut bytes = encode(&FromWorker::Ready).unwrap();
            bytes.extend(encode(&FromWorker::Snapshot(Box::new(snapshot(&values, &counts)))).unwrap());
            let mut inbox = Inbox::default();
            let mut seen = Vec::new();
            for mut piece in bytes.chunks(cut) {
                inbox.fill(&mut piece).unwrap();
                while let Some(value) = inbox.take::<FromWorker>().unwrap() {
                    seen.push(value);
                }
            }
            let [FromWorker::Ready, FromWorker::Snapshot(got)] = seen.as_slice() else {
                panic!("{seen:?}")
            };
            prop_assert_eq!(&got.cells, &sent.cells);
            prop_assert_eq!(&got.causes, &sent.causes);
            prop_assert_eq!(&got.operations, &sent.operations);
            prop_assert_eq!((got.worker, got.at, got.memory), (sent.worker, sent.at, sent.memory));
            let (tag, histogram) = &got.histograms[0];
            prop_assert_eq!(tag, &sent.histograms[0].0);
            prop_assert_eq!(histogram.hdr(), sent.histograms[0].1.hdr());
            prop_assert_eq!(histogram.saturated(), sent.histograms[0].1.saturated());
            prop_assert!(got.histograms[1].1.is_empty());
        }

        #[test]
        fn nonsense_is_an_error_or_incomplete_never_a_panic(bytes: Vec<u8>) {
            let mut inbox = Inbox { bytes };
            let _ = inbox.take::<FromWorker>();
        }
    }
}
