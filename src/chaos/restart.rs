//! `restart`: SIGTERM, wait for the exit, start again at once; of several nodes one after the other,
//! each when the one before is ready again.

use super::{Done, Hit, Injector, Stand, each};

pub(super) struct Restart;

impl Injector for Restart {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        let (last, before) = hit.nodes.split_last().ok_or("nothing was selected")?;
        let one = |node: &str| {
            let ended = stand.terminate_node(node)?;
            stand.start_node(node)?;
            stand.await_ready(node)?;
            Ok(ended)
        };
        if before.is_empty() {
            return stand.terminate_node(last);
        }
        let first = each(before, one)?;
        let last = stand.terminate_node(last)?;
        let proof = format!("{}, {}", first.proof, last.proof);
        Ok(Done { proof, ended: last.ended, ..first })
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        let last = hit.nodes.last().ok_or("nothing was selected")?;
        let started = stand.start_node(last)?;
        stand.await_ready(last)?;
        Ok(started)
    }
}
