//! The state machine: what was written, in redb tables, and its snapshots.
//!
//! Videos are virtual: all of them exist, and only those that were written to have a row.

use super::disk::{self, APPLIED, Disk, Job, MEMBERSHIP, other};
use super::log::failed;
use super::raft::{
    Entry, Kind, LogId, Membership, Outcome, SnapshotMeta, StorageError, Types, Write,
};
use crate::stack::node::{Counter, Node};
use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex};

/// Write id → video, version, kind and text.
const WRITES: TableDefinition<'static, u64, (u64, u64, u8, &str)> = TableDefinition::new("writes");
/// Video → likes, comments.
const VIDEOS: TableDefinition<'static, u64, (u64, u64)> = TableDefinition::new("videos");
/// Video and version → write id.
const ORDER: TableDefinition<'static, (u64, u64), u64> = TableDefinition::new("order");

/// Counts of one video; its version is their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub likes: u64,
    pub comments: u64,
}

impl Counts {
    pub fn version(self) -> u64 {
        self.likes + self.comments
    }
}

pub fn create_tables(transaction: &WriteTransaction) -> io::Result<()> {
    transaction.open_table(WRITES).map_err(other)?;
    transaction.open_table(VIDEOS).map_err(other)?;
    transaction.open_table(ORDER).map_err(other)?;
    Ok(())
}

pub fn counts(database: &Database, video: u64) -> io::Result<Counts> {
    let transaction = database.begin_read().map_err(other)?;
    let videos = transaction.open_table(VIDEOS).map_err(other)?;
    let found = videos.get(video).map_err(other)?.map(|row| row.value());
    let (likes, comments) = found.unwrap_or_default();
    Ok(Counts { likes, comments })
}

/// The version that a write got, if it was applied.
pub fn version_of(database: &Database, id: u64) -> io::Result<Option<u64>> {
    let transaction = database.begin_read().map_err(other)?;
    let writes = transaction.open_table(WRITES).map_err(other)?;
    Ok(writes.get(id).map_err(other)?.map(|row| row.value().1))
}

/// Ids of the writes applied to a video, in order.
pub fn writes_of(database: &Database, video: u64) -> io::Result<Vec<u64>> {
    let transaction = database.begin_read().map_err(other)?;
    let order = transaction.open_table(ORDER).map_err(other)?;
    order
        .range((video, 0)..=(video, u64::MAX))
        .map_err(other)?
        .map(|row| Ok(row.map_err(other)?.1.value()))
        .collect()
}

/// Applies committed entries, in order.
pub fn apply(transaction: &WriteTransaction, entries: Vec<Entry>) -> io::Result<Vec<Vec<Outcome>>> {
    let mut outcomes = Vec::with_capacity(entries.len());
    let last = entries.last().map(|e| e.log_id);
    let mut tables = Tables::open(transaction)?;
    for entry in entries {
        outcomes.push(match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(batch) => {
                batch.writes.iter().map(|w| tables.apply(w)).collect::<io::Result<_>>()?
            }
            EntryPayload::Membership(members) => {
                let stored = Membership::new(Some(entry.log_id), members);
                disk::write_meta(transaction, MEMBERSHIP, &stored)?;
                Vec::new()
            }
        });
    }
    if let Some(last) = last {
        disk::write_meta(transaction, APPLIED, &last)?;
    }
    Ok(outcomes)
}

struct Tables<'t> {
    writes: redb::Table<'t, u64, (u64, u64, u8, &'static str)>,
    videos: redb::Table<'t, u64, (u64, u64)>,
    order: redb::Table<'t, (u64, u64), u64>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> io::Result<Self> {
        Ok(Tables {
            writes: transaction.open_table(WRITES).map_err(other)?,
            videos: transaction.open_table(VIDEOS).map_err(other)?,
            order: transaction.open_table(ORDER).map_err(other)?,
        })
    }

    /// A write whose id was applied before changes nothing and gets the version it had.
    fn apply(&mut self, write: &Write) -> io::Result<Outcome> {
        let known = self.writes.get(write.id).map_err(other)?.map(|row| row.value().1);
        if let Some(version) = known {
            return Ok(Outcome { version, duplicate: true });
        }
        let row = self.videos.get(write.video).map_err(other)?.map(|row| row.value());
        let (mut likes, mut comments) = row.unwrap_or_default();
        match write.kind {
            Kind::Like => likes += 1,
            Kind::Comment => comments += 1,
        }
        let version = likes + comments;
        self.videos.insert(write.video, (likes, comments)).map_err(other)?;
        self.insert(write, version)?;
        Ok(Outcome { version, duplicate: false })
    }

    fn insert(&mut self, write: &Write, version: u64) -> io::Result<()> {
        let row = (write.video, version, write.kind as u8, write.text.as_str());
        self.writes.insert(write.id, row).map_err(other)?;
        self.order.insert((write.video, version), write.id).map_err(other)?;
        Ok(())
    }
}

/// Replaces the whole state by a snapshot's.
pub fn install(
    transaction: &WriteTransaction,
    meta: &SnapshotMeta,
    mut rows: &[u8],
) -> io::Result<()> {
    transaction.delete_table(WRITES).map_err(other)?;
    transaction.delete_table(VIDEOS).map_err(other)?;
    transaction.delete_table(ORDER).map_err(other)?;
    let mut tables = Tables::open(transaction)?;
    // The rows come in the order in which they were applied, video by video.
    while let Some(write) = take_row(&mut rows)? {
        tables.apply(&write)?;
    }
    disk::write_meta(transaction, MEMBERSHIP, &meta.last_membership)?;
    match meta.last_log_id {
        Some(last) => disk::write_meta(transaction, APPLIED, &last),
        None => Ok(()),
    }
}

/// All writes, video by video in their order: kind, id, video, length of the text, text.
fn all_rows(transaction: &ReadTransaction) -> io::Result<Vec<u8>> {
    let order = transaction.open_table(ORDER).map_err(other)?;
    let writes = transaction.open_table(WRITES).map_err(other)?;
    let mut rows = Vec::new();
    for item in order.iter().map_err(other)? {
        let id = item.map_err(other)?.1.value();
        let row = writes.get(id).map_err(other)?;
        let row = row.ok_or_else(|| io::Error::other(format!("write {id:016x} has no row")))?;
        let (video, _, kind, text) = row.value();
        rows.push(kind);
        rows.extend_from_slice(&id.to_le_bytes());
        rows.extend_from_slice(&video.to_le_bytes());
        rows.extend_from_slice(&(text.len() as u32).to_le_bytes());
        rows.extend_from_slice(text.as_bytes());
    }
    Ok(rows)
}

fn take_row(rows: &mut &[u8]) -> io::Result<Option<Write>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let kind = match take(rows, 1)?[0] {
        0 => Kind::Like,
        1 => Kind::Comment,
        n => return Err(io::Error::other(format!("a snapshot's row has kind {n}, not 0 or 1"))),
    };
    let id = take_u64(rows)?;
    let video = take_u64(rows)?;
    let length = u32::from_le_bytes(take(rows, 4)?.try_into().expect("four bytes were taken"));
    let text = String::from_utf8(take(rows, length as usize)?.to_vec()).map_err(other)?;
    Ok(Some(Write { id, kind, video, text }))
}

fn take<'r>(rows: &mut &'r [u8], n: usize) -> io::Result<&'r [u8]> {
    let wrong = || io::Error::other(format!("a snapshot ends {} bytes too early", n - rows.len()));
    let (head, rest) = rows.split_at_checked(n).ok_or_else(wrong)?;
    *rows = rest;
    Ok(head)
}

fn take_u64(rows: &mut &[u8]) -> io::Result<u64> {
    Ok(u64::from_le_bytes(take(rows, 8)?.try_into().expect("eight bytes were taken")))
}

/// The last snapshot, kept in memory: it is rebuilt from the tables after a restart.
type Kept = Arc<Mutex<Option<(SnapshotMeta, Arc<Vec<u8>>)>>>;

/// The state machine for openraft.
pub struct State {
    disk: Disk,
    kept: Kept,
    installed: Counter,
}

impl State {
    pub fn new(disk: Disk, node: &Node) -> State {
        State { disk, kept: Kept::default(), installed: node.counter("snapshots_installed") }
    }
}

fn snapshot(meta: SnapshotMeta, rows: &[u8]) -> Snapshot<Types> {
    Snapshot { meta, snapshot: Box::new(Cursor::new(rows.to_vec())) }
}

/// Builds a snapshot from a view of the tables, while writes go on.
pub struct Builder {
    view: io::Result<(ReadTransaction, Option<LogId>, Membership)>,
    kept: Kept,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let wrap = |e| failed(ErrorSubject::Snapshot(None), ErrorVerb::Read, &e);
        let used = Err(io::Error::other("a builder builds once"));
        let (view, last, membership) = std::mem::replace(&mut self.view, used).map_err(wrap)?;
        let build = tokio::task::spawn_blocking(move || all_rows(&view));
        let rows = Arc::new(build.await.map_err(|e| wrap(other(e)))?.map_err(wrap)?);
        let snapshot_id = last.map_or("empty".into(), |id| format!("{id}"));
        let meta = SnapshotMeta { last_log_id: last, last_membership: membership, snapshot_id };
        *self.kept.lock().expect("no panic while swapping") = Some((meta.clone(), rows.clone()));
        Ok(snapshot(meta, &rows))
    }
}

fn view_of(database: &Database) -> io::Result<(ReadTransaction, Option<LogId>, Membership)> {
    let view = database.begin_read().map_err(other)?;
    let meta = view.open_table(disk::META).map_err(other)?;
    let text = |key| -> io::Result<Option<Vec<u8>>> {
        Ok(meta.get(key).map_err(other)?.map(|v| v.value().to_vec()))
    };
    let last = text(APPLIED)?.map(|b| serde_json::from_slice(&b)).transpose()?;
    let members = text(MEMBERSHIP)?.map(|b| serde_json::from_slice(&b)).transpose()?;
    drop(meta);
    Ok((view, last, members.unwrap_or_default()))
}

impl RaftStateMachine<Types> for State {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        disk::applied_state(&self.disk.database)
            .map_err(|e| failed(ErrorSubject::StateMachine, ErrorVerb::Read, &e))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Outcome>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.disk
            .ask(|done| Job::Apply(entries, done))
            .await
            .map_err(|e| failed(ErrorSubject::StateMachine, ErrorVerb::Write, &e))
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { view: view_of(&self.disk.database), kept: self.kept.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let rows = data.into_inner();
        let kept = (meta.clone(), Arc::new(rows.clone()));
        self.disk
            .ask(|done| Job::Install(meta.clone(), rows, done))
            .await
            .map_err(|e| failed(ErrorSubject::Snapshot(None), ErrorVerb::Write, &e))?;
        *self.kept.lock().expect("no panic while swapping") = Some(kept);
        self.installed.add(1);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let kept = self.kept.lock().expect("no panic while swapping");
        Ok(kept.as_ref().map(|(meta, rows)| snapshot(meta.clone(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodePlan;
    use crate::stack::database::log::Log;
    use crate::stack::database::writer::OwnWrites;
    use crate::target::{Role, Settings};
    use openraft::testing::{StoreBuilder, Suite};
    use std::path::Path;

    pub fn node() -> Node {
        let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Node::new(NodePlan {
            start: crate::plan::StartPlan::Bundled,
            name: "database-1".into(),
            role: Role::Database,
            server: "database-1".into(),
            region: "eu".into(),
            listen: free,
            admin: free,
            peers: vec![],
            data_folder: None,
            threads: 1,
            iterations_per_ms: 0.0,
            seed: 1,
            settings: Settings::default(),
        })
    }

    struct InFolder;

    impl StoreBuilder<Types, Log, State, tempfile::TempDir> for InFolder {
        async fn build(&self) -> Result<(tempfile::TempDir, Log, State), StorageError> {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::open(folder.path(), &node()).unwrap();
            let log = Log::open(disk.clone(), OwnWrites::default()).unwrap();
            Ok((folder, log, State::new(disk, &node())))
        }
    }

    #[test]
    fn openraft_accepts_the_log_and_the_state() {
        Suite::test_all(InFolder).unwrap();
    }

    fn entry(index: u64, writes: Vec<Write>) -> Entry {
        let batch = super::super::raft::Batch { number: index, proposer: 1, writes };
        let log_id = LogId::new(openraft::CommittedLeaderId::new(1, 0), index);
        Entry { log_id, payload: EntryPayload::Normal(batch) }
    }

    fn like(id: u64, video: u64) -> Write {
        Write { id, kind: Kind::Like, video, text: String::new() }
    }

    async fn fill(folder: &Path) -> (Disk, State) {
        let disk = Disk::open(folder, &node()).unwrap();
        let mut state = State::new(disk.clone(), &node());
        let comment = Write { kind: Kind::Comment, text: "so é".into(), ..like(3, 8) };
        let entries = [entry(1, vec![like(1, 7), like(2, 8)]), entry(2, vec![like(1, 9), comment])];
        let outcomes = state.apply(entries).await.unwrap();
        assert_eq!(outcomes[1][0], Outcome { version: 1, duplicate: true });
        assert_eq!(outcomes[1][1], Outcome { version: 2, duplicate: false });
        (disk, state)
    }

    #[tokio::test]
    async fn a_snapshot_carries_everything_and_replaces_everything() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, mut state) = fill(from.path()).await;
        let built = state.get_snapshot_builder().await.build_snapshot().await.unwrap();
        let disk = Disk::open(to.path(), &node()).unwrap();
        let mut other = State::new(disk.clone(), &node());
        other.apply([entry(1, vec![like(77, 7), like(78, 7)])]).await.unwrap();
        other.install_snapshot(&built.meta, built.snapshot).await.unwrap();
        assert_eq!(counts(&disk.database, 7).unwrap().version(), 1);
        assert_eq!(counts(&disk.database, 8).unwrap(), Counts { likes: 1, comments: 1 });
        assert_eq!(writes_of(&disk.database, 8).unwrap(), [2, 3]);
        assert_eq!(version_of(&disk.database, 77).unwrap(), None);
        assert_eq!(*disk.applied.borrow(), 2);
        let again = other.get_snapshot_builder().await.build_snapshot().await.unwrap();
        assert_eq!(again.meta, built.meta);
    }

    #[test]
    fn a_broken_snapshot_is_refused() {
        assert!(take_row(&mut &[0u8, 1, 2][..]).unwrap_err().to_string().contains("too early"));
        assert!(take_row(&mut &[9u8; 40][..]).unwrap_err().to_string().contains("kind 9"));
    }
}
