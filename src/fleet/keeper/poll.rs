//! Waits for the first thing that asks for the keeper: brunt, a node's end, its output, a deadline.

use super::Keeper;
use crate::base::{Nanos, clock};
use crate::host::budget::TICK;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::unix::net::UnixStream;

pub const HOUSEKEEPING: Nanos = Nanos::from_millis(250);

pub fn wait(socket: &UnixStream, has_mail: bool, keeper: Option<&Keeper>) {
    let wanted = if has_mail { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut fds = vec![PollFd::new(socket, wanted)];
    let nodes = keeper.into_iter().flat_map(|k| k.nodes.values());
    for running in nodes.filter_map(|n| n.running.as_ref()) {
        fds.push(PollFd::new(&running.held, PollFlags::IN));
        let pipes = running.output.iter().chain(&running.events);
        fds.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    }
    let at_most = keeper.map_or(HOUSEKEEPING, timeout);
    let timeout = Timespec {
        tv_sec: (at_most.0 / 1_000_000_000) as i64,
        tv_nsec: (at_most.0 % 1_000_000_000) as i64,
    };
    // An interrupted or failed wait only means looking earlier.
    let _ = poll(&mut fds, Some(&timeout));
}

fn timeout(keeper: &Keeper) -> Nanos {
    let now = clock::now();
    let restarts = keeper.nodes.values().filter_map(|n| n.restart_at);
    let next = restarts.map(|at| at.saturating_sub(now)).min().unwrap_or(HOUSEKEEPING);
    let has_budget = keeper.servers.values().any(|s| s.budget.is_some());
    next.min(if has_budget { TICK } else { HOUSEKEEPING })
}
