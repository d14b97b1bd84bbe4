//! A process and who it really is: pid, start time and boot, held by a pidfd.
//!
//! A bare number can be somebody else's by the time it is used; a pidfd cannot. Where a number came
//! from a file, the start time is compared again after the pidfd was opened.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What tells a process from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

impl Identity {
    /// Of a process that exists now.
    pub fn of(pid: i32) -> Option<Identity> {
        Stat::read(pid).map(|stat| stat.identity())
    }

    pub fn own() -> Identity {
        Identity::of(std::process::id() as i32).expect("a running process has a stat file")
    }

    /// Whether exactly this process runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid)
            .is_some_and(|s| s.start_time == self.start_time && s.state != 'Z' && s.state != 'X')
    }
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub state: char,
    pub parent: i32,
    pub session: i32,
    pub start_time: u64,
}

impl Stat {
    pub fn read(pid: i32) -> Option<Stat> {
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name may hold spaces and parentheses; what follows the last one is regular.
    fn parse(text: &str) -> Option<Stat> {
        let pid = text.split(' ').next()?.parse().ok()?;
        let rest: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        Some(Stat {
            pid,
            state: rest.first()?.chars().next()?,
            parent: rest.get(1)?.parse().ok()?,
            session: rest.get(3)?.parse().ok()?,
            start_time: rest.get(19)?.parse().ok()?,
        })
    }

    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_time: self.start_time }
    }

    /// Every process that can be seen.
    pub fn all() -> Vec<Stat> {
        let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
        folder
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse().ok())
            .filter_map(Stat::read)
            .collect()
    }
}

/// Children, their children and so on of these processes, without themselves. Reads all of /proc:
/// not every kernel lists a process's children.
pub fn descendants(of: &[i32]) -> Vec<Stat> {
    let all = Stat::all();
    let mut found: Vec<Stat> = Vec::new();
    let mut parents = of.to_vec();
    while let Some(parent) = parents.pop() {
        for stat in all.iter().filter(|s| s.parent == parent) {
            if !found.contains(stat) {
                found.push(*stat);
                parents.push(stat.pid);
            }
        }
    }
    found
}

/// A process that is held: its number cannot become another's in a signal.
#[derive(Debug)]
pub struct Process {
    pub identity: Identity,
    pidfd: OwnedFd,
}

impl Process {
    /// Holds exactly this process, or says that it is gone.
    ///
    /// # Errors
    /// `NotFound` when no process has this number and start time.
    pub fn open(identity: Identity) -> io::Result<Process> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the process is gone");
        let pid = Pid::from_raw(identity.pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        match Stat::read(identity.pid) {
            Some(stat) if stat.start_time == identity.start_time => Ok(Process { identity, pidfd }),
            _ => Err(gone()),
        }
    }

    /// Holds a child that was not waited for yet, so its number is still its own.
    ///
    /// # Errors
    /// When the kernel refuses a pidfd.
    pub fn of_child(pid: i32) -> io::Result<Process> {
        let identity = Identity::of(pid)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the child has no stat file"))?;
        Process::open(identity)
    }

    /// # Errors
    /// `ESRCH` once it ended, `EPERM` when it belongs to somebody else.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, signal)?)
    }

    /// Whether it ended within this time (it may still be a zombie).
    pub fn wait_exit(&self, at_most: Duration) -> bool {
        let until = std::time::Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let timeout =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(n) => return n > 0,
                Err(rustix::io::Errno::INTR) if !left.is_zero() => {}
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// This boot of this machine; identities of another one mean nothing.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let text = "42 (a) b (c)) T 7 42 41 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent, stat.session), (42, 'T', 7, 41));
        assert_eq!(stat.start_time, 123_456);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = Identity::own();
        assert!(own.is_alive());
        let other = Identity { start_time: own.start_time + 1, ..own };
        assert!(!other.is_alive());
        assert_eq!(Process::open(other).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_killed_child_is_seen_to_end() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let held = Process::of_child(child.id() as i32).unwrap();
        assert!(!held.wait_exit(Duration::ZERO));
        assert!(
            descendants(&[std::process::id() as i32]).iter().any(|s| s.pid == child.id() as i32)
        );
        held.signal(Signal::KILL).unwrap();
        assert!(held.wait_exit(Duration::from_secs(2)));
        assert!(!held.identity.is_alive());
        child.wait().unwrap();
    }
}
