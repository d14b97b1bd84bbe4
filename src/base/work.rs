//! Calibrated CPU work: what a request of the bundled stack costs.
//!
//! Work is a fixed number of iterations, measured once per command against CPU time, so that
//! "1.2 ms" is the same amount of computation on every node of every target.

use super::clock;
use super::random::mix;
use std::hint::black_box;

/// Burns CPU: `iterations` dependent integer mixes. The result depends on every one of them.
pub fn burn(iterations: u64) -> u64 {
    let mut state = black_box(iterations);
    for _ in 0..iterations {
        state = mix(state);
    }
    black_box(state)
}

/// Iterations of [`burn`] that take one millisecond of CPU time on the calling thread's core:
/// the median of 21 measurements of about 5 ms each.
pub fn calibrate() -> f64 {
    let mut probe = 100_000;
    while cpu_ms(probe) < 5.0 {
        probe *= 2;
    }
    let mut rates: Vec<f64> = (0..21).map(|_| probe as f64 / cpu_ms(probe)).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn cpu_ms(iterations: u64) -> f64 {
    let before = clock::thread_cpu();
    burn(iterations);
    (clock::thread_cpu() - before).as_millis_f64()
}
