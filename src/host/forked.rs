//! A short-lived copy of this process that does one thing and answers with a number: how the
//! machine is asked by doing. It ends with the thread that asked, however that ends.

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::os::fd::OwnedFd;

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
    let parent = rustix::process::getpid();
    // SAFETY: the child only runs `task`, which keeps to the rule above, writes to a pipe and
    // leaves without running any destructor.
    let child = match unsafe { fork() }.ok()? {
        ForkResult::Child => {
            end_with(parent);
            let _ = rustix::io::write(&writer, &[0]);
            let answer = task().to_ne_bytes();
            let sent = rustix::io::write(&writer, &answer).is_ok();
            // SAFETY: ends the process at once; nothing of the parent's is flushed or dropped.
            unsafe { nix::libc::_exit(i32::from(!sent)) }
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    // Before it is bound to us it must not be stopped by anyone.
    let is_bound = has_word(&reader) && rustix::io::read(&reader, &mut [0]).is_ok_and(|n| n == 1);
    if is_bound {
        beside(child.as_raw());
    }
    if !is_bound || !has_word(&reader) {
        // Not waited for yet, so the number is still its own.
        let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
    }
    let mut answer = [0u8; 8];
    let n = rustix::io::read(&reader, &mut answer).unwrap_or(0);
    let _ = waitpid(child, None);
    (n == answer.len()).then(|| u64::from_ne_bytes(answer))
}

fn has_word(reader: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&BOUND)).is_ok_and(|n| n > 0)
}

/// A child that is stopped when its parent is killed would stay so for ever.
fn end_with(parent: Pid) {
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have died before the signal was asked for.
    if asked.is_err() || getppid() != Some(parent) {
        // SAFETY: ends the process at once; nothing of the parent's is flushed or dropped.
        unsafe { nix::libc::_exit(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::{Identity, Process, Stat};
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_answer_comes_back() {
        assert_eq!(run(|| 42), Some(42));
    }

    /// Not a test of its own: a process that has stopped its child.
    #[test]
    #[ignore = "started by another test"]
    fn helper() {
        let idle = || {
            std::thread::sleep(LONG);
            0
        };
        run_with(idle, |pid| {
            Process::of_child(pid).unwrap().signal(Signal::STOP).unwrap();
            while Stat::read(pid).unwrap().state != 'T' {
                std::thread::yield_now();
            }
            eprintln!("\nstopped {pid}");
            std::thread::sleep(LONG);
        });
    }

    #[test]
    fn a_stopped_child_ends_with_its_parent() {
        let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::forked::tests::helper", "--ignored", "--nocapture"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(parent.stderr.take().unwrap()).lines();
        let pid = said.map_while(Result::ok).find_map(|l| l.strip_prefix("stopped ")?.parse().ok());
        let child = Process::open(Identity::of(pid.expect("it says whom")).unwrap()).unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
        let has_ended = child.wait_exit(Duration::from_secs(5));
        let _ = child.signal(Signal::KILL);
        assert!(has_ended, "the stopped child outlived its parent");
    }
}
