//! `Lever::Pause`: one node's processes are stopped.

use super::super::Keeper;
use super::Counted;
use super::stopping::stop_all;
use crate::base::clock;
use crate::fleet::protocol::Stamp;
use std::io;

pub fn set(keeper: &mut Keeper, node: &str, is_paused: bool) -> io::Result<Stamp> {
    // Where the whole server is stopped by signals, a new word to one node waits for its release.
    let server = keeper.node(node)?.spec.server.clone();
    let is_frozen = keeper.server(&server)?.is_frozen;
    let nothing = |why: &str| {
        let now = clock::now();
        Stamp { before: now, after: now, mechanism: "pidfd".into(), proof: why.into() }
    };
    let stamp = match &keeper.node(node)?.running {
        None => nothing("no process runs"),
        Some(_) if is_frozen && !is_paused => nothing("its server is frozen"),
        Some(running) => stop_all(running.known(), || running.members(), is_paused)?,
    };
    keeper.node_mut(node)?.is_paused = is_paused;
    Ok(stamp)
}

pub fn count(keeper: &Keeper, node: &str) -> Counted {
    let running = keeper.nodes.get(node).and_then(|n| n.running.as_ref());
    running.map_or(Counted::Nothing, |r| Counted::Stopped { used: r.cpu() })
}
