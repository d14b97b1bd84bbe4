//! `restart`: SIGTERM, wait for the exit, start again at once.

use super::{Done, Hit, Injector, Stand, each};

pub(super) struct Restart;

impl Injector for Restart {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each(&hit.nodes, |node| stand.terminate_node(node))
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each(&hit.nodes, |node| stand.start_node(node))
    }
}
