//! How fast the cores are: the same short computation again and again on each of them.
//!
//! A governor, heat or a hypervisor can make a core several times slower for seconds, and nothing in
//! `/proc/stat` tells: what runs then has used more CPU for the same work, and a target with a share
//! of a core is overloaded by the load that it carried a moment ago.

use crate::base::{Nanos, clock, work};
use crate::host::affinity;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Some 20 µs: short enough to be seldom interrupted, long enough for the clock.
const ITERATIONS: u64 = 20_000;
/// An interruption lengthens one of them, and the shortest counts.
const REPEATS: usize = 3;
const EVERY: Nanos = Nanos::from_millis(100);

/// One thread a core, 0.1 % of each; they end when this is dropped.
pub struct PaceMeter {
    stop: Arc<AtomicBool>,
    cores: Vec<Arc<Mutex<Pace>>>,
    threads: Vec<JoinHandle<()>>,
}

impl PaceMeter {
    /// `iterations_per_ms` is what the cores were found to do; without it, the best that was seen
    /// counts.
    pub fn start(cores: &[u32], iterations_per_ms: f64) -> PaceMeter {
        let expected = (ITERATIONS as f64 / iterations_per_ms * 1e6) as u64;
        let best = if iterations_per_ms > 0.0 { Nanos(expected) } else { Nanos::MAX };
        let stop = Arc::new(AtomicBool::new(false));
        let (mut paces, mut threads) = (Vec::new(), Vec::new());
        for core in cores {
            let pace = Arc::new(Mutex::new(Pace { best, took: Vec::new() }));
            let (core, flag, shared) = (*core, stop.clone(), pace.clone());
            let thread = std::thread::Builder::new()
                .name("pace".into())
                .stack_size(128 << 10)
                .spawn(move || measure(core, &flag, &shared))
                .expect("one more thread can be started");
            paces.push(pace);
            threads.push(thread);
        }
        PaceMeter { stop, cores: paces, threads }
    }

    /// How many times longer than at its best the slowest core took since the last call; `None` when
    /// none could be asked.
    pub fn slowdown(&self) -> Option<f64> {
        let each = |pace: &Arc<Mutex<Pace>>| lock(pace).slowdown();
        self.cores.iter().filter_map(each).reduce(f64::max)
    }
}

impl Drop for PaceMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Of one core.
struct Pace {
    best: Nanos,
    took: Vec<Nanos>,
}

impl Pace {
    fn add(&mut self, took: Nanos) {
        self.best = self.best.min(took);
        self.took.push(took);
    }

    /// The median since the last call, by the best of all.
    fn slowdown(&mut self) -> Option<f64> {
        let mut took = std::mem::take(&mut self.took);
        took.sort();
        let median = took.get(took.len() / 2)?;
        Some(median.0 as f64 / self.best.0.max(1) as f64)
    }
}

fn lock(pace: &Mutex<Pace>) -> std::sync::MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

fn measure(core: u32, stop: &AtomicBool, pace: &Mutex<Pace>) {
    if affinity::pin_self(&[core]).is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        let once = |_| {
            let before = clock::now();
            work::burn(ITERATIONS);
            clock::now().saturating_sub(before)
        };
        let shortest = (0..REPEATS).map(once).min();
        shortest.into_iter().for_each(|took| lock(pace).add(took));
        std::thread::park_timeout(EVERY.duration());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_held_against_its_best() {
        let mut pace = Pace { best: Nanos::MAX, took: Vec::new() };
        assert_eq!(pace.slowdown(), None);
        [20, 22, 21].into_iter().for_each(|us| pace.add(Nanos::from_micros(us)));
        assert_eq!(pace.slowdown(), Some(1.05));
        [180, 21, 190].into_iter().for_each(|us| pace.add(Nanos::from_micros(us)));
        assert_eq!(pace.slowdown(), Some(9.0));
        assert_eq!(pace.slowdown(), None, "each second for itself");
    }

    #[test]
    fn it_is_measured_on_the_cores_that_there_are() {
        let cores = affinity::own().unwrap();
        let meter = PaceMeter::start(&cores, 0.0);
        let until = clock::now() + Nanos::from_secs(20);
        let seen = loop {
            if let Some(slowdown) = meter.slowdown() {
                break slowdown;
            }
            assert!(clock::now() < until, "no core was measured");
            std::thread::yield_now();
        };
        assert!(seen >= 1.0, "{seen}");
        assert_eq!(PaceMeter::start(&[], 1e6).slowdown(), None);
    }
}
