//! Workers as threads of this process, which may be brunt or a worker process.

use super::courier::{self, Whose};
use super::crew::WorkerPlan;
use super::gauges::{Gauges, Share};
use super::load::{self, Load};
use super::punctual;
use super::worker::{Assignment, Worker};
use super::{GeneratorError, directory, system};
use crate::base::Nanos;
use crate::record::Snapshot;
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Threads that are ready, or at work.
pub(super) struct Team {
    workers: Vec<(u32, JoinHandle<Result<(), Errno>>)>,
    /// Told instant 0, then dropped.
    begins: Mutex<Vec<Sender<Nanos>>>,
    stop: Arc<Stop>,
    courier: Option<JoinHandle<()>>,
    /// Dropped to end the directory's thread.
    directory: Option<(Sender<()>, JoinHandle<()>)>,
    cpus: Vec<u32>,
}

/// Ends the work of a team from any thread.
#[derive(Default)]
pub(super) struct Stop {
    is_stopped: Arc<AtomicBool>,
    wakes: Vec<OwnedFd>,
}

impl Stop {
    pub fn now(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for wake in &self.wakes {
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }
}

impl Team {
    /// Makes everything ready: threads, epoll, templates. The plans are of one load.
    ///
    /// # Errors
    /// When the plan cannot be generated or the system refuses threads or epoll.
    pub fn prepare(
        mut plans: Vec<WorkerPlan>,
        gauges: &Arc<Gauges>,
        whose: Whose,
        sink: Sender<Snapshot>,
    ) -> Result<Team, GeneratorError> {
        let ids: Vec<u32> = plans.iter().map(|p| p.id).collect();
        let Some(first) = plans.first_mut() else {
            return Err(GeneratorError::Plan("it has no workers".into()));
        };
        let load = first.load.clone();
        let cpus = std::mem::take(&mut first.cpus);
        let ready = Arc::new(Load::new(&load)?);
        let agendas = load::agendas(&load, first.n_workers, &ids)?;
        raise_descriptor_limit(plans.iter().map(WorkerPlan::descriptors).sum());

        let (parcels, received) = std::sync::mpsc::channel();
        let carry = move || courier::carry(&received, &sink, &whose);
        let mut team = Team {
            workers: Vec::new(),
            begins: Mutex::default(),
            stop: Arc::default(),
            courier: Some(spawn("brunt-courier", &cpus, carry)?),
            directory: None,
            cpus,
        };
        team.follow_directories(&ready)?;
        let mut stop = Stop::default();
        for (plan, agenda) in plans.into_iter().zip(agendas) {
            let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|e| system("make an eventfd", e))?;
            stop.wakes.push(
                wake.try_clone()
                    .map_err(|cause| GeneratorError::System { what: "share an eventfd", cause })?,
            );
            team.launch(Assignment {
                id: plan.id,
                load: ready.clone(),
                agenda,
                connections_max: plan.connections_max as usize,
                waiting_max: plan.waiting_max as usize,
                sources: plan.sources,
                share: Share::new(gauges.clone()),
                is_stopped: stop.is_stopped.clone(),
                wake,
                parcels: parcels.clone(),
            })?;
        }
        team.stop = Arc::new(stop);
        Ok(team)
    }

    fn follow_directories(&mut self, load: &Load) -> Result<(), GeneratorError> {
        if load.routes.directories.is_empty() {
            return Ok(());
        }
        let (end, ended) = std::sync::mpsc::channel();
        let routes = load.routes.clone();
        let follow = move || directory::follow(&routes, &ended);
        self.directory = Some((end, spawn("brunt-directory", &self.cpus, follow)?));
        Ok(())
    }

    fn launch(&mut self, assignment: Assignment) -> Result<(), GeneratorError> {
        let id = assignment.id;
        let (report, reported) = std::sync::mpsc::channel();
        let (begin, begun) = std::sync::mpsc::channel();
        let thread = spawn(&format!("brunt-load-{id}"), &self.cpus, move || {
            punctual::be_punctual();
            let worker = Worker::new(assignment)?;
            let _ = report.send(());
            match begun.recv() {
                Ok(epoch) => worker.run(epoch),
                // Never begun: there is nothing to tell.
                Err(_) => Ok(()),
            }
        })?;
        match reported.recv() {
            Ok(()) => {
                self.begins.get_mut().expect("nobody else has it yet").push(begin);
                self.workers.push((id, thread));
                Ok(())
            }
            Err(_) => Err(match thread.join() {
                Ok(Err(errno)) => system("set up epoll (epoll_pwait2, Linux 5.11 or newer)", errno),
                _ => GeneratorError::Panicked(id),
            }),
        }
    }

    /// Instant 0, once.
    pub fn begin(&self, epoch: Nanos) {
        let begins = std::mem::take(&mut *self.begins.lock().expect("nothing panics holding it"));
        for begin in begins {
            let _ = begin.send(epoch);
        }
    }

    pub fn stopper(&self) -> Arc<Stop> {
        self.stop.clone()
    }

    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(|(_, thread)| thread.is_finished())
    }

    /// # Errors
    /// When a worker failed; the others have ended properly.
    pub fn join(mut self) -> Result<(), GeneratorError> {
        // What was never begun ends now.
        self.begins.get_mut().expect("nothing panics holding it").clear();
        let mut result = Ok(());
        for (id, thread) in self.workers.drain(..) {
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

/// Starts a thread on the generator's processors. Where the system does not keep it to them, the
/// target's usage tells; that is no reason not to run.
pub(super) fn spawn<T: Send + 'static>(
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
