//! A token bucket: how many bytes may go now, and when the next may.

use crate::base::Nanos;

/// What a pause may save up, and the most that goes at once: a granularity of 5 ms each.
const SLICE: Nanos = Nanos::from_millis(5);

/// Lets at most `rate × t` and two slices through in any time t; what a late timer missed is made
/// up for. A slice is at least one byte.
#[derive(Default)]
pub struct Bucket {
    /// When all that went would have gone at the rate.
    paid_until: Nanos,
}

impl Bucket {
    /// Bytes of `wanted` that may go now, or when some may. `rate` is in bytes per second.
    pub fn allows(&self, rate: u64, wanted: usize, now: Nanos) -> Result<usize, Nanos> {
        if self.paid_until > now {
            return Err(self.paid_until);
        }
        let slice = (u128::from(rate) * u128::from(SLICE.0) / 1_000_000_000).max(1);
        Ok(wanted.min(usize::try_from(slice).unwrap_or(usize::MAX)))
    }

    /// So many went.
    pub fn spend(&mut self, rate: u64, bytes: usize, now: Nanos) {
        let cost = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        let cost = Nanos(u64::try_from(cost).unwrap_or(u64::MAX / 2));
        self.paid_until = self.paid_until.max(now.saturating_sub(SLICE)) + cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that go in a second, with a timer that is late by so much each time.
    fn in_a_second(rate: u64, late: Nanos) -> u64 {
        let (mut bucket, mut now, mut total) = (Bucket::default(), Nanos::SECOND, 0);
        while now < Nanos::from_secs(2) {
            match bucket.allows(rate, 32 * 1024, now) {
                Ok(n) => {
                    bucket.spend(rate, n, now);
                    total += n as u64;
                }
                Err(at) => now = at + late,
            }
        }
        total
    }

    #[test]
    fn the_rate_and_two_slices_are_the_most_and_a_late_timer_costs_nothing() {
        for rate in [1, 10, 1_000, 200_000, 10_000_000, 1_000_000_000] {
            let slice = (rate / 200).max(1);
            for late in [Nanos::ZERO, Nanos::from_micros(300), Nanos::from_millis(4)] {
                let total = in_a_second(rate, late);
                assert!(total <= rate + 2 * slice, "{total} at {rate}/s, late by {late}");
                assert!(total + 2 * slice >= rate, "{total} at {rate}/s, late by {late}");
            }
        }
    }

    #[test]
    fn a_pause_saves_up_no_more_than_a_slice() {
        let mut bucket = Bucket::default();
        bucket.spend(1_000_000, 5_000, Nanos::from_secs(1));
        let now = Nanos::from_secs(60);
        let mut total = 0;
        while let Ok(n) = bucket.allows(1_000_000, 100_000, now) {
            bucket.spend(1_000_000, n, now);
            total += n;
        }
        assert_eq!(total, 10_000);
    }
}
