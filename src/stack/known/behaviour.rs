//! What becomes of a request, as a pure function of its number, its arrival and those before it.
//! The server asks it with real arrivals, `selftest` with planned ones: the difference is what the
//! measuring adds.

use super::law::Law;
use crate::base::Nanos;
use crate::base::random::{mix, unit};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// All workers stand still from `at` (after the first arrival) for `lasts`; answers are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    pub at: Nanos,
    pub lasts: Nanos,
}

/// A share of the answers comes in `pieces`, one every `every`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    pub share: f64,
    pub pieces: u32,
    pub every: Nanos,
}

/// A server of known behaviour, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    pub law: Law,
    /// `None`: every request has a worker of its own (M/G/∞); else first come, first served.
    pub workers: Option<u32>,
    pub seed: u64,
    pub stall: Option<Stall>,
    /// Connections closed after the request has been read, without an answer.
    pub drop_share: f64,
    /// Answers with status 500.
    pub error_share: f64,
    pub slow: Option<Slow>,
}

impl Behaviour {
    pub fn new(law: Law, workers: Option<u32>) -> Behaviour {
        Behaviour {
            law,
            workers,
            seed: 1,
            stall: None,
            drop_share: 0.0,
            error_share: 0.0,
            slow: None,
        }
    }

    /// How the request with this number ends; it does not depend on when it comes.
    pub fn fate(&self, id: u64) -> Fate {
        const PURPOSE: u64 = 0xfa7e << 32;
        let chance = unit(mix(mix(self.seed ^ PURPOSE) ^ mix(id)));
        let slow_share = self.slow.map_or(0.0, |s| s.share);
        match chance {
            c if c < self.drop_share => Fate::Drop,
            c if c < self.drop_share + self.error_share => Fate::Error,
            c if c < self.drop_share + self.error_share + slow_share => Fate::Slow,
            _ => Fate::Answer,
        }
    }

    /// From the first byte of an answer to its last.
    pub fn body_time(&self, fate: Fate) -> Nanos {
        match (fate, self.slow) {
            (Fate::Slow, Some(slow)) => {
                Nanos(slow.every.0 * u64::from(slow.pieces.saturating_sub(1)))
            }
            _ => Nanos::ZERO,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answer,
    Error,
    Drop,
    Slow,
}

/// The workers on a virtual clock: a request that arrived at `a` starts at max(a, a worker is
/// free) and is done one service time later. Nothing is burnt, so one core serves any number.
#[derive(Clone, Debug)]
pub struct Desk {
    behaviour: Behaviour,
    /// When each worker is free again.
    free: BinaryHeap<Reverse<Nanos>>,
    /// Of the stall, once the first request has come.
    stall: Option<(Nanos, Nanos)>,
    has_begun: bool,
}

impl Desk {
    pub fn new(behaviour: Behaviour) -> Desk {
        let workers = behaviour.workers.unwrap_or(0);
        let free = (0..workers).map(|_| Reverse(Nanos::ZERO)).collect();
        Desk { behaviour, free, stall: None, has_begun: false }
    }

    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// When the answer to this request begins. Ask in the order of arrivals; a dropped request
    /// takes no worker, so it is not asked for.
    pub fn answer_at(&mut self, id: u64, arrival: Nanos) -> Nanos {
        self.begin(arrival);
        let service = self.behaviour.law.draw(self.behaviour.seed, id);
        if self.behaviour.workers.is_none() {
            return self.through(arrival, service);
        }
        let Reverse(free) = self.free.pop().expect("a desk has at least one worker");
        let done = self.through(arrival.max(free), service);
        self.free.push(Reverse(done));
        done
    }

    /// A request has arrived; the first one anchors the stall.
    pub fn begin(&mut self, arrival: Nanos) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.stall = self.behaviour.stall.map(|s| (arrival + s.at, arrival + s.at + s.lasts));
        }
    }

    /// The end of a service that starts at `start`, longer by the stall if it falls into it.
    fn through(&self, start: Nanos, service: Nanos) -> Nanos {
        match self.stall {
            Some((from, to)) if start >= from && start < to => to + service,
            Some((from, to)) if start < from && start + service > from => {
                start + service + (to - from)
            }
            _ => start + service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn ms(n: u64) -> Nanos {
        Nanos(n * MS)
    }

    fn ends(behaviour: Behaviour, arrivals: &[u64]) -> Vec<u64> {
        let mut desk = Desk::new(behaviour);
        arrivals.iter().map(|a| desk.answer_at(0, ms(*a)).0 / MS).collect()
    }

    #[test]
    fn workers_serve_first_come_first_served() {
        let fixed = |workers| Behaviour::new(Law::Fixed(ms(10)), workers);
        assert_eq!(ends(fixed(Some(1)), &[0, 3, 4, 50]), [10, 20, 30, 60]);
        assert_eq!(ends(fixed(Some(2)), &[0, 3, 4, 50]), [10, 13, 20, 60]);
        assert_eq!(ends(fixed(None), &[0, 3, 4, 50]), [10, 13, 14, 60]);
    }

    #[test]
    fn a_stall_holds_back_what_is_served_and_what_comes() {
        let mut behaviour = Behaviour::new(Law::Fixed(ms(10)), Some(1));
        behaviour.stall = Some(Stall { at: ms(100), lasts: ms(50) });
        // The first arrival is at 5, so the stall is from 105 to 155.
        assert_eq!(ends(behaviour, &[5, 98, 120, 200]), [15, 158, 168, 210]);
    }

    #[test]
    fn fates_have_their_shares_and_belong_to_the_request() {
        let mut behaviour = Behaviour::new(Law::Fixed(ms(1)), None);
        (behaviour.drop_share, behaviour.error_share) = (0.1, 0.2);
        behaviour.slow = Some(Slow { share: 0.05, pieces: 4, every: ms(10) });
        let n = 100_000u64;
        let count = |fate| (0..n).filter(|id| behaviour.fate(*id) == fate).count() as f64;
        for (fate, share) in
            [(Fate::Drop, 0.1), (Fate::Error, 0.2), (Fate::Slow, 0.05), (Fate::Answer, 0.65)]
        {
            assert!((count(fate) / n as f64 - share).abs() < 0.005, "{fate:?}");
        }
        assert_eq!(behaviour.body_time(Fate::Slow), ms(30));
        assert_eq!(behaviour.body_time(Fate::Answer), Nanos::ZERO);
    }
}
