//! The end: nothing that this run started or made is left, and the keeper has looked.

use super::Keeper;
use super::node::{Node, signal_all};
use crate::base::Nanos;
use crate::fleet::protocol::NodeKind;
use crate::host::cgroup::files::within;
use crate::host::heal::{kill_all, marked, remove_work_folder};
use crate::host::process::{Identity, Stat, descendants};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::process::Signal;

/// For all services together to end by themselves.
const END_BOUND: Nanos = Nanos::from_secs(3);
/// For all processes together; SIGKILL needs milliseconds.
const BOUND: Nanos = Nanos::from_secs(5);

impl Keeper {
    /// Kills every server whole, then whatever else descends from the keeper, removes the groups
    /// and the journal. Returns what is left. A second call tries that again, and finds nothing else
    /// to do.
    pub(super) fn undo(&mut self) -> Vec<String> {
        for node in self.nodes.values_mut() {
            node.is_held = true;
            node.restart_at = None;
        }
        let mut left = Vec::new();
        self.give_back_attached(&mut left);
        self.ask_to_end();
        for server in self.servers.values() {
            if let Err(e) = server.group.kill() {
                left.push(e.to_string());
            }
        }
        self.reach("undo.groups killed");
        self.kill_descendants(&mut left);
        self.collect_exits();
        left.extend(self.cgroups.remove_all());
        let attached = &self.attached;
        self.servers.retain(|name, _| attached.contains_key(name));
        if let Err(e) = remove_work_folder(&self.setup.work_folder, &self.setup.run) {
            left.push(format!("the work folder: {e}"));
        }
        self.reach("undo.before the journal goes");
        self.forget(&mut left);
        left
    }

    /// Programs of the user's own may have something to put away: SIGTERM, and some time.
    fn ask_to_end(&mut self) {
        let services = self.nodes.values().filter(|n| n.spec.kind == NodeKind::Service);
        let mut asked = Vec::new();
        for running in services.filter_map(|n| n.running.as_ref()) {
            if running.held.signal(Signal::TERM).is_ok() {
                // One that is stopped would not hear of it.
                let _ = signal_all(&running.members(), Signal::CONT);
                asked.push(running.identity());
            }
        }
        within(END_BOUND, || {
            self.nodes.values_mut().for_each(Node::drain);
            !asked.iter().any(|identity| identity.is_alive())
        });
    }

    fn kill_descendants(&mut self, left: &mut Vec<String>) {
        let run = self.setup.run.clone();
        let find = || {
            let below = descendants(&[std::process::id() as i32]);
            let below = below.iter().filter(|s| s.state != 'Z');
            let mut all: Vec<Identity> = below.map(Stat::identity).collect();
            all.extend(marked(&run));
            all
        };
        let is_gone = || {
            self.reap_strays();
            kill_all(&find()) == 0
        };
        if !within(BOUND, is_gone) {
            left.extend(find().iter().map(|p| format!("process {} still runs", p.pid)));
        }
    }

    fn is_competitor(&self, pid: i32) -> bool {
        let all = self.servers.values().flat_map(|s| s.competitors.running());
        all.into_iter().any(|running| running.identity().pid == pid)
    }

    /// The journal goes last, and only when all is clean: else `brunt heal` needs it.
    fn forget(&mut self, left: &mut Vec<String>) {
        if left.is_empty()
            && let Some(journal) = self.journal.take()
            && let Err(e) = journal.remove()
        {
            left.push(format!("the journal: {e}"));
        }
    }

    /// Waits for dead children that are not nodes: they were left by one.
    pub(super) fn reap_strays(&mut self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        // Bounded: each round reaps one or ends; nodes are collected before we are asked.
        for _round in 0..1_000 {
            let pid = match waitid(Id::All, flags) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => pid,
                _ => return,
            };
            let is_node = |n: &super::Node| {
                n.running.as_ref().is_some_and(|r| r.identity().pid == pid.as_raw())
            };
            if let Some(name) =
                self.nodes.values().find(|n| is_node(n)).map(|n| n.spec.name.clone())
            {
                self.collect_exit(&name);
            } else if self.is_competitor(pid.as_raw()) {
                self.servers.values_mut().for_each(|s| s.competitors.collect());
            } else {
                let _ = waitpid(pid, None);
            }
        }
    }
}
