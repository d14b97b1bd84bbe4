//! Where this node stands: who leads, when it last heard of the leader, how fresh its data is.
//!
//! Freshness is counted from the instant at which the leader *sent* what was applied here, on the
//! host's one clock, so that a message which lay in the socket of a paused process does not make old
//! data look new.

use super::raft::{LogId, Vote};
use crate::base::Nanos;
use crate::base::clock;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// Shared by the service and the control side.
pub struct Standing {
    /// All database nodes, sorted; an index into it is a node's id.
    names: Vec<String>,
    own: u64,
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    term: u64,
    leader: Option<u64>,
    /// Entries up to here may have been acknowledged before this node led, so it must have applied
    /// them before it answers as a leader.
    lead_from: u64,
    /// When the last message of a leader was accepted here.
    heard: Nanos,
    /// Its process has ended, and nothing was heard since.
    has_ended: bool,
    /// A message whose commit index is not applied yet.
    pending: Option<(Nanos, u64)>,
    /// Everything committed at this instant is applied here.
    fresh: Nanos,
    /// Commit index that the leader named last.
    commit: u64,
    /// By node id: when the last message that it accepted from this node was sent.
    accepted: Vec<Nanos>,
}

impl Standing {
    pub fn new(mut names: Vec<String>, own: &str) -> Standing {
        names.sort();
        let id = names.iter().position(|n| n == own).expect("a node is among its own names");
        let accepted = vec![Nanos::ZERO; names.len()];
        let state = State {
            term: 0,
            leader: None,
            lead_from: u64::MAX,
            // A node that has just come back must not stand at once: the leader may live.
            heard: clock::now(),
            has_ended: false,
            pending: None,
            fresh: Nanos::ZERO,
            commit: 0,
            accepted,
        };
        let (state, ended) = (Mutex::new(state), Notify::new());
        Standing { names, own: id as u64, state, ended }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding the standing")
    }

    pub fn own(&self) -> u64 {
        self.own
    }

    pub fn name_of(&self, id: u64) -> Option<&str> {
        self.names.get(usize::try_from(id).ok()?).map(String::as_str)
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn majority(&self) -> usize {
        self.names.len() / 2 + 1
    }

    pub fn is_majority(&self, count: usize) -> bool {
        count >= self.majority()
    }

    /// What consensus says now. `last_index` is the end of the log at this moment.
    pub fn observe(&self, term: u64, leader: Option<u64>, last_index: u64) {
        let mut state = self.state();
        let led = state.leader == Some(self.own) && state.term == term;
        let leads = leader == Some(self.own);
        state.has_ended &= state.leader == leader && state.term == term;
        state.term = term;
        state.leader = leader;
        if leads && !led {
            state.lead_from = last_index;
        }
    }

    pub fn term(&self) -> u64 {
        self.state().term
    }

    pub fn leader(&self) -> Option<u64> {
        self.state().leader
    }

    pub fn leader_name(&self) -> Option<&str> {
        self.name_of(self.leader()?)
    }

    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.own)
    }

    /// The term that this node leads, and the index it must have applied before it may answer as a
    /// leader.
    pub fn leads(&self) -> Option<(u64, u64)> {
        let state = self.state();
        (state.leader == Some(self.own)).then_some((state.term, state.lead_from))
    }

    /// A leader's message was accepted; `commit` only when this node's log agrees with it.
    pub fn heard(&self, sent: Nanos, commit: Option<u64>, applied: u64) {
        let mut state = self.state();
        state.heard = clock::now();
        state.has_ended = false;
        if let Some(commit) = commit {
            state.commit = state.commit.max(commit);
            state.settle(applied);
            if state.pending.is_none() {
                state.pending = Some((sent, commit));
            }
            state.settle(applied);
        }
    }

    /// The process of this leader is known to have ended.
    pub fn leader_ended(&self, leader: u64) {
        let mut state = self.state();
        if state.leader == Some(leader) {
            state.has_ended = true;
            drop(state);
            self.ended.notify_one();
        }
    }

    pub fn has_leader_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Returns when the leader's process has ended, at once if it had.
    pub async fn ended(&self) {
        while !self.has_leader_ended() {
            self.ended.notified().await;
        }
    }

    /// When a leader was last heard, or this node last stood or started.
    pub fn last_heard(&self) -> Nanos {
        self.state().heard
    }

    /// A peer accepted what was sent to it then.
    pub fn accepted(&self, peer: u64, sent: Nanos) {
        let mut state = self.state();
        if let Some(last) = state.accepted.get_mut(peer as usize) {
            *last = sent.max(*last);
        }
    }

    /// When a majority, this node included, last accepted this node as its leader.
    pub fn majority_accepted(&self) -> Nanos {
        let needed = self.majority() - 1;
        if needed == 0 {
            return clock::now();
        }
        let mut accepted = self.state().accepted.clone();
        accepted.swap_remove(self.own as usize);
        accepted.sort_unstable_by(|a, b| b.cmp(a));
        accepted[needed - 1]
    }

    /// Whether an answer from here is at most this stale.
    pub fn is_fresh(&self, applied: u64, staleness_max: Nanos) -> bool {
        let oldest = clock::now().saturating_sub(staleness_max);
        let followed = {
            let mut state = self.state();
            state.settle(applied);
            state.fresh
        };
        if followed > oldest {
            return true;
        }
        match self.leads() {
            Some((_, from)) => applied >= from && self.majority_accepted() > oldest,
            None => false,
        }
    }

    /// Committed entries that are known of and not applied here.
    pub fn lag(&self, applied: u64) -> u64 {
        self.state().commit.saturating_sub(applied)
    }
}

impl State {
    fn settle(&mut self, applied: u64) {
        if let Some((sent, commit)) = self.pending
            && applied >= commit
        {
            self.fresh = self.fresh.max(sent);
            self.pending = None;
        }
    }
}

/// The leader that a vote stands for, once a majority has granted it.
pub fn leader_of(vote: &Vote) -> Option<u64> {
    vote.is_committed().then(|| vote.leader_id().voted_for()).flatten()
}

pub fn index_of(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Standing {
        Standing::new(vec!["db-2".into(), "db-3".into(), "db-1".into()], "db-2")
    }

    #[test]
    fn a_replica_is_as_fresh_as_the_message_whose_commit_it_has_applied() {
        let standing = three();
        let second = Nanos::SECOND;
        assert!(!standing.is_fresh(5, second), "nothing heard yet");
        standing.heard(clock::now(), Some(7), 5);
        assert!(!standing.is_fresh(6, second), "committed entries are missing");
        assert!(standing.is_fresh(7, second));
        let late = three();
        late.heard(clock::now().saturating_sub(Nanos::from_secs(3)), Some(7), 7);
        assert!(!late.is_fresh(7, second), "sent long ago, read only now");
    }

    #[test]
    fn a_leader_is_fresh_while_a_majority_accepts_it_and_its_own_log_is_applied() {
        let standing = three();
        standing.observe(3, Some(1), 40);
        standing.accepted(0, clock::now());
        assert!(!standing.is_fresh(39, Nanos::SECOND));
        assert!(standing.is_fresh(40, Nanos::SECOND));
        assert!(!standing.is_fresh(40, Nanos::ZERO), "the acceptance is older than now");
        standing.observe(4, Some(2), 41);
        assert!(!standing.is_fresh(41, Nanos::SECOND), "it does not lead any more");
    }
}
