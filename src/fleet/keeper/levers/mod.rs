//! How each lever is put on, composed and taken off: one file a resource, all of one shape. `set`
//! makes the resource as the holds on it want it, looks whether it is so, and says what it saw.

mod competitor;
mod cpu_cores;
pub use cpu_cores::kept;
mod cpu_share;
mod descriptors;
mod disk_full;
mod disk_rate;
mod freeze;
mod memory_limit;
mod memory_pressure;
pub mod packets;
mod pause;
mod stopping;

pub use competitor::Competitors;
pub use descriptors::Lowered;

use super::Keeper;
use super::operate::refused;
use crate::base::units::{duration_text, size_text};
use crate::base::{Bytes, Nanos};
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::cgroup::Limit;
use std::io;

/// Refuses what cannot be held, before anything is written or done.
pub fn check(keeper: &Keeper, lever: &Lever) -> io::Result<()> {
    match lever {
        Lever::Pause { node } => keeper.node(node).map(drop),
        Lever::Freeze { server } => keeper.server(server).map(drop),
        Lever::CpuShare { server, to } => cpu_share::check(keeper, server, *to),
        Lever::CpuCores { server, to } => cpu_cores::check(keeper, server, *to),
        Lever::DiskFull { free } => disk_full::check(keeper, *free),
        Lever::Packets { rule, .. } => packets::check(keeper, lever, rule),
        Lever::Competitor { server, cores } => competitor::check(keeper, server, *cores),
        Lever::MemoryLimit { server, to } => memory_limit::check(keeper, server, *to),
        Lever::MemoryPressure { server, to } => memory_pressure::check(keeper, server, *to),
        Lever::Descriptors { node, to } => descriptors::check(keeper, node, *to),
        Lever::DiskRate { server, to } => disk_rate::check(keeper, server, *to),
        Lever::Node { .. } | Lever::Link { .. } => {
            refused("this is asked of the process that does it to itself".into())
        }
    }
}

/// Makes the lever's resource as the holds that are on want it.
pub fn apply(keeper: &mut Keeper, lever: &Lever) -> io::Result<Stamp> {
    let on: Vec<Lever> = keeper.on(lever).cloned().collect();
    match lever {
        Lever::Pause { node } => pause::set(keeper, node, !on.is_empty()),
        Lever::Freeze { server } => freeze::set(keeper, server, !on.is_empty()),
        Lever::CpuShare { server, .. } => cpu_share::set(keeper, server, smallest(&on)),
        Lever::CpuCores { server, .. } => cpu_cores::set(keeper, server, smallest(&on)),
        Lever::DiskFull { .. } => disk_full::set(keeper, &on),
        Lever::Packets { rule, .. } => packets::set(keeper, lever, rule),
        Lever::Competitor { server, .. } => competitor::set(keeper, server, &on),
        Lever::MemoryLimit { server, .. } => memory_limit::set(keeper, server, &on),
        Lever::MemoryPressure { server, .. } => memory_pressure::set(keeper, server, &on),
        Lever::Descriptors { node, .. } => descriptors::set(keeper, node, &on),
        Lever::DiskRate { server, .. } => disk_rate::set(keeper, server, &on),
        Lever::Node { .. } | Lever::Link { .. } => {
            refused("this is asked of the process that does it to itself".into())
        }
    }
}

/// The smallest share among holds of shares; 1 when there is none.
fn smallest(on: &[Lever]) -> f64 {
    let share = |lever: &Lever| match lever {
        Lever::CpuShare { to, .. } | Lever::CpuCores { to, .. } => *to,
        _ => 1.0,
    };
    on.iter().map(share).fold(1.0, f64::min)
}

/// The smallest number of bytes among holds of such; no limit when there is none.
fn least(on: &[Lever]) -> Limit {
    let bytes = |lever: &Lever| match lever {
        Lever::MemoryLimit { to, .. }
        | Lever::MemoryPressure { to, .. }
        | Lever::DiskRate { to, .. } => Limit(Some(*to)),
        _ => Limit::NONE,
    };
    on.iter().map(bytes).fold(Limit::NONE, Limit::or_less)
}

/// The kernel's counters that tell what a lever did. They only grow, but for the descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// Nothing is counted for this lever; that it was on is all there is to say.
    #[default]
    Nothing,
    /// CPU used, and the time in which more was wanted and not given.
    Cpu { used: Nanos, denied: Nanos },
    /// CPU used, and the time spent ready to run and not running.
    Queue { used: Nanos, waited: Nanos },
    /// CPU that was used all the same: a stopped server uses none.
    Stopped { used: Nanos },
    /// What the kernel did to packets.
    Packets(packets::Packets),
    /// Room in the data folder, as it is: it does not grow.
    Room { free: Bytes },
    /// CPU that the competitors used, and the time that the server's own processes were ready to
    /// run and not running.
    Competitor { burnt: Nanos, waited: Nanos },
    /// Processes killed for want of memory, and how often the limit was met.
    Memory { kills: u64, hits: u64 },
    /// How often a process was slowed down, and the time in which at least one waited for memory.
    Pressure { slowed: u64, stalled: Nanos },
    /// Open descriptors of the process that has most of its own, now.
    Descriptors { open: u64, of: u64 },
    /// Bytes that went through, and the time in which at least one process waited for a disk.
    Disk { read: Bytes, written: Bytes, stalled: Option<Nanos> },
}

pub fn count(keeper: &Keeper, lever: &Lever) -> Counted {
    match lever {
        Lever::Pause { node } => pause::count(keeper, node),
        Lever::Freeze { server } => freeze::count(keeper, server),
        Lever::CpuShare { server, .. } => cpu_share::count(keeper, server),
        Lever::CpuCores { server, .. } => cpu_cores::count(keeper, server),
        Lever::DiskFull { .. } => disk_full::count(keeper),
        Lever::Packets { rule, .. } => packets::count(keeper, lever, rule),
        Lever::Competitor { server, .. } => competitor::count(keeper, server),
        Lever::MemoryLimit { server, .. } => memory_limit::count(keeper, server),
        Lever::MemoryPressure { server, .. } => memory_pressure::count(keeper, server),
        Lever::Descriptors { node, .. } => descriptors::count(keeper, node),
        Lever::DiskRate { server, .. } => disk_rate::count(keeper, server),
        _ => Counted::Nothing,
    }
}

impl Counted {
    pub fn since(self, before: &Counted) -> Counted {
        match (self, *before) {
            (Counted::Cpu { used, denied }, Counted::Cpu { used: u, denied: d }) => {
                Counted::Cpu { used: used.saturating_sub(u), denied: denied.saturating_sub(d) }
            }
            (Counted::Queue { used, waited }, Counted::Queue { used: u, waited: w }) => {
                Counted::Queue { used: used.saturating_sub(u), waited: waited.saturating_sub(w) }
            }
            (Counted::Stopped { used }, Counted::Stopped { used: u }) => {
                Counted::Stopped { used: used.saturating_sub(u) }
            }
            (Counted::Packets(now), Counted::Packets(before)) => {
                now.since(before).map_or(Counted::Nothing, Counted::Packets)
            }
            (Counted::Room { free }, Counted::Room { .. }) => Counted::Room { free },
            (
                Counted::Competitor { burnt, waited },
                Counted::Competitor { burnt: b, waited: w },
            ) => {
                let (burnt, waited) = (burnt.saturating_sub(b), waited.saturating_sub(w));
                Counted::Competitor { burnt, waited }
            }
            (Counted::Memory { kills, hits }, Counted::Memory { kills: k, hits: h }) => {
                Counted::Memory { kills: kills.saturating_sub(k), hits: hits.saturating_sub(h) }
            }
            (
                Counted::Pressure { slowed, stalled },
                Counted::Pressure { slowed: before, stalled: s },
            ) => Counted::Pressure {
                slowed: slowed.saturating_sub(before),
                stalled: stalled.saturating_sub(s),
            },
            (now @ Counted::Descriptors { .. }, _) => now,
            (
                Counted::Disk { read, written, stalled },
                Counted::Disk { read: r, written: w, stalled: s },
            ) => Counted::Disk {
                read: Bytes(read.0.saturating_sub(r.0)),
                written: Bytes(written.0.saturating_sub(w.0)),
                stalled: stalled.map(|now| now.saturating_sub(s.unwrap_or_default())),
            },
            _ => Counted::Nothing,
        }
    }

    /// For the proof of the heal; `lasted` is how long it was on.
    pub fn words(self, lasted: Nanos) -> String {
        let (of, ms) = (duration_text(rounded(lasted)), |n: Nanos| duration_text(rounded(n)));
        match self {
            Counted::Nothing => String::new(),
            Counted::Cpu { used, denied: Nanos(0) } => {
                format!("no effect: never throttled in {of}, used {}", ms(used))
            }
            Counted::Cpu { used, denied } => {
                format!("throttled for {} of {of}, used {}", ms(denied), ms(used))
            }
            Counted::Queue { used, waited } => {
                format!("ready but not running for {} of {of}, used {}", ms(waited), ms(used))
            }
            Counted::Packets(packets) => packets.words(),
            Counted::Room { free } => format!("{} free at its end", size_text(free)),
            Counted::Stopped { used } => format!("stopped for {of}, used {}", ms(used)),
            Counted::Competitor { burnt: Nanos(0), .. } => {
                format!("no effect: the competitor got no CPU in {of}")
            }
            Counted::Competitor { burnt, waited } => format!(
                "competitors burnt {} in {of}, the server's own processes were ready but not \
                 running for {}",
                ms(burnt),
                ms(waited)
            ),
            Counted::Memory { kills: 0, hits: 0 } => {
                format!("no effect: the limit was never met in {of}")
            }
            Counted::Memory { kills, hits } => {
                format!("limit met {hits} times in {of}, OOM kills {kills}")
            }
            Counted::Pressure { slowed: 0, .. } => {
                format!("no effect: never above the mark in {of}")
            }
            Counted::Pressure { slowed, stalled } => {
                format!("slowed {slowed} times in {of}, waited for memory for {}", ms(stalled))
            }
            Counted::Descriptors { open, of } => format!("{open} of {of} descriptors open"),
            Counted::Disk { read: Bytes(0), written: Bytes(0), .. } => {
                format!("no effect: nothing went through the throttle in {of}")
            }
            Counted::Disk { read, written, stalled } => {
                let stalled = stalled.map(|s| format!(", waited for the disk for {}", ms(s)));
                let (read, written) = (mebibytes(read), mebibytes(written));
                let stalled = stalled.unwrap_or_default();
                format!("read {read} and wrote {written} in {of}{stalled}")
            }
        }
    }
}

/// For people.
fn mebibytes(size: Bytes) -> String {
    format!("{:.1} MiB", size.0 as f64 / f64::from(1 << 20))
}

/// To a millisecond, for people; what is shorter, to a microsecond.
fn rounded(n: Nanos) -> Nanos {
    let step = if n.0 >= 1_000_000 { 1_000_000 } else { 1_000 };
    Nanos(n.0 / step * step)
}
