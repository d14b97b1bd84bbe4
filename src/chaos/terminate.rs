//! `terminate`: SIGTERM, and the process ends by itself; healed by starting it again.

use super::kill::{has_a_successor, start};
use super::{Done, Hit, Injector, Stand, each};

pub(super) struct Terminate;

impl Injector for Terminate {
    fn inject(&self, hit: &Hit, stand: &dyn Stand, _: &dyn Fn() -> bool) -> Result<Done, String> {
        each(&hit.members(stand, true), |node: &str| stand.terminate_node(node))
    }

    fn may_heal(&self, hit: &Hit, stand: &dyn Stand) -> bool {
        has_a_successor(hit, stand)
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        start(hit, stand)
    }
}
