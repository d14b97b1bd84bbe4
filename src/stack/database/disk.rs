//! The database file and the one thread that writes it.
//!
//! Everything that waits is written together: what replicas and voters rely on (vote, log) in one
//! durable transaction, so that several waiting appends cost one fsync; applied entries in a
//! transaction that is only durable with the next durable one. Both live in the same file, so what
//! is on disk after SIGKILL is always a prefix of what was done, and what was applied after it is
//! applied again from the log.

use super::raft::{Entry, Flushed, LogId, Membership, Outcome, SnapshotMeta, Vote};
use super::state;
use crate::base::clock;
use crate::stack::node::{Counter, Node};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use tokio::sync::{oneshot, watch};

pub const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
pub const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub const VOTE: &str = "vote";
pub const PURGED: &str = "purged";
pub const APPLIED: &str = "applied";
pub const MEMBERSHIP: &str = "membership";
/// Jobs that may wait; openraft has at most one append, one vote and one apply under way.
const JOBS_MAX: usize = 64;
/// Pages kept in memory.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

pub type Done<T> = oneshot::Sender<Result<T, io::Error>>;

/// What the writing thread is asked to do.
pub enum Job {
    Apply(Vec<Entry>, Done<Vec<Vec<Outcome>>>),
    Install(SnapshotMeta, Vec<u8>, Done<()>),
    Append {
        entries: Vec<Entry>,
        flushed: Flushed,
        own: OwnBatches,
    },
    Vote(Vote, Done<()>),
    /// From this index on, inclusive.
    Truncate(u64, Done<()>),
    Purge(LogId, Done<()>),
}

impl Job {
    fn is_durable(&self) -> bool {
        !matches!(self, Job::Apply(..) | Job::Install(..))
    }
}

/// Tells a proposer that its batches are on this disk: numbers of its batches, and whom to tell.
pub type OwnBatches = Box<dyn FnOnce() + Send>;

/// The file, shared by readers; writes go through [`Disk::send`].
#[derive(Clone)]
pub struct Disk {
    pub database: Arc<Database>,
    jobs: mpsc::SyncSender<Job>,
    /// Index of the last applied entry, readable by every reader that sees it.
    pub applied: watch::Receiver<u64>,
}

impl Disk {
    /// Opens or creates the file and starts its thread.
    ///
    /// # Errors
    /// When the folder cannot be used or the file is damaged.
    pub fn open(folder: &Path, node: &Node) -> io::Result<Disk> {
        std::fs::create_dir_all(folder)?;
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(folder.join("database.redb"))
            .map_err(other)?;
        let first = database.begin_write().map_err(other)?;
        first.open_table(LOG).map_err(other)?;
        first.open_table(META).map_err(other)?;
        state::create_tables(&first)?;
        first.commit().map_err(other)?;
        let database = Arc::new(database);
        let at = read_meta::<LogId>(&database, APPLIED)?.map_or(0, |id| id.index);
        let (applied_tx, applied) = watch::channel(at);
        let (jobs, waiting) = mpsc::sync_channel(JOBS_MAX);
        let writer = Writer {
            database: database.clone(),
            applied: applied_tx,
            fsyncs: node.counter("fsyncs"),
            fsync_ms: node.counter("fsync_ms_max"),
            fsync_added_ms: node.counter("fsync_added_ms"),
            node: node.clone(),
        };
        std::thread::Builder::new().name("disk".into()).spawn(move || writer.run(&waiting))?;
        Ok(Disk { database, jobs, applied })
    }

    /// # Errors
    /// When the writing thread has ended after a disk error.
    pub fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io::Error::other("the disk's thread has ended"))
    }

    /// Sends a job and waits for its answer.
    ///
    /// # Errors
    /// The disk's.
    pub async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        self.send(job(done))?;
        answer.await.map_err(|_| io::Error::other("the disk's thread has ended"))?
    }
}

/// Tells whoever waits for a job; to be called after its commit.
type AfterCommit = Box<dyn FnOnce()>;

struct Writer {
    node: Node,
    database: Arc<Database>,
    applied: watch::Sender<u64>,
    fsyncs: Counter,
    fsync_ms: Counter,
    /// The part of it that a fault added after the disk was done.
    fsync_added_ms: Counter,
}

impl Writer {
    fn run(self, waiting: &mpsc::Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let (durable, volatile): (Vec<Job>, Vec<Job>) =
                jobs.into_iter().partition(Job::is_durable);
            // Applied first: an application never depends on an append that waits beside it (it
            // carries its entries), and a purge relies on what was applied.
            self.commit(volatile, Durability::None);
            if !durable.is_empty() {
                let before = clock::now();
                self.commit(durable, Durability::Immediate);
                let ms = (clock::now() - before).0 / 1_000_000;
                self.fsyncs.add(1);
                self.fsync_ms.set(self.fsync_ms.get().max(ms));
            }
        }
    }

    fn commit(&self, jobs: Vec<Job>, durability: Durability) {
        if jobs.is_empty() {
            return;
        }
        match self.write(jobs, durability) {
            Ok((answers, applied)) => {
                if let Some(index) = applied {
                    self.applied.send_replace(index);
                }
                answers.into_iter().for_each(|answer| answer());
            }
            // The senders were dropped with the jobs: openraft sees the error and stops for good,
            // which is what a database with a broken disk has to do.
            Err(e) => eprintln!("database: cannot write: {e}"),
        }
    }

    fn write(
        &self,
        jobs: Vec<Job>,
        durability: Durability,
    ) -> io::Result<(Vec<AfterCommit>, Option<u64>)> {
        let mut transaction = self.database.begin_write().map_err(other)?;
        transaction.set_durability(durability).map_err(other)?;
        let mut answers: Vec<AfterCommit> = Vec::with_capacity(jobs.len());
        let mut applied = None;
        for job in jobs {
            answers.push(do_job(&transaction, job, &mut applied)?);
        }
        transaction.commit().map_err(other)?;
        if matches!(durability, Durability::Immediate) {
            // After the real sync and before anyone is told, as if the disk had taken so long.
            let added = self.node.faults().lengthen_sync();
            self.fsync_added_ms.add(added.as_millis() as u64);
        }
        Ok((answers, applied))
    }
}

/// Does one job inside a transaction; what it returns is to be called after the commit.
fn do_job(
    transaction: &WriteTransaction,
    job: Job,
    applied: &mut Option<u64>,
) -> io::Result<AfterCommit> {
    Ok(match job {
        Job::Apply(entries, done) => {
            *applied = entries.last().map(|e| e.log_id.index).or(*applied);
            let outcomes = state::apply(transaction, entries)?;
            Box::new(move || drop(done.send(Ok(outcomes))))
        }
        Job::Install(meta, rows, done) => {
            *applied = meta.last_log_id.map(|id| id.index).or(*applied);
            state::install(transaction, &meta, &rows)?;
            Box::new(move || drop(done.send(Ok(()))))
        }
        Job::Append { entries, flushed, own } => {
            append(transaction, &entries)?;
            Box::new(move || {
                own();
                flushed.log_io_completed(Ok(()));
            })
        }
        Job::Vote(vote, done) => {
            write_meta(transaction, VOTE, &vote)?;
            Box::new(move || drop(done.send(Ok(()))))
        }
        Job::Truncate(from, done) => {
            let mut log = transaction.open_table(LOG).map_err(other)?;
            log.retain_in(from.., |_, _| false).map_err(other)?;
            Box::new(move || drop(done.send(Ok(()))))
        }
        Job::Purge(upto, done) => {
            let mut log = transaction.open_table(LOG).map_err(other)?;
            log.retain_in(..=upto.index, |_, _| false).map_err(other)?;
            write_meta(transaction, PURGED, &upto)?;
            Box::new(move || drop(done.send(Ok(()))))
        }
    })
}

fn append(transaction: &WriteTransaction, entries: &[Entry]) -> io::Result<()> {
    let mut log = transaction.open_table(LOG).map_err(other)?;
    for entry in entries {
        let bytes = serde_json::to_vec(entry)?;
        log.insert(entry.log_id.index, bytes.as_slice()).map_err(other)?;
    }
    Ok(())
}

pub fn write_meta<T: Serialize>(
    transaction: &WriteTransaction,
    key: &str,
    value: &T,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let mut meta = transaction.open_table(META).map_err(other)?;
    meta.insert(key, bytes.as_slice()).map_err(other)?;
    Ok(())
}

pub fn read_meta<T: DeserializeOwned>(database: &Database, key: &str) -> io::Result<Option<T>> {
    let transaction = database.begin_read().map_err(other)?;
    let meta = transaction.open_table(META).map_err(other)?;
    let found = meta.get(key).map_err(other)?;
    found.map(|bytes| serde_json::from_slice(bytes.value()).map_err(other)).transpose()
}

/// What was applied last, and the membership of that time.
pub fn applied_state(database: &Database) -> io::Result<(Option<LogId>, Membership)> {
    let applied = read_meta(database, APPLIED)?;
    Ok((applied, read_meta(database, MEMBERSHIP)?.unwrap_or_default()))
}

/// Entries of the log, in order, from the file.
pub fn read_log(database: &Database, from: u64, to: u64) -> io::Result<Vec<Entry>> {
    let transaction = database.begin_read().map_err(other)?;
    let log = transaction.open_table(LOG).map_err(other)?;
    log.range(from..to)
        .map_err(other)?
        .map(|row| serde_json::from_slice(row.map_err(other)?.1.value()).map_err(other))
        .collect()
}

/// The last entry's id, if there is any entry.
pub fn last_in_log(database: &Database) -> io::Result<Option<LogId>> {
    let transaction = database.begin_read().map_err(other)?;
    let log = transaction.open_table(LOG).map_err(other)?;
    let last = log.last().map_err(other)?;
    last.map(|(_, bytes)| serde_json::from_slice::<Entry>(bytes.value()).map_err(other))
        .transpose()
        .map(|entry| entry.map(|e| e.log_id))
}

pub fn other<E: Into<Box<dyn std::error::Error + Send + Sync>>>(e: E) -> io::Error {
    io::Error::other(e)
}
