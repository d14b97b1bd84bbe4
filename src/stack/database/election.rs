//! Heartbeats, elections and the first start, on the control side.
//!
//! openraft's own timer looks every one and a half heartbeats, draws its time-out once per process
//! and stands without asking. This one draws anew each time and asks first whether a majority would
//! grant the vote, so that a node that was paused does not depose a leader that works.

use super::log::Log;
use super::network::Network;
use super::raft::{LogId, Raft};
use super::standing::{Standing, index_of, leader_of};
use crate::base::random::{self, Stream};
use crate::base::{Nanos, clock};
use crate::record::NodeEventKind;
use crate::stack::node::{Counter, Node};
use crate::target::Role;
use openraft::ServerState;
use rand_xoshiro::rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often a fresh first node looks whether the others are there.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// How long it waits for all of them; after that a majority is enough.
const FIRST_WAIT: Nanos = Nanos::from_secs(2);

/// What a node asks before it stands, and what another node says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Question {
    pub last_log: Option<LogId>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Opinion {
    /// Whether it would grant its vote now.
    pub would_grant: bool,
    /// Whether it belongs to a database already.
    pub is_initialized: bool,
}

/// For so long after a leader's message a node grants its vote to nobody else: two and a half
/// heartbeats. Silence must last much longer, the election time-out, before a node stands by itself;
/// a leader whose process has ended is replaced when the lease is over.
pub fn lease(node: &Node) -> Nanos {
    let settings = &node.plan().settings.database;
    let most = settings.election_timeout.saturating_sub(settings.heartbeat);
    Nanos(settings.heartbeat.0 * 5 / 2).min(most).max(settings.heartbeat)
}

/// This node's answer to a question.
pub fn opinion(question: &Question, standing: &Standing, log: &Log, lease: Nanos) -> Opinion {
    let silent = clock::now().saturating_sub(standing.last_heard());
    let leads =
        standing.is_leader() && clock::now().saturating_sub(standing.majority_accepted()) <= lease;
    Opinion {
        would_grant: !leads && silent > lease && question.last_log >= log.last_id(),
        is_initialized: log.last_id().is_some(),
    }
}

/// One node's part in elections.
pub struct Election {
    pub node: Node,
    pub raft: Raft,
    pub log: Log,
    pub network: Network,
    pub standing: Arc<Standing>,
}

impl Election {
    /// Runs until the process ends.
    pub async fn run(self) {
        self.first_start().await;
        let seed = clock::now().0 ^ self.node.plan().seed;
        let mut draws = random::stream(seed, "election", self.standing.own());
        let settings = self.node.plan().settings.database.clone();
        let mut next = clock::now() + self.patience(&mut draws);
        loop {
            if self.standing.is_leader() {
                let _ = self.raft.trigger().heartbeat().await;
                // Alone there is nobody to reassure; a wake-up would only cost.
                let pause =
                    if self.is_alone() { settings.heartbeat.0 * 10 } else { settings.heartbeat.0 };
                tokio::time::sleep(Nanos(pause).duration()).await;
                next = clock::now() + self.patience(&mut draws);
                continue;
            }
            let mut due = next;
            let sleep = tokio::time::sleep(due.saturating_sub(clock::now()).duration());
            if tokio::select! { () = sleep => false, () = self.standing.ended() => true } {
                due = self.after_the_lease(&mut draws).max(clock::now());
                tokio::time::sleep(due.saturating_sub(clock::now()).duration()).await;
            }
            let heard = self.standing.last_heard();
            let now = clock::now();
            let was_stopped = now.saturating_sub(due) > settings.heartbeat + settings.heartbeat;
            if was_stopped || !self.is_voter() {
                // What the leader sent meanwhile is still to be read. One that has ended sends no more.
                let has_ended = self.standing.has_leader_ended();
                let more = if has_ended { settings.heartbeat } else { self.patience(&mut draws) };
                next = now + more;
                tokio::time::sleep(settings.heartbeat.duration()).await;
            } else if self.standing.has_leader_ended() {
                next = self.stand(&mut draws).await;
                // Once more only when it is due, though the leader is still gone.
                tokio::time::sleep(next.saturating_sub(clock::now()).duration()).await;
            } else if heard + settings.election_timeout > now {
                next = heard + self.patience(&mut draws);
            } else {
                next = self.stand(&mut draws).await;
            }
        }
    }

    /// When to stand once the leader is gone: not before any other node may grant its vote, and not
    /// all at once.
    fn after_the_lease(&self, draws: &mut Stream) -> Nanos {
        let share = random::unit(draws.next_u64());
        let apart = self.node.plan().settings.database.heartbeat.0 as f64 / 2.0 * share;
        self.standing.last_heard() + lease(&self.node) + Nanos(apart as u64 + 1_000_000)
    }

    /// How long to wait for the leader: one election time-out to one and a half, drawn anew.
    fn patience(&self, draws: &mut Stream) -> Nanos {
        let base = self.node.plan().settings.database.election_timeout.0;
        Nanos(base + (base as f64 / 2.0 * random::unit(draws.next_u64())) as u64)
    }

    fn is_alone(&self) -> bool {
        self.node.plan().peers_of(Role::Database).next().is_none()
    }

    fn is_voter(&self) -> bool {
        let metrics = self.raft.metrics();
        let members = metrics.borrow().membership_config.clone();
        members.membership().voter_ids().any(|id| id == self.standing.own())
    }

    /// Asks, stands when a majority would grant it, and says when to look again.
    async fn stand(&self, draws: &mut Stream) -> Nanos {
        let settings = &self.node.plan().settings.database;
        let deadline = settings.peer_deadline.min(settings.heartbeat);
        let question = Question { last_log: self.log.last_id() };
        let granting = self.opinions(&question, deadline.duration()).await;
        let granted = 1 + granting.iter().filter(|o| o.would_grant).count();
        let share = random::unit(draws.next_u64());
        if !self.standing.is_majority(granted) {
            return clock::now() + Nanos((settings.heartbeat.0 as f64 * (0.5 + share)) as u64);
        }
        let _ = self.raft.trigger().elect().await;
        // Long enough for the votes; two that stood at once stand apart then.
        let pause = settings.heartbeat.0 as f64 * (1.5 + 3.0 * share);
        clock::now() + Nanos(pause as u64)
    }

    async fn opinions(&self, question: &Question, deadline: Duration) -> Vec<Opinion> {
        let body = serde_json::to_vec(question).expect("a question is plain data");
        let mut asked = JoinSet::new();
        for (id, name) in self.standing.names().iter().enumerate() {
            if id as u64 != self.standing.own() {
                let (network, name, body) = (self.network.clone(), name.clone(), body.clone());
                asked.spawn(async move { network.ask(&name, "/raft/ask", body, deadline).await });
            }
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    /// The first node of all, on a fresh disk, starts the database once the others answer and none
    /// of them belongs to one already.
    async fn first_start(&self) {
        if self.standing.own() != 0 || self.log.last_id().is_some() {
            return;
        }
        let begin = clock::now();
        let settings = &self.node.plan().settings.database;
        loop {
            let deadline = settings.peer_deadline.duration();
            let others = self.opinions(&Question::default(), deadline).await;
            if others.iter().any(|o| o.is_initialized) || self.log.last_id().is_some() {
                return;
            }
            let present = 1 + others.len();
            let waited = clock::now().saturating_sub(begin) > FIRST_WAIT;
            if present == self.standing.names().len()
                || (waited && self.standing.is_majority(present))
            {
                break;
            }
            tokio::time::sleep(FIRST_LOOK).await;
        }
        let names = self.standing.names().iter().cloned();
        let members: BTreeMap<u64, String> = (0..).zip(names).collect();
        if let Err(e) = self.raft.initialize(members).await {
            let text = format!("the database cannot be initialised: {e}");
            self.node.emit(NodeEventKind::Note { text });
        }
    }
}

/// Follows what consensus says: keeps the standing, emits role changes. Ends when consensus does.
pub async fn watch(
    node: Node,
    raft: Raft,
    log: Log,
    applied: watch::Receiver<u64>,
    standing: Arc<Standing>,
) -> String {
    let lag = node.counter("replication_lag");
    let mut metrics = raft.metrics();
    let term_counter = node.counter("term");
    let mut shown = None;
    loop {
        let (term, leader, state, is_acknowledged, stopped) = {
            let m = metrics.borrow_and_update();
            let leader = leader_of(&m.vote).filter(|_| m.state != ServerState::Candidate);
            let leader =
                leader.filter(|id| *id != standing.own() || m.state == ServerState::Leader);
            let is_acknowledged = m.millis_since_quorum_ack.is_some();
            (m.current_term, leader, m.state, is_acknowledged, m.running_state.clone().err())
        };
        if let Some(e) = stopped {
            return e.to_string();
        }
        term_counter.set(term);
        standing.observe(term, leader, log.last_index());
        note_lag(&lag, &standing, *applied.borrow(), log.last_id());
        let role = match (state, leader) {
            // A restarted leader resumes in its old term; it leads once a majority has said so.
            (ServerState::Leader, _) => is_acknowledged.then_some((true, term)),
            (_, Some(_)) => Some((false, term)),
            _ => None,
        };
        if role.is_some() && role != shown {
            shown = role;
            node.emit(match role {
                Some((true, term)) => NodeEventKind::Leader { term },
                _ => NodeEventKind::Replica { term },
            });
        }
        if metrics.changed().await.is_err() {
            return "consensus has ended".into();
        }
    }
}

/// How far this node is behind: the leader's own log, or what the leader last said is committed.
pub fn note_lag(gauge: &Counter, standing: &Standing, applied: u64, last: Option<LogId>) {
    gauge.set(match standing.is_leader() {
        true => index_of(last).saturating_sub(applied),
        false => standing.lag(applied),
    });
}
