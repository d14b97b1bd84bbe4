//! What a worker asks of the scheduler, so that it starts requests when they are due although
//! brunt's own bookkeeping runs on the same processors.

use std::num::NonZeroU64;

/// The shortest slice that the kernel grants (EEVDF, Linux 6.12 and newer; older kernels ignore it).
const SLICE_NS: u64 = 100_000;

/// Makes the calling thread wake up on time: its timers are not rounded, and when it wakes it need
/// not wait until the slice of another thread, typically 3 ms, is over. It gets no larger share of
/// the processor by this. For precision only: where it is refused, the start lag tells what is missing.
pub(super) fn be_punctual() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let attributes = nix::libc::sched_attr {
        size: size_of::<nix::libc::sched_attr>() as u32,
        sched_policy: nix::libc::SCHED_OTHER as u32,
        // The niceness stays: without a privilege it could be raised and never lowered.
        sched_flags: 0,
        sched_nice: niceness(),
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of the structure, which lives through the call; thread 0
    // is the calling one.
    let _ =
        unsafe { nix::libc::syscall(nix::libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

fn niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}
