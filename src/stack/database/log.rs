//! The consensus log for openraft: written by the disk's thread, read mostly from memory.

use super::disk::{self, Disk, Job, PURGED, VOTE};
use super::raft::{Entry, Flushed, LogId, StorageError, Types, Vote};
use super::writer::OwnWrites;
use openraft::storage::RaftLogStorage;
use openraft::{
    EntryPayload, ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader, StorageIOError,
};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};

/// Newest entries kept in memory, by their size.
const TAIL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries sent to a replica in one call, by their size; far below what a node accepts as a body.
const SEND_BYTES_MAX: usize = 1024 * 1024;

/// The log of one node; clones share it.
#[derive(Clone)]
pub struct Log {
    disk: Disk,
    tail: Arc<Mutex<Tail>>,
    own: OwnWrites,
}

/// The newest entries, and where the log begins and ends.
struct Tail {
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
    purged: Option<LogId>,
    last: Option<LogId>,
}

impl Tail {
    fn push(&mut self, entry: Entry) {
        let size = size_of_entry(&entry);
        self.last = Some(entry.log_id);
        self.bytes += size;
        if let Some((_, old)) = self.entries.insert(entry.log_id.index, (entry, size)) {
            self.bytes -= old;
        }
    }

    /// Forgets the oldest entries beyond the budget; those not yet on disk must stay.
    fn shrink(&mut self, keep_from: u64) {
        while self.bytes > TAIL_BYTES_MAX {
            match self.entries.first_entry() {
                Some(oldest) if *oldest.key() < keep_from => self.bytes -= oldest.remove().1,
                _ => return,
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.entries.retain(|index, _| keep(*index));
        self.bytes = self.entries.values().map(|(_, size)| size).sum();
    }
}

fn size_of_entry(entry: &Entry) -> usize {
    let fixed = 128;
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            fixed + batch.writes.iter().map(|w| 64 + w.text.len()).sum::<usize>()
        }
        _ => fixed,
    }
}

impl Log {
    /// # Errors
    /// When the file cannot be read.
    pub fn open(disk: Disk, own: OwnWrites) -> io::Result<Log> {
        let purged = disk::read_meta(&disk.database, PURGED)?;
        let last = disk::last_in_log(&disk.database)?.or(purged);
        let tail = Tail { entries: BTreeMap::new(), bytes: 0, purged, last };
        Ok(Log { disk, tail: Arc::new(Mutex::new(tail)), own })
    }

    /// Index of the last entry on disk or on its way to it; 0 when there is none.
    pub fn last_index(&self) -> u64 {
        self.tail().last.map_or(0, |id| id.index)
    }

    pub fn last_id(&self) -> Option<LogId> {
        self.tail().last
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("no panic while holding the log's tail")
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (in_memory, memory_from) = {
            let tail = self.tail();
            let memory_from = tail.entries.keys().next().copied().unwrap_or(u64::MAX);
            let start = from.max(memory_from);
            let rows: Vec<Entry> = match start < to {
                true => tail.entries.range(start..to).map(|(_, (e, _))| e.clone()).collect(),
                false => Vec::new(),
            };
            (rows, memory_from)
        };
        let mut entries = match from < memory_from {
            true => disk::read_log(&self.disk.database, from, to.min(memory_from))?,
            false => Vec::new(),
        };
        entries.extend(in_memory);
        let mut bytes = 0;
        let fit = entries
            .iter()
            .take_while(|e| {
                bytes += size_of_entry(e);
                bytes <= bytes_max
            })
            .count();
        entries.truncate(fit.max(1));
        Ok(entries)
    }

    /// Calls the proposer back when its own batches are on disk.
    fn own_batches(&self, entries: &[Entry]) -> disk::OwnBatches {
        let numbers: Vec<(u64, LogId)> = entries
            .iter()
            .filter_map(|e| match &e.payload {
                EntryPayload::Normal(b) if b.proposer == self.own.proposer() => {
                    Some((b.number, e.log_id))
                }
                _ => None,
            })
            .collect();
        numbers.iter().for_each(|(number, _)| self.own.appended(*number));
        let own = self.own.clone();
        Box::new(move || numbers.into_iter().for_each(|(n, at)| own.flushed(n, at)))
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(i) => *i,
        Bound::Excluded(i) => i + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(i) => i + 1,
        Bound::Excluded(i) => *i,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

pub fn failed(subject: ErrorSubject<u64>, verb: ErrorVerb, e: &io::Error) -> StorageError {
    StorageIOError::new(subject, verb, openraft::AnyError::new(e)).into()
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let (from, to) = bounds(&range);
        self.read(from, to, usize::MAX).map_err(|e| failed(ErrorSubject::Logs, ErrorVerb::Read, &e))
    }

    async fn limited_get_log_entries(
        &mut self,
        from: u64,
        to: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(from, to, SEND_BYTES_MAX)
            .map_err(|e| failed(ErrorSubject::Logs, ErrorVerb::Read, &e))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let tail = self.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.disk
            .ask(|done| Job::Vote(vote, done))
            .await
            .map_err(|e| failed(ErrorSubject::Vote, ErrorVerb::Write, &e))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        disk::read_meta(&self.disk.database, VOTE)
            .map_err(|e| failed(ErrorSubject::Vote, ErrorVerb::Read, &e))
    }

    async fn append<I>(&mut self, entries: I, flushed: Flushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let first = entries.first().map_or(0, |e| e.log_id.index);
        {
            let mut tail = self.tail();
            entries.iter().for_each(|e| tail.push(e.clone()));
            tail.shrink(first);
        }
        let own = self.own_batches(&entries);
        self.disk
            .send(Job::Append { entries, flushed, own })
            .map_err(|e| failed(ErrorSubject::Logs, ErrorVerb::Write, &e))
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        let wrap = |e| failed(ErrorSubject::Logs, ErrorVerb::Delete, &e);
        self.tail().retain(|index| index < from.index);
        self.disk.ask(|done| Job::Truncate(from.index, done)).await.map_err(wrap)?;
        let last = disk::last_in_log(&self.disk.database).map_err(wrap)?;
        let mut tail = self.tail();
        tail.last = last.or(tail.purged);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        {
            let mut tail = self.tail();
            tail.retain(|index| index > upto.index);
            tail.purged = Some(upto);
            tail.last = tail.last.max(Some(upto));
        }
        self.disk
            .ask(|done| Job::Purge(upto, done))
            .await
            .map_err(|e| failed(ErrorSubject::Logs, ErrorVerb::Delete, &e))
    }
}
