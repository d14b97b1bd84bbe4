//! Waits for events until shortly before the next intended start, then polls until it is due.
//!
//! A timer wakes late by an amount that depends on the machine: the pacer learns how late and wakes
//! that much earlier, never more than [`LEAD_MAX`], so that the processor is not burnt for nothing
//! on a machine that the target shares. Polling is waiting for no time at all: answers that come
//! meanwhile are read as soon as they are there.

use crate::base::Nanos;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Longest polling before a start (methods §1.5: 60–100 µs).
pub(super) const LEAD_MAX: Nanos = Nanos::from_micros(60);
const LEAD_MIN: Nanos = Nanos::from_micros(3);
/// Events taken at once.
const EVENTS_MAX: usize = 256;

pub(super) struct Pacer {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    lead: Nanos,
}

impl Pacer {
    /// # Errors
    /// Without `epoll_pwait2` (Linux 5.11): with whole milliseconds, which is all that the older
    /// call takes and what rustix rounds up to without its feature `linux_5_11`, the median start
    /// lag was measured to be 450 µs.
    pub fn new() -> Result<Pacer, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let events = Vec::with_capacity(EVENTS_MAX);
        let mut pacer = Pacer { epoll, events, lead: LEAD_MAX };
        pacer.wait(Nanos::ZERO)?;
        Ok(pacer)
    }

    pub fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// How long to wait at `now`, for a start at `start` and anything else at `other`.
    pub fn pause(&self, now: Nanos, start: Option<Nanos>, other: Nanos) -> Nanos {
        let wake = start.map_or(other, |at| at.saturating_sub(self.lead).min(other));
        wake.saturating_sub(now)
    }

    /// Waits for events, at most `pause`.
    pub fn wait(&mut self, pause: Nanos) -> Result<(), Errno> {
        self.events.clear();
        let timeout = Timespec {
            tv_sec: (pause.0 / Nanos::SECOND.0) as i64,
            tv_nsec: (pause.0 % Nanos::SECOND.0) as _,
        };
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// A wait of `pause` began at `before` and is over at `now` without an event.
    pub fn learn(&mut self, before: Nanos, pause: Nanos, now: Nanos) {
        if pause == Nanos::ZERO || !self.events.is_empty() {
            return;
        }
        let late = now.saturating_sub(before + pause);
        // A mean of the last eight or so, and a quarter more: covering the worst would have a
        // worker at 10,000/s poll nine tenths of its time (measured), for a few microseconds.
        let aim = (late.0 + late.0 / 4).min(LEAD_MAX.0);
        self.lead = Nanos((self.lead.0 * 7 + aim) / 8).max(LEAD_MIN);
    }

    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// Flags and data of an event of the last wait.
    #[inline]
    pub fn event(&self, index: usize) -> (epoll::EventFlags, u64) {
        let event = self.events[index];
        (event.flags, event.data.u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_follows_how_late_the_timer_is_within_its_bounds() {
        let mut pacer = Pacer::new().unwrap();
        let settle = |pacer: &mut Pacer, late: u64| {
            for _ in 0..100 {
                pacer.learn(Nanos(0), Nanos(1000), Nanos(1000 + late));
            }
            pacer.lead.0
        };
        assert!((24_900..=25_000).contains(&settle(&mut pacer, 20_000)));
        assert!(settle(&mut pacer, 5_000_000) <= LEAD_MAX.0);
        assert_eq!(settle(&mut pacer, 0), LEAD_MIN.0);
        let start = Some(Nanos(100_000));
        assert_eq!(pacer.pause(Nanos(0), start, Nanos(50_000)), Nanos(50_000));
        assert_eq!(pacer.pause(Nanos(0), start, Nanos::MAX), Nanos(97_000));
        assert_eq!(pacer.pause(Nanos(99_000), start, Nanos::MAX), Nanos::ZERO);
    }
}
