//! Where many requests are in flight in a closed loop, a worker rests for a moment between two turns,
//! so that answers come in batches. To wake for each of them costs brunt and the target more than the
//! answer itself (measured with 512 in flight over HTTP/2: 2.4 times the CPU per request, and a
//! saturated nginx answered a seventh less).
//!
//! The rest is a hundredth of the mean response time, so that it is lost in what is measured.

use crate::base::Nanos;

/// Part of the mean response time.
const OF_RESPONSE: u64 = 100;
/// A shorter rest is not worth its wake-up …
const REST_MIN: Nanos = Nanos::from_micros(15);
/// … and a longer one brings no more.
const REST_MAX: Nanos = Nanos::from_micros(100);
/// Answers from which the mean is taken.
const COUNTED: u64 = 256;
/// When so many of the connections had something to say at once, a batch is there already.
const BUSY: usize = 4;

#[derive(Default)]
pub(super) struct Rest {
    since: Nanos,
    ended: u64,
    rest: Nanos,
}

impl Rest {
    /// A request that had been sent has ended.
    #[inline]
    pub fn ended(&mut self) {
        self.ended += 1;
    }

    /// How long to rest at `now`, when so many of the connections had an event in the last turn.
    #[inline]
    pub fn due(
        &mut self,
        now: Nanos,
        in_flight: u32,
        n_events: usize,
        connections: usize,
    ) -> Option<Nanos> {
        if self.ended >= COUNTED {
            // Little's law: what is in flight ÷ the rate at which it ends.
            let took = now.saturating_sub(self.since).0;
            let response = u64::from(in_flight) * took / self.ended;
            self.rest = Nanos(response / OF_RESPONSE).min(REST_MAX);
            (self.since, self.ended) = (now, 0);
        }
        (self.rest >= REST_MIN && n_events * BUSY <= connections).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many answers in a millisecond.
    fn after(ended: u64, in_flight: u32, n_events: usize) -> Option<Nanos> {
        let mut rest = Rest::default();
        (0..ended).for_each(|_| rest.ended());
        rest.due(Nanos::from_millis(1), in_flight, n_events, 16)
    }

    #[test]
    fn it_is_a_hundredth_of_the_response_time_within_its_bounds() {
        // 512 in flight, 256 a millisecond: 2 ms each.
        assert_eq!(after(256, 512, 1), Some(Nanos::from_micros(20)));
        assert_eq!(after(256, 64, 1), None, "0.25 ms each: too short to rest");
        assert_eq!(after(256, 100_000, 1), Some(REST_MAX));
        assert_eq!(after(255, 512, 1), None, "not known yet");
    }

    #[test]
    fn a_batch_that_is_there_is_not_waited_for() {
        assert!(after(256, 512, 4).is_some());
        assert_eq!(after(256, 512, 5), None);
    }
}
