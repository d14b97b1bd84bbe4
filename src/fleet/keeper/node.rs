//! One node as the keeper sees it: its process while it runs, its pipes, its log.

use super::levers::Lowered;
use super::log::Log;
use super::spawn::Spawned;
use crate::base::Nanos;
use crate::fleet::protocol::NodeSpec;
use crate::host::attach::members;
use crate::host::budget::process_cpu;
use crate::host::process::{Identity, Process, Stat};
use nix::sys::signal::{Signal as NixSignal, killpg};
use nix::unistd::Pid;
use rustix::process::Signal;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// A line of events that is longer is cut off.
const EVENT_BYTES_MAX: usize = 64 << 10;
/// Read from one pipe in one turn, so that a talkative node cannot keep the keeper busy.
const READ_BYTES_MAX: usize = 256 << 10;

pub struct Node {
    pub spec: NodeSpec,
    pub running: Option<Running>,
    /// A fault or a stop wants it down: its exit is explained and it is not started by itself.
    pub is_held: bool,
    pub is_paused: bool,
    /// Processes with fewer descriptors than they had.
    pub lowered: Vec<Lowered>,
    pub restart_at: Option<Nanos>,
    pub log: Log,
}

impl Node {
    /// Takes what it says, so that it does not wait for a reader while it ends.
    pub fn drain(&mut self) {
        if let Some(running) = &mut self.running {
            running.read_output(&mut self.log);
        }
    }
}

pub struct Running {
    /// `None` of what ran before: it is never ended.
    child: Option<Child>,
    /// The node's own processes: one, unless several were found.
    roots: Vec<Identity>,
    pub held: Process,
    pub output: Option<OwnedFd>,
    pub events: Option<OwnedFd>,
    partial: Vec<u8>,
    /// It starts no process.
    is_alone: bool,
    /// What it started, when last looked for.
    descendants: Vec<Process>,
}

impl Running {
    /// Takes over a child that has not been waited for.
    ///
    /// # Errors
    /// When the kernel gives no pidfd; the child is killed then.
    pub fn new(mut spawned: Spawned) -> io::Result<Running> {
        let held = Process::of_child(spawned.child.id() as i32).inspect_err(|_| {
            let _ = spawned.child.kill();
            let _ = spawned.child.wait();
        })?;
        let (output, events) = (Some(spawned.output), spawned.events);
        let (partial, descendants, is_alone) = (Vec::new(), Vec::new(), spawned.is_alone);
        let (child, roots) = (Some(spawned.child), vec![held.identity]);
        Ok(Running { child, roots, held, output, events, partial, is_alone, descendants })
    }

    /// What ran before; `None` when nothing was found.
    pub fn attached(mut found: Vec<Process>) -> Option<Running> {
        let roots = found.iter().map(|p| p.identity).collect();
        let held = if found.is_empty() { None } else { Some(found.remove(0)) }?;
        let (child, output, events, partial, is_alone) = (None, None, None, Vec::new(), false);
        let descendants = found;
        Some(Running { child, roots, held, output, events, partial, is_alone, descendants })
    }

    pub fn identity(&self) -> Identity {
        self.held.identity
    }

    /// The node's process and all that it started, each held.
    pub fn members(&self) -> Vec<Process> {
        match self.is_alone {
            true => Process::open(self.identity()).into_iter().collect(),
            false => members(&self.roots),
        }
    }

    /// Remembers what it started, for [`Running::known`].
    pub fn look_for_descendants(&mut self) {
        if self.is_alone {
            return;
        }
        let own = self.identity();
        self.descendants = self.members().into_iter().filter(|p| p.identity != own).collect();
    }

    /// Its process and those of its descendants that are known and run.
    pub fn known(&self) -> impl Iterator<Item = &Process> {
        let below = self.descendants.iter().filter(|p| !p.wait_exit(Duration::ZERO));
        std::iter::once(&self.held).chain(below)
    }

    pub fn cpu(&self) -> Nanos {
        self.known()
            .filter_map(|p| process_cpu(p.identity.pid))
            .fold(Nanos::ZERO, |sum, cpu| sum + cpu)
    }

    /// How it ended, once it did. Ends what it left in its process group before its number is free.
    pub fn reap(&mut self) -> Option<String> {
        if !self.held.wait_exit(Duration::ZERO) {
            return None;
        }
        let Some(child) = &mut self.child else { return Some("ended by itself".into()) };
        let _ = killpg(Pid::from_raw(self.held.identity.pid), NixSignal::SIGKILL);
        let status = child.wait();
        Some(status.map_or_else(|e| format!("ended, but not ours to ask: {e}"), how))
    }

    /// Reads its output; false once all writers are gone.
    pub fn read_output(&mut self, log: &mut Log) {
        if !read_some(self.output.as_ref(), |bytes| log.write(bytes)) {
            self.output = None;
        }
    }

    /// Complete lines of events since the last call.
    pub fn read_events(&mut self) -> Vec<String> {
        let partial = &mut self.partial;
        if !read_some(self.events.as_ref(), |bytes| partial.extend_from_slice(bytes)) {
            self.events = None;
        }
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if self.partial.len() > EVENT_BYTES_MAX {
            self.partial.clear();
        }
        lines
    }
}

/// False at the end of the pipe.
fn read_some(pipe: Option<&OwnedFd>, mut take: impl FnMut(&[u8])) -> bool {
    let Some(pipe) = pipe else { return false };
    let mut buffer = [0u8; 16 << 10];
    let mut total = 0;
    while total < READ_BYTES_MAX {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                take(&buffer[..n]);
                total += n;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
    true
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("exited by signal {signal}"),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".into(),
    }
}

/// Sends a signal to each; those that ended meanwhile do not matter.
///
/// # Errors
/// When one that lives refuses it.
pub fn signal_all<'a>(
    members: impl IntoIterator<Item = &'a Process>,
    signal: Signal,
) -> io::Result<()> {
    for member in members {
        match member.signal(signal) {
            Err(e) if member.identity.is_alive() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Whether each is stopped (or not), as the kernel shows it.
pub fn are_stopped(members: &[Process], is_stopped: bool) -> bool {
    let states = members.iter().filter_map(|m| Stat::read(m.identity.pid));
    states.filter(|s| s.state != 'Z').all(|s| (s.state == 'T') == is_stopped)
}
