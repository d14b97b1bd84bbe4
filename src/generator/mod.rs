//! Floor 5: generates the load of a plan. Worker threads own slices of the schedule and share
//! nothing; each hands over a snapshot of differences once a second and a last one at its end.
//!
//! It does not know of faults, objectives or verdicts, and it never moves an intended start.

mod checks;
mod connections;
mod courier;
mod cut;
mod directory;
mod exchange;
mod handshake;
mod load;
mod outcome;
mod pacer;
mod requests;
mod routes;
mod streams;
mod tally;
pub mod template;
mod transport;
mod worker;

#[cfg(test)]
mod tests;

use crate::base::Nanos;
use crate::plan::{Arrivals, LoadPlan};
use crate::record::Snapshot;
use crate::workload::Agenda;
use load::{Load, part};
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
pub use transport::TlsError;
use worker::{Assignment, Worker};

/// File descriptors of the process beside the generator's connections.
const DESCRIPTORS_SPARE: u64 = 256;

/// Why there is no load.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    #[error("the load plan cannot be generated: {0}")]
    Plan(String),
    #[error("the request `{request}` cannot be rendered: {why}")]
    Request { request: String, why: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot {what} for the generator: {cause}")]
    System { what: &'static str, cause: std::io::Error },
    #[error("worker {worker} of the generator failed: {cause}")]
    Worker { worker: u32, cause: std::io::Error },
    #[error("worker {0} of the generator panicked")]
    Panicked(u32),
}

/// A load being generated. Dropping it stops the load without waiting.
#[must_use = "dropping a generator stops its load"]
pub struct Generator {
    workers: Vec<JoinHandle<Result<(), Errno>>>,
    wakes: Vec<OwnedFd>,
    is_stopped: Arc<AtomicBool>,
    courier: Option<JoinHandle<()>>,
    /// Dropped to end the directory's thread.
    directory: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What can be shared out: connections of a closed loop, shards of an open one.
fn n_slots(load: &LoadPlan) -> u32 {
    match load.arrivals {
        Arrivals::Closed { connections, .. } => connections,
        Arrivals::Poisson | Arrivals::Constant => load.shards,
    }
}

/// How many workers really run when so many are asked for: never more than there is to share.
pub fn workers_for(load: &LoadPlan, wanted: u32) -> u32 {
    wanted.min(n_slots(load)).min(load.connections_max).max(1)
}

/// Every request of an open load, in the order of its intended start: a pure function of the plan.
/// A closed loop's requests beyond the first are planned by its answers, and are not in it.
///
/// # Errors
/// When the plan cannot be generated.
pub fn schedule(load: &LoadPlan) -> Result<Agenda, GeneratorError> {
    let mut agendas = load::agendas(load, 1)?;
    agendas.pop().ok_or_else(|| GeneratorError::Plan("it has no worker".into()))
}

/// Starts the load: instant 0 of its schedule is `epoch` on `CLOCK_MONOTONIC`, which should lie a
/// little ahead. `workers` threads (fewer when there is less to share) run on `cpus`, or anywhere
/// when that is empty. Each worker's snapshots go to `sink`, in order, the last one marked.
///
/// # Errors
/// When the plan cannot be generated or the system refuses threads, epoll or CPUs.
pub fn start(
    load: LoadPlan,
    workers: u32,
    cpus: &[u32],
    epoch: Nanos,
    sink: Sender<Snapshot>,
) -> Result<Generator, GeneratorError> {
    let ready = Arc::new(Load::new(&load)?);
    if n_slots(&load) == 0 || load.connections_max == 0 {
        return Err(GeneratorError::Plan("it has no shards or no connections".into()));
    }
    let n_workers = workers_for(&load, workers);
    raise_descriptor_limit(u64::from(load.connections_max) + DESCRIPTORS_SPARE);
    let agendas = load::agendas(&load, n_workers)?;

    let (parcels, received) = std::sync::mpsc::channel();
    let mut generator = Generator {
        workers: Vec::new(),
        wakes: Vec::new(),
        is_stopped: Arc::new(AtomicBool::new(false)),
        courier: Some(spawn("brunt-courier", cpus, move || courier::carry(&received, &sink))?),
        directory: None,
    };
    if !ready.routes.directories.is_empty() {
        let (end, ended) = std::sync::mpsc::channel();
        let routes = ready.routes.clone();
        let thread = spawn("brunt-directory", cpus, move || directory::follow(&routes, &ended))?;
        generator.directory = Some((end, thread));
    }
    for (id, agenda) in (0..).zip(agendas) {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| system("make an eventfd", e))?;
        let assignment = Assignment {
            id,
            load: ready.clone(),
            agenda,
            connections_max: part(u64::from(load.connections_max), n_workers, id) as usize,
            waiting_max: part(u64::from(load.waiting_max), n_workers, id) as usize,
            epoch,
            is_stopped: generator.is_stopped.clone(),
            wake: wake
                .try_clone()
                .map_err(|cause| GeneratorError::System { what: "share an eventfd", cause })?,
            parcels: parcels.clone(),
        };
        generator.wakes.push(wake);
        generator.launch(assignment, cpus)?;
    }
    Ok(generator)
}

impl Generator {
    fn launch(&mut self, assignment: Assignment, cpus: &[u32]) -> Result<(), GeneratorError> {
        let (report, reported) = std::sync::mpsc::channel();
        let thread = spawn(&format!("brunt-load-{}", self.workers.len()), cpus, move || {
            // For precision only: without it the start lag tells what is missing.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            let worker = Worker::new(assignment)?;
            let _ = report.send(());
            worker.run()
        })?;
        match reported.recv() {
            Ok(()) => {
                self.workers.push(thread);
                Ok(())
            }
            Err(_) => Err(match thread.join() {
                Ok(Err(errno)) => system("set up epoll (epoll_pwait2, Linux 5.11 or newer)", errno),
                _ => GeneratorError::Panicked(self.workers.len() as u32),
            }),
        }
    }

    /// Ends the load now: what is in flight is unfinished, what is due and unsent is never sent,
    /// what was meant for later is not planned. Returns at once; [`Generator::join`] waits.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for wake in &self.wakes {
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    /// Whether every worker has ended.
    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the load to end by itself or after [`Generator::stop`]; all snapshots have then
    /// been handed over.
    ///
    /// # Errors
    /// When a worker failed; the others have ended properly.
    pub fn join(mut self) -> Result<(), GeneratorError> {
        let mut result = Ok(());
        for (id, thread) in (0..).zip(std::mem::take(&mut self.workers)) {
            let ended = match thread.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(errno)) => Err(GeneratorError::Worker { worker: id, cause: errno.into() }),
                Err(_) => Err(GeneratorError::Panicked(id)),
            };
            result = result.and(ended);
        }
        if let Some((end, thread)) = self.directory.take() {
            drop(end);
            let _ = thread.join();
        }
        if let Some(thread) = self.courier.take() {
            let _ = thread.join();
        }
        result
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a thread on the generator's processors. Where the system does not keep it to them, the
/// target's usage tells; that is no reason not to run.
fn spawn<T: Send + 'static>(
    name: &str,
    cpus: &[u32],
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, GeneratorError> {
    let cpus = cpus.to_vec();
    std::thread::Builder::new()
        .name(name.to_string())
        .spawn(move || {
            let _ = keep_to(&cpus);
            body()
        })
        .map_err(|cause| GeneratorError::System { what: "start a thread", cause })
}

fn system(what: &'static str, errno: Errno) -> GeneratorError {
    GeneratorError::System { what, cause: errno.into() }
}

/// Lets the calling thread run on these processors only.
fn keep_to(cpus: &[u32]) -> Result<(), Errno> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus.iter().filter(|c| (**c as usize) < rustix::thread::CpuSet::MAX_CPU) {
        set.set(*cpu as usize);
    }
    rustix::thread::sched_setaffinity(None, &set)
}

/// Raises the soft limit on open files as far as needed and allowed. Should it not be enough, the
/// connections that fail say so.
fn raise_descriptor_limit(needed: u64) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
    let _ =
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
}
