//! Starts a node so that it cannot outlive the keeper: its own session, its server's group, its
//! cores and the parent-death signal are in force before it executes.

use super::environment::resolved;
use crate::fleet::protocol::{HANDED_FD, NodeKind, NodeSpec};
use crate::host::affinity;
use crate::host::cgroup::Group;
use crate::host::heal::RUN_VARIABLE;
use nix::sys::signal::{SigHandler, Signal, signal};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The same variable that `stack::node` reads.
const EVENTS_FD_VARIABLE: &str = "BRUNT_EVENTS_FD";

/// A started node and the keeper's ends of its pipes, which never block.
pub struct Spawned {
    pub child: Child,
    pub output: OwnedFd,
    /// Of a bundled node.
    pub events: Option<OwnedFd>,
    /// A role of brunt's: none of them starts a process.
    pub is_alone: bool,
}

/// # Errors
/// When the program cannot be executed or a limit of the system is met.
pub fn spawn(spec: &NodeSpec, run: &str, group: &Group, cpus: &[u32]) -> io::Result<Spawned> {
    let (output, output_writer) = pipe()?;
    let (events, events_writer) = match spec.kind {
        NodeKind::Bundled => pipe().map(|(reader, writer)| (Some(reader), Some(writer)))?,
        NodeKind::Service | NodeKind::Attached(_) => (None, None),
    };
    let mut command = Command::new(&spec.program);
    for argument in &spec.arguments {
        command.arg(resolved(argument)?);
    }
    for (name, value) in &spec.env {
        command.env(name, resolved(value)?);
    }
    if let Some(folder) = &spec.folder {
        command.current_dir(folder);
    }
    match events {
        Some(_) => command.env(EVENTS_FD_VARIABLE, HANDED_FD.to_string()),
        None => command.env_remove(EVENTS_FD_VARIABLE),
    };
    command
        .env(RUN_VARIABLE, run)
        .stdin(stdin_of(&spec.stdin)?)
        .stdout(output_writer.try_clone()?)
        .stderr(output_writer);
    prepare(&mut command, group.attach_files()?, events_writer, cpus);
    let child = command.spawn().map_err(|e| {
        io::Error::new(e.kind(), format!("starting {}: {e}", spec.program.display()))
    })?;
    // A test may put another program in a role's place.
    let is_alone = spec.kind == NodeKind::Bundled && is_this_program(&spec.program);
    Ok(Spawned { child, output, events, is_alone })
}

fn is_this_program(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    file(path).is_some_and(|found| file(Path::new("/proc/self/exe")) == Some(found))
}

fn prepare(command: &mut Command, attach: Vec<File>, events: Option<OwnedFd>, cpus: &[u32]) {
    let keeper = std::process::id();
    let mask = affinity::mask(cpus);
    let before_exec = move || {
        for file in &attach {
            rustix::io::write(file, b"0")?;
        }
        rustix::process::setsid()?;
        rustix::thread::sched_setaffinity(None, &mask)?;
        default_signals()?;
        events.as_ref().map_or(Ok(()), hand_over)?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The keeper may have died before the signal was asked for.
        let parent = rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get());
        match parent == keeper as i32 {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(nix::libc::ECHILD)),
        }
    };
    // SAFETY: between fork and exec this only makes system calls on values made before the fork.
    unsafe { command.pre_exec(before_exec) };
}

/// What the keeper ignores would be ignored by its nodes too.
fn default_signals() -> io::Result<()> {
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Puts the event pipe where the node looks for it. In the keeper this number is its own socket,
/// so nothing that `Command` still needs can be there.
fn hand_over(events: &OwnedFd) -> io::Result<()> {
    // SAFETY: `dup2` on two numbers; the child's copy of the keeper's socket is replaced.
    let result = unsafe { nix::libc::dup2(events.as_raw_fd(), HANDED_FD) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The keeper's end does not block, the node's end does.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// A file in memory: a node that does not read its plan cannot make the keeper wait.
fn stdin_of(text: &str) -> io::Result<Stdio> {
    let mut file = File::from(memfd_create("plan", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(Stdio::from(file))
}
