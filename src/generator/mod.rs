//! Floor 5: generates the load of a plan. Workers own slices of the schedule and share nothing but
//! a stop flag and two sums; each hands over a snapshot of differences once a second and a last one
//! at its end. Threads, or processes when one may not open that many connections: the [`Crew`]
//! decides, and nobody else sees a difference.
//!
//! It does not know of faults, objectives or verdicts, and it never moves an intended start.

mod checks;
pub mod child;
mod connections;
mod courier;
mod crew;
mod cut;
mod directory;
mod exact;
mod exchange;
mod frames;
mod gauges;
mod handshake;
mod load;
mod lookout;
mod meter;
mod outcome;
mod pacer;
mod pack;
mod punctual;
mod requests;
mod rest;
mod routes;
mod streams;
mod tally;
mod team;
pub mod template;
mod transport;
mod worker;

#[cfg(test)]
mod tests;

pub use crew::{Crew, CrewError, Limits, WorkerPlan};
pub use meter::Meter;
pub use pack::WORKER_COMMAND;
pub use transport::TlsError;

use crate::base::Nanos;
use crate::plan::LoadPlan;
use crate::record::Snapshot;
use crate::workload::Agenda;
use courier::Whose;
use gauges::Gauges;
use pack::Pack;
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use team::{Stop, Team};

/// Why there is no load.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    #[error("the load plan cannot be generated: {0}")]
    Plan(String),
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error("the request `{request}` cannot be rendered: {why}")]
    Request { request: String, why: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot {what} for the generator: {cause}")]
    System { what: &'static str, cause: std::io::Error },
    #[error("worker {worker} of the generator failed: {cause}")]
    Worker { worker: u32, cause: std::io::Error },
    #[error("worker {worker} of the generator failed: {why}; its unfinished requests are missing")]
    Process { worker: u32, why: String },
    #[error("worker {0} of the generator panicked")]
    Panicked(u32),
}

/// A load that is ready, or being generated. Dropping it stops the load without waiting.
#[must_use = "dropping a generator stops its load"]
pub struct Generator {
    /// `None` once it is being joined.
    means: Option<Means>,
    meter: Meter,
}

enum Means {
    Threads(Team, Arc<Stop>),
    Processes(Pack),
}

/// Every request of an open load, in the order of its intended start: a pure function of the plan.
/// A closed loop's requests beyond the first are planned by its answers, and are not in it.
///
/// # Errors
/// When the plan cannot be generated.
pub fn schedule(load: &LoadPlan) -> Result<Agenda, GeneratorError> {
    let mut agendas = load::agendas(load, 1, &[0])?;
    agendas.pop().ok_or_else(|| GeneratorError::Plan("it has no worker".into()))
}

/// Makes the load's workers ready to begin: on `cpus`, or anywhere when that is empty. Each
/// worker's snapshots will go to `sink`, in order, the last one marked.
///
/// # Errors
/// When the plan cannot be generated or the system refuses threads, processes or epoll.
pub fn prepare(
    load: LoadPlan,
    crew: &Crew,
    cpus: &[u32],
    sink: Sender<Snapshot>,
) -> Result<Generator, GeneratorError> {
    if crew.n_workers == 0 {
        return Err(CrewError::Nothing.into());
    }
    let load = Arc::new(load);
    let gauges = Gauges::new()
        .map_err(|cause| GeneratorError::System { what: "map a page of gauges", cause })?;
    let meter = Meter::new(Arc::new(gauges), crew.n_processes());
    let means = if crew.is_processes {
        Means::Processes(Pack::prepare(&load, crew, cpus, &meter, sink)?)
    } else {
        let plans = (0..crew.n_workers).map(|id| crew.plan(&load, id, cpus)).collect();
        let team = Team::prepare(plans, &meter.gauges, Whose::Own(meter.clone()), sink)?;
        let stop = team.stopper();
        Means::Threads(team, stop)
    };
    Ok(Generator { means: Some(means), meter })
}

/// Starts a load on at most `workers` threads: [`prepare`] and [`Generator::begin`] in one.
///
/// # Errors
/// As [`prepare`].
pub fn start(
    load: LoadPlan,
    workers: u32,
    cpus: &[u32],
    epoch: Nanos,
    sink: Sender<Snapshot>,
) -> Result<Generator, GeneratorError> {
    let crew = Crew::of(&load, workers, Limits::here())?;
    let generator = prepare(load, &crew, cpus, sink)?;
    generator.begin(epoch);
    Ok(generator)
}

impl Generator {
    /// Instant 0 of the schedule is `epoch` on `CLOCK_MONOTONIC`, which should lie a little ahead.
    /// Only the first call counts.
    pub fn begin(&self, epoch: Nanos) {
        match &self.means {
            Some(Means::Threads(team, _)) => team.begin(epoch),
            Some(Means::Processes(pack)) => pack.begin(epoch),
            None => {}
        }
    }

    /// Ends the load now: what is in flight is unfinished, what is due and unsent is never sent,
    /// what was meant for later is not planned. Returns at once; [`Generator::join`] waits.
    pub fn stop(&self) {
        match &self.means {
            Some(Means::Threads(_, stop)) => stop.now(),
            Some(Means::Processes(pack)) => pack.stop(),
            None => {}
        }
    }

    /// Whether every worker has ended.
    pub fn is_finished(&self) -> bool {
        match &self.means {
            Some(Means::Threads(team, _)) => team.is_finished(),
            Some(Means::Processes(pack)) => pack.is_finished(),
            None => true,
        }
    }

    /// What the load takes; complete once the generator has been joined.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Waits for the load to end by itself or after [`Generator::stop`]; all snapshots have then
    /// been handed over.
    ///
    /// # Errors
    /// When a worker failed; the others have ended properly.
    pub fn join(mut self) -> Result<(), GeneratorError> {
        match self.means.take() {
            Some(Means::Threads(team, _)) => team.join(),
            Some(Means::Processes(pack)) => pack.join(),
            None => Ok(()),
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop();
    }
}

fn system(what: &'static str, errno: Errno) -> GeneratorError {
    GeneratorError::System { what, cause: errno.into() }
}
