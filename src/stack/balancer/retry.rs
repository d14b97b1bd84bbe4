//! How many retries are allowed: a share of the requests of the last ten seconds, so that a
//! dying pool is not finished off by its balancer.

use crate::base::Nanos;

const WINDOW_S: u64 = 10;
const SLOTS: usize = WINDOW_S as usize;
/// Allowed in a window however few the requests, or a quiet service could never retry.
const RETRIES_MIN: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u64,
    retries: u64,
}

/// Requests and retries of the last ten seconds, by second.
#[derive(Debug)]
pub struct Budget {
    share: f64,
    slots: [Slot; SLOTS],
}

impl Budget {
    pub fn new(share: f64) -> Self {
        Budget { share, slots: [Slot::default(); SLOTS] }
    }

    pub fn request(&mut self, now: Nanos) {
        self.slot(now).requests += 1;
    }

    /// Takes one retry out of the budget, if there is one.
    pub fn withdraw(&mut self, now: Nanos) -> bool {
        let second = now.0 / Nanos::SECOND.0;
        let recent = self.slots.iter().filter(|s| s.second + WINDOW_S > second);
        let (requests, retries) =
            recent.fold((0, 0), |(q, r), slot| (q + slot.requests, r + slot.retries));
        let allowed = (requests as f64 * self.share).max(RETRIES_MIN);
        let is_allowed = self.share > 0.0 && (retries + 1) as f64 <= allowed;
        if is_allowed {
            self.slot(now).retries += 1;
        }
        is_allowed
    }

    fn slot(&mut self, now: Nanos) -> &mut Slot {
        let second = now.0 / Nanos::SECOND.0;
        let slot = &mut self.slots[second as usize % SLOTS];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut Budget, now: Nanos) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn retries_are_a_share_of_the_last_ten_seconds() {
        let mut budget = Budget::new(0.1);
        for second in 100..110 {
            for _ in 0..50 {
                budget.request(Nanos::from_secs(second));
            }
        }
        assert_eq!(taken(&mut budget, Nanos::from_secs(109)), 50);
        assert_eq!(taken(&mut budget, Nanos::from_secs(109)), 0);
        // Ten seconds later both the requests and the retries are forgotten; the minimum is left.
        assert_eq!(taken(&mut budget, Nanos::from_secs(119)), 10);
        assert_eq!(taken(&mut budget, Nanos::from_secs(119)), 0);
    }

    #[test]
    fn a_quiet_service_may_still_retry_and_a_share_of_zero_never() {
        assert_eq!(taken(&mut Budget::new(0.1), Nanos::from_secs(5)), 10);
        assert_eq!(taken(&mut Budget::new(0.0), Nanos::from_secs(5)), 0);
    }
}
