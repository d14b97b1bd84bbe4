//! Waits for events until shortly before the next intended start, then polls until it is due.
//!
//! A timer wakes late by an amount that depends on the machine: the pacer learns how late and wakes
//! that much earlier, never more than [`LEAD_MAX`], so that the processor is not burnt for nothing
//! on a machine that the target shares.

use crate::base::Nanos;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Longest polling before a start (methods §1.5: 60–100 µs).
const LEAD_MAX: Nanos = Nanos::from_micros(60);
const LEAD_MIN: Nanos = Nanos::from_micros(3);
/// Events taken at once.
const EVENTS_MAX: usize = 256;

pub(super) struct Pacer {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    lead: Nanos,
    /// `epoll_pwait2` came with Linux 5.11; before it, timeouts are whole milliseconds.
    has_nanoseconds: bool,
}

impl Pacer {
    pub fn new() -> Result<Pacer, Errno> {
        Ok(Pacer {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_MAX),
            lead: LEAD_MAX,
            has_nanoseconds: true,
        })
    }

    pub fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// How long to wait at `now`, for a start at `start` and anything else at `other`.
    pub fn pause(&self, now: Nanos, start: Option<Nanos>, other: Nanos) -> Nanos {
        let wake = start.map_or(other, |at| at.saturating_sub(self.lead).min(other));
        wake.saturating_sub(now)
    }

    /// Waits for events, at most `pause`. Whether it slept to the end, which teaches the lead.
    pub fn wait(&mut self, pause: Nanos) -> Result<(), Errno> {
        self.events.clear();
        let pause = if self.has_nanoseconds { pause.0 } else { pause.0 / 1_000_000 * 1_000_000 };
        let timeout = Timespec {
            tv_sec: (pause / 1_000_000_000) as i64,
            tv_nsec: (pause % 1_000_000_000) as _,
        };
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(Errno::NOSYS | Errno::PERM) if self.has_nanoseconds => {
                self.has_nanoseconds = false;
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// A wait of `pause` began at `before` and is over at `now` without an event.
    pub fn learn(&mut self, before: Nanos, pause: Nanos, now: Nanos) {
        if pause == Nanos::ZERO || !self.events.is_empty() {
            return;
        }
        let late = now.saturating_sub(before + pause);
        let faded = Nanos(self.lead.0 - self.lead.0 / 64);
        // Half as much again, because the next wake may be later than the last.
        self.lead = Nanos(late.0 + late.0 / 2).max(faded).clamp(LEAD_MIN, LEAD_MAX);
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
