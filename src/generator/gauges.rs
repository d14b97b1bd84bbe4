//! How much is going on at this moment over all workers, whether they are threads or processes: a
//! page of memory that all of them map.
//!
//! A worker adds what has changed at the end of each of its turns (a turn starts at most 64
//! requests and looks at at most 256 events), in one relaxed addition, and not at all when nothing
//! has changed. The sum is therefore exact between turns, and so is its maximum: no sampling.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

#[repr(C, align(64))]
struct Gauge {
    now: AtomicI64,
    max: AtomicI64,
}

impl Gauge {
    fn add(&self, difference: i64) {
        let now = self.now.fetch_add(difference, Ordering::Relaxed) + difference;
        if difference > 0 {
            self.raise(now);
        }
    }

    fn raise(&self, to: i64) {
        if self.max.load(Ordering::Relaxed) < to {
            self.max.fetch_max(to, Ordering::Relaxed);
        }
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed).max(0) as u64
    }
}

#[repr(C)]
struct Page {
    in_flight: Gauge,
    connections: Gauge,
}

const SIZE: usize = size_of::<Page>();

/// The shared page; zero when it is made.
pub(super) struct Gauges {
    page: NonNull<Page>,
    file: OwnedFd,
}

// SAFETY: the page holds nothing but atomics, and lives as long as this.
unsafe impl Send for Gauges {}
// SAFETY: as above.
unsafe impl Sync for Gauges {}

impl Gauges {
    /// # Errors
    /// When there is no memory for a page.
    pub fn new() -> io::Result<Gauges> {
        let file = memfd_create("brunt-gauges", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, SIZE as u64)?;
        Gauges::map(file)
    }

    /// Maps the page of another process.
    ///
    /// # Errors
    /// When the descriptor is not such a page.
    pub fn map(file: OwnedFd) -> io::Result<Gauges> {
        if rustix::fs::fstat(&file)?.st_size < SIZE as i64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (read_write, shared) =
            (nix::libc::PROT_READ | nix::libc::PROT_WRITE, nix::libc::MAP_SHARED);
        // SAFETY: a new mapping, anywhere, of a file that is at least as long.
        let at = unsafe {
            nix::libc::mmap(std::ptr::null_mut(), SIZE, read_write, shared, file.as_raw_fd(), 0)
        };
        match NonNull::new(at.cast::<Page>()) {
            Some(page) if at != nix::libc::MAP_FAILED => Ok(Gauges { page, file }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The file behind the page, for another process.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped until this is dropped, aligned as all mappings are to pages, and any bytes
        // are valid atomics.
        unsafe { self.page.as_ref() }
    }

    /// The most requests that were sent and not completed, over all workers, at one time.
    pub fn in_flight_max(&self) -> u64 {
        self.page().in_flight.max()
    }

    /// The most connections that were open at one time.
    pub fn connections_max(&self) -> u64 {
        self.page().connections.max()
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and nothing refers to it any more.
        unsafe { nix::libc::munmap(self.page.as_ptr().cast(), SIZE) };
    }
}

/// One worker's part of the sums.
pub(super) struct Share {
    gauges: Arc<Gauges>,
    in_flight: u32,
    connections: u32,
}

impl Share {
    pub fn new(gauges: Arc<Gauges>) -> Share {
        Share { gauges, in_flight: 0, connections: 0 }
    }

    /// What is so now. Costs two comparisons when nothing has changed.
    #[inline]
    pub fn publish(&mut self, in_flight: u32, connections: u32) {
        if in_flight != self.in_flight {
            let difference = i64::from(in_flight) - i64::from(self.in_flight);
            self.gauges.page().in_flight.add(difference);
            self.in_flight = in_flight;
        }
        if connections != self.connections {
            let difference = i64::from(connections) - i64::from(self.connections);
            self.gauges.page().connections.add(difference);
            self.connections = connections;
        }
    }

    /// A worker's own exact maximum bounds that of the sum from below; of a single worker it is it.
    pub fn raise_in_flight(&self, own_max: u32) {
        self.gauges.page().in_flight.raise(i64::from(own_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_is_that_of_the_sum_over_two_mappings() {
        let here = Arc::new(Gauges::new().unwrap());
        let there = Arc::new(Gauges::map(here.file().try_clone_to_owned().unwrap()).unwrap());
        let (mut a, mut b) = (Share::new(here.clone()), Share::new(there));
        a.publish(10, 3);
        a.publish(2, 3);
        b.publish(7, 5);
        a.publish(1, 0);
        b.publish(8, 5);
        assert_eq!((here.in_flight_max(), here.connections_max()), (10, 8));
        b.raise_in_flight(12);
        assert_eq!(here.in_flight_max(), 12);
    }

    #[test]
    fn a_file_that_is_no_page_is_refused() {
        let empty = memfd_create("empty", MemfdFlags::CLOEXEC).unwrap();
        assert!(Gauges::map(empty).is_err());
    }
}
