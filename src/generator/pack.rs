//! Workers as processes of this machine: started, told, listened to, and ended. One thread starts
//! them and stays until the last one has gone, because the kernel ties a child's life to the
//! thread that made it.

use super::GeneratorError;
use super::crew::{Crew, WorkerPlan};
use super::exact::Exact;
use super::frames::{FromWorker, Inbox, ToWorker, encode};
use super::meter::Meter;
use crate::base::{Nanos, clock};
use crate::host;
use crate::plan::LoadPlan;
use crate::record::Snapshot;
use nix::sys::signal::{SigHandler, Signal, signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

/// The hidden command.
pub const WORKER_COMMAND: &str = "__worker";
/// Longest wait for all workers to be ready, and for one to take a message.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A worker that has not ended so long after it should have is killed.
const PATIENCE: Nanos = Nanos::from_secs(30);
/// How often the deadline is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The processes that generate a load.
pub(super) struct Pack {
    gatherer: JoinHandle<Result<(), GeneratorError>>,
    voices: Arc<Voices>,
}

/// How the workers are told.
struct Voices {
    sockets: Vec<UnixStream>,
    is_stopped: AtomicBool,
    /// When the last worker must have ended, on `CLOCK_MONOTONIC`.
    deadline: AtomicU64,
    lasts: Nanos,
}

impl Voices {
    fn tell(&self, what: &ToWorker) {
        let Ok(bytes) = encode(what) else { return };
        for mut socket in &self.sockets {
            // Who has gone is missed by the gatherer. A message is a few bytes, and there are two
            // after the plan, so that a socket always takes them.
            let _ = socket.write_all(&bytes);
        }
    }

    fn begin(&self, epoch: Nanos) {
        self.deadline.store((epoch + self.lasts + PATIENCE).0, Ordering::Relaxed);
        self.tell(&ToWorker::Begin(epoch));
    }

    fn stop(&self) {
        if !self.is_stopped.swap(true, Ordering::Relaxed) {
            self.deadline.fetch_min((clock::now() + PATIENCE).0, Ordering::Relaxed);
            self.tell(&ToWorker::Stop);
        }
    }
}

/// A worker process, seen from brunt.
struct Member {
    id: u32,
    child: Child,
    socket: UnixStream,
    inbox: Inbox,
    is_open: bool,
    has_ended: bool,
    is_reaped: bool,
}

impl Pack {
    /// Starts the crew's processes; returns when all are ready.
    ///
    /// # Errors
    /// When one cannot be started or refuses its plan; the others have then ended.
    pub fn prepare(
        load: &Arc<LoadPlan>,
        crew: &Crew,
        cpus: &[u32],
        meter: &Meter,
        sink: Sender<Snapshot>,
    ) -> Result<Pack, GeneratorError> {
        let (report, reported) = std::sync::mpsc::channel();
        let (load, crew, meter, own_cpus) =
            (load.clone(), crew.clone(), meter.clone(), cpus.to_vec());
        let gatherer = super::team::spawn("brunt-gather", cpus, move || {
            let mut members = Vec::new();
            let started = start(&mut members, &load, &crew, &own_cpus, &meter)
                .and_then(|()| voices(&members, &load));
            drop(load);
            match started {
                Ok(voices) => {
                    let _ = report.send(Ok(voices.clone()));
                    gather(members, &voices, &meter, &sink)
                }
                Err(error) => {
                    members.into_iter().for_each(|member| {
                        let _ = member.end();
                    });
                    let _ = report.send(Err(error));
                    Ok(())
                }
            }
        })?;
        let voices = reported.recv().unwrap_or(Err(GeneratorError::Panicked(0)))?;
        Ok(Pack { gatherer, voices })
    }

    pub fn begin(&self, epoch: Nanos) {
        self.voices.begin(epoch);
    }

    pub fn stop(&self) {
        self.voices.stop();
    }

    pub fn is_finished(&self) -> bool {
        self.gatherer.is_finished()
    }

    pub fn join(self) -> Result<(), GeneratorError> {
        self.gatherer.join().unwrap_or(Err(GeneratorError::Panicked(0)))
    }
}

fn voices(members: &[Member], load: &LoadPlan) -> Result<Arc<Voices>, GeneratorError> {
    let sockets: io::Result<Vec<_>> = members.iter().map(|m| m.socket.try_clone()).collect();
    Ok(Arc::new(Voices {
        sockets: sockets.map_err(|cause| system("share a socket", cause))?,
        is_stopped: AtomicBool::new(false),
        deadline: AtomicU64::new(u64::MAX),
        lasts: load.end() + load.timeout,
    }))
}

/// All are started before any is waited for.
fn start(
    members: &mut Vec<Member>,
    load: &Arc<LoadPlan>,
    crew: &Crew,
    cpus: &[u32],
    meter: &Meter,
) -> Result<(), GeneratorError> {
    for id in 0..crew.n_workers {
        let member =
            Member::start(id, crew, meter).map_err(|cause| system("start a worker", cause))?;
        members.push(member);
    }
    for member in members.iter_mut() {
        let plan = crew.plan(load, member.id, cpus);
        member.hand_over(&plan).map_err(|cause| system("hand a plan to a worker", cause))?;
    }
    let deadline = clock::now() + Nanos::from(READY_WITHIN);
    members.iter_mut().try_for_each(|member| member.wait_ready(deadline))
}

fn system(what: &'static str, cause: io::Error) -> GeneratorError {
    GeneratorError::System { what, cause }
}

impl Member {
    fn start(id: u32, crew: &Crew, meter: &Meter) -> io::Result<Member> {
        let (socket, its_end) = UnixStream::pair()?;
        let mut command = Command::new(&crew.program);
        command
            .arg(WORKER_COMMAND)
            .stdin(Stdio::from(OwnedFd::from(its_end)))
            .stdout(Stdio::from(meter.gauges.file().try_clone_to_owned()?));
        let parent = std::process::id();
        // SAFETY: between fork and exec this only makes system calls.
        unsafe { command.pre_exec(move || tie_to(parent)) };
        let child = command.spawn()?;
        socket.set_write_timeout(Some(READY_WITHIN))?;
        Ok(Member {
            id,
            child,
            socket,
            inbox: Inbox::default(),
            is_open: true,
            has_ended: false,
            is_reaped: false,
        })
    }

    fn hand_over(&mut self, plan: &WorkerPlan) -> io::Result<()> {
        let exact = Exact::of(plan).map_err(io::Error::other)?;
        self.socket.write_all(&encode(&ToWorker::Plan(exact))?)
    }

    fn wait_ready(&mut self, deadline: Nanos) -> Result<(), GeneratorError> {
        let left = deadline.saturating_sub(clock::now()).max(Nanos::from_millis(1));
        let said = self
            .socket
            .set_read_timeout(Some(left.duration()))
            .and_then(|()| self.inbox.fill(&mut self.socket))
            .and_then(|_| self.inbox.take());
        let why = match said {
            Ok(Some(FromWorker::Ready)) => {
                return self
                    .socket
                    .set_nonblocking(true)
                    .map_err(|cause| system("listen to a worker", cause));
            }
            Ok(Some(FromWorker::Ended(Err(why)))) => why,
            Ok(_) => self.fate("it ended, or was not ready in time"),
            Err(error) => error.to_string(),
        };
        Err(GeneratorError::Process { worker: self.id, why })
    }

    /// Everything that it has said by now.
    fn hear(&mut self, meter: &Meter, sink: &Sender<Snapshot>) -> Result<(), GeneratorError> {
        let lost = |worker, why: String| GeneratorError::Process { worker, why };
        let id = self.id;
        self.is_open =
            self.inbox.fill(&mut self.socket).map_err(|error| lost(id, error.to_string()))?;
        while let Some(said) = self.inbox.take().map_err(|error| lost(id, error.to_string()))? {
            match said {
                FromWorker::Snapshot(snapshot) => {
                    meter.heard(id, snapshot.memory);
                    // Nobody need read what is told.
                    let _ = sink.send(*snapshot);
                }
                FromWorker::Ended(Ok(())) => self.has_ended = true,
                FromWorker::Ended(Err(why)) => return Err(lost(id, why)),
                FromWorker::Ready => {}
            }
        }
        match self.is_open || self.has_ended {
            true => Ok(()),
            false => Err(lost(id, self.fate("its socket was closed"))),
        }
    }

    /// How a process that has gone silent ended; it is killed if it has not.
    fn fate(&mut self, otherwise: &str) -> String {
        for _ in 0..50 {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.is_reaped = true;
                    return said_of(status);
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Err(_) => break,
            }
        }
        let _ = self.child.kill();
        otherwise.to_string()
    }

    /// Kills what still runs, and leaves no zombie. The CPU that it used in its life, its end
    /// included; zero where it was waited for before.
    fn end(mut self) -> Nanos {
        if self.is_reaped {
            return Nanos::ZERO;
        }
        let _ = self.child.kill();
        // Looked at while it is a zombie: it uses no more, and its number is still its own.
        let pid = Pid::from_child(&self.child);
        let until_it_ends = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), until_it_ends));
        let cpu = host::budget::process_cpu(pid.as_raw_nonzero().get());
        let _ = self.child.wait();
        cpu.unwrap_or_default()
    }
}

fn said_of(status: ExitStatus) -> String {
    format!("its process ended: {status}")
}

/// Runs in the child: what a terminal sends is for brunt, and brunt's death is the child's.
fn tie_to(parent: u32) -> io::Result<()> {
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: ignoring runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // brunt may have died before the signal was asked for.
    let now = rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get());
    match now == parent as i32 {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(nix::libc::ECHILD)),
    }
}

/// Passes snapshots on until every worker has gone. The first that fails ends the load of all.
fn gather(
    mut members: Vec<Member>,
    voices: &Voices,
    meter: &Meter,
    sink: &Sender<Snapshot>,
) -> Result<(), GeneratorError> {
    let mut result = Ok(());
    while members.iter().any(|m| m.is_open) {
        wait(&members);
        for member in members.iter_mut().filter(|m| m.is_open) {
            if let Err(error) = member.hear(meter, sink) {
                member.is_open = false;
                result = result.and(Err(error));
                voices.stop();
            }
        }
        if clock::now().0 > voices.deadline.load(Ordering::Relaxed) {
            let slow = members.iter().find(|m| m.is_open).map_or(0, |m| m.id);
            let why = format!("it had not ended {PATIENCE} after it should have, and was killed");
            result = result.and(Err(GeneratorError::Process { worker: slow, why }));
            break;
        }
    }
    meter.look();
    members.into_iter().for_each(|member| meter.ended(member.end()));
    result
}

fn wait(members: &[Member]) {
    let open = members.iter().filter(|m| m.is_open);
    let mut fds: Vec<PollFd<'_>> = open.map(|m| PollFd::new(&m.socket, PollFlags::IN)).collect();
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, Some(&LOOK));
}
