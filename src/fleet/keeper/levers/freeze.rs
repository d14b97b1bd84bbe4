//! `Lever::Freeze`: the whole server is stopped; its kernel still accepts connections.

use super::super::Keeper;
use super::Counted;
use super::competitor;
use super::stopping::stop_all;
use crate::base::clock;
use crate::fleet::protocol::Stamp;
use std::io;

pub fn set(keeper: &mut Keeper, server: &str, is_frozen: bool) -> io::Result<Stamp> {
    let group = keeper.server(server)?.group.clone();
    let before = clock::now();
    let stamp = match group.freeze(is_frozen)? {
        Some(proof) => {
            let mechanism = group.control_mechanism().into();
            Stamp { before, after: clock::now(), mechanism, proof }
        }
        None => {
            let members = || keeper.members(server, !is_frozen);
            stop_all(keeper.known(server, !is_frozen), members, is_frozen)?
        }
    };
    keeper.server_mut(server)?.is_frozen = is_frozen;
    if !is_frozen {
        competitor::catch_up(keeper, server);
    }
    Ok(stamp)
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let used = keeper.servers.get(server).map(|s| s.cpu_use().used);
    used.map_or(Counted::Nothing, |used| Counted::Stopped { used })
}
