//! Keeps servers to their budgets where no cgroup does.

use super::Keeper;
use super::node::{Node, Running, signal_all};
use crate::base::{Nanos, clock};
use crate::host::budget::Action;
use rustix::process::Signal;

impl Keeper {
    pub(super) fn enforce_budgets(&mut self) {
        if !self.has_budgets() {
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
        let by_nodes = nodes().map(used).fold(Nanos::ZERO, |sum, used| sum + used);
        let by_competitors = server.competitors.running().map(Running::cpu);
        let used = server.account(by_competitors.fold(by_nodes, |sum, used| sum + used));
        let Some(budget) = &mut server.budget else { return };
        let signal = match budget.tick(clock::now(), used) {
            Action::Nothing => return,
            Action::Stop => Signal::STOP,
            Action::Continue => Signal::CONT,
        };
        // A fault that stopped it is not ended by a new period.
        if signal == Signal::CONT && server.is_frozen {
            return;
        }
        let is_left_alone = |n: &&Node| signal == Signal::CONT && n.is_paused;
        let running = nodes().filter(|n| !is_left_alone(n)).filter_map(|n| n.running.as_ref());
        for running in running.chain(server.competitors.running()) {
            // What ends meanwhile is collected in this turn.
            let _ = signal_all(running.known(), signal);
        }
    }

    /// Processes that nodes have started since the last look: rarely done, it reads all of /proc.
    pub(super) fn look_for_descendants(&mut self) {
        if self.has_budgets() {
            let nodes = self.nodes.values_mut();
            nodes.filter_map(|n| n.running.as_mut()).for_each(Running::look_for_descendants);
        }
    }

    fn has_budgets(&self) -> bool {
        self.servers.values().any(|s| s.budget.is_some())
    }
}

fn used(node: &Node) -> Nanos {
    node.running.as_ref().map_or(Nanos::ZERO, Running::cpu)
}
