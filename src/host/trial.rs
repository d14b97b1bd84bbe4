//! What faults do, tried on something of our own: a process in a group like a server's, a scratch
//! network, a folder of its own. All of it is gone again when the answer is there.

use super::affinity;
use super::block::Device;
use super::bounded;
use super::cgroup::files::{processes, within};
use super::cgroup::{Cgroups, Group, Limit, MemoryGroup, Rates};
use super::descriptors::{set_soft_limit, soft_limit};
use super::forked;
use super::namespace::Namespaces;
use super::process::{Process, Stat};
use super::program::{Inside, NFT, Program, TC};
use super::quota::Quota;
use super::scratch;
use crate::base::{Bytes, Nanos};
use rustix::process::Signal;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How it is done here, or why it cannot be.
pub type Tried = Result<String, String>;

/// For the kernel to show an effect.
const BOUND: Nanos = Nanos::from_secs(2);
const NO_GROUP: &str = "no group of this controller can be made here";

/// A process in a group; it does nothing.
pub struct Trial {
    pub process: Process,
    pub group: Group,
    pub cgroups: Cgroups,
}

impl Trial {
    /// # Errors
    /// When no process can be started, or something of the trial is left afterwards.
    pub fn run<T>(ask: impl FnOnce(&Trial) -> T) -> io::Result<T> {
        let cgroups = scratch::groups("trial");
        scratch::journalled(&cgroups, || Trial::in_groups(&cgroups, ask))
    }

    fn in_groups<T>(cgroups: &Cgroups, ask: impl FnOnce(&Trial) -> T) -> io::Result<T> {
        let group = cgroups.create("trial")?;
        let files = group.attach_files()?;
        let idle = move || {
            for file in &files {
                let _ = rustix::io::write(file, b"0");
            }
            std::thread::sleep(Duration::from_secs(60));
            0
        };
        let mut answer = Err(io::Error::other("no process can be started"));
        forked::run_with(idle, |pid| {
            answer = Process::of_child(pid).map(|process| {
                let trial = Trial { process, group, cgroups: cgroups.clone() };
                let folders = trial.group.folders();
                within(BOUND, || folders.iter().all(|f| processes(f).contains(&pid)));
                let answer = ask(&trial);
                let _ = trial.process.signal(Signal::KILL);
                answer
            });
        });
        answer
    }

    pub fn signals(&self) -> Tried {
        let is = |stopped: bool| {
            let stat = || Stat::read(self.process.identity.pid);
            within(BOUND, || stat().is_some_and(|s| (s.state == 'T') == stopped))
        };
        told(self.process.signal(Signal::STOP))?;
        let is_stopped = is(true);
        told(self.process.signal(Signal::CONT))?;
        match is_stopped && is(false) {
            true => Ok("signals by pidfd".into()),
            false => Err("a stopped process does not show it".into()),
        }
    }

    pub fn freeze(&self) -> Tried {
        let frozen = told(self.group.freeze(true));
        told(self.group.freeze(false))?;
        match frozen? {
            Some(_) => Ok(self.group.control_mechanism().into()),
            None => self.signals(),
        }
    }

    pub fn share(&self) -> Tried {
        told(self.group.set_quota(Quota::new(0.5, Nanos::from_millis(20))))?;
        Ok(match self.cgroups.quota_mechanism() {
            "stop-when-spent" => "stop-when-spent: coarser, no cgroup is writable".into(),
            mechanism => mechanism.into(),
        })
    }

    pub fn cores(&self, stack: &[u32]) -> Tried {
        if stack.len() < 2 {
            return Err(format!("targets have {} core here, and one must be left", stack.len()));
        }
        told(affinity::pin_process(self.process.identity.pid, &stack[..1]))?;
        Ok("sched_setaffinity".into())
    }

    pub fn memory_limit(&self) -> Tried {
        let group = self.memory()?;
        let was = told(group.limit())?;
        let seen = told(group.set_limit(some(64 << 20)))?;
        told(group.set_limit(was))?;
        match seen == some(64 << 20) {
            true => Ok(group.limit_file().into()),
            false => Err(format!("{} reads back as {seen}", group.limit_file())),
        }
    }

    pub fn memory_pressure(&self) -> Tried {
        let group = self.memory()?;
        let was = told(group.mark())?;
        told(group.set_mark(some(64 << 20)))?;
        told(group.set_mark(was))?;
        Ok("memory.high".into())
    }

    fn memory(&self) -> Result<&MemoryGroup, String> {
        self.group.memory.as_ref().ok_or_else(|| NO_GROUP.into())
    }

    pub fn descriptors(&self) -> Tried {
        let was = told(soft_limit(&self.process))?;
        let seen = told(set_soft_limit(&self.process, was / 2))?;
        let back = told(set_soft_limit(&self.process, was))?;
        match (seen, back) == (was / 2, was) {
            true => Ok("prlimit, soft RLIMIT_NOFILE".into()),
            false => Err(format!("the limit of {was} reads back as {seen}, then {back}")),
        }
    }

    /// `folder` is on the disk.
    pub fn disk(&self, folder: &Path) -> Tried {
        let device = told(Device::of(folder))?;
        let group = self.group.disk.as_ref().ok_or(NO_GROUP)?;
        let was = told(group.rates(device))?;
        told(group.set_rates(device, Rates::both(some(1 << 20))))?;
        told(group.set_rates(device, was))?;
        Ok(format!("{}, disk {device}", group.mechanism()))
    }
}

fn some(bytes: u64) -> Limit {
    Limit(Some(Bytes(bytes)))
}

fn told<T>(result: io::Result<T>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

/// A share of packets is dropped.
pub fn packets_lost() -> Tried {
    let rules = "table inet trial { chain c { type filter hook output priority 0; \
                 ip daddr 127.0.0.2 numgen random mod 10 < 5 counter drop; } }";
    in_network(NFT, &["-f", "-"], rules)
}

const SHAPED: &str = "qdisc add dev lo root handle 1: htb\n\
                      class add dev lo parent 1: classid 1:1 htb rate 8mbit\n";
const DELAYED: &str = "qdisc add dev lo parent 1:1 handle 2: netem delay 1ms reorder 10%\n";

/// Packets share a rate.
pub fn packets_shaped() -> Tried {
    in_network(TC, &["-batch", "-"], SHAPED)
}

/// Packets wait, or overtake others.
pub fn packets_delayed() -> Tried {
    let tried = in_network(TC, &["-batch", "-"], &format!("{SHAPED}{DELAYED}"));
    tried.map_err(|why| match why.contains("qdisc kind is unknown") {
        true => "this kernel has no netem (sch_netem); `by = \"proxy\"` can delay".into(),
        false => why,
    })
}

fn in_network(program: Program, arguments: &[&str], input: &str) -> Tried {
    told(program.run("trial", Inside::ScratchNetwork, arguments, input))?;
    Ok(format!("{} in a network of the run's own", program.name))
}

/// A folder is a small file system of its own. On a thread of its own, which alone sees it: over a
/// folder that is there anyway, so that nothing is left behind.
pub fn full_folder() -> Tried {
    const SIZE: Bytes = Bytes(1 << 20);
    let folder = std::env::temp_dir();
    let inside = || {
        let entered = Namespaces::enter(false, Some((&folder, SIZE)));
        let _entered = entered.map_err(|e| e.to_string())?;
        let (_, free) = told(bounded::room(&folder))?;
        match bounded::is_bounded(&folder) && free.0 <= SIZE.0 {
            true => Ok("tmpfs in a mount namespace of the run's own".to_string()),
            false => Err("what was mounted is not there".to_string()),
        }
    };
    std::thread::scope(|scope| {
        let answer = scope.spawn(inside).join();
        answer.unwrap_or_else(|_| Err("the trial failed".into()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_trial_of_a_full_folder_makes_no_folder() {
        let folder = std::env::temp_dir();
        let own = format!("brunt-trial-{}", std::process::id());
        // Told while it is tried: a brunt that is killed then would leave what is there.
        let seen = std::thread::scope(|scope| {
            let trying = scope.spawn(super::full_folder);
            let mut is_seen = false;
            while !trying.is_finished() {
                is_seen |= folder.join(&own).exists();
            }
            (is_seen, trying.join().unwrap())
        });
        assert!(!seen.0);
        let is_root = rustix::process::geteuid().is_root();
        assert!(seen.1.is_ok() || !is_root, "{:?}", seen.1);
    }
}
