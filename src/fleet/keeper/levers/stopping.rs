//! Stopping processes one by one, where no group does it for all.

use super::super::node::{are_stopped, signal_all};
use super::super::operate::{EFFECT_BOUND, refused};
use crate::base::clock;
use crate::fleet::protocol::Stamp;
use crate::host::cgroup::files::within;
use crate::host::process::Process;
use rustix::process::Signal;
use std::io;

/// Each round finds what the processes of the one before had started until they stopped.
const ROUNDS: usize = 10;

/// Stops or continues processes and waits until the kernel shows it: those that are known at once,
/// then all there are, since looking for them takes its time.
pub fn stop_all<'a>(
    known: impl Iterator<Item = &'a Process>,
    members: impl Fn() -> Vec<Process>,
    is_stop: bool,
) -> io::Result<Stamp> {
    let (signal, word) = match is_stop {
        true => (Signal::STOP, "SIGSTOP"),
        false => (Signal::CONT, "SIGCONT"),
    };
    let before = clock::now();
    signal_all(known, signal)?;
    let after = clock::now();
    let mut done: Vec<Process> = Vec::new();
    for _round in 0..ROUNDS {
        let is_fresh = |p: &Process| !done.iter().any(|d| d.identity == p.identity);
        let fresh: Vec<Process> = members().into_iter().filter(is_fresh).collect();
        if fresh.is_empty() {
            break;
        }
        signal_all(&fresh, signal)?;
        done.extend(fresh);
    }
    if !within(EFFECT_BOUND, || are_stopped(&done, is_stop)) {
        return refused(format!("{word} was sent, but not every process shows it"));
    }
    let state = if is_stop { "stopped" } else { "not stopped" };
    let proof = format!("{} processes {state}", done.len());
    Ok(Stamp { before, after, mechanism: format!("{word} by pidfd"), proof })
}
