//! What brunt and its keeper say to each other: JSON lines over a socket pair.

use crate::base::{Bytes, Nanos};
use crate::fault::Lever;
use crate::host::Identity;
use crate::target::Attach;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// The descriptor under which the keeper finds its end of the socket pair. Nodes find their event
/// pipe there.
pub const HANDED_FD: i32 = 3;

/// No line is longer; a longer one is an error of the other side.
pub const LINE_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// First, once.
    Setup(Box<Setup>),
    StartNode {
        node: String,
    },
    KillNode {
        node: String,
    },
    TerminateNode {
        node: String,
    },
    KillServer {
        server: String,
    },
    StartServer {
        server: String,
    },
    /// Writes into the journal that this is about to be held, so that holding it needs no disk.
    Prepare {
        hold: String,
        lever: Lever,
    },
    /// Puts a lever on, prepared or not; `hold` names it until it is released.
    Hold {
        hold: String,
        lever: Lever,
    },
    /// Takes it off; what else holds the same resource stays in force.
    Release {
        hold: String,
    },
    ServerUse,
    Shutdown,
}

/// All that the keeper has to know of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    pub run: String,
    pub brunt: Identity,
    pub state_folder: PathBuf,
    /// What nodes keep on disk; removed at the end when it bears the run's name.
    pub work_folder: PathBuf,
    pub brunt_cpus: Vec<u32>,
    pub stack_cpus: Vec<u32>,
    pub period: Nanos,
    /// As if no cgroup were writable.
    pub without_cgroups: bool,
    /// Whether other users' processes may be attached to.
    pub owns_these: bool,
    /// The run has a network of its own.
    pub has_network: bool,
    /// The size of the work folder, when it is a file system of its own.
    pub bound: Option<Bytes>,
    /// Those that go over an address of their own, by which their packets are known.
    pub links: Vec<LinkSpec>,
    pub servers: Vec<ServerSpec>,
    pub nodes: Vec<NodeSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    pub from: String,
    pub to: String,
    /// Where the dialling end connects.
    pub address: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSpec {
    pub name: String,
    /// `None` for what is brunt's own: no share, and brunt's cores.
    pub cores: Option<f64>,
    pub restart_after: Nanos,
    pub nodes: Vec<String>,
    /// It ran before brunt: no share, no group, no restart.
    pub is_attached: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSpec {
    pub name: String,
    pub server: String,
    pub kind: NodeKind,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Added to brunt's own; `${env:NAME}` in it and in the arguments is taken from there.
    pub env: Vec<(String, String)>,
    /// Where it is started; without it, where brunt was.
    pub folder: Option<PathBuf>,
    pub stdin: String,
    pub log: PathBuf,
}

/// What the keeper may expect of a node, and do to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// It reads its plan on stdin and writes events to a pipe.
    #[default]
    Bundled,
    /// A program of the user's own: it is asked to end before it is killed.
    Service,
    /// It ran before: it is never ended, and left as it was found.
    Attached(AttachSpec),
}

/// How it is found, and how long a fault may last on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachSpec {
    pub to: Attach,
    pub max_hold: Nanos,
}

/// An operation's instants, how it was done, and what was seen by looking afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// `CLOCK_MONOTONIC` right before the system call.
    pub before: Nanos,
    /// And right after it.
    pub after: Nanos,
    pub mechanism: String,
    pub proof: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerUse {
    pub server: String,
    pub used: Nanos,
    pub throttled: Nanos,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Done(Stamp),
    Use(Vec<ServerUse>),
    /// What is left after a shutdown; empty when all is clean.
    Left(Vec<String>),
    Refused(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "kebab-case")]
pub enum Tell {
    Answer {
        id: u64,
        answer: Answer,
    },
    Started {
        node: String,
        at: Nanos,
        process: Identity,
    },
    Exited {
        node: String,
        at: Nanos,
        how: String,
        /// A fault or a stop explains it.
        is_expected: bool,
    },
    /// One line of a node's event pipe.
    Line {
        node: String,
        line: String,
    },
    Note {
        text: String,
    },
}
