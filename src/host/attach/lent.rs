//! A group with a quota below the one in which a user's processes were, into which they are moved
//! for a while. It is never killed: they are moved back, and it is removed empty.

use super::was::Was;
use crate::base::Nanos;
use crate::host::cgroup::files::{keyed, processes, within, write};
use crate::host::cgroup::set_quota_v1;
use crate::host::process::{Identity, Process};
use crate::host::quota::Quota;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// For the kernel to let go of an empty group.
const BOUND: Nanos = Nanos::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// brunt's own, inside `home`.
    pub folder: PathBuf,
    /// Where the first of the processes was.
    pub home: PathBuf,
}

impl Lent {
    /// Not made yet: what is to be written ahead. `None` where processes cannot be moved: where the
    /// cpu controller is on version 2, whoever manages the group would take it for ended.
    pub fn below(was: &Was, run: &str) -> Option<Lent> {
        let home = was.cpu_group.clone()?;
        let folder = home.join(format!("brunt-{run}-lent"));
        Some(Lent { folder, home })
    }

    /// Makes it with this quota; what is seen afterwards.
    ///
    /// # Errors
    /// When the kernel refuses; the caller gives back what was done in part.
    pub fn make(&self, quota: Quota) -> io::Result<String> {
        match std::fs::create_dir(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        set_quota_v1(&self.folder, quota)
    }

    /// Moves these processes in; what is seen afterwards.
    ///
    /// # Errors
    /// As [`Lent::make`].
    pub fn take(&self, members: &[Process]) -> io::Result<String> {
        for member in members {
            let pid = member.identity.pid.to_string();
            match write(&self.folder, "cgroup.procs", &pid) {
                Err(e) if member.identity.is_alive() => return Err(e),
                _ => {}
            }
        }
        Ok(format!("{} processes in it", processes(&self.folder).len()))
    }

    /// Moves every process back to where it was and removes the group.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub fn give_back(&self, all: &[Was]) -> io::Result<()> {
        let mut last = None;
        let is_gone = within(BOUND, || {
            for pid in processes(&self.folder) {
                let known = Identity::of(pid).and_then(|process| Was::nearest(process, all));
                // One that was looked at in here has been elsewhere before, or its parent has.
                let home = known.and_then(|w| w.cpu_group.as_ref()).filter(|g| **g != self.folder);
                let home = home.unwrap_or(&self.home);
                last = write(home, "cgroup.procs", &pid.to_string()).err();
            }
            std::fs::remove_dir(&self.folder).is_ok() || !self.folder.exists()
        });
        match (is_gone, last) {
            (true, _) => Ok(()),
            (false, Some(e)) => Err(e),
            (false, None) => {
                Err(io::Error::other(format!("{} cannot be removed", self.folder.display())))
            }
        }
    }

    pub fn throttled(&self) -> Nanos {
        keyed(&self.folder, "cpu.stat", "throttled_time").map_or(Nanos::ZERO, Nanos)
    }
}
