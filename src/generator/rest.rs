//! Where many requests are in flight in a closed loop, a worker rests for a moment between two turns,
//! so that answers come in batches. To wake for each of them costs brunt and the target more than the
//! answer itself (measured with 512 in flight over HTTP/2: nearly twice the CPU per request, and a
//! saturated nginx answered a seventh less).
//!
//! The rest is a hundredth of the harmonic mean of the response times: what it adds to each of them is
//! one part in a hundred on average, and the quick ones among slow ones weigh the most.

use crate::base::Nanos;

/// With fewer in flight there are no batches.
const IN_FLIGHT_MIN: u32 = 64;
/// Part of the response time.
const OF_RESPONSE: f64 = 0.01;
/// A shorter rest is not worth its wake-up …
const REST_MIN: Nanos = Nanos::from_micros(15);
/// … and a longer one brings no more.
const REST_MAX: Nanos = Nanos::from_micros(100);
/// Answers from which the mean is taken.
const COUNTED: u32 = 256;
/// When so many of the connections had something to say at once, a batch is there already.
const BUSY: usize = 4;

#[derive(Default)]
pub(super) struct Rest {
    /// Of the reciprocals of response times, in nanoseconds.
    sum: f64,
    n: u32,
    rest: Nanos,
}

impl Rest {
    /// A request has ended so long after it was sent.
    #[inline]
    pub fn ended(&mut self, response: Nanos) {
        self.sum += 1.0 / response.0.max(1) as f64;
        self.n += 1;
        if self.n == COUNTED {
            let mean = f64::from(self.n) / self.sum;
            self.rest = Nanos((mean * OF_RESPONSE) as u64).min(REST_MAX);
            (self.sum, self.n) = (0.0, 0);
        }
    }

    /// How long to rest, when so many are in flight and so many of the connections had an event in the
    /// last turn.
    #[inline]
    pub fn due(&self, in_flight: u32, n_events: usize, connections: usize) -> Option<Nanos> {
        let is_worth_it = self.rest >= REST_MIN && in_flight >= IN_FLIGHT_MIN;
        (is_worth_it && n_events * BUSY <= connections).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(
        response_us: impl Iterator<Item = u64>,
        in_flight: u32,
        n_events: usize,
    ) -> Option<Nanos> {
        let mut rest = Rest::default();
        response_us.for_each(|us| rest.ended(Nanos::from_micros(us)));
        rest.due(in_flight, n_events, 16)
    }

    #[test]
    fn it_is_a_hundredth_of_the_response_times_within_its_bounds() {
        let all = |us| std::iter::repeat_n(us, COUNTED as usize);
        assert_eq!(after(all(2_000), 512, 1), Some(Nanos::from_micros(20)));
        assert_eq!(after(all(1_000), 512, 1), None, "too short to rest");
        assert_eq!(after(all(1_000_000), 512, 1), Some(REST_MAX));
        assert_eq!(after(all(2_000), IN_FLIGHT_MIN - 1, 1), None, "few are in flight");
        assert_eq!(after(std::iter::repeat_n(2_000, 255), 512, 1), None, "not known yet");
    }

    #[test]
    fn quick_answers_among_slow_ones_are_not_held_back() {
        let hits_and_misses = (0..COUNTED).map(|i| if i % 100 == 0 { 1_000_000 } else { 100 });
        assert_eq!(after(hits_and_misses, 512, 1), None);
    }

    #[test]
    fn a_batch_that_is_there_is_not_waited_for() {
        let all = || std::iter::repeat_n(2_000, COUNTED as usize);
        assert!(after(all(), 512, 4).is_some());
        assert_eq!(after(all(), 512, 5), None);
    }
}
