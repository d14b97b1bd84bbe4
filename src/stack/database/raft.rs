//! The types that this database gives to openraft. Membership carries names only.

use openraft::storage::LogFlushed;
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// Writes proposed together: openraft 0.9 waits for the disk once per entry, so what waits at the
/// leader travels in one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Unique in the life of the proposing process.
    pub number: u64,
    /// Drawn by the proposing process at its start.
    pub proposer: u64,
    pub writes: Vec<Write>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub id: u64,
    pub kind: Kind,
    pub video: u64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Like,
    Comment,
}

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub version: u64,
    pub duplicate: bool,
}

openraft::declare_raft_types!(
    pub Types:
        D = Batch,
        R = Vec<Outcome>,
        NodeId = u64,
        Node = String,
        SnapshotData = Cursor<Vec<u8>>,
);

pub type Entry = openraft::Entry<Types>;
pub type LogId = openraft::LogId<u64>;
pub type Vote = openraft::Vote<u64>;
pub type Membership = openraft::StoredMembership<u64, String>;
pub type SnapshotMeta = openraft::SnapshotMeta<u64, String>;
pub type StorageError = openraft::StorageError<u64>;
pub type Flushed = LogFlushed<Types>;
pub type Raft = openraft::Raft<Types>;
