//! `throttle`: CPU is taken away from the server, never given to a competitor.

use super::{Done, Hit, Injector, Stand, each};
use crate::fault::ThrottleBy;

pub(super) struct Throttle {
    pub to: f64,
    pub by: ThrottleBy,
}

impl Throttle {
    fn set(&self, hit: &Hit, stand: &dyn Stand, share: f64) -> Result<Done, String> {
        each(&hit.servers, |server| match self.by {
            ThrottleBy::Quota => stand.set_server_share(server, share),
            ThrottleBy::Cores => stand.set_server_cores(server, share),
        })
    }
}

impl Injector for Throttle {
    fn inject(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        self.set(hit, stand, self.to)
    }

    fn heal(&self, hit: &Hit, stand: &dyn Stand) -> Result<Done, String> {
        self.set(hit, stand, 1.0)
    }
}
