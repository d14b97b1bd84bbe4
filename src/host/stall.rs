//! How long a CPU share stalls a program: measured with a spinning child in such a group.

use super::affinity;
use super::budget::{Action, Budget, TICK, process_cpu};
use super::cgroup::Cgroups;
use super::forked;
use super::quota::Quota;
use super::scratch;
use crate::base::{Nanos, clock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;

/// Long enough for a good many periods.
const MEASURED_FOR: Nanos = Nanos::from_millis(400);
/// What counts as a stall, and how many are kept: one a period, and room.
const GAP_MIN: Nanos = Nanos::from_millis(1);
const GAPS_MAX: usize = 512;

/// What a share does to a program that always wants to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaStall {
    /// The median time in which it did not run, once it was stopped.
    pub stall: Nanos,
    pub mechanism: String,
}

/// Measures on these cores with the best mechanism there is, about 0.4 s.
///
/// # Errors
/// When no child can be started or a group refuses the quota.
pub fn measure(cores: f64, period: Nanos, on: &[u32]) -> io::Result<QuotaStall> {
    let cgroups = scratch::groups("stall");
    let quota = Quota::new(cores, period);
    let stall = match cgroups.has_quota() {
        true => scratch::journalled(&cgroups, || in_group(&cgroups, quota, on))?,
        false => by_stopping(quota, on),
    };
    let stall = stall.ok_or_else(|| io::Error::other("the measuring child gave no answer"))?;
    Ok(QuotaStall { stall, mechanism: cgroups.quota_mechanism().into() })
}

fn in_group(cgroups: &Cgroups, quota: Quota, on: &[u32]) -> io::Result<Option<Nanos>> {
    let group = cgroups.create("spin")?;
    group.set_quota(quota)?;
    let files = group.attach_files()?;
    let mask = affinity::mask(on);
    let answer = forked::run(move || {
        for file in &files {
            let _ = rustix::io::write(file, b"0");
        }
        let _ = rustix::thread::sched_setaffinity(None, &mask);
        typical_gap().0
    });
    Ok(answer.map(Nanos))
}

fn by_stopping(quota: Quota, on: &[u32]) -> Option<Nanos> {
    let mask = affinity::mask(on);
    let task = move || {
        let _ = rustix::thread::sched_setaffinity(None, &mask);
        typical_gap().0
    };
    forked::run_with(task, |pid| keep_to(quota, pid)).map(Nanos)
}

/// Enforces the budget on one child that the caller has not waited for.
fn keep_to(quota: Quota, pid: i32) {
    let mut budget = Budget::new(quota, clock::now());
    let until = clock::now() + MEASURED_FOR;
    let child = Pid::from_raw(pid);
    while clock::now() < until {
        std::thread::sleep(TICK.duration());
        let used = process_cpu(pid).unwrap_or_default();
        let _ = match budget.tick(clock::now(), used) {
            Action::Stop => kill(child, Signal::SIGSTOP),
            Action::Continue => kill(child, Signal::SIGCONT),
            Action::Nothing => Ok(()),
        };
    }
    let _ = kill(child, Signal::SIGCONT);
}

/// Reads the clock as fast as it can; a stall is a gap of a millisecond and more between two
/// readings. The median: a group that overran its budget pays it back with one longer stall.
fn typical_gap() -> Nanos {
    let start = clock::now();
    let mut last = start;
    let mut gaps = [Nanos::ZERO; GAPS_MAX];
    let mut n_gaps = 0;
    while last.saturating_sub(start) < MEASURED_FOR && n_gaps < GAPS_MAX {
        let now = clock::now();
        if now.saturating_sub(last) >= GAP_MIN {
            gaps[n_gaps] = now.saturating_sub(last);
            n_gaps += 1;
        }
        last = now;
    }
    gaps[..n_gaps].sort_unstable();
    gaps[n_gaps / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_core_stalls_for_most_of_a_period() {
        let cores = affinity::own().unwrap();
        let quota = Quota::new(0.1, Nanos::from_millis(20));
        let stopped = by_stopping(quota, &cores[..1]).unwrap();
        assert!(stopped > Nanos::from_millis(8), "{stopped}");
        let best = measure(0.1, Nanos::from_millis(20), &cores[..1]).unwrap();
        assert!(best.stall > Nanos::from_millis(8), "{best:?}");
    }
}
