//! Which member gets the next request. Works on what a closure tells of each member, so that it
//! allocates nothing and knows nothing of atomics or sockets.

use crate::base::random::{self, Stream};
use crate::target::Algorithm;
use rand_xoshiro::rand_core::Rng;

/// How busy a member is. What this balancer sent and has no answer to comes first; what the
/// member said in its last heartbeat (it may serve others too, and it is older) breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    pub in_flight: u32,
    pub reported: u32,
}

#[derive(Debug)]
pub struct Chooser {
    algorithm: Algorithm,
    turn: usize,
    stream: Stream,
}

impl Chooser {
    pub fn new(algorithm: Algorithm, seed: u64, shard: u64) -> Self {
        Chooser { algorithm, turn: 0, stream: random::stream(seed, "balancer.choice", shard) }
    }

    /// Chooses among the `count` members for which `load` is something.
    pub fn choose(&mut self, count: usize, load: impl Fn(usize) -> Option<Load>) -> Option<usize> {
        match self.algorithm {
            Algorithm::RoundRobin => self.next_in_turn(count, load),
            Algorithm::LeastConnections => self.least_loaded(count, load),
            Algorithm::PowerOfTwo => self.better_of_two(count, load),
        }
    }

    fn next_in_turn(
        &mut self,
        count: usize,
        load: impl Fn(usize) -> Option<Load>,
    ) -> Option<usize> {
        let chosen = from(self.turn, count).find(|index| load(*index).is_some())?;
        self.turn = chosen + 1;
        Some(chosen)
    }

    /// Among equals the one whose turn it is.
    fn least_loaded(
        &mut self,
        count: usize,
        load: impl Fn(usize) -> Option<Load>,
    ) -> Option<usize> {
        let loads = from(self.turn, count).filter_map(|index| Some((load(index)?, index)));
        let (_, chosen) = loads.min_by_key(|(load, _)| *load)?;
        self.turn = chosen + 1;
        Some(chosen)
    }

    /// Mitzenmacher, "The power of two choices in randomized load balancing", 2001.
    fn better_of_two(
        &mut self,
        count: usize,
        load: impl Fn(usize) -> Option<Load>,
    ) -> Option<usize> {
        let candidates = (0..count).filter(|index| load(*index).is_some()).count() as u64;
        if candidates == 0 {
            return None;
        }
        let first = self.below(candidates);
        let second = match candidates {
            1 => first,
            n => (first + 1 + self.below(n - 1)) % n,
        };
        let nth = |n: u64| {
            let mut open = (0..count).filter_map(|index| Some((load(index)?, index)));
            open.nth(n as usize)
        };
        let (first, second) = (nth(first)?, nth(second)?);
        Some(if second.0 < first.0 { second.1 } else { first.1 })
    }

    /// Uniform in `0..n`; the bias of multiply-and-shift is below 2^-57 for any pool.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.stream.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

fn from(start: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (start + step) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load { in_flight: 0, reported: 0 };

    fn busy(in_flight: u32) -> Option<Load> {
        Some(Load { in_flight, reported: 0 })
    }

    fn shares(algorithm: Algorithm, rounds: usize, loads: &[Option<Load>]) -> Vec<usize> {
        let mut chooser = Chooser::new(algorithm, 7, 0);
        let mut chosen = vec![0; loads.len()];
        for _ in 0..rounds {
            chosen[chooser.choose(loads.len(), |i| loads[i]).unwrap()] += 1;
        }
        chosen
    }

    #[test]
    fn nobody_eligible_is_nobody_chosen() {
        for algorithm in [Algorithm::RoundRobin, Algorithm::LeastConnections, Algorithm::PowerOfTwo]
        {
            let mut chooser = Chooser::new(algorithm, 1, 0);
            assert_eq!(chooser.choose(3, |_| None), None);
            assert_eq!(chooser.choose(0, |_| Some(IDLE)), None);
            assert_eq!(chooser.choose(3, |i| (i == 2).then_some(IDLE)), Some(2));
        }
    }

    #[test]
    fn turns_and_equals_are_shared_exactly() {
        for algorithm in [Algorithm::RoundRobin, Algorithm::LeastConnections] {
            assert_eq!(shares(algorithm, 9, &[busy(0), None, busy(0), busy(0)]), [3, 0, 3, 3]);
        }
    }

    #[test]
    fn least_connections_takes_the_idlest_and_breaks_ties_by_the_report() {
        assert_eq!(shares(Algorithm::LeastConnections, 5, &[busy(3), busy(1), busy(2)]), [0, 5, 0]);
        let reported = |n| Some(Load { in_flight: 1, reported: n });
        assert_eq!(shares(Algorithm::LeastConnections, 5, &[reported(9), reported(1)]), [0, 5]);
    }

    #[test]
    fn power_of_two_is_fair_among_equals_and_never_takes_the_busiest() {
        let even = shares(Algorithm::PowerOfTwo, 30_000, &[busy(1), busy(1), busy(1)]);
        assert!(even.iter().all(|n| (9_500..10_500).contains(n)), "{even:?}");
        let skewed = shares(Algorithm::PowerOfTwo, 30_000, &[busy(9), busy(0), busy(1)]);
        assert_eq!(skewed[0], 0);
        // The idlest is in two of three pairs.
        assert!((19_300..20_700).contains(&skewed[1]), "{skewed:?}");
    }
}
