//! Groups for a moment, for what is tried or measured outside any run: journalled as a run's are, so
//! that `brunt heal` finds them after a SIGKILL.

use super::cgroup::Cgroups;
use super::journal::{Entry, Header, Journal, state_folder};
use super::process::{Identity, boot_id};
use std::io;

/// With it begins the name of what is no run.
pub const PREFIX: &str = "scratch-";

/// The groups for `what`, with the mechanisms that there are. Nothing is made yet.
pub fn groups(what: &str) -> Cgroups {
    Cgroups::probe(&format!("{PREFIX}{what}-{}", std::process::id()))
}

/// Lets something be done in these groups, and removes them.
///
/// # Errors
/// When the journal cannot be written, or something is left.
pub fn journalled<T>(cgroups: &Cgroups, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let (run, boot, own) = (cgroups.run().into(), boot_id(), Identity::own());
    let header = Header { run, boot, brunt: own, keeper: own, work_folder: None };
    let mut journal = Journal::begin(&state_folder(), header)?;
    journal.append(&Entry::Groups { folders: cgroups.run_folders() })?;
    let answer = act();
    let left = cgroups.remove_all();
    match left.is_empty() {
        true => journal.remove()?,
        false => return Err(io::Error::other(left.join("; "))),
    }
    answer
}
