//! `Lever::Pause`: one node's processes are stopped.

use super::super::Keeper;
use super::super::node::Running;
use super::Counted;
use super::stopping::stop_all;
use crate::base::clock;
use crate::fleet::protocol::Stamp;
use std::io;

pub fn set(keeper: &mut Keeper, node: &str, is_paused: bool) -> io::Result<Stamp> {
    // Where the whole server is stopped by signals, a new word to one node waits for its release.
    let server = keeper.node(node)?.spec.server.clone();
    let is_frozen = keeper.server(&server)?.is_frozen;
    let members = keeper.node(node)?.running.as_ref().map(Running::members).unwrap_or_default();
    let stamp = match members.is_empty() || (is_frozen && !is_paused) {
        true => {
            let now = clock::now();
            let proof = if members.is_empty() { "no process runs" } else { "its server is frozen" };
            Stamp { before: now, after: now, mechanism: "pidfd".into(), proof: proof.into() }
        }
        false => stop_all(&members, is_paused)?,
    };
    keeper.node_mut(node)?.is_paused = is_paused;
    Ok(stamp)
}

pub fn count(keeper: &Keeper, node: &str) -> Counted {
    let running = keeper.nodes.get(node).and_then(|n| n.running.as_ref());
    running.map_or(Counted::Nothing, |r| Counted::Stopped { used: r.cpu() })
}
