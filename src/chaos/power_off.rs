//! `power-off`: the whole server falls silent at once, as when its power goes: no connection is
//! refused, nothing answers. When the repair time is over it is killed and started again.

use super::hold::hold_id;
use super::{Done, Hit, Injector, Stand, each, each_all};
use crate::fault::Lever;

pub(super) struct PowerOff {
    pub name: String,
}

impl PowerOff {
    fn freeze(&self, server: &str) -> (String, Lever) {
        let lever = Lever::Freeze { server: server.into() };
        (hold_id(&self.name, &lever), lever)
    }
}

impl Injector for PowerOff {
    fn prepare(&self, hit: &Hit, stand: &dyn Stand) -> Result<(), String> {
        hit.servers.iter().map(|s| self.freeze(s)).try_for_each(|(id, l)| stand.prepare(&id, &l))
    }

    fn heal_prepared(&self, hit: &Hit, stand: &dyn Stand) -> Result<(), String> {
        each_all(&hit.servers, |s: &str| stand.release(&self.freeze(s).0)).map(drop)
    }

    fn inject(&self, hit: &Hit, stand: &dyn Stand, _: &dyn Fn() -> bool) -> Result<Done, String> {
        each(&hit.servers, |server: &str| {
            let (id, lever) = self.freeze(server);
            stand.hold(&id, &lever)
        })
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        each_all(&hit.servers, |server: &str| {
            // Killed while frozen: what was silent must not say a last word.
            let killed = stand.kill_server(server)?;
            stand.release(&self.freeze(server).0)?;
            let started = stand.start_server(server)?;
            let proof = format!("{}, then {}", killed.proof, started.proof);
            Ok(Done { began: killed.began, proof, ..started })
        })
    }
}
