//! `power-off`: the whole server falls silent at once, as when its power goes: no connection is
//! refused, nothing answers. When the repair time is over it is killed and started again.

use super::{Done, Hit, Injector, Stand, each};

pub(super) struct PowerOff;

impl Injector for PowerOff {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each(&hit.servers, |server| stand.freeze_server(server))
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each(&hit.servers, |server| {
            let killed = stand.kill_server(server)?;
            let started = stand.start_server(server)?;
            let proof = format!("{}, then {}", killed.proof, started.proof);
            Ok(Done { began: killed.began, proof, ..started })
        })
    }
}
