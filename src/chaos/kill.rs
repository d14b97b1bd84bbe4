//! `kill`: SIGKILL; healed by starting the process again.

use super::{Done, Hit, Injector, Stand, each, each_all};

pub(super) struct Kill;

impl Injector for Kill {
    fn inject(&self, hit: &Hit, stand: &dyn Stand, _: &dyn Fn() -> bool) -> Result<Done, String> {
        match hit.is_server_wide {
            true => each(&hit.servers, |server: &str| stand.kill_server(server)),
            false => each(&hit.nodes, |node: &str| stand.kill_node(node)),
        }
    }

    fn may_heal(&self, hit: &Hit, stand: &dyn Stand) -> bool {
        has_a_successor(hit, stand)
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        start(hit, stand)
    }
}

/// Of a server that is hit as one, all that is down.
pub(super) fn start(hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
    match hit.is_server_wide {
        true => each_all(&hit.servers, |server: &str| stand.start_server(server)),
        false => each_all(&hit.nodes, |node: &str| stand.start_node(node)),
    }
}

/// A leader only comes back once another one leads, where there is another one: a restarted leader
/// would resume without an election, and the fault would have measured a restart.
pub(super) fn has_a_successor(hit: &Hit, stand: &dyn Stand) -> bool {
    let Some(role) = &hit.leader_of else { return true };
    let others = stand.nodes().into_iter().any(|n| n.role == role && !hit.nodes.contains(&n.name));
    !others || stand.leader(role).is_some_and(|leader| !hit.nodes.contains(&leader))
}
