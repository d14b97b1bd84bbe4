//! Ctrl-C, SIGTERM and a vanished terminal ask the run to stop; a second one ends brunt at once,
//! and the keeper undoes what is left.

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

static ASKED: AtomicPtr<AtomicI32> = AtomicPtr::new(std::ptr::null_mut());

/// The flag that holds the signal's number once one arrived. Call once.
pub fn install() -> Arc<AtomicI32> {
    let flag = Arc::new(AtomicI32::new(0));
    // The handler may run until the process ends, so its reference is never given back.
    ASKED.store(Arc::into_raw(flag.clone()).cast_mut(), Ordering::SeqCst);
    let action =
        SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only touches atomics and calls `_exit`, which are async-signal-safe.
        let _ = unsafe { sigaction(signal, &action) };
    }
    flag
}

extern "C" fn on_signal(number: libc::c_int) {
    let flag = ASKED.load(Ordering::SeqCst);
    if flag.is_null() {
        return;
    }
    // SAFETY: the pointer came from an `Arc` that is never dropped.
    let before = unsafe { &*flag }.swap(number, Ordering::SeqCst);
    if before != 0 {
        // SAFETY: `_exit` is async-signal-safe; the keeper sees the closed socket and undoes all.
        unsafe { libc::_exit(i32::from(super::exit::of_signal(number))) };
    }
}
