//! How a process was before a fault, and the way back. Only what a fault has changed is put back,
//! and only on the very process that it was changed of.

use super::members;
use crate::base::Nanos;
use crate::fault::Lever;
use crate::host::affinity;
use crate::host::cgroup::files::within;
use crate::host::cgroup::home_of;
use crate::host::process::{Identity, Process, Stat};
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// For the kernel to show what was put back.
const BOUND: Nanos = Nanos::from_secs(2);
/// Between a process and the nearest that it comes from and that is known.
const GENERATIONS_MAX: usize = 64;

/// One process as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Was {
    pub process: Identity,
    /// Its group in the hierarchy of the cpu controller, where that is one of version 1.
    pub cpu_group: Option<PathBuf>,
    /// The cores of each of its threads.
    pub threads: Vec<(i32, Vec<u32>)>,
    /// Soft and hard limit of open files; `None` is no limit.
    pub open_files: (Option<u64>, Option<u64>),
}

impl Was {
    /// # Errors
    /// When it is gone, or not this user's to look at.
    pub fn of(process: &Process) -> io::Result<Was> {
        let pid = process.identity.pid;
        let mut threads = Vec::new();
        for thread in affinity::threads(pid)? {
            // A thread that ended meanwhile needs no mask.
            if let Ok(cores) = affinity::of(thread) {
                threads.push((thread, cores));
            }
        }
        let id = rustix::process::Pid::from_raw(pid);
        let limit = open_files(id)?;
        let was = Was {
            process: process.identity,
            cpu_group: home_of(pid),
            threads,
            open_files: (limit.current, limit.maximum),
        };
        match process.identity.is_alive() {
            true => Ok(was),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What is known of a process: its own, else that of the nearest that it comes from, else that of
    /// the first.
    pub fn nearest(process: Identity, all: &[Was]) -> Option<&Was> {
        let mut at = process;
        for _generation in 0..GENERATIONS_MAX {
            if let Some(found) = all.iter().find(|w| w.process == at) {
                return Some(found);
            }
            let parent = Stat::read(at.pid).and_then(|stat| Identity::of(stat.parent));
            match parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        all.first()
    }

    /// One that was started while these levers were on began with what they had changed of its
    /// parent: of that, it is as if found as its parent was.
    pub fn inherit(&mut self, parent: &Was, changed: &[Lever]) {
        for lever in changed {
            match lever {
                Lever::CpuShare { .. } => self.cpu_group.clone_from(&parent.cpu_group),
                Lever::CpuCores { .. } => {
                    let cores = parent.threads.first().map(|(_, cores)| cores);
                    for (_, own) in &mut self.threads {
                        *own = cores.unwrap_or(own).clone();
                    }
                }
                Lever::Descriptors { .. } => self.open_files = parent.open_files,
                _ => {}
            }
        }
    }

    /// The cores that a thread of it had; one that is new since then has those of the first.
    fn cores(&self, thread: i32) -> Option<&Vec<u32>> {
        let own = self.threads.iter().find(|(id, _)| *id == thread);
        own.or(self.threads.first()).map(|(_, cores)| cores)
    }

    /// How many cores it could use.
    pub fn n_cores(&self) -> usize {
        self.threads.iter().map(|(_, cores)| cores.len()).max().unwrap_or(0)
    }

    /// Whether what a lever changes is as it was.
    fn is_back(&self, lever: &Lever, pid: i32) -> io::Result<bool> {
        Ok(match lever {
            Lever::Pause { .. } | Lever::Freeze { .. } | Lever::CpuShare { .. } => {
                Stat::read(pid).is_none_or(|s| s.state != 'T')
            }
            Lever::CpuCores { .. } => affinity::threads(pid)?.iter().all(|thread| {
                let wanted = self.cores(*thread);
                affinity::of(*thread).map_or(true, |now| wanted.is_none_or(|w| now == *w))
            }),
            Lever::Descriptors { .. } => {
                let id = rustix::process::Pid::from_raw(pid);
                open_files(id)?.current == self.open_files.0
            }
            _ => true,
        })
    }

    fn put_back(&self, lever: &Lever, process: &Process) -> io::Result<()> {
        let pid = process.identity.pid;
        match lever {
            Lever::CpuCores { .. } => {
                for thread in affinity::threads(pid)? {
                    if let Some(cores) = self.cores(thread)
                        && affinity::of(thread).is_ok_and(|now| now != *cores)
                    {
                        affinity::pin_thread(thread, cores)?;
                    }
                }
                Ok(())
            }
            Lever::Descriptors { .. } => {
                let id = rustix::process::Pid::from_raw(pid);
                let wanted =
                    Rlimit { current: self.open_files.0, maximum: open_files(id)?.maximum };
                Ok(rustix::process::prlimit(id, Resource::Nofile, wanted).map(drop)?)
            }
            _ => process.signal(Signal::CONT),
        }
    }
}

fn open_files(pid: Option<rustix::process::Pid>) -> io::Result<Rlimit> {
    let pid = pid.map_or(0, |p| p.as_raw_nonzero().get());
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"));
    let wrong = || io::Error::other("no limit of open files is shown");
    let mut numbers = line.ok_or_else(wrong)?.split_whitespace();
    let mut next = || numbers.next().map(|n| n.parse().ok()).ok_or_else(wrong);
    Ok(Rlimit { current: next()?, maximum: next()? })
}

/// Puts back what a lever has changed of these processes and what they have started since, and looks
/// whether it is so; of how many there was something to put back.
///
/// # Errors
/// When one that lives cannot be made as it was.
pub fn give_back(lever: &Lever, all: &[Was]) -> io::Result<usize> {
    let roots: Vec<Identity> = all.iter().map(|w| w.process).collect();
    let mut changed: Vec<(Process, &Was)> = Vec::new();
    for process in members(&roots) {
        let Some(was) = Was::nearest(process.identity, all) else { continue };
        let is_back = was.is_back(lever, process.identity.pid);
        let done = match is_back {
            Ok(true) => continue,
            Ok(false) => was.put_back(lever, &process),
            Err(e) => Err(e),
        };
        match done {
            Err(e) if process.identity.is_alive() => return Err(e),
            _ => changed.push((process, was)),
        }
    }
    let is_so = |(process, was): &(Process, &Was)| {
        !process.identity.is_alive()
            || was.is_back(lever, process.identity.pid).is_ok_and(|is_back| is_back)
    };
    if within(BOUND, || changed.iter().all(is_so)) {
        return Ok(changed.len());
    }
    match changed.iter().find(|one| !is_so(one)) {
        None => Ok(changed.len()),
        Some((process, _)) => {
            let text = format!("process {} is not as it was", process.identity.pid);
            Err(io::Error::other(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_files_are_put_back() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process::of_child(child.id() as i32).unwrap();
        let was = Was::of(&process).unwrap();
        let pid = process.identity.pid;
        affinity::pin_process(pid, &was.threads[0].1[..1]).unwrap();
        let id = rustix::process::Pid::from_raw(pid);
        let fewer = Rlimit { current: Some(7), maximum: was.open_files.1 };
        rustix::process::prlimit(id, Resource::Nofile, fewer).unwrap();
        process.signal(Signal::STOP).unwrap();
        let state = || Stat::read(pid).unwrap().state;
        while state() != 'T' {
            std::thread::yield_now();
        }
        let node = || "n".to_string();
        for lever in [
            Lever::Pause { node: node() },
            Lever::CpuCores { server: node(), to: 0.5 },
            Lever::Descriptors { node: node(), to: 7 },
        ] {
            give_back(&lever, std::slice::from_ref(&was)).unwrap();
        }
        assert_ne!(state(), 'T');
        assert_eq!(Was::of(&process).unwrap(), was);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
