//! What follows from a target's settings alone: how late a fault may be noticed, and a leader
//! replaced.

use crate::plan::Plan;
use crate::target::Role;

/// The balancer looks away from a silent member after this long, at the latest.
pub fn detection_s(plan: &Plan, roles_hit: &[String]) -> Option<f64> {
    let apps = plan.nodes.iter().filter(|n| n.role == Role::App).count();
    let balancer = plan.nodes.iter().find(|n| n.role == Role::Balancer)?;
    let settings = &balancer.settings.balancer;
    let is_app = roles_hit.iter().any(|r| r == Role::App.name());
    (apps > 1 && is_app).then(|| settings.heartbeat.as_secs_f64() * f64::from(settings.missed))
}

/// A replica stands for election after at most twice its time-out.
pub fn election_s(plan: &Plan) -> Option<f64> {
    let databases: Vec<_> = plan.nodes.iter().filter(|n| n.role == Role::Database).collect();
    let settings = &databases.first()?.settings.database;
    (databases.len() > 2).then(|| settings.election_timeout.as_secs_f64() * 2.0)
}
