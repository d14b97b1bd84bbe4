//! Waiting until an instant, to tens of microseconds. Tokio's own timer counts in whole
//! milliseconds and rounds up, which would add up to a millisecond to every half round trip.

use crate::base::{Nanos, clock};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel, on the same clock as everything else.
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
    /// What it was set to last: a wait that was given up goes on without setting it again.
    armed: Nanos,
}

impl Timer {
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned, so it stays the same one for as long as it is registered.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Timer { fd, armed: Nanos::ZERO })
    }

    /// Returns at this instant of `CLOCK_MONOTONIC` or just after it; at once when it has passed.
    ///
    /// # Errors
    /// When the kernel refuses the timer, which it does not for a valid instant.
    pub async fn until(&mut self, at: Nanos) -> io::Result<()> {
        if at <= clock::now() {
            return Ok(());
        }
        if self.armed != at {
            self.arm(at)?;
        }
        let mut expirations = [0u8; 8];
        loop {
            let mut ready = self.fd.readable().await?;
            let read = |fd: &AsyncFd<OwnedFd>| Ok(rustix::io::read(fd, &mut expirations)?);
            if let Ok(result) = ready.try_io(read) {
                return result.map(drop);
            }
        }
    }

    fn arm(&mut self, at: Nanos) -> io::Result<()> {
        let (second, nanos) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000);
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: second as i64, tv_nsec: nanos as i64 },
        };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &value)?;
        self.armed = at;
        Ok(())
    }
}
