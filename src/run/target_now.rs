//! Events and samples → the state of the target: who is up, who leads, what each server uses, which
//! faults are in force and for how much longer.

use super::watch::{FaultNow, NodeNow};
use crate::base::Nanos;
use crate::plan::Plan;
use crate::record::{Event, EventKind, NodeRow};

#[derive(Default)]
pub(super) struct TargetNow {
    /// In the order of the plan.
    nodes: Vec<NodeNow>,
    /// Cores of each node's server.
    cores: Vec<f64>,
    in_force: Vec<InForce>,
}

struct InForce {
    fault: String,
    on: String,
    until: Option<Nanos>,
}

impl TargetNow {
    pub fn new(plan: &Plan) -> TargetNow {
        let node = |name: &str| NodeNow { name: name.into(), is_up: true, ..NodeNow::default() };
        let cores_of = |server: &str| {
            plan.servers.iter().find(|s| s.name == server).map_or(0.0, |server| server.cores)
        };
        TargetNow {
            nodes: plan.nodes.iter().map(|n| node(&n.name)).collect(),
            cores: plan.nodes.iter().map(|n| cores_of(&n.server)).collect(),
            in_force: Vec::new(),
        }
    }

    pub fn event(&mut self, event: &Event, plan: &Plan) {
        match event.kind {
            EventKind::FaultInjected => {
                let fault = plan.faults.iter().find(|f| f.name == event.subject);
                self.in_force.push(InForce {
                    fault: event.subject.clone(),
                    on: event.object.clone(),
                    until: fault.map(|f| Nanos(event.at_ns) + f.lasts),
                });
            }
            EventKind::FaultHealed | EventKind::HealFailed => {
                self.in_force.retain(|f| f.fault != event.subject);
            }
            EventKind::NodeExited => self.change(&event.subject, |node| {
                *node = NodeNow { name: std::mem::take(&mut node.name), ..NodeNow::default() };
            }),
            EventKind::NodeReady => self.change(&event.subject, |node| node.is_up = true),
            EventKind::BecameLeader => self.change(&event.subject, |node| node.leads = true),
            EventKind::BecameReplica => self.change(&event.subject, |node| node.leads = false),
            _ => {}
        }
    }

    fn change(&mut self, name: &str, how: impl FnOnce(&mut NodeNow)) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name) {
            how(node);
        }
    }

    /// The last second of every node.
    pub fn rows(&mut self, rows: &[NodeRow]) {
        for (node, cores) in self.nodes.iter_mut().zip(&self.cores) {
            let row = rows.iter().find(|row| row.node == node.name);
            let used = row.filter(|row| row.alive).map(|row| row.cpu_ns as f64 / 1e9);
            node.cpu_share = used.filter(|_| *cores > 0.0).map(|used| used / cores);
        }
    }

    pub fn nodes(&self) -> Vec<NodeNow> {
        self.nodes.clone()
    }

    pub fn faults(&self, elapsed: Nanos) -> Vec<FaultNow> {
        let now = |f: &InForce| FaultNow {
            name: f.fault.clone(),
            on: f.on.clone(),
            left: f.until.map(|until| until.saturating_sub(elapsed)),
        };
        self.in_force.iter().map(now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::power_off_story;

    fn event(at_s: u64, kind: EventKind, subject: &str, object: &str) -> Event {
        Event {
            at_ns: Nanos::from_secs(at_s).0,
            kind,
            subject: subject.into(),
            object: object.into(),
            lateness_ns: None,
            detail: String::new(),
        }
    }

    #[test]
    fn it_follows_who_is_up_who_leads_and_how_long_a_fault_lasts() {
        let plan = power_off_story().build().manifest.plan;
        let (fault, name) = (plan.faults[0].clone(), plan.nodes[0].name.clone());
        let mut now = TargetNow::new(&plan);
        now.event(&event(1, EventKind::BecameLeader, &name, "1"), &plan);
        now.event(&event(10, EventKind::FaultInjected, &fault.name, &name), &plan);
        now.event(&event(10, EventKind::NodeExited, "nobody", ""), &plan);
        let node = &now.nodes()[0];
        assert!(node.is_up && node.leads, "{node:?}");
        let left = now.faults(Nanos::from_secs(11))[0].left.unwrap();
        assert_eq!(left + Nanos::SECOND, fault.lasts);
        assert_eq!(now.faults(Nanos::from_secs(999))[0].left, Some(Nanos::ZERO));
        now.event(&event(12, EventKind::NodeExited, &name, ""), &plan);
        let node = &now.nodes()[0];
        assert!(!node.is_up && !node.leads, "{node:?}");
        now.event(&event(13, EventKind::NodeReady, &name, ""), &plan);
        now.event(&event(13, EventKind::FaultHealed, &fault.name, &name), &plan);
        assert!(now.nodes()[0].is_up && now.faults(Nanos::ZERO).is_empty());
    }

    #[test]
    fn a_nodes_cpu_is_what_it_used_of_its_servers() {
        let plan = power_off_story().build().manifest.plan;
        let server = plan.servers.iter().find(|s| s.name == plan.nodes[0].server).unwrap();
        let mut now = TargetNow::new(&plan);
        let row = NodeRow {
            node: plan.nodes[0].name.clone(),
            alive: true,
            cpu_ns: (server.cores * 5e8) as u64,
            ..NodeRow::default()
        };
        now.rows(&[row]);
        assert!((now.nodes()[0].cpu_share.unwrap() - 0.5).abs() < 1e-6);
        now.rows(&[]);
        assert_eq!(now.nodes()[0].cpu_share, None);
    }
}
