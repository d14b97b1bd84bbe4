//! Things that happened, on the one clock.

use serde::{Deserialize, Serialize};

/// How the detail of a [`EventKind::FaultSkipped`] begins that was not allowed because the hypothesis did
/// not hold before it.
pub const NOT_STEADY: &str = "the steady state did not hold";

/// How it begins where the plan's own limits did not allow the fault: that was asked for.
pub const OVER_LIMIT: &str = "the plan does not allow it: ";

/// One row of `events.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Since the start of the run; what happened before it (nodes becoming ready) is at 0.
    pub at_ns: u64,
    pub kind: EventKind,
    /// The phase, fault, node, server or guard concerned.
    pub subject: String,
    /// The node that was hit, where `subject` is a fault; the member, where it is a balancer; the
    /// term, where it is a leader. Empty when there is none.
    pub object: String,
    /// How much later than planned, where there was a plan.
    pub lateness_ns: Option<u64>,
    /// Mechanism, proof, reason: for people. `mechanism=…; proof=…` on injections and heals.
    pub detail: String,
}

/// What happened. The names are what `events.csv` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    PhaseStarted,
    PhaseEnded,
    /// `subject` fault, `object` node or server, `detail` mechanism and proof.
    FaultInjected,
    FaultHealed,
    /// `detail` says why.
    FaultSkipped,
    /// Healing was looked at afterwards and found incomplete.
    HealFailed,
    /// `subject` node; `detail` how it ended.
    NodeExited,
    /// `subject` node: the process was started (again).
    NodeStarted,
    /// `subject` node: it answers its protocol.
    NodeReady,
    /// `subject` node is now the leader; `object` its term.
    BecameLeader,
    /// `subject` node now follows.
    BecameReplica,
    /// `subject` balancer or directory; `object` member; `detail` why.
    MemberUp,
    MemberDown,
    GuardTripped,
    /// `subject` threshold, missed whatever came after.
    ThresholdLost,
    /// Anything else worth a line.
    Note,
}

/// What a node writes to its event pipe: one JSON object a line, stamped where it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    #[serde(flatten)]
    pub what: NodeEventKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum NodeEventKind {
    /// The service listens and answers.
    Ready,
    Leader {
        term: u64,
    },
    Replica {
        term: u64,
    },
    /// A balancer or directory sees a member as eligible.
    MemberUp {
        member: String,
        why: String,
    },
    MemberDown {
        member: String,
        why: String,
    },
    Note {
        text: String,
    },
}
