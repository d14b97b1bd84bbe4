//! `Lever::DiskRate`: the server reads and writes so many bytes per second, each way, on the disk of
//! the run's data.

use super::super::Keeper;
use super::super::operate::refused;
use super::{Counted, least};
use crate::base::{Bytes, clock};
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::block::Device;
use crate::host::cgroup::{DiskGroup, Rates};
use std::io;

pub fn check(keeper: &Keeper, server: &str, to: Bytes) -> io::Result<()> {
    device(keeper)?;
    group(keeper, server)?;
    match to.0 {
        0 => refused("a disk of 0 bytes per second is none; pause the server instead".into()),
        _ => Ok(()),
    }
}

fn device(keeper: &Keeper) -> io::Result<Device> {
    Device::of(&keeper.setup.work_folder)
}

fn group(keeper: &Keeper, server: &str) -> io::Result<DiskGroup> {
    let group = keeper.server(server)?.group.disk.clone();
    let none = "no group of the blkio or io controller can be made here: run as root or in a \
                delegated cgroup";
    group.ok_or_else(|| io::Error::other(none))
}

pub fn set(keeper: &mut Keeper, server: &str, on: &[Lever]) -> io::Result<Stamp> {
    let (device, group) = (device(keeper)?, group(keeper, server)?);
    let was = match keeper.server(server)?.was.disk_rates {
        Some(was) => was,
        None => group.rates(device)?,
    };
    keeper.server_mut(server)?.was.disk_rates = Some(was);
    let wanted = was.or_less(Rates::both(least(on)));
    let before = clock::now();
    group.set_rates(device, wanted)?;
    let after = clock::now();
    if on.is_empty() {
        keeper.server_mut(server)?.was.disk_rates = None;
    }
    let proof =
        format!("disk {device}: read {} and write {} per second", wanted.read, wanted.write);
    Ok(Stamp { before, after, mechanism: group.mechanism().into(), proof })
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let (Ok(device), Ok(group)) = (device(keeper), group(keeper, server)) else {
        return Counted::Nothing;
    };
    let stalled = keeper.servers.get(server).and_then(|s| s.group.stalled("io"));
    let moved = group.moved(device);
    Counted::Disk { read: moved.read, written: moved.written, stalled }
}
