//! Floor 4: the waist between measuring and judging. Samples, events, snapshots, the manifest,
//! the recorder that writes a run's folder and the reader that opens it again.

mod event;
mod files;
mod snapshot;

pub use event::{Event, EventKind, NodeEvent, NodeEventKind};
pub use files::{Manifest, NodeRow, Record, SCHEMA, SeriesRow};
pub use snapshot::{Cause, Cell, Ledger, Operation, OperationKind, Outcome, Snapshot, Tag};
