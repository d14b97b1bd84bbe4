//! A short-lived copy of this process that does one thing and answers with a number: how the
//! machine is asked by doing.

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// No question takes longer.
const BOUND: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Runs `task` in a fork; `None` when it could not be asked.
///
/// `task` must only make system calls and touch memory that it owns: in a fork of a process with
/// threads another thread's lock may be held for ever, so it must not allocate.
pub fn run(task: impl FnOnce() -> u64) -> Option<u64> {
    run_with(task, |_| {})
}

/// As [`run`]; `beside` is called with the child's pid while it runs.
pub fn run_with(task: impl FnOnce() -> u64, beside: impl FnOnce(i32)) -> Option<u64> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    // SAFETY: the child only runs `task`, which keeps to the rule above, writes to a pipe and
    // leaves without running any destructor.
    let child = match unsafe { fork() }.ok()? {
        ForkResult::Child => {
            let answer = task().to_ne_bytes();
            let sent = rustix::io::write(&writer, &answer).is_ok();
            // SAFETY: ends the process at once; nothing of the parent's is flushed or dropped.
            unsafe { nix::libc::_exit(i32::from(!sent)) }
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    beside(child.as_raw());
    let mut fds = [PollFd::new(&reader, PollFlags::IN)];
    let is_answered = poll(&mut fds, Some(&BOUND)).is_ok_and(|n| n > 0);
    if !is_answered {
        // Not waited for yet, so the number is still its own.
        let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
    }
    let mut answer = [0u8; 8];
    let n = rustix::io::read(&reader, &mut answer).unwrap_or(0);
    let _ = waitpid(child, None);
    (n == answer.len()).then(|| u64::from_ne_bytes(answer))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_answer_comes_back() {
        assert_eq!(super::run(|| 42), Some(42));
    }
}
