//! Floor 5: the keeper, and the nodes, servers and links of any target: start, readiness, restart,
//! logs, and everything that a fault does to them. Does not know what load is, or what a fault is
//! for.

pub mod burner;
mod client;
pub mod keeper;
mod operations;
mod protocol;
mod readiness;
mod ready;
mod rules;
mod service;
mod setup;
mod state;
mod watch;

pub use client::KEEPER_COMMAND;
pub use protocol::{ServerUse, Stamp};
pub use setup::RELAY;
pub use state::{NodeState, NodeUsage};
pub use watch::FleetEvent;

use crate::host::Identity;
use crate::host::heal::undo;
use crate::host::journal::{Story, state_folder};
use crate::host::usage;
use crate::plan::{Plan, StartPlan};
use client::lock;
use protocol::{Answer, Ask};
use setup::Folders;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use watch::Shared;

/// For a node to become ready.
pub const READY_BOUND: Duration = Duration::from_secs(10);
const LOG_LINES_SHOWN: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("cannot start the keeper: {0}")]
    Keeper(io::Error),
    #[error("the keeper is gone; its nodes ended with it")]
    KeeperLost,
    #[error("the keeper refused: {why} (asked: {what})")]
    Refused { what: String, why: String },
    #[error("cannot use the folder {folder}: {cause}", folder = folder.display())]
    Folder { folder: PathBuf, cause: io::Error },
    #[error("node {node}: {what}")]
    Service { node: String, what: String },
    #[error("node {node} did not become ready: {why}; its log ends:\n{log}")]
    NotReady { node: String, why: String, log: String },
}

/// What can be different from a usual run.
#[derive(Clone, Debug)]
pub struct Options {
    /// brunt itself: runs the keeper and the bundled roles.
    pub program: PathBuf,
    /// Runs in place of every node; it reads the plan or not. For tests.
    pub stand_in: Option<(PathBuf, Vec<String>)>,
    /// Whether `/healthz` is asked too, or the node's own word is enough.
    pub asks_health: bool,
    /// Keeps CPU shares by stopping, as if no cgroup were writable.
    pub without_cgroups: bool,
    /// Other users' processes may be attached to.
    pub owns_these: bool,
    pub state_folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        // The name tells what runs; the link works even when the file was replaced meanwhile.
        let program = std::env::current_exe().ok().filter(|p| p.exists());
        Options {
            program: program.unwrap_or_else(|| "/proc/self/exe".into()),
            stand_in: None,
            asks_health: true,
            owns_these: false,
            without_cgroups: std::env::var_os("BRUNT_WITHOUT_CGROUPS").is_some(),
            state_folder: state_folder(),
        }
    }
}

/// A started target. All methods may be called from several threads. Dropping it undoes all.
pub struct Fleet {
    shared: Arc<Shared>,
    hearing: Mutex<Option<JoinHandle<()>>>,
    run: String,
    mechanism: String,
    logs: PathBuf,
    options: Options,
    is_over: AtomicBool,
}

impl Fleet {
    /// Starts the keeper, the servers, the relay and all nodes, and returns when all are ready.
    ///
    /// # Errors
    /// When one cannot be started or is not ready in time; everything is undone then.
    pub fn start(
        plan: &Plan,
        run: &str,
        work_folder: &Path,
        logs_folder: &Path,
        events: Sender<FleetEvent>,
    ) -> Result<Fleet, FleetError> {
        Self::start_with(plan, run, work_folder, logs_folder, events, Options::default())
    }

    /// As [`Fleet::start`], with options.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_with(
        plan: &Plan,
        run: &str,
        work_folder: &Path,
        logs_folder: &Path,
        events: Sender<FleetEvent>,
        options: Options,
    ) -> Result<Fleet, FleetError> {
        for folder in [work_folder, logs_folder] {
            std::fs::create_dir_all(folder)
                .map_err(|cause| FleetError::Folder { folder: folder.into(), cause })?;
        }
        let folders =
            Folders { work: work_folder, logs: logs_folder, state: &options.state_folder };
        let setup = setup::setup(plan, run, &folders, &options)?;
        let readiness = setup::readiness(plan, run, &folders)?;
        nobody_listens(plan)?;
        let keeper_log = logs_folder.join("keeper.log");
        let (client, reader) =
            client::Client::start(&options.program, &keeper_log).map_err(FleetError::Keeper)?;
        let shared =
            Arc::new(Shared::new(client, plan, &setup, readiness, events, options.asks_health));
        let hearing = watch::spawn(&shared, reader).map_err(FleetError::Keeper)?;
        let mut fleet = Fleet {
            shared,
            hearing: Mutex::new(Some(hearing)),
            run: run.into(),
            mechanism: String::new(),
            logs: logs_folder.into(),
            options,
            is_over: AtomicBool::new(false),
        };
        let names: Vec<String> = setup.servers.iter().map(|s| s.name.clone()).collect();
        fleet.mechanism = fleet.do_stamped(Ask::Setup(Box::new(setup)))?.mechanism;
        for server in names {
            fleet.do_stamped(Ask::StartServer { server })?;
        }
        let relayed = plan.links.iter().filter(|l| l.is_relayed()).map(|l| l.dial);
        fleet.await_ready(&relayed.collect::<Vec<_>>())?;
        Ok(fleet)
    }

    /// How CPU shares are kept in this run; one of the words of `HostFacts::quota_mechanism`.
    pub fn quota_mechanism(&self) -> &str {
        &self.mechanism
    }

    /// The keeper's process.
    pub fn keeper(&self) -> Identity {
        self.shared.client.keeper
    }

    /// The process of a node, while it runs.
    pub fn process_of(&self, node: &str) -> Option<Identity> {
        lock(&self.shared.state).nodes.get(node)?.process
    }

    /// Where processes of this run can be asked for something, by name.
    fn admin_addresses(&self) -> BTreeMap<String, SocketAddr> {
        lock(&self.shared.state).admin_addresses()
    }

    /// Waits until a node that was started again is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready within the bound.
    pub fn await_ready_again(&self, node: &str) -> Result<(), FleetError> {
        self.shared.await_ready(node).map_err(|why| {
            let log = self.log_end(node);
            FleetError::NotReady { node: node.into(), why, log }
        })
    }

    /// Names of all nodes of the plan.
    pub fn nodes(&self) -> Vec<String> {
        let state = lock(&self.shared.state);
        state.nodes.keys().filter(|n| *n != RELAY).cloned().collect()
    }

    /// Names of all servers of the plan.
    pub fn servers(&self) -> Vec<String> {
        let state = lock(&self.shared.state);
        state.servers.iter().filter(|n| *n != RELAY).cloned().collect()
    }

    pub fn server_of(&self, node: &str) -> Option<String> {
        lock(&self.shared.state).nodes.get(node).map(|n| n.server.clone())
    }

    pub fn node_state(&self, node: &str) -> Option<NodeState> {
        lock(&self.shared.state).node_state(node)
    }

    /// The node that says that it leads, with the highest term, among those that run.
    pub fn leader(&self) -> Option<String> {
        lock(&self.shared.state).leader()
    }

    /// Every node's consumption now; empty when the keeper is gone.
    pub fn usage(&self) -> Vec<NodeUsage> {
        let Ok(Answer::Use(servers)) = self.shared.client.ask(Ask::ServerUse) else {
            return Vec::new();
        };
        let nodes = lock(&self.shared.state).nodes.clone();
        let one = |(name, info): (String, state::NodeInfo)| {
            let server = servers.iter().find(|s| s.server == info.server)?;
            Some(NodeUsage {
                node: name,
                process: info.process.and_then(usage::of),
                server_cpu: server.used,
                server_throttled: server.throttled,
                server: info.server,
            })
        };
        nodes.into_iter().filter_map(one).collect()
    }

    /// Undoes everything and looks; returns what is left, empty when all is clean.
    pub fn shutdown(&self) -> Vec<String> {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return Vec::new();
        }
        self.shared.expect_the_end();
        let mut left = match self.shared.client.ask(Ask::Shutdown) {
            Ok(Answer::Left(left)) => left,
            _ => Vec::new(),
        };
        if !self.shared.client.close(Duration::from_secs(10)) {
            left.push("the keeper did not end and was killed".into());
        }
        if let Some(hearing) = lock(&self.hearing).take() {
            let _ = hearing.join();
        }
        left.extend(self.undo_the_rest());
        left
    }

    /// What a keeper that was lost could not undo; its journal is still there then.
    fn undo_the_rest(&self) -> Vec<String> {
        let path = self.options.state_folder.join(format!("{}.journal", self.run));
        Story::read(&path).map_or_else(Vec::new, |story| undo(&story).left)
    }

    fn await_ready(&self, relayed: &[SocketAddr]) -> Result<(), FleetError> {
        self.shared.await_all_ready().map_err(|(node, why)| {
            let log = self.log_end(&node);
            FleetError::NotReady { node, why, log }
        })?;
        for dial in relayed {
            if !ready::within(READY_BOUND, || ready::accepts(*dial)) {
                let why = format!("nobody accepts on {dial}");
                let log = self.log_end(RELAY);
                return Err(FleetError::NotReady { node: RELAY.into(), why, log });
            }
        }
        Ok(())
    }

    /// The last lines of a node's log.
    pub fn log_end(&self, node: &str) -> String {
        let text = std::fs::read(self.logs.join(format!("{node}.log"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

/// Who listens already would answer in place of what is about to be started.
fn nobody_listens(plan: &Plan) -> Result<(), FleetError> {
    let started = plan.nodes.iter().filter(|n| matches!(n.start, StartPlan::Command(_)));
    match started.into_iter().find(|n| ready::accepts(n.listen)) {
        None => Ok(()),
        Some(node) => {
            let what = format!(
                "somebody else listens on {} already; stop it (`ss -ltnp` names it), or give `listen` \
                 another address",
                node.listen
            );
            Err(FleetError::Service { node: node.name.clone(), what })
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for left in self.shutdown() {
            eprintln!("brunt: {left}");
        }
    }
}
