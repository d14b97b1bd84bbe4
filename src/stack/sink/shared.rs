//! What the sink's processes know together: how many requests wait, and whether they are released.

use crate::base::{Nanos, clock};
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[repr(C)]
struct Page {
    waiting: AtomicU64,
    held_max: AtomicU64,
    /// When the first request came, on `CLOCK_MONOTONIC`; 0 before.
    first_at: AtomicU64,
    is_released: AtomicBool,
}

/// Made before the processes are, and inherited by them.
pub(super) struct Shared {
    page: NonNull<Page>,
    /// Readable from the release on.
    pub bell: OwnedFd,
}

impl Shared {
    pub fn new() -> io::Result<Shared> {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let read_write = nix::libc::PROT_READ | nix::libc::PROT_WRITE;
        let shared = nix::libc::MAP_SHARED | nix::libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, anywhere, of zeroes; it is never unmapped.
        let at = unsafe {
            nix::libc::mmap(std::ptr::null_mut(), size_of::<Page>(), read_write, shared, -1, 0)
        };
        match NonNull::new(at.cast::<Page>()) {
            Some(page) if at != nix::libc::MAP_FAILED => Ok(Shared { page, bell }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped for as long as the process lives, aligned to a page, and zeroes are valid.
        unsafe { self.page.as_ref() }
    }

    /// One more request waits; whether that makes `release_at`.
    pub fn arrived(&self, release_at: u64) -> bool {
        let page = self.page();
        let waiting = page.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        page.held_max.fetch_max(waiting, Ordering::Relaxed);
        if page.first_at.load(Ordering::Relaxed) == 0 {
            let now = clock::now().0;
            let _ = page.first_at.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
        waiting >= release_at
    }

    /// One that waited was answered, or gave up.
    pub fn left(&self) {
        self.page().waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets every process answer.
    pub fn release(&self) {
        self.page().is_released.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    pub fn is_released(&self) -> bool {
        self.page().is_released.load(Ordering::Acquire)
    }

    pub fn held_max(&self) -> u64 {
        self.page().held_max.load(Ordering::Relaxed)
    }

    pub fn first_at(&self) -> Option<Nanos> {
        let at = self.page().first_at.load(Ordering::Relaxed);
        (at > 0).then_some(Nanos(at))
    }
}
