//! What the generator itself has used: read while it runs, complete once it has been joined.

use super::gauges::Gauges;
use crate::base::{Nanos, clock};
use crate::record::GeneratorUsage;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Outlives the generator that it belongs to.
#[derive(Clone)]
pub struct Meter {
    pub(super) gauges: Arc<Gauges>,
    /// By worker process, and [`OWN`].
    memory: Arc<Mutex<BTreeMap<u32, u64>>>,
    processes: u32,
    /// CPU that this process had used before.
    cpu_before: Nanos,
    /// Nanoseconds of CPU of the worker processes that have ended.
    cpu_ended: Arc<AtomicU64>,
}

/// brunt's own process among the workers'.
const OWN: u32 = u32::MAX;

impl Meter {
    pub(super) fn new(gauges: Arc<Gauges>, processes: u32) -> Meter {
        Meter {
            gauges,
            memory: Arc::default(),
            processes,
            cpu_before: clock::process_cpu(),
            cpu_ended: Arc::default(),
        }
    }

    /// A worker process has ended, and had used so much CPU in its life.
    pub(super) fn ended(&self, cpu: Nanos) {
        self.cpu_ended.fetch_add(cpu.0, Ordering::Relaxed);
    }

    /// A worker process has said how large it is.
    pub(super) fn heard(&self, worker: u32, bytes: u64) {
        let mut memory = self.memory.lock().expect("no panic while comparing two numbers");
        let known = memory.entry(worker).or_default();
        *known = bytes.max(*known);
    }

    /// Looks at this process's memory.
    pub(super) fn look(&self) {
        self.heard(OWN, proportional_set_size());
    }

    pub fn usage(&self) -> GeneratorUsage {
        let memory = self.memory.lock().expect("no panic while comparing two numbers");
        GeneratorUsage {
            in_flight_max: self.gauges.in_flight_max(),
            connections_max: self.gauges.connections_max(),
            pss_max_bytes: memory.values().sum(),
            processes: self.processes,
            cpu: clock::process_cpu().saturating_sub(self.cpu_before)
                + Nanos(self.cpu_ended.load(Ordering::Relaxed)),
        }
    }
}

/// What this process holds of the machine's memory, bytes: shared pages count by their share. 0
/// where the kernel does not tell. Costs the kernel a walk through all of the process's pages.
pub(super) fn proportional_set_size() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB"));
    kib.and_then(|n| n.trim().parse::<u64>().ok()).map_or(0, |n| n * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxima_are_kept_by_process_and_added_up() {
        let meter = Meter::new(Arc::new(Gauges::new().unwrap()), 2);
        for (worker, bytes) in [(0, 10), (1, 30), (0, 20), (1, 5)] {
            meter.heard(worker, bytes);
        }
        meter.ended(Nanos::from_secs(40));
        meter.ended(Nanos::from_secs(2));
        assert_eq!(meter.usage().pss_max_bytes, 50);
        let cpu = meter.usage().cpu.as_secs_f64();
        assert!((42.0..100.0).contains(&cpu), "the workers' 42 s and a little of this test: {cpu}");
        meter.look();
        assert!(meter.usage().pss_max_bytes > 100_000, "this test has more than 100 kB");
    }
}
