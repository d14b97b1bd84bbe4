//! Keeps servers to their budgets where no cgroup does.

use super::Keeper;
use super::node::{Node, signal_all};
use crate::base::{Nanos, clock};
use crate::host::budget::{Action, process_cpu};
use rustix::process::Signal;

impl Keeper {
    pub(super) fn enforce_budgets(&mut self) {
        if self.servers.values().all(|s| s.budget.is_none()) {
            return;
        }
        let names: Vec<String> = self.servers.keys().cloned().collect();
        for name in names {
            self.enforce(&name);
        }
    }

    fn enforce(&mut self, name: &str) {
        let Some(server) = self.servers.get_mut(name) else { return };
        let nodes = || self.nodes.values().filter(|n| n.spec.server == name);
        server.used_now = nodes().filter_map(used).fold(Nanos::ZERO, |sum, used| sum + used);
        let used = server.used_before + server.used_now;
        let Some(budget) = &mut server.budget else { return };
        let signal = match budget.tick(clock::now(), used) {
            Action::Nothing => return,
            Action::Stop => Signal::STOP,
            Action::Continue => Signal::CONT,
        };
        // A fault that stopped it is not ended by a new period.
        let is_left_alone = |n: &&Node| signal == Signal::CONT && (n.is_paused || server.is_frozen);
        for node in nodes().filter(|n| !is_left_alone(n)) {
            if let Some(running) = &node.running {
                // A node that ends meanwhile is collected in this turn.
                let _ = signal_all(&running.members(), signal);
            }
        }
    }
}

/// CPU of the node and of what it started. Its own number cannot be reused before it is reaped.
fn used(node: &Node) -> Option<Nanos> {
    process_cpu(node.running.as_ref()?.identity().pid)
}
