//! The one clock: `CLOCK_MONOTONIC` of the host, in nanoseconds since boot.
//!
//! Every process of a run (brunt, keeper, nodes) reads the same clock, so instants can be
//! compared across processes without correction. Wall-clock time is only for telling people when.

use super::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// Now on `CLOCK_MONOTONIC`.
#[inline]
pub fn now() -> Nanos {
    nanos_of(ClockId::Monotonic)
}

/// CPU time used by the calling thread.
#[inline]
pub fn thread_cpu() -> Nanos {
    nanos_of(ClockId::ThreadCPUTime)
}

/// CPU time used by the calling process, all threads.
pub fn process_cpu() -> Nanos {
    nanos_of(ClockId::ProcessCPUTime)
}

/// Wall-clock time since the Unix epoch; never used to compute a duration.
pub fn wall() -> Nanos {
    nanos_of(ClockId::Realtime)
}

#[inline]
fn nanos_of(clock: ClockId) -> Nanos {
    let t = clock_gettime(clock);
    Nanos(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}
