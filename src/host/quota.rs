//! A CPU share as the two numbers the kernel wants: so many microseconds in each period.

use crate::base::Nanos;

/// The kernel refuses less than this per period (`sched-bwc.rst`).
const QUOTA_MIN_US: u64 = 1_000;
/// The kernel refuses longer periods.
const PERIOD_MAX_US: u64 = 1_000_000;

/// Microseconds of CPU per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub quota_us: u64,
    pub period_us: u64,
}

impl Quota {
    /// `cores` of CPU; the period is lengthened only when the quota would fall under 1 ms.
    pub fn new(cores: f64, period: Nanos) -> Quota {
        let period_us = (period.0 / 1_000).clamp(QUOTA_MIN_US, PERIOD_MAX_US);
        let quota_us = (cores * period_us as f64).round() as u64;
        if quota_us >= QUOTA_MIN_US {
            return Quota { quota_us, period_us };
        }
        let longer = (QUOTA_MIN_US as f64 / cores.max(1e-9)).ceil() as u64;
        Quota { quota_us: QUOTA_MIN_US, period_us: longer.clamp(period_us, PERIOD_MAX_US) }
    }

    pub fn period(self) -> Nanos {
        Nanos::from_micros(self.period_us)
    }

    pub fn budget(self) -> Nanos {
        Nanos::from_micros(self.quota_us)
    }
}

/// What a group of processes used and was denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUse {
    pub used: Nanos,
    /// Time in which it wanted to run and its quota was spent.
    pub throttled: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_grows_only_when_the_quota_would_be_under_a_millisecond() {
        let check = |cores: f64, quota_us, period_us| {
            let quota = Quota::new(cores, Nanos::from_millis(20));
            assert_eq!(quota, Quota { quota_us, period_us }, "{cores}");
        };
        check(1.0, 20_000, 20_000);
        check(0.1, 2_000, 20_000);
        check(0.05, 1_000, 20_000);
        check(0.02, 1_000, 50_000);
        check(0.0001, 1_000, 1_000_000);
        check(4.0, 80_000, 20_000);
    }
}
