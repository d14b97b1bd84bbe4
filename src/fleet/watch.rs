//! Hears the keeper: keeps the state, asks nodes for their health, and tells what happened.

use super::READY_BOUND;
use super::client::{Client, lock};
use super::protocol::{Setup, Tell};
use super::readiness::Readiness;
use super::ready;
use super::rules::Rule;
use super::setup::RELAY;
use super::state::{NodeInfo, State};
use crate::base::{Nanos, clock};
use crate::fault::Lever;
use crate::host::heal::undo;
use crate::host::journal::Story;
use crate::plan::Plan;
use crate::record::{NodeEvent, NodeEventKind};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What happened to a fleet. Instants are `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetEvent {
    /// What a node wrote to its event pipe.
    Node {
        node: String,
        event: NodeEvent,
    },
    Started {
        node: String,
        at: Nanos,
    },
    /// It said that it is ready, and answers.
    Ready {
        node: String,
        at: Nanos,
    },
    Exited {
        node: String,
        at: Nanos,
        how: String,
        expected: bool,
    },
    /// For people: something went wrong that is not fatal.
    Note {
        text: String,
    },
    /// The nodes ended with it; brunt has undone the rest. What is left, if anything.
    KeeperLost {
        left: Vec<String>,
    },
}

pub struct Shared {
    pub client: Client,
    pub state: Mutex<State>,
    changed: Condvar,
    events: Mutex<Sender<FleetEvent>>,
    /// How nodes of the user's own are asked whether they are ready.
    readiness: BTreeMap<String, Readiness>,
    asks_health: bool,
    is_ending: AtomicBool,
    journal: PathBuf,
}

impl Shared {
    pub fn new(
        client: Client,
        plan: &Plan,
        setup: &Setup,
        readiness: BTreeMap<String, Readiness>,
        events: Sender<FleetEvent>,
        asks_health: bool,
    ) -> Shared {
        let admin = |name: &str| match name {
            RELAY => Some(plan.host.relay_admin()),
            name => plan.nodes.iter().find(|n| n.name == name)?.admin(),
        };
        let info = |name: &str, server: &str| NodeInfo {
            server: server.into(),
            admin: admin(name),
            process: None,
            starts: 0,
            is_ready: false,
            leads_in_term: None,
            ended: None,
        };
        let nodes = setup.nodes.iter().map(|n| (n.name.clone(), info(&n.name, &n.server)));
        let state = State {
            nodes: nodes.collect(),
            servers: setup.servers.iter().map(|s| s.name.clone()).collect(),
            holds: BTreeMap::new(),
            is_keeper_lost: false,
        };
        Shared {
            client,
            state: Mutex::new(state),
            changed: Condvar::new(),
            events: Mutex::new(events),
            readiness,
            asks_health,
            is_ending: AtomicBool::new(false),
            journal: setup.state_folder.join(format!("{}.journal", setup.run)),
        }
    }

    /// From now on the end of the keeper is no loss.
    pub fn expect_the_end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// What a fault holds from now on.
    pub fn held(&self, hold: &str, lever: &Lever) {
        lock(&self.state).holds.insert(hold.into(), lever.clone());
    }

    /// What it held, when it held something.
    pub fn released(&self, hold: &str) -> Option<Lever> {
        lock(&self.state).holds.remove(hold)
    }

    /// How the node ended, when it did within the bound.
    pub fn await_exit(&self, node: &str, bound: Duration) -> Option<String> {
        self.await_state(bound, |state| {
            let node = state.nodes.get(node)?;
            node.process.is_none().then(|| node.ended.clone()).flatten()
        })
    }

    /// Waits until every node is ready; the first that ends or is late is the error.
    pub fn await_all_ready(&self) -> Result<(), (String, String)> {
        let slowest = self.readiness.values().map(|r| r.within).max().unwrap_or_default();
        let bound = READY_BOUND.max(slowest);
        let settled = self.await_state(bound, |state| {
            let mut nodes = state.nodes.iter().filter(|(name, _)| *name != RELAY);
            let ended = nodes.clone().find_map(|(name, n)| Some((name, n.ended.as_ref()?)));
            if let Some((name, how)) = ended {
                return Some(Err((name.clone(), how.clone())));
            }
            if state.is_keeper_lost {
                return Some(Err(("keeper".into(), "the keeper ended".into())));
            }
            nodes.all(|(_, n)| n.is_ready).then_some(Ok(()))
        });
        settled.unwrap_or_else(|| {
            let state = lock(&self.state);
            let late = state.nodes.iter().find(|(name, n)| *name != RELAY && !n.is_ready);
            let name = late.map_or("?", |(name, _)| name).to_string();
            let why = self.no_answer(&name);
            Err((name, why))
        })
    }

    /// Waits until this node is ready; why not, when it ends or is late.
    pub fn await_ready(&self, node: &str) -> Result<(), String> {
        let bound = self.readiness.get(node).map_or(READY_BOUND, |r| r.within);
        let settled = self.await_state(bound, |state| match state.nodes.get(node) {
            None => Some(Err("there is no such node".into())),
            Some(n) if n.is_ready => Some(Ok(())),
            Some(NodeInfo { process: None, ended: Some(how), .. }) => Some(Err(how.clone())),
            Some(_) => None,
        });
        settled.unwrap_or_else(|| Err(self.no_answer(node)))
    }

    fn no_answer(&self, node: &str) -> String {
        match self.readiness.get(node) {
            Some(asked) => format!("{} failed for {:?}", asked.words(), asked.within),
            None => format!("no answer within {READY_BOUND:?}"),
        }
    }

    /// Tells a process that has just been started what faults hold of it.
    fn put_rules(&self, node: &str) {
        let (holds, admins) = {
            let state = lock(&self.state);
            (state.holds.clone(), state.admin_addresses())
        };
        let is_its = |lever: &Lever| match lever {
            Lever::Node { node: name, .. } => name == node,
            Lever::Link { .. } => node == RELAY,
            _ => false,
        };
        let put_again = |hold: &str, rule: Rule| {
            rule.put(hold)?;
            // It may have been released meanwhile, and taken off before it was put on.
            match lock(&self.state).holds.contains_key(hold) {
                true => Ok(()),
                false => rule.delete(hold).map(drop),
            }
        };
        for (hold, lever) in holds.iter().filter(|(_, lever)| is_its(lever)) {
            let told = Rule::of(lever, &admins).map(|rule| put_again(hold, rule?));
            if let Some(Err(e)) = told {
                self.tell(FleetEvent::Note { text: format!("telling {node} again: {e}") });
            }
        }
    }

    fn await_state<T>(&self, bound: Duration, ask: impl Fn(&State) -> Option<T>) -> Option<T> {
        let until = Instant::now() + bound;
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = ask(&state) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the process of this start still runs.
    fn runs_since(&self, node: &str, starts: u32) -> bool {
        let state = lock(&self.state);
        state.nodes.get(node).is_some_and(|n| n.starts == starts && n.process.is_some())
    }

    /// Who does not listen any more does not want to know.
    fn tell(&self, event: FleetEvent) {
        let _ = lock(&self.events).send(event);
    }
}

/// Starts the thread that hears the keeper until it is gone.
pub fn spawn(shared: &Arc<Shared>, reader: UnixStream) -> std::io::Result<JoinHandle<()>> {
    let shared = shared.clone();
    std::thread::Builder::new().name("fleet".into()).spawn(move || {
        shared.client.hear(reader, |tell| take(&shared, tell));
        if !shared.is_ending.load(Ordering::SeqCst) {
            keeper_lost(&shared);
        }
    })
}

fn take(shared: &Arc<Shared>, tell: Tell) {
    match tell {
        Tell::Started { node, at, process } => {
            lock(&shared.state).started(&node, process);
            ask_service(shared, &node);
            shared.tell(FleetEvent::Started { node, at });
        }
        Tell::Exited { node, at, how, is_expected } => {
            lock(&shared.state).exited(&node, &how);
            shared.tell(FleetEvent::Exited { node, at, how, expected: is_expected });
        }
        Tell::Line { node, line } => heard(shared, node, &line),
        Tell::Note { text } => shared.tell(FleetEvent::Note { text }),
        Tell::Answer { .. } => {}
    }
    shared.changed.notify_all();
}

fn heard(shared: &Arc<Shared>, node: String, line: &str) {
    let event: NodeEvent = match serde_json::from_str(line) {
        Ok(event) => event,
        Err(e) => {
            let text = format!("node {node} wrote an event that cannot be read: {e}");
            return shared.tell(FleetEvent::Note { text });
        }
    };
    lock(&shared.state).heard(&node, &event.what);
    if event.what == NodeEventKind::Ready {
        ask_health(shared, &node);
    }
    shared.tell(FleetEvent::Node { node, event });
}

/// One thread a start, for as long as the node needs to answer.
fn ask_health(shared: &Arc<Shared>, node: &str) {
    let found = lock(&shared.state).nodes.get(node).map(|n| (n.admin, n.starts));
    let Some((admin, starts)) = found else { return };
    let Some(admin) = admin.filter(|_| shared.asks_health) else {
        return is_ready(shared, node, starts);
    };
    let (own, name) = (shared.clone(), node.to_string());
    let asking = std::thread::Builder::new().name("ready".into()).spawn(move || {
        let is_gone = || !own.runs_since(&name, starts);
        let is_settled = ready::within(READY_BOUND, || is_gone() || ready::is_healthy(admin));
        if is_settled {
            own.put_rules(&name);
            is_ready(&own, &name, starts);
        } else {
            let text = format!("node {name} says that it is ready, but /healthz is not 200");
            own.tell(FleetEvent::Note { text });
        }
    });
    if let Err(e) = asking {
        shared.tell(FleetEvent::Note { text: format!("cannot ask {node} for its health: {e}") });
    }
}

/// A program of the user's own is asked from its start on.
fn ask_service(shared: &Arc<Shared>, node: &str) {
    let Some(readiness) = shared.readiness.get(node).cloned() else { return };
    let starts = lock(&shared.state).nodes.get(node).map_or(0, |n| n.starts);
    let (own, name) = (shared.clone(), node.to_string());
    let asking = std::thread::Builder::new().name("ready".into()).spawn(move || {
        let is_gone = || !own.runs_since(&name, starts);
        let is_settled = ready::within(readiness.within, || is_gone() || readiness.holds());
        match is_settled {
            true => is_ready(&own, &name, starts),
            false => {
                let text = format!("node {name} is not ready: {}", own.no_answer(&name));
                own.tell(FleetEvent::Note { text });
            }
        }
    });
    if let Err(e) = asking {
        shared.tell(FleetEvent::Note { text: format!("cannot ask whether {node} is ready: {e}") });
    }
}

fn is_ready(shared: &Shared, node: &str, starts: u32) {
    let at = clock::now();
    let is_same = match lock(&shared.state).nodes.get_mut(node) {
        Some(info) if info.starts == starts && info.process.is_some() => {
            info.is_ready = true;
            true
        }
        _ => false,
    };
    if is_same {
        shared.tell(FleetEvent::Ready { node: node.into(), at });
        shared.changed.notify_all();
    }
}

/// The nodes die with the keeper; their groups are ours to remove now.
fn keeper_lost(shared: &Shared) {
    let at = clock::now();
    shared.client.close(Duration::from_secs(1));
    let left = Story::read(&shared.journal).map_or_else(Vec::new, |story| undo(&story).left);
    let running: Vec<String> = {
        let mut state = lock(&shared.state);
        state.is_keeper_lost = true;
        let running = state.nodes.iter().filter(|(_, n)| n.process.is_some());
        let names: Vec<String> = running.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| state.exited(name, "ended with the keeper"));
        names
    };
    for node in running {
        let how = "ended with the keeper".to_string();
        shared.tell(FleetEvent::Exited { node, at, how, expected: false });
    }
    shared.tell(FleetEvent::KeeperLost { left });
    shared.changed.notify_all();
}
