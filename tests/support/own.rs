//! A user's own process to attach to: a shell with two workers, which starts one more on demand. It
//! is nobody's child here, as a process is that ran before brunt did.

#![allow(dead_code, reason = "each test uses some of it")]

use super::support::within;
use brunt::base::Nanos;
use brunt::host::attach::Was;
use brunt::host::process::{Identity, Process, Stat, descendants};
use brunt::plan::{AttachPlan, Plan, ReadyPlan, StartPlan};
use brunt::target::{Attach, AttachRules, Ready};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SCRIPT: &str = "trap 'sleep 1000 &' USR1; sleep 1000 & sleep 1000 & \
                      echo $$ >pid.new; mv pid.new pid; while :; do wait; done";

pub struct Own {
    pub first: Identity,
    /// Everybody who was ever seen: when the first is gone, nobody descends from it any more.
    seen: Vec<Identity>,
    pub was: Vec<Was>,
    folder: tempfile::TempDir,
}

impl Own {
    pub fn start() -> Own {
        let folder = tempfile::tempdir().unwrap();
        let started = Command::new("sh")
            .args(["-c", "setsid sh -c \"$0\" </dev/null >/dev/null 2>&1 &", SCRIPT])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success());
        let pid = || std::fs::read_to_string(folder.path().join("pid")).ok()?.trim().parse().ok();
        assert!(within(|| pid().is_some()), "the user's own process does not start");
        let first = Identity::of(pid().unwrap()).unwrap();
        let mut own = Own { first, seen: Vec::new(), was: Vec::new(), folder };
        own.look(3);
        own.was = own.now();
        own
    }

    pub fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// Looks for what it has started, until there are so many that live.
    fn look(&mut self, n: usize) {
        let seen = &mut self.seen;
        let first = self.first;
        let is_there = within(|| {
            let below = descendants(&[first.pid]);
            for one in std::iter::once(first).chain(below.iter().map(Stat::identity)) {
                if !seen.contains(&one) {
                    seen.push(one);
                }
            }
            seen.iter().filter(|one| one.is_alive()).count() == n
        });
        assert!(is_there, "there should be {n}: {seen:?}");
    }

    /// It starts one more worker; who that is.
    pub fn start_one_more(&mut self) -> Identity {
        let n = self.seen.iter().filter(|one| one.is_alive()).count();
        Process::open(self.first).unwrap().signal(Signal::USR1).unwrap();
        self.look(n + 1);
        *self.seen.last().unwrap()
    }

    pub fn kill_the_first(&self) {
        Process::open(self.first).unwrap().signal(Signal::KILL).unwrap();
        assert!(within(|| !self.first.is_alive()));
    }

    /// Those that live, as they are now.
    pub fn now(&self) -> Vec<Was> {
        let alive = self.seen.iter().filter(|one| one.is_alive());
        alive.map(|one| Was::of(&Process::open(*one).unwrap()).unwrap()).collect()
    }

    pub fn states(&self) -> Vec<char> {
        let alive = self.seen.iter().filter(|one| one.is_alive());
        alive.filter_map(|one| Stat::read(one.pid)).map(|s| s.state).collect()
    }

    /// All of them alive, none stopped, in their own groups, on their own cores, with their limits.
    pub fn is_as_it_was(&self) -> bool {
        self.now() == self.was && !self.states().contains(&'T')
    }

    /// Where brunt moves them for a smaller share, where it does.
    pub fn lent(&self, run: &str) -> Option<PathBuf> {
        Some(self.was[0].cpu_group.as_ref()?.join(format!("brunt-{run}-lent")))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.seen.extend(descendants(&[self.first.pid]).iter().filter_map(|s| Identity::of(s.pid)));
        for one in &self.seen {
            if let Ok(held) = Process::open(*one) {
                let _ = held.signal(Signal::KILL);
            }
        }
    }
}

/// The plan's node is what this file names.
pub fn attach(plan: &mut Plan, node: &str, pid_file: &Path) {
    let rules = AttachRules { allow: Vec::new(), max_duration: Nanos::from_secs(60) };
    let by = Ready::Command(vec!["true".into()]);
    let attach = AttachPlan {
        to: Attach::PidFile(pid_file.into()),
        rules: Some(rules),
        ready: ReadyPlan { by, within: Nanos::from_secs(10) },
    };
    let node = plan.nodes.iter_mut().find(|n| n.name == node).unwrap();
    node.start = StartPlan::Attach(attach);
}
