//! The one view of the members that the control side writes and every service thread reads. What a
//! request needs is in atomics; [`Members`] behind its lock is touched when something changes.

use super::choice::Load;
use super::members::{Change, Judgement, Member, Members, Rules, State};
use crate::base::{Nanos, clock};
use crate::record::NodeEventKind;
use crate::stack::node::{Counter, Node};
use crate::target::Role;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// What a request reads and writes of one member.
#[derive(Default)]
struct Cell {
    is_eligible: AtomicBool,
    in_flight: AtomicU32,
    reported: AtomicU32,
    /// Whether the core counts failures in a row that a success would have to wipe out.
    has_failures: AtomicBool,
    /// How many times it fell silent; service threads drop their connections when it moved.
    silences: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
}

pub struct Table {
    node: Node,
    names: Vec<String>,
    dials: Vec<SocketAddr>,
    cells: Vec<Cell>,
    max_in_flight: u32,
    core: Mutex<Members>,
    /// One a service thread: something about the members changed.
    shards: Vec<Notify>,
    /// The control side's timer has to be set anew.
    pub timer: Notify,
    ejections: Counter,
    ejections_refused: Counter,
    silences: Counter,
    stalls: Counter,
}

/// One line of `GET /members`.
#[derive(Debug, Serialize)]
struct View<'a> {
    name: &'a str,
    state: &'static str,
    why: &'a str,
    in_flight: u32,
    reported_in_flight: u32,
    max_in_flight: u32,
    requests: u64,
    failures: u64,
    failures_in_a_row: u32,
    ejections: u32,
    ejected_for_ms: u64,
    heard_ms_ago: Option<u64>,
}

impl Table {
    pub fn new(node: &Node, shards: usize) -> Arc<Table> {
        let settings = &node.plan().settings.balancer;
        let peers: Vec<_> = node.plan().peers_of(Role::App).collect();
        Arc::new(Table {
            names: peers.iter().map(|p| p.name.clone()).collect(),
            dials: peers.iter().map(|p| p.dial).collect(),
            cells: peers.iter().map(|_| Cell::default()).collect(),
            max_in_flight: settings.max_in_flight,
            core: Mutex::new(Members::new(Rules::of(settings), peers.len())),
            shards: (0..shards).map(|_| Notify::new()).collect(),
            timer: Notify::new(),
            ejections: node.counter("ejections"),
            ejections_refused: node.counter("ejections_refused"),
            silences: node.counter("silences"),
            stalls: node.counter("own_stalls"),
            node: node.clone(),
        })
    }

    pub fn count(&self) -> usize {
        self.cells.len()
    }

    pub fn dial(&self, member: usize) -> SocketAddr {
        self.dials[member]
    }

    /// What the choice needs, or `None` when the member may not get a request.
    #[inline]
    pub fn load(&self, member: usize) -> Option<Load> {
        let cell = &self.cells[member];
        let in_flight = cell.in_flight.load(Relaxed);
        (cell.is_eligible.load(Relaxed) && in_flight < self.max_in_flight)
            .then(|| Load { in_flight, reported: cell.reported.load(Relaxed) })
    }

    #[inline]
    pub fn is_eligible(&self, member: usize) -> bool {
        self.cells[member].is_eligible.load(Relaxed)
    }

    pub fn silences(&self, member: usize) -> u32 {
        self.cells[member].silences.load(Relaxed)
    }

    /// Counts a request in, unless another thread just took the member's last place.
    #[inline]
    pub fn enter(&self, member: usize) -> bool {
        let cell = &self.cells[member];
        if cell.in_flight.fetch_add(1, Relaxed) >= self.max_in_flight {
            cell.in_flight.fetch_sub(1, Relaxed);
            return false;
        }
        cell.requests.fetch_add(1, Relaxed);
        true
    }

    #[inline]
    pub fn leave(&self, member: usize) {
        self.cells[member].in_flight.fetch_sub(1, Relaxed);
    }

    #[inline]
    pub fn succeeded(&self, member: usize) {
        if self.cells[member].has_failures.load(Relaxed) {
            self.cells[member].has_failures.store(false, Relaxed);
            self.core().success(member);
        }
    }

    pub fn failed(&self, member: usize) {
        self.cells[member].failures.fetch_add(1, Relaxed);
        self.cells[member].has_failures.store(true, Relaxed);
        let mut core = self.core();
        match core.failure(member, clock::now()) {
            Judgement::Nothing => {}
            Judgement::Kept => self.ejections_refused.add(1),
            Judgement::Ejected(change) => {
                self.ejections.add(1);
                self.publish(&core, vec![change]);
            }
        }
    }

    /// A heartbeat arrived; `false` when the plan knows no member of this name.
    pub fn heartbeat(&self, name: &str, in_flight: u32, is_draining: bool) -> bool {
        let Some(member) = self.names.iter().position(|n| n == name) else { return false };
        self.cells[member].reported.store(in_flight, Relaxed);
        let mut core = self.core();
        let changes = core.heartbeat(member, is_draining, clock::now());
        self.publish(&core, changes);
        true
    }

    /// Time passes; see [`Members::tick`].
    pub fn tick(&self, planned: Nanos) {
        let mut core = self.core();
        let tick = core.tick(clock::now(), planned);
        if let Some(stalled) = tick.stalled {
            self.stalls.add(1);
            let text = format!("stood still for {stalled}; members get one more heartbeat");
            self.node.emit(NodeEventKind::Note { text });
        }
        self.publish(&core, tick.changes);
    }

    pub fn next_deadline(&self) -> Option<Nanos> {
        self.core().next_deadline()
    }

    /// Waits until something about the members changed.
    pub async fn changed(&self, shard: usize) {
        self.shards[shard].notified().await;
    }

    /// `GET /members`.
    pub fn view(&self) -> Vec<u8> {
        let now = clock::now();
        let core = self.core();
        let rows: Vec<_> =
            core.all().iter().enumerate().map(|(i, member)| self.row(i, member, now)).collect();
        serde_json::to_vec(&rows).expect("rows are plain data")
    }

    fn row<'a>(&'a self, index: usize, member: &'a Member, now: Nanos) -> View<'a> {
        let cell = &self.cells[index];
        let milliseconds = |d: Nanos| d.0.div_ceil(1_000_000);
        View {
            name: &self.names[index],
            state: member.state.name(),
            why: &member.why,
            in_flight: cell.in_flight.load(Relaxed),
            reported_in_flight: cell.reported.load(Relaxed),
            max_in_flight: self.max_in_flight,
            requests: cell.requests.load(Relaxed),
            failures: cell.failures.load(Relaxed),
            failures_in_a_row: member.failures,
            ejections: member.ejections,
            ejected_for_ms: milliseconds(member.ejected_until.saturating_sub(now)),
            heard_ms_ago: member.heard.map(|h| milliseconds(now.saturating_sub(h))),
        }
    }

    fn core(&self) -> MutexGuard<'_, Members> {
        self.core.lock().expect("no panic while holding the members")
    }

    /// Makes changes known; under the core's lock, so that events are written in order.
    fn publish(&self, _held: &Members, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            self.apply(change);
        }
        self.timer.notify_one();
        self.shards.iter().for_each(Notify::notify_one);
    }

    fn apply(&self, change: Change) {
        let cell = &self.cells[change.member];
        let was_up = change.from == State::Up;
        let is_up = change.to == State::Up;
        cell.is_eligible.store(is_up, Relaxed);
        if change.to == State::Silent {
            cell.silences.fetch_add(1, Relaxed);
            self.silences.add(1);
        }
        let (member, why) = (self.names[change.member].clone(), change.why);
        match (was_up, is_up) {
            (false, true) => self.node.emit(NodeEventKind::MemberUp { member, why }),
            (true, false) => self.node.emit(NodeEventKind::MemberDown { member, why }),
            // From one way of being down to another: no news for those who count members.
            _ => {
                let text = format!("{member} {}: {why}", change.to.name());
                self.node.emit(NodeEventKind::Note { text });
            }
        }
    }
}
