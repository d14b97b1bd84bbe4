//! `Lever::DiskFull`: the run's data folder, a small file system of its own, has no more than so
//! much room left. Its size is taken away: no file is written that could be left behind, nobody's
//! memory is used up, and it is done at once.

use super::super::Keeper;
use super::super::operate::refused;
use super::Counted;
use crate::base::units::size_text;
use crate::base::{Bytes, clock};
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::bounded;
use std::io;
use std::path::Path;

/// What is written meanwhile makes the kernel refuse a size.
const TRIES: u32 = 20;

pub fn check(keeper: &Keeper, free: Bytes) -> io::Result<()> {
    let Some(size) = keeper.setup.bound.filter(|_| bounded::is_bounded(&keeper.setup.work_folder))
    else {
        return refused("the run's data folder is no file system of its own".into());
    };
    match free.0 < size.0 {
        true => Ok(()),
        false => {
            let (free, size) = (size_text(free), size_text(size));
            refused(format!("{free} are to be left of {size}: that fills nothing"))
        }
    }
}

/// Leaves the least room that is wanted; all of it when nothing is held.
pub fn set(keeper: &mut Keeper, on: &[Lever]) -> io::Result<Stamp> {
    let folder = keeper.setup.work_folder.clone();
    let Some(all) = keeper.setup.bound else { return refused("it has no bound".into()) };
    let wanted = least(on);
    let before = clock::now();
    match wanted {
        None => bounded::resize(&folder, all)?,
        Some(free) => leave(&folder, free, all)?,
    }
    let after = clock::now();
    let (used, free) = bounded::room(&folder)?;
    let is_so = wanted.is_none_or(|wanted| free.0 <= whole_pages(wanted));
    let proof = format!("{} used, {} free", size_text(used), size_text(free));
    match is_so {
        true => Ok(Stamp { before, after, mechanism: "size of the run's own tmpfs".into(), proof }),
        false => refused(format!("its size was taken away, but there are still {proof}")),
    }
}

fn least(on: &[Lever]) -> Option<Bytes> {
    let free = on.iter().filter_map(|lever| match lever {
        Lever::DiskFull { free } => Some(*free),
        _ => None,
    });
    free.min()
}

/// A file system in memory has whole pages, and at least one.
fn whole_pages(size: Bytes) -> u64 {
    let page = rustix::param::page_size() as u64;
    size.0.next_multiple_of(page).max(page)
}

fn leave(folder: &Path, free: Bytes, all: Bytes) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..TRIES {
        let (used, _) = bounded::room(folder)?;
        result = bounded::resize(folder, Bytes((used.0 + free.0).min(all.0)));
        if result.is_ok() {
            break;
        }
    }
    result
}

pub fn count(keeper: &Keeper) -> Counted {
    let room = bounded::room(&keeper.setup.work_folder);
    room.map_or(Counted::Nothing, |(_, free)| Counted::Room { free })
}
