//! Why a record cannot be written or read.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot write {file} of the record: {cause}")]
    Write { file: &'static str, cause: io::Error },
    /// Said once. What was recorded until then is sealed; nothing is recorded after it.
    #[error(
        "the disk is full: {file} took no more, the record was sealed up to here; free space and run again"
    )]
    Full { file: &'static str },
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    #[error("{path} is not what a record holds: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error("{path} is of schema {seen}, this brunt reads up to {known}; use a newer brunt")]
    Schema { path: PathBuf, seen: u32, known: u32 },
}
