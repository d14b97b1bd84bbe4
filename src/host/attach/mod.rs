//! Processes that brunt did not start: how they are found, whether they may be touched, how they
//! were, and how they are made so again.

mod allowed;
mod find;
mod lent;
mod was;

pub use allowed::{Asker, check};
pub use find::{by_cgroup, by_pid_file, by_port};
pub use lent::Lent;
pub use was::{Was, give_back};

use super::process::{Identity, Process, Stat, descendants};

/// These processes and all that they started, each held; who ended is left out.
pub fn members(roots: &[Identity]) -> Vec<Process> {
    let mut all: Vec<Identity> = roots.to_vec();
    let alive: Vec<i32> = roots.iter().filter(|r| r.is_alive()).map(|r| r.pid).collect();
    all.extend(descendants(&alive).iter().map(Stat::identity));
    all.sort_by_key(|identity| identity.pid);
    all.dedup();
    let alive = all.into_iter().filter(|identity| identity.is_alive());
    alive.filter_map(|identity| Process::open(identity).ok()).collect()
}
