//! Floor 4: the waist between measuring and judging. Samples, events, snapshots, the manifest,
//! the recorder that writes a run's folder and the reader that opens it again.

mod error;
mod event;
mod files;
mod heat;
mod history;
mod hlog;
mod names;
mod output;
mod pending;
mod reader;
mod recorder;
mod snapshot;

#[cfg(test)]
pub(crate) mod tests;

pub use error::RecordError;
pub use event::{Event, EventKind, NOT_STEADY, NodeEvent, NodeEventKind, OVER_LIMIT};
pub use files::{GeneratorUsage, Manifest, NodeRow, Record, SCHEMA, SeriesRow, WORKER};
pub use heat::{Heat, HeatSecond};
pub use recorder::Recorder;
pub use snapshot::{Cause, Cell, Ledger, Operation, OperationKind, Outcome, Snapshot, Tag};
