//! What one process uses: CPU, memory, threads, descriptors.

use super::budget::process_cpu;
use super::process::{Identity, Stat};
use crate::base::{Bytes, Nanos};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Since its start, all threads, ended ones too.
    pub cpu: Nanos,
    pub resident: Bytes,
    pub threads: u32,
    pub descriptors: u32,
}

/// What this very process uses; `None` when it ended, also while it was looked at.
pub fn of(identity: Identity) -> Option<ProcessUse> {
    let pid = identity.pid;
    let cpu = process_cpu(pid)?;
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let entries =
        |what| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
    let found = ProcessUse {
        cpu,
        resident: Bytes(pages * rustix::param::page_size() as u64),
        threads: entries("task") as u32,
        descriptors: entries("fd") as u32,
    };
    // Looked at last: had the number gone to another process meanwhile, this would tell.
    (Stat::read(pid)?.start_time == identity.start_time).then_some(found)
}

/// Time that a process's threads were ready to run and did not, since each began; `/proc/PID/schedstat`
/// of every thread, whose second number it is (kernel `sched-stats.rst`). Zero where it is not kept.
pub fn queued(pid: i32) -> Nanos {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waited = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Nanos(waited.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_use_is_plausible_and_a_strangers_is_refused() {
        let own = of(Identity::own()).unwrap();
        assert!(own.threads >= 1 && own.descriptors >= 3 && own.resident.0 > 100_000);
        let stranger = Identity { start_time: 1, ..Identity::own() };
        assert_eq!(of(stranger), None);
    }
}
