//! `restart`: SIGTERM, wait for the exit, start again at once; of several nodes one after the other,
//! each when the one before is ready again. The last is started by the heal.

use super::{Done, Hit, Injector, Stand, each_all, joined};
use crate::base::clock;

pub(super) struct Restart;

impl Injector for Restart {
    fn inject(
        &self,
        hit: &Hit,
        stand: &dyn Stand,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Done, String> {
        let nodes = hit.members(stand, true);
        let mut done: Vec<Done> = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            if is_stopped()
                && let Some(last) = done.last_mut()
            {
                last.proof += &format!("; the run was stopped before {}", nodes[i..].join(", "));
                break;
            }
            done.push(stand.terminate_node(node)?);
            if i + 1 < nodes.len() {
                stand.start_node(node)?;
                stand.await_ready(node)?;
            }
        }
        joined(done)
    }

    /// Whichever of them is down: the last one, or the one at which it failed.
    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        let down = hit.members(stand, false);
        if down.is_empty() {
            let (now, proof) = (clock::now(), "all run already".to_string());
            return Ok(Done { began: now, ended: now, mechanism: "none needed".into(), proof });
        }
        let started = each_all(&down, |node: &str| stand.start_node(node))?;
        down.iter().try_for_each(|node| stand.await_ready(node))?;
        Ok(started)
    }
}
