//! Reads that only the leader may answer, after it has confirmed that it still is. One confirmation
//! serves every read that was waiting when it began.

use super::disk::Disk;
use super::log::Log;
use super::raft::Raft;
use super::standing::Standing;
use super::writer::OwnWrites;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Reads that may wait; beyond it the node answers 503.
pub const QUEUE_MAX: usize = 4096;
/// Confirmations at once.
const UNDER_WAY_MAX: usize = 2;

/// Whether a read may be answered from what is applied now.
pub type Permission = oneshot::Sender<bool>;

/// Confirms leadership for reads; one per node, on the control side.
#[derive(Clone)]
pub struct Confirmer {
    pub raft: Raft,
    pub disk: Disk,
    pub standing: Arc<Standing>,
    pub log: Log,
    pub own: OwnWrites,
    pub deadline: Duration,
}

impl Confirmer {
    /// Confirms until the queue is closed.
    pub async fn run(self, mut queue: mpsc::Receiver<Permission>) {
        let slots = Arc::new(tokio::sync::Semaphore::new(UNDER_WAY_MAX));
        while let Some(first) = queue.recv().await {
            let slot = slots.clone().acquire_owned().await.expect("the slots are never closed");
            let mut waiting = vec![first];
            while let Ok(next) = queue.try_recv() {
                waiting.push(next);
            }
            let confirmer = self.clone();
            tokio::spawn(async move {
                let confirmed = tokio::time::timeout(confirmer.deadline, confirmer.confirm());
                let may = confirmed.await.unwrap_or(false);
                for permission in waiting {
                    let _ = permission.send(may);
                }
                drop(slot);
            });
        }
    }

    /// Everything acknowledged before this call is applied when it returns true.
    async fn confirm(&self) -> bool {
        // Acknowledged by this disk alone: consensus does not count it as committed yet.
        let acknowledged = self.own.acknowledged().min(self.log.last_index());
        let Some((term, from)) = self.standing.leads() else { return false };
        if self.raft.ensure_linearizable().await.is_err() {
            return false;
        }
        // A restarted leader resumes without an election: all that its disk holds may have been
        // acknowledged, though consensus knows only what was applied.
        let needed = acknowledged.max(from);
        let mut applied = self.disk.applied.clone();
        let is_applied = applied.wait_for(|index| *index >= needed).await.is_ok();
        is_applied && self.standing.leads().is_some_and(|(now, _)| now == term)
    }
}
