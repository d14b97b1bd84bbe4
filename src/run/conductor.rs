//! One run from beginning to end.

use super::guarded::Guarded;
use super::progress::Tally;
use super::read_back::{WrittenKeys, read_back};
use super::sampler::Sampler;
use super::stand::FleetStand;
use super::steady::SteadyState;
use super::target_now::TargetNow;
use super::tell;
use super::thresholds::Thresholds;
use super::watch::Watcher;
use super::worker_rows::WorkerRows;
use crate::base::{Histogram, Nanos, clock};
use crate::chaos::{Chaos, Limits, Permission};
use crate::fleet::{self, Fleet, FleetError, FleetEvent};
use crate::generator::{self, Crew, Generator, GeneratorError};
use crate::host;
use crate::objective::{GuardError, ThresholdError, Tripped};
use crate::plan::Plan;
use crate::probe::HiccupMeter;
use crate::record::{Event, EventKind, Manifest, NodeRow, RecordError, Recorder, SCHEMA, Snapshot};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// From the last preparation to instant 0.
const COUNTDOWN: Nanos = Nanos::from_millis(150);
/// How often the conductor looks around.
const TICK: Duration = Duration::from_millis(20);
/// How often a watcher is told.
const WATCH: Nanos = Nanos::from_millis(250);

/// What a run is told besides its plan.
pub struct Options {
    pub run_id: String,
    /// The record's folder; it is made.
    pub folder: PathBuf,
    /// For what nodes keep on disk; it is made, and removed at the end.
    pub work_folder: PathBuf,
    pub crew: Crew,
    pub doubts: Vec<String>,
    /// A signal's number once one asked the run to stop; else 0.
    pub signal: Arc<AtomicI32>,
    /// Other users' processes may be attached to.
    pub owns_these: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// By this signal.
    Interrupted(i32),
    /// By this guard.
    Guard(Tripped),
    /// By a threshold that is missed whatever the rest of the run would have brought.
    Lost(Tripped),
    /// The record could not be written any further; it is sealed with what it has.
    DiskFull(String),
}

impl End {
    /// Why it was not complete, for people.
    pub fn why(&self) -> Option<String> {
        match self {
            End::Complete => None,
            End::Interrupted(2) => Some("interrupted by signal 2 (Ctrl-C)".into()),
            End::Interrupted(15) => Some("interrupted by signal 15 (terminate)".into()),
            End::Interrupted(signal) => Some(format!("interrupted by signal {signal}")),
            End::Guard(Tripped { expression, seen }) => {
                Some(format!("the guard `{expression}` tripped: {seen}"))
            }
            End::Lost(Tripped { expression, seen }) => {
                Some(format!("the threshold `{expression}` cannot be met any more: {seen}"))
            }
            End::DiskFull(problem) => {
                Some(format!("the record could not be written any further: {problem}"))
            }
        }
    }
}

pub struct Finished {
    pub folder: PathBuf,
    pub end: End,
    /// What was still there after everything was stopped; empty when verified clean.
    pub leftovers: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    #[error(transparent)]
    Namespace(#[from] host::NamespaceError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    #[error("cannot write into the record's folder {folder}: {cause}; choose another with --out")]
    Output { folder: String, cause: std::io::Error },
    #[error("cannot make the work folder {folder}: {cause}")]
    WorkFolder { folder: String, cause: std::io::Error },
    #[error("the keeper ended in the middle of the run; everything it held was stopped{}", still(.left))]
    KeeperLost { left: String },
}

fn still(left: &str) -> String {
    if left.is_empty() { String::new() } else { format!(", but still there: {left}") }
}

/// Conducts one run; its record is sealed when this returns `Ok`.
///
/// # Errors
/// When the run could not be started, or not be carried on. Whatever was started is stopped.
pub fn conduct(
    plan: &Plan,
    options: &Options,
    watcher: &mut dyn Watcher,
) -> Result<Finished, RunError> {
    let guarded = Guarded::new(plan)?;
    let thresholds = Thresholds::new(plan)?;
    check_writable(&options.folder)?;
    // Every thread that is started from here on stays on brunt's own cores, and so does the relay.
    let _ = host::affinity::pin_self(&plan.host.brunt_cpus);
    let work = WorkFolder::make(&options.work_folder)?;
    // So do all of them, and every process, live in what the run has for itself.
    let bound = plan.needs.data_folder.map(|size| (work.0.as_path(), size));
    let _own = host::Namespaces::enter(plan.needs.network, bound)?;
    let (fleet_sender, fleet_events) = mpsc::channel();
    let fleet = match plan.is_bundled {
        true => Some(Arc::new(Fleet::start_with(
            plan,
            &options.run_id,
            &work.0,
            &options.folder.join("logs"),
            fleet_sender,
            fleet::Options { owns_these: options.owns_these, ..fleet::Options::default() },
        )?)),
        false => None,
    };
    let (snapshot_sender, snapshots) = mpsc::channel();
    let cpus = &plan.host.brunt_cpus;
    let generator = generator::prepare(plan.load.clone(), &options.crew, cpus, snapshot_sender)?;
    // Only now: many worker processes take their time to be ready.
    let epoch = clock::now() + COUNTDOWN;
    let recorder = Recorder::create(&options.folder, &manifest(plan, options, epoch))?;
    let load = (generator, snapshots);
    let mut conductor =
        Conductor::start(plan, options, recorder, (fleet, fleet_events), load, epoch);
    conductor.guarded = Some(guarded);
    conductor.thresholds = thresholds;
    let end = conductor.watch_until_the_load_ends(watcher);
    conductor.finish(end?, watcher)
}

fn manifest(plan: &Plan, options: &Options, epoch: Nanos) -> Manifest {
    Manifest {
        schema: SCHEMA,
        brunt_version: env!("CARGO_PKG_VERSION").to_string(),
        run_id: options.run_id.clone(),
        plan: plan.redacted(),
        started_wall_ns: (clock::wall() + epoch.saturating_sub(clock::now())).0,
        started_monotonic_ns: epoch.0,
        workers: options.crew.n_workers,
        doubts: options.doubts.clone(),
    }
}

/// A folder that cannot be written is found before anything is started.
fn check_writable(folder: &Path) -> Result<(), RunError> {
    let probe = folder.join(".writable");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b"?"))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|cause| RunError::Output { folder: folder.display().to_string(), cause })
}

/// A folder that is removed with everything in it.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn make(path: &Path) -> Result<Self, RunError> {
        std::fs::create_dir_all(path)
            .map_err(|cause| RunError::WorkFolder { folder: path.display().to_string(), cause })?;
        Ok(WorkFolder(path.to_path_buf()))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Conductor<'a> {
    plan: &'a Plan,
    options: &'a Options,
    recorder: Recorder,
    /// Why the record could not be written, once.
    problem: Option<String>,
    fleet: Option<Arc<Fleet>>,
    epoch: Nanos,
    generator: Option<Generator>,
    chaos: Option<Chaos>,
    steady: Arc<SteadyState>,
    tally: Tally,
    guarded: Option<Guarded>,
    thresholds: Thresholds,
    target: TargetNow,
    worker_rows: WorkerRows,
    written: WrittenKeys,
    phases_told: usize,
    workers_ended: u32,
    _hiccup: HiccupMeter,
    fleet_events: Receiver<FleetEvent>,
    snapshots: Receiver<Snapshot>,
    chaos_events: Receiver<Event>,
    hiccups: Receiver<(u32, Histogram)>,
    rows: Receiver<Vec<NodeRow>>,
    sampler: Option<Sampler>,
}

impl<'a> Conductor<'a> {
    fn start(
        plan: &'a Plan,
        options: &'a Options,
        recorder: Recorder,
        (fleet, fleet_events): (Option<Arc<Fleet>>, Receiver<FleetEvent>),
        (generator, snapshots): (Generator, Receiver<Snapshot>),
        epoch: Nanos,
    ) -> Self {
        let (hiccup_sender, hiccups) = mpsc::channel();
        let (row_sender, rows) = mpsc::channel();
        let (chaos_sender, chaos_events) = mpsc::channel();
        let steady = Arc::new(SteadyState::new(plan));
        let hiccup = HiccupMeter::start(epoch, hiccup_sender);
        let sampler = Sampler::start(plan, fleet.clone(), epoch, row_sender);
        generator.begin(epoch);
        let chaos = fleet.clone().filter(|_| !plan.faults.is_empty()).map(|fleet| {
            let steady = steady.clone();
            let permission: Permission = Box::new(move |_| steady.holds());
            let stand = Arc::new(FleetStand::new(plan, fleet));
            let limits = Limits(plan.fault_limits.clone());
            Chaos::start(plan.faults.clone(), limits, epoch, stand, permission, move |event| {
                let _ = chaos_sender.send(event);
            })
        });
        Conductor {
            plan,
            options,
            recorder,
            problem: None,
            fleet,
            epoch,
            generator: Some(generator),
            chaos,
            steady,
            tally: Tally::new(options.crew.n_workers, &plan.load),
            guarded: None,
            thresholds: Thresholds::default(),
            target: TargetNow::new(plan),
            worker_rows: WorkerRows::default(),
            written: WrittenKeys::default(),
            phases_told: 0,
            workers_ended: 0,
            _hiccup: hiccup,
            fleet_events,
            snapshots,
            chaos_events,
            hiccups,
            rows,
            sampler: Some(sampler),
        }
    }

    fn elapsed(&self) -> Nanos {
        clock::now().saturating_sub(self.epoch)
    }

    /// Carries everything to the record until every worker has ended.
    fn watch_until_the_load_ends(&mut self, watcher: &mut dyn Watcher) -> Result<End, RunError> {
        let mut watch_at = Nanos::ZERO;
        let mut end = End::Complete;
        let mut is_over = false;
        while self.workers_ended < self.options.crew.n_workers && !is_over {
            // A generator that ended without its last word must not be waited for.
            is_over = self.generator.as_ref().is_none_or(Generator::is_finished);
            self.collect(watcher)?;
            if let Some(problem) = self.problem.take() {
                let text = format!("the record cannot be written any further: {problem}");
                watcher.note(self.elapsed(), &text);
                end = End::DiskFull(problem);
            }
            let signal = self.options.signal.load(Ordering::Relaxed);
            if signal != 0 && end == End::Complete {
                let text = "stopping: healing what is in force, sealing the record";
                watcher.note(self.elapsed(), text);
                end = End::Interrupted(signal);
            }
            if end == End::Complete
                && let Some(tripped) = self.look_at_guards(watcher)
            {
                end = End::Guard(tripped);
            }
            let goes_on = self.workers_ended < self.options.crew.n_workers && !is_over;
            if end == End::Complete
                && goes_on
                && let Some(lost) = self.thresholds.lost()
            {
                self.end_early(EventKind::ThresholdLost, &lost, watcher);
                end = End::Lost(lost);
            }
            if end != End::Complete
                && let Some(generator) = &self.generator
            {
                generator.stop();
            }
            let elapsed = self.elapsed();
            if elapsed >= watch_at {
                let state = self.tally.progress(self.plan, &self.target, &self.thresholds, elapsed);
                watcher.progress(&state);
                watch_at = elapsed + WATCH;
            }
            self.await_news(watcher)?;
        }
        Ok(end)
    }

    fn look_at_guards(&mut self, watcher: &mut dyn Watcher) -> Option<Tripped> {
        let elapsed = self.elapsed();
        let tripped = self.guarded.as_mut()?.look(elapsed, &mut self.tally)?;
        self.end_early(EventKind::GuardTripped, &tripped, watcher);
        Some(tripped)
    }

    fn end_early(&mut self, kind: EventKind, why: &Tripped, watcher: &mut dyn Watcher) {
        let elapsed = self.elapsed();
        let event = Event {
            at_ns: elapsed.0,
            kind,
            subject: why.expression.clone(),
            object: String::new(),
            lateness_ns: None,
            detail: why.seen.clone(),
        };
        watcher.note(elapsed, &tell::sentence(&event));
        watcher.note(elapsed, "stopping: healing what is in force, sealing the record");
        self.event(&event);
    }

    /// Everything that has arrived since the last look.
    fn collect(&mut self, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        self.tell_phases(watcher);
        while let Ok(snapshot) = self.snapshots.try_recv() {
            self.workers_ended += u32::from(snapshot.is_last);
            self.steady.add(&snapshot);
            self.written.add(&snapshot);
            self.tally.snapshot(&snapshot);
            self.guarded.iter_mut().for_each(|guarded| guarded.add(&snapshot));
            self.thresholds.add(&snapshot);
            let written = self.recorder.snapshot(&snapshot);
            self.keep(written);
            let row = self.worker_rows.row(&snapshot);
            let written = self.recorder.nodes(row.as_slice());
            self.keep(written);
        }
        while let Ok(event) = self.chaos_events.try_recv() {
            watcher.note(Nanos(event.at_ns), &tell::sentence(&event));
            self.event(&event);
        }
        while let Ok(event) = self.fleet_events.try_recv() {
            self.hear(event, watcher)?;
        }
        while let Ok((second, histogram)) = self.hiccups.try_recv() {
            let written = self.recorder.hiccup(second, &histogram);
            self.keep(written);
        }
        while let Ok(rows) = self.rows.try_recv() {
            self.target.rows(&rows);
            let written = self.recorder.nodes(&rows);
            self.keep(written);
        }
        Ok(())
    }

    /// Until the next look around; what happens to the fleet is heard at once, because a fault may
    /// be due then.
    fn await_news(&mut self, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        match self.fleet_events.recv_timeout(TICK) {
            Ok(event) => self.hear(event, watcher)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        Ok(())
    }

    fn hear(&mut self, event: FleetEvent, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        if let FleetEvent::KeeperLost { left } = event {
            return Err(RunError::KeeperLost { left: left.join("; ") });
        }
        if let Some(event) = tell::fleet_event(event, self.epoch) {
            // First of all: a fault may wait for it.
            if let Some(chaos) = &self.chaos {
                chaos.saw(&event);
            }
            if event.at_ns > 0 {
                watcher.note(Nanos(event.at_ns), &tell::sentence(&event));
            }
            self.event(&event);
        }
        Ok(())
    }

    /// A record that cannot be written ends the run; it keeps what it has.
    fn keep(&mut self, written: Result<(), RecordError>) {
        if let Err(error) = written {
            self.problem.get_or_insert(error.to_string());
        }
    }

    fn event(&mut self, event: &Event) {
        self.target.event(event, self.plan);
        let written = self.recorder.event(event);
        self.keep(written);
    }

    /// Phases begin and end by the plan; the generator needs no telling.
    fn tell_phases(&mut self, watcher: &mut dyn Watcher) {
        let elapsed = self.elapsed();
        // Of many short runs, each a warm-up and one phase, it would be two lines a run.
        let is_told = self.plan.load.phases.iter().filter(|p| p.measured).count() > 1;
        while let Some(phase) = self.plan.load.phases.get(self.phases_told) {
            if phase.start > elapsed {
                return;
            }
            if let Some(before) = self.phases_told.checked_sub(1).map(|i| &self.plan.load.phases[i])
            {
                self.event(&tell::phase_event(EventKind::PhaseEnded, &before.name, before.end));
            }
            if is_told {
                watcher.note(phase.start, &format!("phase {}", phase.name));
            }
            self.event(&tell::phase_event(EventKind::PhaseStarted, &phase.name, phase.start));
            self.phases_told += 1;
        }
    }

    /// Heals, reads back, stops everything, seals.
    fn finish(mut self, end: End, watcher: &mut dyn Watcher) -> Result<Finished, RunError> {
        let ended = self.elapsed();
        let generator = self.end_load();
        if let Some(chaos) = self.chaos.take() {
            chaos.stop();
        }
        self.end_phase(ended);
        if end == End::Complete && self.fleet.is_some() && self.written.len() > 0 {
            self.check_writes(watcher);
        }
        drop(self.sampler.take());
        let collected = self.collect(watcher);
        let leftovers = self.fleet.take().map(|fleet| fleet.shutdown()).unwrap_or_default();
        for what in &leftovers {
            watcher.note(self.elapsed(), &format!("left behind: {what}"));
            self.note_event(format!("left behind: {what}"));
        }
        for other in host::other_brunts(&host::state_folder(), &self.options.run_id) {
            self.doubt(format!("another brunt ({other}) was running on this machine"));
        }
        if let Some(why) = end.why() {
            // It has its answer: the record is as whole as it was to be.
            if !matches!(end, End::Lost(_)) {
                self.recorder.cut_short(&why);
            }
            self.note_event(format!("ended early: {why}"));
        }
        self.recorder.seal(ended)?;
        collected?;
        generator?;
        Ok(Finished { folder: self.options.folder.clone(), end, leftovers })
    }

    /// A worker that failed makes the record one that was cut short, and then the run an error.
    fn end_load(&mut self) -> Result<(), GeneratorError> {
        let Some(generator) = self.generator.take() else { return Ok(()) };
        let meter = generator.meter();
        let result = generator.join();
        self.recorder.generator(meter.usage());
        if let Err(error) = &result {
            self.recorder.cut_short(&error.to_string());
        }
        result
    }

    /// The phase that is under way ends with the load; those after it never begin.
    fn end_phase(&mut self, ended: Nanos) {
        let phases = &self.plan.load.phases;
        if let Some(phase) = self.phases_told.checked_sub(1).and_then(|i| phases.get(i)) {
            self.event(&tell::phase_event(
                EventKind::PhaseEnded,
                &phase.name,
                phase.end.min(ended),
            ));
        }
        self.phases_told = phases.len();
    }

    fn check_writes(&mut self, watcher: &mut dyn Watcher) {
        let text = format!("reading back {} written keys", self.written.len());
        watcher.note(self.elapsed(), &text);
        let signal = self.options.signal.clone();
        let stopped = move || signal.load(Ordering::Relaxed) != 0;
        let (operations, unread) = read_back(self.plan, &self.written, self.epoch, &stopped);
        let written = self.recorder.operations(&operations);
        self.keep(written);
        if unread > 0 || self.written.is_overflown {
            self.note_event(format!("{unread} written keys could not be read back"));
        }
    }

    /// A reason for doubt that was seen at the end; those of the start are in the manifest.
    fn doubt(&mut self, detail: String) {
        if !self.options.doubts.contains(&detail) {
            self.told("doubt", detail);
        }
    }

    fn note_event(&mut self, detail: String) {
        self.told("brunt", detail);
    }

    fn told(&mut self, subject: &str, detail: String) {
        let at_ns = self.elapsed().0;
        let (subject, object) = (subject.to_string(), String::new());
        let kind = EventKind::Note;
        self.event(&Event { at_ns, kind, subject, object, lateness_ns: None, detail });
    }
}
