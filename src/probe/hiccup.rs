//! How long a thread that only wants to wake up every millisecond is kept waiting: the machine's
//! own stalls, after jHiccup (Gil Tene).
//!
//! `loop { sleep(1 ms); dt = now − before; least = min(least, dt); record dt − least }`. A stall of
//! d ms is also what every wake-up inside it would have seen, so d − 1, d − 2, … are recorded too.

use crate::base::{Histogram, Nanos, clock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

const RESOLUTION: Nanos = Nanos::from_millis(1);

/// The meter's thread; it ends when this is dropped.
pub struct HiccupMeter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HiccupMeter {
    /// Sends `(second of the run, histogram)` once a second.
    pub fn start(epoch: Nanos, sink: Sender<(u32, Histogram)>) -> HiccupMeter {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::Builder::new()
            .name("hiccup".into())
            .spawn(move || measure(epoch, &flag, &sink))
            .expect("one more thread can be started");
        HiccupMeter { stop, thread: Some(thread) }
    }
}

impl Drop for HiccupMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn measure(epoch: Nanos, stop: &AtomicBool, sink: &Sender<(u32, Histogram)>) {
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut histogram = Histogram::new();
    let mut least = Nanos::MAX;
    let mut before = clock::now();
    let mut second = second_of(before, epoch);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(RESOLUTION.duration());
        let now = clock::now();
        let took = now - before;
        before = now;
        least = least.min(took);
        record(&mut histogram, took.saturating_sub(least));
        if second_of(now, epoch) != second {
            if sink.send((second, histogram.clone())).is_err() {
                return;
            }
            histogram.reset();
            second = second_of(now, epoch);
        }
    }
}

fn second_of(at: Nanos, epoch: Nanos) -> u32 {
    (at.saturating_sub(epoch).0 / Nanos::SECOND.0) as u32
}

fn record(histogram: &mut Histogram, stall: Nanos) {
    histogram.record(stall);
    let mut inside = stall;
    while inside > RESOLUTION {
        inside = inside - RESOLUTION;
        histogram.record(inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_every_wake_up_inside_it() {
        let mut histogram = Histogram::new();
        record(&mut histogram, Nanos::from_millis(5));
        assert_eq!(histogram.count(), 5);
        record(&mut histogram, Nanos::from_micros(80));
        assert_eq!(histogram.count(), 6);
    }
}
