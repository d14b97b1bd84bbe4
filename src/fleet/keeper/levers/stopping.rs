//! Stopping processes one by one, where no group does it for all.

use super::super::node::{are_stopped, signal_all};
use super::super::operate::{EFFECT_BOUND, refused};
use crate::base::clock;
use crate::fleet::protocol::Stamp;
use crate::host::cgroup::files::within;
use crate::host::process::Process;
use rustix::process::Signal;
use std::io;

/// Stops or continues these processes and waits until the kernel shows it.
pub fn stop_all(members: &[Process], is_stop: bool) -> io::Result<Stamp> {
    let (signal, word) = match is_stop {
        true => (Signal::STOP, "SIGSTOP"),
        false => (Signal::CONT, "SIGCONT"),
    };
    let before = clock::now();
    signal_all(members, signal)?;
    let after = clock::now();
    if !within(EFFECT_BOUND, || are_stopped(members, is_stop)) {
        return refused(format!("{word} was sent, but not every process shows it"));
    }
    let state = if is_stop { "stopped" } else { "not stopped" };
    let proof = format!("{} processes {state}", members.len());
    Ok(Stamp { before, after, mechanism: format!("{word} by pidfd"), proof })
}
