//! Whether to poll for an answer right after its request rather than to sleep until it is there.
//!
//! A sleeping worker wakes up tens of microseconds after the answer came (measured: 20 of the 52 µs
//! of a loopback server), and that would be counted as the target's. Polling pays only where answers
//! come within [`LOOKOUT_MAX`]: after each time that one did not, as with a slow target, or one that
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
    until: Option<Nanos>,
    skips: u32,
    n_skipped: u32,
}

impl Lookout {
    /// A request has been sent at `now`; it is one of so many in flight.
    #[inline]
    pub fn sent(&mut self, now: Nanos, in_flight: u32) {
        if in_flight > IN_FLIGHT_MAX {
            self.until = None;
        } else if self.n_skipped < self.skips {
            self.n_skipped += 1;
        } else {
            self.until = Some(now + LOOKOUT_MAX);
        }
    }

    /// Whether to poll at `now` although nothing is due.
    #[inline]
    pub fn is_on(&mut self, now: Nanos, in_flight: u32) -> bool {
        let Some(until) = self.until else { return false };
        if in_flight > 0 && now < until {
            return true;
        }
        self.until = None;
        self.n_skipped = 0;
        self.skips = match in_flight {
            0 => 0,
            _ => (self.skips * 2).clamp(1, SKIPS_MAX),
        };
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
            let in_flight = |now: Nanos| u32::from(now < start + answered_after);
            let mut now = start;
            while lookout.is_on(now, in_flight(now)) {
                now += Nanos::from_micros(1);
            }
            times += u32::from(now > start);
            total += now - start;
            // Slept until the answer was there.
            lookout.is_on(start + GAP, 0);
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
        polled(&mut lookout, 1024, Nanos::from_micros(20));
        assert_eq!(polled(&mut lookout, 100, Nanos::from_micros(20)).0, 100);
    }

    #[test]
    fn with_many_in_flight_it_sleeps() {
        let mut lookout = Lookout::default();
        lookout.sent(Nanos::ZERO, IN_FLIGHT_MAX + 1);
        assert!(!lookout.is_on(Nanos::ZERO, IN_FLIGHT_MAX + 1));
    }
}
