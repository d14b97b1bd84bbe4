//! Ends everything in a group that brunt made, and removes it; verified by looking.

use super::files::{processes, read, within, write};
use super::{v1, v2};
use crate::base::Nanos;
use crate::host::process::{Identity, Process};
use rustix::process::Signal;
use std::io;
use std::path::Path;

/// How long the kernel may take for a freeze, a kill or a removal.
pub const BOUND: Nanos = Nanos::from_secs(2);

/// SIGKILL to all in the group and below it; returns once none is left.
///
/// # Errors
/// When a process is still there after the bound.
pub fn kill(folder: &Path) -> io::Result<String> {
    if folder.join("freezer.state").exists() {
        // In a frozen v1 group even SIGKILL waits.
        v1::thaw(folder, BOUND)?;
    }
    let by_kernel =
        folder.join("cgroup.kill").exists() && write(folder, "cgroup.kill", "1").is_ok();
    let is_empty = || {
        if !by_kernel {
            kill_members(folder);
        }
        v2::is_populated(folder).map_or_else(|| processes(folder).is_empty(), |p| !p)
    };
    match within(BOUND, is_empty) {
        true if by_kernel => Ok("cgroup.events populated 0".into()),
        true => Ok("cgroup.procs empty".into()),
        false => {
            let left = processes(folder);
            Err(io::Error::other(format!("processes {left:?} are still in {}", folder.display())))
        }
    }
}

/// One round; a process that forks meanwhile is met in the next one.
fn kill_members(folder: &Path) {
    for pid in processes(folder) {
        let held = Identity::of(pid).and_then(|identity| Process::open(identity).ok());
        // Held now: if the number is still a member, it is the member that is held.
        if let Some(process) = held.filter(|_| processes(folder).contains(&pid)) {
            let _ = process.signal(Signal::KILL);
        }
    }
}

/// Kills what is in the group, then removes it and the groups below it. A group that is gone
/// already is fine.
///
/// # Errors
/// When the folder does not bear the run's name, or is still there afterwards.
pub fn remove(folder: &Path, run: &str) -> io::Result<()> {
    let name = super::run_name(run);
    if !folder.components().any(|c| c.as_os_str() == name.as_str()) {
        let text = format!("{} is not a group of run {run}", folder.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove(&entry.path(), run)?;
        }
    }
    kill(folder)?;
    // A dying task keeps the folder busy for a moment after it left the list.
    within(BOUND, || std::fs::remove_dir(folder).is_ok() || !folder.exists());
    match folder.exists() {
        false => Ok(()),
        true => {
            let members = read(folder, "cgroup.procs").unwrap_or_default();
            let text = format!("{} cannot be removed, members: {members:?}", folder.display());
            Err(io::Error::other(text))
        }
    }
}
