//! The machine beside the run: time stolen by a hypervisor, and what brunt itself uses.

use crate::base::{Bytes, Nanos, clock};
use std::fs;

/// `USER_HZ` is 100 on every Linux that brunt runs on.
const TICK: Nanos = Nanos::from_millis(10);

/// Cumulative ticks of `/proc/stat`, over the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineSample {
    pub all_ticks: u64,
    pub stolen_ticks: u64,
    /// Time in which the cores that were asked for did anything.
    pub busy_on_cores: Nanos,
}

/// Reads `/proc/stat`.
pub struct Machine;

impl Machine {
    /// Zeroes when `/proc` cannot be read.
    pub fn sample(cores: &[u32]) -> MachineSample {
        fs::read_to_string("/proc/stat").map(|text| parse_stat(&text, cores)).unwrap_or_default()
    }
}

impl MachineSample {
    /// The share of all CPU time since `before` that was stolen.
    pub fn steal_since(&self, before: &MachineSample) -> f64 {
        let all = self.all_ticks.saturating_sub(before.all_ticks);
        match all {
            0 => 0.0,
            _ => self.stolen_ticks.saturating_sub(before.stolen_ticks) as f64 / all as f64,
        }
    }
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice` (proc_stat(5)); guest
/// times are already in user and nice.
fn parse_stat(text: &str, cores: &[u32]) -> MachineSample {
    let ticks_of = |name: &str| -> Vec<u64> {
        let line = text.lines().find(|l| l.split(' ').next() == Some(name)).unwrap_or_default();
        line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect()
    };
    let all = ticks_of("cpu");
    // user, nice, system, irq, softirq; not idle, iowait, steal.
    let busy = cores.iter().map(|core| {
        let ticks = ticks_of(&format!("cpu{core}"));
        [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<u64>()
    });
    MachineSample {
        all_ticks: all.iter().sum(),
        stolen_ticks: all.get(7).copied().unwrap_or(0),
        busy_on_cores: Nanos(busy.sum::<u64>() * TICK.0),
    }
}

/// Memory that the machine can still give without swapping (`MemAvailable` of proc_meminfo(5)).
pub fn free_memory() -> Option<Bytes> {
    parse_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_available(text: &str) -> Option<Bytes> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(Bytes(kib * 1024))
}

/// What brunt's own process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnUsage {
    pub cpu: Nanos,
    pub rss_bytes: u64,
    pub threads: u32,
    pub fds: u32,
}

impl OwnUsage {
    pub fn sample() -> OwnUsage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        OwnUsage {
            cpu: clock::process_cpu(),
            rss_bytes: field("VmRSS:") * 1024,
            threads: field("Threads:") as u32,
            fds: fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time() {
        let before = parse_stat("cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 9\n", &[0, 1]);
        let after = parse_stat("cpu  20 0 20 150 0 0 0 10 5 0\n", &[]);
        assert_eq!(before.busy_on_cores, Nanos::from_millis(50));
        assert_eq!(before.all_ticks, 100);
        assert!((after.steal_since(&before) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_of_memory_is_read() {
        let text = "MemTotal:  100 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(parse_available(text), Some(Bytes(2 << 20)));
        assert_eq!(parse_available("MemTotal: 100 kB\n"), None);
        assert!(free_memory().is_some_and(|left| left.0 > 0));
    }

    #[test]
    fn brunt_sees_itself() {
        let own = OwnUsage::sample();
        assert!(own.rss_bytes > 0 && own.threads > 0 && own.fds > 2, "{own:?}");
    }
}
