//! Stop-when-spent: a CPU share without cgroups. A server's processes are stopped only once they
//! have used their budget of this period, and go on at the next; what was used too much is owed.
//!
//! Never a blind duty cycle: an idle server is not stopped. The budget's own resolution is that of
//! the caller's ticks and of the kernel's accounting (one scheduler tick for a running task), so a
//! single period may overshoot; debt makes the average right.

use super::quota::Quota;
use crate::base::Nanos;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// How often a budget wants to be looked at.
pub const TICK: Nanos = Nanos::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Stop,
    Continue,
}

/// The account of one server; pure, so it is tested without processes.
#[derive(Clone, Debug)]
pub struct Budget {
    quota: Quota,
    period_end: Nanos,
    used_last: Nanos,
    /// What may still be used in this period; negative is debt.
    balance_ns: i64,
    stopped_at: Option<Nanos>,
    throttled: Nanos,
}

impl Budget {
    pub fn new(quota: Quota, now: Nanos) -> Budget {
        Budget {
            quota,
            period_end: now + quota.period(),
            used_last: Nanos::ZERO,
            balance_ns: quota.budget().0 as i64,
            stopped_at: None,
            throttled: Nanos::ZERO,
        }
    }

    /// A new share; debt stays, saved budget does not grow.
    pub fn set_quota(&mut self, quota: Quota, now: Nanos) {
        self.quota = quota;
        self.period_end = now + quota.period();
        self.balance_ns = self.balance_ns.min(quota.budget().0 as i64);
    }

    /// `used` is the CPU of all the server's processes; it falls when one of them ended.
    pub fn tick(&mut self, now: Nanos, used: Nanos) -> Action {
        self.balance_ns -= used.saturating_sub(self.used_last).0 as i64;
        self.used_last = used;
        if now >= self.period_end {
            self.refill(now);
        }
        match (self.stopped_at, self.balance_ns > 0) {
            (None, false) => {
                self.stopped_at = Some(now);
                Action::Stop
            }
            (Some(since), true) => {
                self.throttled += now.saturating_sub(since);
                self.stopped_at = None;
                Action::Continue
            }
            _ => Action::Nothing,
        }
    }

    fn refill(&mut self, now: Nanos) {
        let period = self.quota.period().0;
        let periods = (now.0 - self.period_end.0) / period + 1;
        let budget = self.quota.budget().0 as i64;
        let earned = budget.saturating_mul(periods as i64);
        self.balance_ns = self.balance_ns.saturating_add(earned).min(budget);
        self.period_end = Nanos(self.period_end.0 + periods * period);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped_at.is_some()
    }

    /// Time stopped so far, an unfinished stop included.
    pub fn throttled(&self, now: Nanos) -> Nanos {
        self.throttled + self.stopped_at.map_or(Nanos::ZERO, |since| now.saturating_sub(since))
    }
}

/// CPU that a process used, all its threads, ended ones too. The caller makes sure that the number
/// is still its own.
pub fn process_cpu(pid: i32) -> Option<Nanos> {
    let clock: ClockId = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
    let t = clock_gettime(clock).ok()?;
    Some(Nanos(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that always wants to run, looked at every millisecond, seen by a kernel that
    /// accounts in ticks of 4 ms.
    fn simulate(cores: f64, total_ms: u64, demand: f64) -> (f64, Nanos) {
        let mut budget = Budget::new(Quota::new(cores, Nanos::from_millis(20)), Nanos::ZERO);
        let (mut ran_us, mut seen_us) = (0.0, 0u64);
        for ms in 1..=total_ms {
            if !budget.is_stopped() {
                ran_us += 1_000.0 * demand;
            }
            if ms % 4 == 0 || budget.is_stopped() {
                seen_us = ran_us as u64;
            }
            budget.tick(Nanos::from_millis(ms), Nanos::from_micros(seen_us));
        }
        (ran_us / 1e3 / total_ms as f64, budget.throttled(Nanos::from_millis(total_ms)))
    }

    #[test]
    fn a_busy_process_gets_its_share_on_average() {
        for cores in [0.1, 0.25, 0.5] {
            let (share, throttled) = simulate(cores, 10_000, 1.0);
            assert!((share - cores).abs() < 0.02, "{share} of {cores}");
            assert!(throttled > Nanos::from_secs(4));
        }
    }

    #[test]
    fn who_stays_within_the_budget_is_never_stopped() {
        let (share, throttled) = simulate(0.25, 2_000, 0.1);
        assert!((share - 0.1).abs() < 0.001);
        assert_eq!(throttled, Nanos::ZERO);
    }

    #[test]
    fn the_own_processes_clock_runs() {
        let before = process_cpu(std::process::id() as i32).unwrap();
        crate::base::work::burn(1_000_000);
        assert!(process_cpu(std::process::id() as i32).unwrap() > before);
        assert_eq!(process_cpu(4_194_305), None);
    }
}
