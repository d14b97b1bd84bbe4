//! All chance in a run comes from its seed, through streams that are named.
//!
//! `stream(seed, "arrivals", 3)` is always the same sequence, on any machine and in any version
//! that keeps this function: xoshiro256++ seeded by a hash of the three.

pub use rand_xoshiro::Xoshiro256PlusPlus as Stream;
use rand_xoshiro::rand_core::SeedableRng;

/// The stream of random numbers that belongs to a purpose.
pub fn stream(seed: u64, name: &str, index: u64) -> Stream {
    let mut h = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
    for byte in name.bytes() {
        h = mix(h ^ u64::from(byte));
    }
    Stream::seed_from_u64(mix(h ^ index))
}

/// SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014): a bijection of `u64` that mixes well.
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A uniform number in `[0, 1)` with 53 bits.
pub fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::Rng;

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let first = |s: u64, n: &str, i: u64| stream(s, n, i).next_u64();
        assert_eq!(first(1, "arrivals", 0), first(1, "arrivals", 0));
        assert_ne!(first(1, "arrivals", 0), first(2, "arrivals", 0));
        assert_ne!(first(1, "arrivals", 0), first(1, "mix", 0));
        assert_ne!(first(1, "arrivals", 0), first(1, "arrivals", 1));
    }
}
