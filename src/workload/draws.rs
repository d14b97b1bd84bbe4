//! The chance of one request: a pure function of (seed, shard, index), so that a request can be
//! rendered again without remembering it.

use crate::base::random::mix;

/// Random words that belong to one request, by purpose.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    base: u64,
    id: u64,
    shard: u32,
    index: u64,
}

impl Draws {
    #[inline]
    pub fn new(seed: u64, shard: u32, index: u64) -> Draws {
        // Shard and index share one word without overlap up to 2^40 requests a shard; `mix` is a
        // bijection, so ids of different requests differ for certain.
        let request = (u64::from(shard) << 40) ^ index;
        let base = mix(mix(seed) ^ request);
        Draws { base, id: mix(base ^ 0x1d), shard, index }
    }

    /// A word for a purpose; different purposes are independent.
    #[inline]
    pub fn word(&self, purpose: u64) -> u64 {
        mix(self.base ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// A number that no other request of the run has.
    #[inline]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its number among all requests of a run with so many slots: each number once, and in the
    /// order of the slot's own requests.
    #[inline]
    pub fn number(&self, slots: u64) -> u64 {
        self.index.wrapping_mul(slots).wrapping_add(u64::from(self.shard))
    }
}

/// One of `0..n`, equally likely.
#[inline]
pub(super) fn scaled(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn draws_are_pure_and_ids_are_unique() {
        assert_eq!(Draws::new(1, 2, 3).word(4), Draws::new(1, 2, 3).word(4));
        let mut ids = HashSet::new();
        for shard in 0..20 {
            for index in 0..2000 {
                assert!(ids.insert(Draws::new(7, shard, index).id()));
            }
        }
        assert_ne!(Draws::new(1, 2, 3).word(0), Draws::new(2, 2, 3).word(0));
    }
}
