//! Whether to poll for an answer right after its request rather than to sleep until it is there.
//!
//! A sleeping worker wakes up tens of microseconds after the answer came (measured: 20 of the 52 µs
//! of a loopback server), and that would be counted as the target's. Polling pays only where answers
//! come within [`LOOKOUT_MAX`]: after each time that none did, as with a slow target, or one that
//! needs the very processor that polls, twice as many requests go unpolled.

use crate::base::Nanos;

/// Longest polling for an answer: as long as that for a start.
pub(super) const LOOKOUT_MAX: Nanos = super::pacer::LEAD_MAX;
/// Where more are in flight, an answer wakes the worker for others too, or takes so long that the
/// wake-up is nothing beside it.
const IN_FLIGHT_MAX: u32 = 4;
/// Of a target that is never that fast, one request in so many (a power of two) is polled for.
const SKIPS_MAX: u32 = 1024;

#[derive(Default)]
pub(super) struct Lookout {
    /// Until when it polls, if it does. What is sent meanwhile does not prolong it.
    until: Option<Nanos>,
    is_answered: bool,
    skips: u32,
    n_skipped: u32,
}

impl Lookout {
    /// A request has been sent at `now`; it is one of so many in flight.
    #[inline]
    pub fn sent(&mut self, now: Nanos, in_flight: u32) {
        if self.until.is_some() || in_flight > IN_FLIGHT_MAX {
            return;
        }
        if self.n_skipped < self.skips {
            self.n_skipped += 1;
        } else {
            (self.until, self.is_answered) = (Some(now + LOOKOUT_MAX), false);
        }
    }

    /// A request that had been sent has ended.
    #[inline]
    pub fn ended(&mut self) {
        self.is_answered = true;
    }

    /// Whether to poll at `now` although nothing is due.
    #[inline]
    pub fn is_on(&mut self, now: Nanos) -> bool {
        let Some(until) = self.until else { return false };
        if now < until && !self.is_answered {
            return true;
        }
        self.skips = match self.is_answered {
            true => 0,
            false => (self.skips * 2).clamp(1, SKIPS_MAX),
        };
        (self.until, self.n_skipped) = (None, 0);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Nanos = Nanos::from_micros(100);

    /// How many of so many requests, one after the other, are polled for, and for how long in all,
    /// when each is answered after so long.
    fn polled(lookout: &mut Lookout, n: u64, answered_after: Nanos) -> (u32, Nanos) {
        let (mut times, mut total) = (0, Nanos::ZERO);
        for start in (0..n).map(|i| Nanos(i * GAP.0)) {
            lookout.sent(start, 1);
            let mut now = start;
            while lookout.is_on(now) {
                now += Nanos::from_micros(1);
                if now == start + answered_after {
                    lookout.ended();
                }
            }
            times += u32::from(now > start);
            total += now - start;
            if now < start + answered_after {
                lookout.ended();
            }
        }
        (times, total)
    }

    #[test]
    fn a_quick_target_is_polled_for_until_it_has_answered() {
        let mut lookout = Lookout::default();
        assert_eq!(polled(&mut lookout, 100, Nanos::from_micros(20)), (100, Nanos(2_000_000)));
    }

    #[test]
    fn a_slow_target_is_polled_for_ever_more_seldom_and_again_once_it_is_quick() {
        let mut lookout = Lookout::default();
        let (times, total) = polled(&mut lookout, 1023, Nanos::from_micros(90));
        assert_eq!((times, total), (10, Nanos(10 * LOOKOUT_MAX.0)), "1, 2, 4 … were skipped");
        let (times, _) = polled(&mut lookout, 100_000, Nanos::from_micros(90));
        assert!((90..=100).contains(&times), "{times}");
        polled(&mut lookout, 1025, Nanos::from_micros(20));
        assert_eq!(polled(&mut lookout, 100, Nanos::from_micros(20)).0, 100);
    }

    #[test]
    fn what_is_sent_meanwhile_does_not_prolong_it_and_one_that_hangs_does_not_end_it() {
        let mut lookout = Lookout::default();
        lookout.sent(Nanos::ZERO, 1);
        lookout.sent(Nanos::from_micros(40), 2);
        assert!(!lookout.is_on(LOOKOUT_MAX), "nothing came");
        let mut beside_one_that_hangs = Lookout::default();
        for start in [0, 100, 200] {
            beside_one_that_hangs.sent(Nanos::from_micros(start), 2);
            assert!(beside_one_that_hangs.is_on(Nanos::from_micros(start)));
            beside_one_that_hangs.ended();
            assert!(!beside_one_that_hangs.is_on(Nanos::from_micros(start + 20)));
        }
    }

    #[test]
    fn with_many_in_flight_it_sleeps() {
        let mut lookout = Lookout::default();
        lookout.sent(Nanos::ZERO, IN_FLIGHT_MAX + 1);
        assert!(!lookout.is_on(Nanos::ZERO));
    }
}
