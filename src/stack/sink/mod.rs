//! A server that shows how many requests can wait at once: it accepts everything, reads one
//! request per connection, and answers nobody until so many wait at the same time, or until they
//! have waited for so long. Then it answers all, and from then on at once.
//!
//! It spreads over processes, because one process may not open that many connections; the kernel
//! shares the connections out by a hash (`SO_REUSEPORT`). A connection costs the process a byte.
//! Bodies of requests are not looked at: a request ends with its head.

mod holder;
mod shared;

use crate::base::{Nanos, clock};
use crate::host::descriptors;
use holder::Holder;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use shared::Shared;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Connections per process in the mean; the hash is not even, and a process may have few more.
const PER_PROCESS: u64 = 15_000;
/// File descriptors beside the connections, and room for the hash's unevenness.
const SPARE: u64 = 1_500;
const PROCESSES_MAX: u64 = 512;
/// Connections that wait to be accepted; the kernel takes less if it was told to.
const BACKLOG: i32 = 65_535;
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What is to be held.
#[derive(Clone, Copy, Debug)]
pub struct SinkPlan {
    pub listen: SocketAddr,
    /// Answers when so many wait at once.
    pub release_at: u64,
    /// Answers when the first has waited for so long.
    pub hold: Nanos,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("the sink cannot listen on {address}: {cause}; is it in use? (`ss -ltnp` tells)")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error(
        "to hold {wanted} requests takes {processes} processes of {limit} open files each, more \
         than {PROCESSES_MAX}; allow more open files (ulimit -Hn) or hold fewer (--release-at)"
    )]
    Descriptors { wanted: u64, processes: u64, limit: u64 },
    #[error("the sink cannot {what}: {cause}")]
    System { what: &'static str, cause: io::Error },
    #[error("a process of the sink ended: {0}")]
    Process(String),
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> SinkError {
    move |cause| SinkError::System { what, cause: cause.into() }
}

/// Serves until `signal` is no longer 0, or until stdin ends where it is a pipe. `say` is given a
/// line when the sink listens, at the release, and at the end. Must be called before the process
/// has any other thread.
///
/// # Errors
/// When it cannot listen, or one of its processes ends.
pub fn serve(
    plan: SinkPlan,
    signal: &AtomicI32,
    say: &mut dyn FnMut(&str),
) -> Result<(), SinkError> {
    let n_processes = processes(plan.release_at, descriptors::raise_own())?;
    let shared = Shared::new().map_err(system("share memory"))?;
    let (listeners, address) = listen_all(plan.listen, n_processes)
        .map_err(|cause| SinkError::Listen { address: plan.listen, cause: cause.into() })?;
    let mut family = Family::default();
    family.start(listeners, &shared, plan.release_at)?;
    say(&format!(
        "listening on {address}; answers when {} requests wait at once, or after {}",
        plan.release_at, plan.hold
    ));
    let result = watch(&plan, &shared, &mut family, signal, say);
    say(&format!("held at most {} requests at once", shared.held_max()));
    result
}

/// How many processes it takes, when each may open `limit` files.
fn processes(wanted: u64, limit: u64) -> Result<u64, SinkError> {
    let each = limit.saturating_sub(SPARE).clamp(1, PER_PROCESS);
    match wanted.max(1).div_ceil(each) {
        processes if processes > PROCESSES_MAX => {
            Err(SinkError::Descriptors { wanted, processes, limit })
        }
        processes => Ok(processes),
    }
}

/// All listen before any connection comes, so that the kernel's hash stays the same.
fn listen_all(
    address: SocketAddr,
    n: u64,
) -> Result<(Vec<OwnedFd>, SocketAddr), rustix::io::Errno> {
    let first = listen(address)?;
    let address = SocketAddr::try_from(rustix::net::getsockname(&first)?)?;
    let mut all = vec![first];
    for _ in 1..n {
        all.push(listen(address)?);
    }
    Ok((all, address))
}

fn listen(address: SocketAddr) -> Result<OwnedFd, rustix::io::Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Answers are small and go out at once; accepted sockets inherit this.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The sink's processes; they are gone when this is.
#[derive(Default)]
struct Family {
    children: Vec<Pid>,
}

impl Family {
    fn start(
        &mut self,
        listeners: Vec<OwnedFd>,
        shared: &Shared,
        release_at: u64,
    ) -> Result<(), SinkError> {
        let parent = std::process::id();
        for index in 0..listeners.len() {
            // SAFETY: this process has one thread, so that the copy may do what it likes; it never
            // returns from here.
            match unsafe { fork() }.map_err(|e| system("start a process")(io::Error::from(e)))? {
                ForkResult::Parent { child } => self.children.push(child),
                ForkResult::Child => {
                    let mut listeners = listeners;
                    let own = listeners.swap_remove(index);
                    drop(listeners);
                    let _ =
                        tie_to(parent).and_then(|()| Holder::new(own, shared, release_at)?.run());
                    // SAFETY: ends the copy without running anything of the parent's.
                    unsafe { nix::libc::_exit(1) }
                }
            }
        }
        Ok(())
    }

    /// Which of them has ended; none should.
    fn ended(&mut self) -> Option<String> {
        for child in self.children.clone() {
            match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(status) => {
                    self.children.retain(|c| *c != child);
                    return Some(format!("{status:?}"));
                }
                Err(_) => self.children.retain(|c| *c != child),
            }
        }
        None
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for child in &self.children {
            // Not waited for yet, so the number is still its own.
            let _ = nix::sys::signal::kill(*child, nix::sys::signal::Signal::SIGKILL);
        }
        for child in self.children.drain(..) {
            let _ = waitpid(child, None);
        }
    }
}

/// Runs in the child: it does not outlive the sink.
fn tie_to(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let now = rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get());
    if now == parent as i32 { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn watch(
    plan: &SinkPlan,
    shared: &Shared,
    family: &mut Family,
    signal: &AtomicI32,
    say: &mut dyn FnMut(&str),
) -> Result<(), SinkError> {
    let mut is_told = false;
    while signal.load(Ordering::Relaxed) == 0 && !has_stdin_ended() {
        let is_over = shared.first_at().is_some_and(|at| clock::now() >= at + plan.hold);
        if is_over && !shared.is_released() {
            shared.release();
        }
        if shared.is_released() && !is_told {
            is_told = true;
            let why = if shared.held_max() >= plan.release_at { "all there" } else { "time is up" };
            say(&format!("released ({why}): held {} requests at once", shared.held_max()));
        }
        if let Some(how) = family.ended() {
            return Err(SinkError::Process(how));
        }
    }
    Ok(())
}

/// Waits a little; whether stdin is a pipe that has ended. A terminal, a file and nothing never do.
fn has_stdin_ended() -> bool {
    let stdin = io::stdin();
    let kind = rustix::fs::fstat(stdin.as_fd())
        .map(|s| rustix::fs::FileType::from_raw_mode(s.st_mode))
        .ok();
    let pipe = matches!(kind, Some(rustix::fs::FileType::Fifo | rustix::fs::FileType::Socket));
    if !pipe {
        let _ = poll(&mut [], Some(&TICK));
        return false;
    }
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&TICK)) {
        Ok(n) if n > 0 => rustix::io::read(stdin.as_fd(), &mut [0; 256]) == Ok(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::processes;

    #[test]
    fn a_million_takes_some_processes_and_a_low_limit_is_refused() {
        assert_eq!(processes(1, 20_000).unwrap(), 1);
        assert_eq!(processes(1_000_000, 20_000).unwrap(), 67);
        assert_eq!(processes(30_000, 4_500).unwrap(), 10);
        let text = processes(1_000_000, 1_600).unwrap_err().to_string();
        assert!(text.contains("10000") && text.contains("1600"), "{text}");
    }
}
