//! Floor 4: what Linux gives. Processes by pidfd, cgroups v1 and v2, CPU budgets, cores, a network
//! of one's own, the journal of changes and its undoing. Knows nothing of targets.

pub mod affinity;
pub mod attach;
pub mod block;
pub mod bounded;
pub mod budget;
pub mod cgroup;
pub mod descriptors;
pub mod facts;
pub mod failpoint;
mod forked;
pub mod heal;
pub mod http;
pub mod journal;
mod loopback;
pub mod namespace;
pub mod network;
pub mod process;
pub mod program;
pub mod quota;
pub mod scratch;
pub mod stall;
pub mod trial;
pub mod usage;

pub use facts::{FactsError, Machine, resolve};
pub use heal::{Healed, heal, other_brunts, preview, stale};
pub use journal::state_folder;
pub use namespace::{NamespaceError, Namespaces};
pub use network::NetworkClaim;
pub use process::Identity;
pub use stall::QuotaStall;
