//! The database role: a leader that takes the writes, replicas that answer reads, a log on every
//! disk (openraft over redb). One node alone is allowed; of two neither could go on without the
//! other, so two are refused.
//!
//! The service side parses, burns and reads. The control side has consensus, elections, the calls of
//! the other nodes and the admin pages, so that a busy service does not lose the leadership by
//! itself. One more thread writes the file.

mod admin;
mod catalogue;
mod disk;
mod election;
mod leader_watch;
mod log;
mod network;
mod raft;
mod reads;
mod service;
mod standing;
mod state;
mod writer;

use super::node::{Node, NodeError, run_sides, serve_admin};
use crate::record::NodeEventKind;
use crate::target::{DatabaseSettings, Role};
use disk::Disk;
use log::Log;
use network::Network;
use openraft::{Config, SnapshotPolicy};
use standing::Standing;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use writer::OwnWrites;

/// Entries kept behind a snapshot, as one part in so many of those between two snapshots, so that a
/// replica that was away for a moment gets entries.
const KEEP_BEHIND_SHARE: u64 = 5;
const SNAPSHOT_CHUNK_BYTES: u64 = 512 * 1024;
const ENTRIES_PER_CALL: u64 = 256;
/// Longest that a returned node waits for a leader before it calls itself ready all the same.
const READY_WAIT: Duration = Duration::from_secs(1);

/// Runs this node until the process ends.
///
/// # Errors
/// When it cannot start, or its disk fails.
pub fn serve(node: Node) -> Result<(), NodeError> {
    let parts = Parts::open(&node)?;
    let (listening, is_listening) = oneshot::channel();
    let (writes, write_queue) = mpsc::channel(writer::QUEUE_MAX);
    let (confirmations, read_queue) = mpsc::channel(reads::QUEUE_MAX);
    let service = service::Service::new(
        node.clone(),
        parts.disk.clone(),
        parts.standing.clone(),
        writes,
        confirmations,
    );
    let service = run_service(Arc::new(service), listening);
    let control = run_control(node.clone(), parts, write_queue, read_queue, is_listening);
    run_sides(&node, service, control)
}

/// What both sides share, opened before either runs.
struct Parts {
    disk: Disk,
    log: Log,
    own: OwnWrites,
    standing: Arc<Standing>,
}

impl Parts {
    fn open(node: &Node) -> Result<Parts, NodeError> {
        let plan = node.plan();
        let peers = plan.peers_of(Role::Database).map(|p| p.name.clone());
        let names: Vec<String> = peers.chain([plan.name.clone()]).collect();
        if names.len() == 2 {
            let why = "two database nodes are worse than one: neither may go on without the other; \
                       take one or three";
            return Err(refuse(node, why));
        }
        let folder = plan.data_folder.as_ref();
        let folder = folder.ok_or_else(|| refuse(node, "a database needs a data_folder"))?;
        let wrap = |e| refuse(node, format!("cannot use the folder {}: {e}", folder.display()));
        let own = OwnWrites::default();
        let disk = Disk::open(folder, node).map_err(wrap)?;
        let log = Log::open(disk.clone(), own.clone()).map_err(wrap)?;
        let standing = Arc::new(Standing::new(names, &plan.name));
        Ok(Parts { disk, log, own, standing })
    }
}

fn refuse(node: &Node, what: impl Into<String>) -> NodeError {
    NodeError::Role { node: node.plan().name.clone(), what: what.into() }
}

async fn run_service(
    service: Arc<service::Service>,
    listening: oneshot::Sender<()>,
) -> Result<(), NodeError> {
    let listener = super::http::listen(&service.node, service.node.plan().listen)?;
    let _ = listening.send(());
    super::http::serve(listener, move |request| service.clone().answer(request)).await;
    Ok(())
}

async fn run_control(
    node: Node,
    parts: Parts,
    write_queue: mpsc::Receiver<writer::Pending>,
    read_queue: mpsc::Receiver<reads::Permission>,
    is_listening: oneshot::Receiver<()>,
) -> Result<(), NodeError> {
    node.set_healthy(false);
    let Parts { disk, log, own, standing } = parts;
    let was_fresh = log.last_id().is_none();
    let network = Network::new(node.plan(), standing.clone());
    let raft = start_raft(&node, &log, &disk, &network, &standing).await?;
    let settings = node.plan().settings.database.clone();
    let confirmer = reads::Confirmer {
        raft: raft.clone(),
        disk: disk.clone(),
        standing: standing.clone(),
        log: log.clone(),
        own: own.clone(),
        deadline: settings.peer_deadline.duration(),
    };
    tokio::spawn(confirmer.run(read_queue));
    let end_of_log = log.clone();
    let writer = writer::Writer {
        raft: raft.clone(),
        disk: disk.clone(),
        standing: standing.clone(),
        own,
        durability: settings.durability,
        lease: election::lease(&node),
        last_index: Box::new(move || end_of_log.last_index()),
    };
    tokio::spawn(writer.run(write_queue));
    let election = election::Election {
        node: node.clone(),
        raft: raft.clone(),
        log: log.clone(),
        network,
        standing: standing.clone(),
    };
    tokio::spawn(election.run());
    tokio::spawn(leader_watch::run(node.plan().clone(), standing.clone()));
    tokio::spawn(announce(node.clone(), standing.clone(), was_fresh, is_listening));
    let applied = disk.applied.clone();
    let admin = admin::Admin {
        lag: node.counter("replication_lag"),
        node: node.clone(),
        raft: raft.clone(),
        log: log.clone(),
        disk,
        standing: standing.clone(),
    };
    tokio::select! {
        ended = serve_admin(node.clone(), admin::pages(admin)) => ended,
        why = election::watch(node.clone(), raft, log, applied, standing) => {
            Err(refuse(&node, format!("consensus has stopped: {why}")))
        }
    }
}

async fn start_raft(
    node: &Node,
    log: &Log,
    disk: &Disk,
    network: &Network,
    standing: &Standing,
) -> Result<raft::Raft, NodeError> {
    let config = Arc::new(config(node, &node.plan().settings.database));
    let state = state::State::new(disk.clone(), node);
    raft::Raft::new(standing.own(), config, network.clone(), log.clone(), state)
        .await
        .map_err(|e| refuse(node, format!("consensus cannot start: {e}")))
}

/// openraft's timers are off (see `election`): its heartbeat interval is only the deadline of a call,
/// a little longer than the deadline that the call has itself.
fn config(node: &Node, settings: &DatabaseSettings) -> Config {
    let ms = |d: crate::base::Nanos| (d.0 / 1_000_000).max(2);
    let lease = ms(election::lease(node));
    let snapshot_every = u64::from(settings.snapshot_every.max(1));
    let keep = snapshot_every / KEEP_BEHIND_SHARE;
    Config {
        cluster_name: "database".into(),
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        heartbeat_interval: ms(settings.peer_deadline) + 50,
        install_snapshot_timeout: 2 * ms(settings.peer_deadline),
        max_payload_entries: ENTRIES_PER_CALL,
        replication_lag_threshold: snapshot_every + keep,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        snapshot_max_chunk_size: SNAPSHOT_CHUNK_BYTES,
        max_in_snapshot_log_to_keep: keep,
        purge_batch_size: 64,
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        ..Config::default()
    }
}

/// Ready: a fresh node once it answers (its leader may not have been started yet), a returned one
/// once it knows its leader, or has waited for one.
async fn announce(
    node: Node,
    standing: Arc<Standing>,
    was_fresh: bool,
    is_listening: oneshot::Receiver<()>,
) {
    if is_listening.await.is_err() {
        return;
    }
    let is_alone = standing.names().len() == 1;
    if !was_fresh || is_alone {
        let leader = async {
            while standing.leader().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(READY_WAIT, leader).await;
    }
    node.set_healthy(true);
    node.emit(NodeEventKind::Ready);
}
