//! Writes on their way into the log: what waits is proposed together, and answered when it is
//! committed, or, with `durability = "leader"`, when it is on this disk.

use super::disk::Disk;
use super::raft::{Batch, LogId, Outcome, Raft, Types, Write};
use super::standing::Standing;
use super::state;
use crate::base::{Nanos, clock, random};
use crate::target::Durability;
use openraft::error::ClientWriteError;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Writes that may wait to be proposed; beyond it the node answers 503.
pub const QUEUE_MAX: usize = 1024;
const BATCH_WRITES_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Batches proposed and not yet committed.
const BATCHES_MAX: usize = 32;
/// A batch whose fate is not known by then is given up; its writes were answered long before.
const BATCH_DEADLINE: Duration = Duration::from_secs(30);

/// Longest wait of a new leader for what it has to know before it can foresee versions.
const FORESIGHT_WAIT: Duration = Duration::from_millis(200);

/// A write and whoever waits for its answer.
pub struct Pending {
    pub write: Write,
    pub answer: oneshot::Sender<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done {
        outcome: Outcome,
        durability: Durability,
    },
    /// Certainly not done.
    NotLeader,
    /// It may be in the log of some node.
    Unknown,
}

/// This process's own batches between proposal and disk.
#[derive(Clone)]
pub struct OwnWrites {
    proposer: u64,
    marks: Arc<Mutex<HashMap<u64, Mark>>>,
    /// Highest index that was acknowledged before it was committed.
    acknowledged: Arc<AtomicU64>,
}

struct Mark {
    was_appended: bool,
    flushed: Option<oneshot::Sender<LogId>>,
}

impl Default for OwnWrites {
    fn default() -> Self {
        let proposer = random::mix(clock::wall().0 ^ u64::from(std::process::id()).rotate_left(40));
        OwnWrites { proposer, marks: Arc::default(), acknowledged: Arc::default() }
    }
}

impl OwnWrites {
    pub fn proposer(&self) -> u64 {
        self.proposer
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<u64, Mark>) -> R) -> R {
        f(&mut self.marks.lock().expect("no panic while marking"))
    }

    fn expect(&self, number: u64) -> oneshot::Receiver<LogId> {
        let (sender, receiver) = oneshot::channel();
        let mark = Mark { was_appended: false, flushed: Some(sender) };
        self.with(|marks| marks.insert(number, mark));
        receiver
    }

    /// The batch is on its way to the disk.
    pub fn appended(&self, number: u64) {
        self.with(|marks| {
            if let Some(mark) = marks.get_mut(&number) {
                mark.was_appended = true;
            }
        });
    }

    /// The batch is on the disk.
    pub fn flushed(&self, number: u64, at: LogId) {
        let sender = self.with(|marks| marks.get_mut(&number).and_then(|m| m.flushed.take()));
        if let Some(sender) = sender {
            let _ = sender.send(at);
        }
    }

    /// Forgets a batch; whether it ever was in the log.
    fn forget(&self, number: u64) -> bool {
        self.with(|marks| marks.remove(&number)).is_some_and(|mark| mark.was_appended)
    }
}

/// What the proposer needs; one per node, on the control side.
pub struct Writer {
    pub raft: Raft,
    pub disk: Disk,
    pub standing: Arc<Standing>,
    pub own: OwnWrites,
    pub durability: Durability,
    /// For so long after its last acceptance by a majority no other node can have been elected.
    pub lease: Nanos,
    pub last_index: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Writer {
    /// Proposes until the queue is closed.
    pub async fn run(self, mut queue: mpsc::Receiver<Pending>) {
        let slots = Arc::new(Semaphore::new(BATCHES_MAX));
        let overlay = Arc::new(Mutex::new(Overlay::default()));
        let mut number = 0;
        while let Some(first) = queue.recv().await {
            let slot = slots.clone().acquire_owned().await.expect("the slots are never closed");
            let waiting = gather(first, &mut queue);
            if waiting.is_empty() {
                continue;
            }
            number += 1;
            self.propose(number, waiting, slot, &overlay).await;
        }
    }

    /// Hands one batch to consensus and waits until it is on this disk (or will never be): what
    /// comes meanwhile is the next batch.
    async fn propose(
        &self,
        number: u64,
        waiting: Vec<Pending>,
        slot: OwnedSemaphorePermit,
        overlay: &Arc<Mutex<Overlay>>,
    ) {
        let (writes, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|p| (p.write, p.answer)).unzip();
        let early = match self.durability {
            Durability::Quorum => None,
            Durability::Leader => self.foresee(&writes, overlay).await,
        };
        let flushed = self.own.expect(number);
        let batch = Batch { number, proposer: self.own.proposer(), writes };
        let Ok(result) = self.raft.client_write_ff(batch).await else {
            self.own.forget(number);
            for answer in answers {
                let _ = answer.send(Answer::NotLeader);
            }
            return;
        };
        let (next, go_on) = oneshot::channel();
        let course = Course {
            number,
            answers: answers.into_iter().map(Some).collect(),
            early,
            own: self.own.clone(),
            standing: self.standing.clone(),
            lease: self.lease,
            overlay: overlay.clone(),
        };
        tokio::spawn(async move {
            course.run(flushed, result, next).await;
            drop(slot);
        });
        let _ = go_on.await;
    }

    /// The outcomes that these writes will have, when everything before them is known.
    async fn foresee(&self, writes: &[Write], overlay: &Mutex<Overlay>) -> Option<Early> {
        let (term, from) = self.standing.leads()?;
        let known_from = {
            let mut overlay = overlay.lock().expect("no panic while foreseeing");
            if overlay.term != term || overlay.is_broken {
                *overlay = Overlay {
                    term,
                    generation: overlay.generation + 1,
                    known_from: (self.last_index)().max(from),
                    ..Overlay::default()
                };
            }
            overlay.known_from
        };
        let mut applied = self.disk.applied.clone();
        let known = applied.wait_for(|index| *index >= known_from);
        let is_known = tokio::time::timeout(FORESIGHT_WAIT, known).await.is_ok();
        let mut overlay = overlay.lock().expect("no panic while foreseeing");
        let outcomes = if is_known { overlay.foresee(writes, &self.disk) } else { None };
        match outcomes {
            Some(outcomes) => {
                let generation = overlay.generation;
                Some(Early { term, generation, outcomes, writes: writes.to_vec() })
            }
            None => {
                overlay.is_broken = true;
                None
            }
        }
    }
}

/// Takes what waits, up to a batch. Whoever no longer waits is dropped: certainly not done.
fn gather(first: Pending, queue: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let mut bytes = 0;
    let mut waiting = Vec::new();
    let mut next = Some(first);
    while let Some(pending) = next {
        if !pending.answer.is_closed() {
            bytes += pending.write.text.len();
            waiting.push(pending);
        }
        let is_full = waiting.len() >= BATCH_WRITES_MAX || bytes >= BATCH_BYTES_MAX;
        next = if is_full { None } else { queue.try_recv().ok() };
    }
    waiting
}

/// Outcomes known before the commit.
struct Early {
    term: u64,
    generation: u64,
    outcomes: Vec<Outcome>,
    writes: Vec<Write>,
}

type ClientWriteResult = openraft::raft::ClientWriteResult<Types>;

/// One batch from proposal to answer.
struct Course {
    number: u64,
    answers: Vec<Option<oneshot::Sender<Answer>>>,
    early: Option<Early>,
    own: OwnWrites,
    standing: Arc<Standing>,
    lease: Nanos,
    overlay: Arc<Mutex<Overlay>>,
}

impl Course {
    async fn run(
        mut self,
        flushed: oneshot::Receiver<LogId>,
        result: oneshot::Receiver<ClientWriteResult>,
        next: oneshot::Sender<()>,
    ) {
        let mut result = Box::pin(tokio::time::timeout(BATCH_DEADLINE, result));
        let end = tokio::select! {
            biased;
            Ok(at) = flushed => {
                let _ = next.send(());
                self.answer_early(at);
                result.await
            }
            end = &mut result => {
                let _ = next.send(());
                end
            }
        };
        self.finish(end.ok().and_then(Result::ok));
    }

    /// Acknowledges from this disk alone, but only while no other node can have been elected.
    fn answer_early(&mut self, at: LogId) {
        let Some(early) = &self.early else { return };
        let holds = self.standing.majority_accepted() + self.lease > clock::now();
        if early.term != at.leader_id.term || !holds {
            return;
        }
        self.own.acknowledged.fetch_max(at.index, Ordering::AcqRel);
        for (answer, outcome) in self.answers.iter_mut().zip(&early.outcomes) {
            if let Some(answer) = answer.take() {
                let done = Answer::Done { outcome: *outcome, durability: Durability::Leader };
                let _ = answer.send(done);
            }
        }
    }

    fn finish(self, end: Option<ClientWriteResult>) {
        let was_appended = self.own.forget(self.number);
        let outcomes = match end {
            Some(Ok(response)) => Some(response.data),
            Some(Err(ClientWriteError::ForwardToLeader(_))) if !was_appended => {
                self.overlay.lock().expect("no panic while foreseeing").is_broken = true;
                return self.answer_all(|_| Answer::NotLeader);
            }
            _ => None,
        };
        if let Some(early) = &self.early {
            let mut overlay = self.overlay.lock().expect("no panic while foreseeing");
            overlay.settle(early, outcomes.as_deref());
        }
        self.answer_all(|i| match outcomes.as_ref().and_then(|all| all.get(i)) {
            Some(outcome) => Answer::Done { outcome: *outcome, durability: Durability::Quorum },
            None => Answer::Unknown,
        });
    }

    fn answer_all(self, answer_of: impl Fn(usize) -> Answer) {
        for (i, answer) in self.answers.into_iter().enumerate() {
            if let Some(answer) = answer {
                let _ = answer.send(answer_of(i));
            }
        }
    }
}

/// What the state will be once everything proposed is applied, where that differs from what it is.
#[derive(Default)]
struct Overlay {
    term: u64,
    generation: u64,
    /// Must be applied before anything can be foreseen: entries that are not this overlay's.
    known_from: u64,
    /// A proposal had another fate than foreseen; start again.
    is_broken: bool,
    /// Video → version to be, and proposals under way.
    videos: HashMap<u64, (u64, usize)>,
    ids: HashMap<u64, u64>,
}

impl Overlay {
    fn foresee(&mut self, writes: &[Write], disk: &Disk) -> Option<Vec<Outcome>> {
        writes.iter().map(|write| self.foresee_one(write, disk)).collect()
    }

    fn foresee_one(&mut self, write: &Write, disk: &Disk) -> Option<Outcome> {
        let known = match self.ids.get(&write.id) {
            Some(version) => Some(*version),
            None => state::version_of(&disk.database, write.id).ok()?,
        };
        if let Some(version) = known {
            return Some(Outcome { version, duplicate: true });
        }
        if let std::collections::hash_map::Entry::Vacant(slot) = self.videos.entry(write.video) {
            slot.insert((state::counts(&disk.database, write.video).ok()?.version(), 0));
        }
        let (version, under_way) =
            self.videos.get_mut(&write.video).expect("it was put there just now");
        *version += 1;
        *under_way += 1;
        self.ids.insert(write.id, *version);
        Some(Outcome { version: *version, duplicate: false })
    }

    fn settle(&mut self, early: &Early, outcomes: Option<&[Outcome]>) {
        if early.generation != self.generation {
            return;
        }
        if outcomes != Some(&early.outcomes) {
            self.is_broken = true;
            return;
        }
        for (write, _) in early.writes.iter().zip(&early.outcomes).filter(|(_, o)| !o.duplicate) {
            self.ids.remove(&write.id);
            if let Some((_, under_way)) = self.videos.get_mut(&write.video) {
                *under_way -= 1;
                if *under_way == 0 {
                    self.videos.remove(&write.video);
                }
            }
        }
    }
}
