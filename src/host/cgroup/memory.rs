//! A server's memory: a limit beyond which the kernel reclaims and then kills, and, in v2 only, a
//! mark beyond which it slows down and reclaims. Where there is swap, that is used first.

use super::files::{keyed, number};
use super::place::{Limit, Place, limit_in, set_limit_in};
use crate::base::Bytes;
use std::io;
use std::path::Path;

/// A server's group of the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryGroup(pub Place);

/// What the kernel has counted since the group was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// Processes that were killed for want of memory.
    pub kills: u64,
    /// Times that the limit was met, and memory had to be reclaimed.
    pub hits: u64,
    /// Times that a process was slowed down for being above the mark.
    pub slowed: u64,
}

const V1_LIMIT: &str = "memory.limit_in_bytes";
const V1_NONE: &str = "-1";

impl MemoryGroup {
    /// For people: the control file.
    pub fn limit_file(&self) -> &'static str {
        match self.0 {
            Place::V1(_) => V1_LIMIT,
            Place::V2(_) => "memory.max",
        }
    }

    /// # Errors
    /// When the group is gone.
    pub fn limit(&self) -> io::Result<Limit> {
        limit_in(self.0.folder(), self.limit_file())
    }

    /// Sets the limit; returns the one that is there afterwards. That is a higher one where v1
    /// holds it: it takes no limit under what is used and cannot be reclaimed (`EBUSY`), so it gets
    /// the lowest that it takes. v2 kills until there is room.
    ///
    /// # Errors
    /// When the kernel refuses any.
    pub fn set_limit(&self, limit: Limit) -> io::Result<Limit> {
        match &self.0 {
            Place::V2(folder) => set_limit_in(folder, self.limit_file(), limit, "max")?,
            Place::V1(folder) => match set_limit_in(folder, V1_LIMIT, limit, V1_NONE) {
                Err(e) if e.kind() == io::ErrorKind::ResourceBusy => self.set_lowest(e)?,
                other => other?,
            },
        }
        self.limit()
    }

    /// Bounded: from what is used now, twice as much room each time.
    fn set_lowest(&self, busy: io::Error) -> io::Result<()> {
        const ROUNDS: u32 = 8;
        let set = |round| {
            let room = (rustix::param::page_size() as u64) << round;
            let lowest = Limit(self.used().map(|used| Bytes(used.0 + room)));
            set_limit_in(self.0.folder(), V1_LIMIT, lowest, V1_NONE).is_ok()
        };
        if (0..ROUNDS).any(set) { Ok(()) } else { Err(busy) }
    }

    /// v2's mark.
    ///
    /// # Errors
    /// In v1, which has none.
    pub fn mark(&self) -> io::Result<Limit> {
        limit_in(self.marked()?, "memory.high")
    }

    /// # Errors
    /// In v1, and when the kernel refuses it.
    pub fn set_mark(&self, mark: Limit) -> io::Result<()> {
        set_limit_in(self.marked()?, "memory.high", mark, "max")
    }

    fn marked(&self) -> io::Result<&Path> {
        match &self.0 {
            Place::V2(folder) => Ok(folder),
            Place::V1(_) => {
                let why = "the memory controller is on cgroup v1 here, which has no memory.high; \
                           `by = \"limit\"` works";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    pub fn used(&self) -> Option<Bytes> {
        let file = match self.0 {
            Place::V1(_) => "memory.usage_in_bytes",
            Place::V2(_) => "memory.current",
        };
        number(self.0.folder(), file).map(Bytes)
    }

    pub fn events(&self) -> MemoryEvents {
        let folder = self.0.folder();
        match self.0 {
            Place::V1(_) => MemoryEvents {
                kills: keyed(folder, "memory.oom_control", "oom_kill").unwrap_or_default(),
                hits: number(folder, "memory.failcnt").unwrap_or_default(),
                slowed: 0,
            },
            Place::V2(_) => {
                let event = |key| keyed(folder, "memory.events", key).unwrap_or_default();
                let (kills, hits) = (event("oom_kill"), event("max"));
                MemoryEvents { kills, hits, slowed: event("high") }
            }
        }
    }
}
