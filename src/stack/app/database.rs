//! The app's side of the database: reads from any node in turn, writes and exact reads from the
//! leader, which it finds by itself. Every call has a deadline, and there is a bound on calls at
//! once.
//!
//! A write carries an id that the database keeps, so sending the same id again, to the same or to
//! another leader, cannot apply it twice. That is why a write whose fate is unknown (broken off, no
//! answer in time, 504) is sent again here within the request's deadline. Only when no
//! confirmation came until then, the caller is told that the fate is unknown.

use crate::base::{Nanos, clock};
use crate::plan::Peer;
use crate::stack::http::{CallError, Client};
use crate::stack::node::Counter;
use crate::stack::rotation::{Rotation, Tried};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Silent answers in a row after which a node counts as down. Refusals count at once.
const SILENCES: u32 = 3;
/// Between two questions to a node that is down whether it is up again.
const PROBE_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for a node's role.
const ROLE_DEADLINE: Duration = Duration::from_millis(200);
/// Pauses between two attempts at the leader: from, doubled each time, up to.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(200);
/// Redirects that are followed at once; after these there is a pause before each.
const HINTS_AT_ONCE: u32 = 2;
const UNKNOWN: usize = usize::MAX;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DatabaseError {
    /// Certainly not done.
    #[error("the database did not do it: {0}")]
    NotDone(&'static str),
    /// May or may not have been done.
    #[error("the database did not confirm it in time")]
    Unknown,
}

/// What one request is about to send.
#[derive(Clone)]
pub struct Question {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
}

impl Question {
    pub fn get(path: String) -> Self {
        Question { method: Method::GET, path, body: Bytes::new() }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut builder = Request::builder().method(self.method.clone()).uri(&self.path);
        if !self.body.is_empty() {
            builder = builder.header(http::header::CONTENT_TYPE, "application/json");
        }
        builder.body(Full::new(self.body.clone())).expect("paths are made of numbers and names")
    }
}

pub struct Database {
    client: Client,
    nodes: Rotation,
    silences: Vec<AtomicU32>,
    leader: AtomicUsize,
    /// The leader that failed last. Replicas go on naming it until they hold an election, so only
    /// its own word counts.
    suspect: AtomicUsize,
    search: Mutex<()>,
    free: Semaphore,
    deadline: Nanos,
    calls: Counter,
}

impl Database {
    pub fn new(
        peers: impl Iterator<Item = Peer>,
        deadline: Nanos,
        in_flight: u32,
        calls: Counter,
    ) -> Arc<Self> {
        let nodes = Rotation::new(peers);
        let leader = if nodes.peers().len() == 1 { 0 } else { UNKNOWN };
        Arc::new(Database {
            client: Client::new(),
            silences: nodes.peers().iter().map(|_| AtomicU32::new(0)).collect(),
            nodes,
            leader: AtomicUsize::new(leader),
            suspect: AtomicUsize::new(UNKNOWN),
            search: Mutex::new(()),
            free: Semaphore::new(in_flight.max(1) as usize),
            deadline,
            calls,
        })
    }

    /// Asks any node; one that fails is followed by the next, each at most once.
    ///
    /// # Errors
    /// When none of them has answered until `until`.
    pub async fn ask_any(
        self: &Arc<Self>,
        question: &Question,
        until: Nanos,
    ) -> Result<Response<Bytes>, DatabaseError> {
        let mut tried = Tried::default();
        while let Some(index) = self.nodes.pick(clock::now(), &mut tried) {
            match self.call(index, question, until).await? {
                Ok(response) if is_final(response.status()) => return Ok(response),
                Ok(response) if response.status() == StatusCode::MISDIRECTED_REQUEST => {
                    // Too far behind to answer reads.
                    self.set_aside(index);
                }
                Ok(_) => {}
                Err(error) => self.note_failure(index, &error),
            }
        }
        Err(DatabaseError::NotDone("no node answered the read"))
    }

    /// Asks the leader, looking for it again as long as there is time.
    ///
    /// # Errors
    /// `NotDone` when every attempt was refused, `Unknown` when at least one may have been heard.
    pub async fn ask_leader(
        self: &Arc<Self>,
        question: &Question,
        until: Nanos,
    ) -> Result<Response<Bytes>, DatabaseError> {
        let mut may_be_done = false;
        let mut pause = RETRY_PAUSE;
        let mut hints = 0;
        while clock::now() < until {
            if let Some(index) = self.find_leader().await {
                let outcome = match self.call(index, question, until).await {
                    Ok(outcome) => outcome,
                    Err(_) => break,
                };
                match self.judge(index, outcome) {
                    Attempt::Answered(response) => return Ok(response),
                    Attempt::Redirected if hints < HINTS_AT_ONCE => {
                        hints += 1;
                        continue;
                    }
                    Attempt::Redirected | Attempt::NotDone => {}
                    Attempt::Unknown => may_be_done = true,
                }
            }
            let left = until.saturating_sub(clock::now()).duration();
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
        Err(match may_be_done {
            true => DatabaseError::Unknown,
            false => DatabaseError::NotDone("no leader took it in time"),
        })
    }

    fn judge(
        self: &Arc<Self>,
        index: usize,
        outcome: Result<Response<Bytes>, CallError>,
    ) -> Attempt {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                self.note_failure(index, &error);
                self.forget_leader(index);
                self.suspect.store(index, Ordering::Relaxed);
                return match error {
                    CallError::Connect(_) => Attempt::NotDone,
                    CallError::Broken(_) | CallError::Deadline(_) => Attempt::Unknown,
                };
            }
        };
        match response.status() {
            StatusCode::MISDIRECTED_REQUEST => {
                self.forget_leader(index);
                let is_other = |hint: &usize| *hint != index && self.is_trusted(*hint);
                let hint = self.hinted(response.body()).filter(is_other);
                hint.map_or(Attempt::NotDone, |leader| {
                    self.leader.store(leader, Ordering::Relaxed);
                    Attempt::Redirected
                })
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                self.forget_leader(index);
                Attempt::NotDone
            }
            status if status.is_server_error() => {
                self.forget_leader(index);
                Attempt::Unknown
            }
            _ => {
                let relaxed = Ordering::Relaxed;
                let _ = self.suspect.compare_exchange(index, UNKNOWN, relaxed, relaxed);
                Attempt::Answered(response)
            }
        }
    }

    /// One call to one node, when there is room for it. The outer error: no room in time.
    async fn call(
        &self,
        index: usize,
        question: &Question,
        until: Nanos,
    ) -> Result<Result<Response<Bytes>, CallError>, DatabaseError> {
        let left = until.saturating_sub(clock::now());
        let wait = left.min(self.deadline).duration();
        let _room = match tokio::time::timeout(wait, self.free.acquire()).await {
            Ok(room) => room.expect("never closed"),
            Err(_) => return Err(DatabaseError::NotDone("too many database calls at once")),
        };
        let left = until.saturating_sub(clock::now()).min(self.deadline);
        if left == Nanos::ZERO {
            return Err(DatabaseError::NotDone("no time left"));
        }
        self.calls.add(1);
        let address = self.nodes.peers()[index].dial;
        let answer = self.client.call(address, question.request(), left.duration()).await;
        if answer.is_ok() {
            self.silences[index].store(0, Ordering::Relaxed);
        }
        Ok(answer)
    }

    fn note_failure(self: &Arc<Self>, index: usize, error: &CallError) {
        let silences = self.silences[index].fetch_add(1, Ordering::Relaxed) + 1;
        if !matches!(error, CallError::Deadline(_)) || silences >= SILENCES {
            self.set_aside(index);
        }
    }

    /// Leaves a node out of the turns until a task of its own has seen it answer a read.
    fn set_aside(self: &Arc<Self>, index: usize) {
        if self.nodes.peers().len() > 1 && self.nodes.set_down(index, clock::now(), Nanos::MAX) {
            tokio::spawn(self.clone().probe(index));
        }
    }

    async fn probe(self: Arc<Self>, index: usize) {
        let question = Question::get("/videos/1".to_string());
        let address = self.nodes.peers()[index].dial;
        loop {
            tokio::time::sleep(PROBE_PAUSE).await;
            let answer = self.client.call(address, question.request(), PROBE_PAUSE).await;
            if answer.is_ok_and(|response| response.status() == StatusCode::OK) {
                self.silences[index].store(0, Ordering::Relaxed);
                return self.nodes.set_up(index);
            }
        }
    }

    fn forget_leader(&self, index: usize) {
        if self.nodes.peers().len() > 1 {
            let relaxed = Ordering::Relaxed;
            let _ = self.leader.compare_exchange(index, UNKNOWN, relaxed, relaxed);
        }
    }

    fn known_leader(&self) -> Option<usize> {
        Some(self.leader.load(Ordering::Relaxed)).filter(|index| *index != UNKNOWN)
    }

    /// Who leads, by the last we heard or by asking all nodes now; one request asks for all.
    async fn find_leader(&self) -> Option<usize> {
        if let Some(index) = self.known_leader() {
            return Some(index);
        }
        let _one_at_a_time = self.search.lock().await;
        if let Some(index) = self.known_leader() {
            return Some(index);
        }
        let roles = self.ask_roles().await;
        let found = match roles.is_empty() {
            // Nobody's admin side answers: a service may still redirect us.
            true => self.nodes.pick(clock::now(), &mut Tried::default()),
            false => self.leader_by(&roles),
        };
        if let Some(index) = found {
            self.leader.store(index, Ordering::Relaxed);
        }
        found
    }

    /// The one that says it leads, with the highest term; else the one that the node with the
    /// highest term names, unless that one has just failed.
    fn leader_by(&self, roles: &[(usize, RoleAnswer)]) -> Option<usize> {
        let highest = |a: &&(usize, RoleAnswer), b: &&(usize, RoleAnswer)| a.1.term.cmp(&b.1.term);
        let newest = roles.iter().max_by(highest)?;
        let leaders = roles.iter().filter(|(_, role)| role.role == "leader");
        if let Some((index, leader)) = leaders.max_by(highest)
            && leader.term == newest.1.term
        {
            return Some(*index);
        }
        let named = self.nodes.position(newest.1.leader.as_deref()?)?;
        self.is_trusted(named).then_some(named)
    }

    /// Whether another node's word is enough to take this one for the leader.
    fn is_trusted(&self, index: usize) -> bool {
        self.suspect.load(Ordering::Relaxed) != index && !self.nodes.is_down(index, clock::now())
    }

    /// What the nodes' admin sides say, until all have answered or the time for it is over.
    async fn ask_roles(&self) -> Vec<(usize, RoleAnswer)> {
        let mut asking = tokio::task::JoinSet::new();
        for (index, peer) in self.nodes.peers().iter().enumerate() {
            let (client, address) = (self.client.clone(), peer.dial_admin);
            let request = Question::get("/role".to_string()).request();
            asking.spawn(async move {
                let response = client.call(address, request, ROLE_DEADLINE).await.ok()?;
                Some((index, serde_json::from_slice::<RoleAnswer>(response.body()).ok()?))
            });
        }
        let mut roles: Vec<(usize, RoleAnswer)> = Vec::new();
        let majority = self.nodes.peers().len() / 2 + 1;
        while let Some(answer) = asking.join_next().await {
            roles.extend(answer.ok().flatten());
            // A frozen node need not be waited for when a majority knows.
            let is_led = roles.iter().any(|(_, role)| role.role == "leader");
            if is_led && roles.len() >= majority {
                break;
            }
        }
        roles
    }

    fn hinted(&self, body: &[u8]) -> Option<usize> {
        let hint: Hint = serde_json::from_slice(body).ok()?;
        self.nodes.position(&hint.leader?)
    }
}

enum Attempt {
    Answered(Response<Bytes>),
    /// Not done, and the answer named another leader.
    Redirected,
    NotDone,
    Unknown,
}

#[derive(serde::Deserialize)]
struct RoleAnswer {
    role: String,
    leader: Option<String>,
    term: u64,
}

#[derive(serde::Deserialize)]
struct Hint {
    leader: Option<String>,
}

/// Whether another node would not answer otherwise.
fn is_final(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::MISDIRECTED_REQUEST
}
