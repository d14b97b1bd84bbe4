//! `pause`: the processes stop, and go on afterwards as if nothing had happened.

use super::{Done, Hit, Injector, Stand, each};

pub(super) struct Pause;

impl Injector for Pause {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        match hit.is_server_wide {
            true => each(&hit.servers, |server| stand.freeze_server(server)),
            false => each(&hit.nodes, |node| stand.pause_node(node)),
        }
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        match hit.is_server_wide {
            true => each(&hit.servers, |server| stand.thaw_server(server)),
            false => each(&hit.nodes, |node| stand.resume_node(node)),
        }
    }
}
