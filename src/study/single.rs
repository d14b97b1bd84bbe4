//! One run, with its record.

use super::setup::{Setup, StudyError, run_id};
use crate::analysis::{self, Summary};
use crate::gate;
use crate::generator::{Crew, GeneratorError, Limits};
use crate::plan::Plan;
use crate::record::Record;
use crate::run::{self, End, Options, RunError, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// What every run of a command is told.
pub struct RunOptions {
    /// Generator workers; when `None`, one for each of brunt's cores, and for half of them where a
    /// service on this machine needs the others.
    pub workers: Option<u32>,
    /// Other users' processes may be attached to.
    pub owns_these: bool,
    /// A signal's number once one asked to stop; else 0.
    pub signal: Arc<AtomicI32>,
}

/// A run that has ended, read back from its record.
pub struct Ran {
    pub folder: PathBuf,
    pub record: Record,
    pub summary: Summary,
    pub end: End,
    pub leftovers: Vec<String>,
}

impl Ran {
    /// Why it should be made once more: to its end, on a machine that was slow in a measured second.
    pub fn disturbed(&self) -> Option<&str> {
        self.summary.slow_machine(0.0).filter(|_| self.end == End::Complete)
    }
}

/// Conducts a plan and analyses its record.
///
/// # Errors
/// When the run could not be started or carried on, or its record not be read.
pub fn run_once(
    plan: &Plan,
    setup: &Setup,
    options: &RunOptions,
    folder: &Path,
    watcher: &mut dyn Watcher,
) -> Result<Ran, StudyError> {
    let run_id = run_id();
    let wanted = options.workers.unwrap_or_else(|| workers(plan));
    let crew = Crew::of(&plan.load, wanted, Limits::here())
        .map_err(|error| RunError::from(GeneratorError::from(error)))?;
    let finished = run::conduct(
        plan,
        &Options {
            work_folder: std::env::temp_dir().join(format!("brunt-{run_id}")),
            run_id,
            folder: folder.to_path_buf(),
            crew,
            doubts: setup.doubts.clone(),
            signal: options.signal.clone(),
            owns_these: options.owns_these,
        },
        watcher,
    )?;
    let record = Record::open(&finished.folder)?;
    let mut summary = analysis::summarise(&record);
    gate::judge_as_planned(&mut summary, &record)?;
    Ok(Ran {
        folder: finished.folder,
        record,
        summary,
        end: finished.end,
        leftovers: finished.leftovers,
    })
}

/// Of runs whose machine was slow, so many are made in all.
const RUNS_AT_MOST: usize = 3;

/// As [`run_once`], and once more where the machine was slow in a measured second: chosen by that
/// alone, never by what the target did. The records of the others stand beside it.
///
/// # Errors
/// As [`run_once`], or when a folder cannot be renamed.
pub fn run_undisturbed(
    plan: &Plan,
    setup: &Setup,
    options: &RunOptions,
    folder: &Path,
    watcher: &mut dyn Watcher,
) -> Result<Ran, StudyError> {
    for attempt in 1..RUNS_AT_MOST {
        let ran = run_once(plan, setup, options, folder, watcher)?;
        let Some(why) = ran.disturbed() else { return Ok(ran) };
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let aside = folder.with_file_name(format!("{name}-slow-{attempt}"));
        std::fs::rename(&ran.folder, &aside).map_err(|e| {
            let (from, to) = (ran.folder.display(), aside.display());
            StudyError::Refused(format!("renaming {from} to {to}: {e}"))
        })?;
        watcher.say(&format!("once more: {why}; record of it: {}", aside.display()));
    }
    run_once(plan, setup, options, folder, watcher)
}

/// Whether a record is in this folder.
pub fn holds_record(folder: &Path) -> bool {
    folder.join("manifest.json").exists()
}

/// A stored record, analysed again.
///
/// # Errors
/// When it cannot be read.
pub fn summary_of(folder: &Path) -> Result<Summary, StudyError> {
    let mut summary = analysis::summarise(&Record::open(folder)?);
    gate::judge(&mut summary);
    Ok(summary)
}

/// Those of these runs whose records are in the folder, with their names.
///
/// # Errors
/// When one of them cannot be read.
pub fn stored_runs(
    folder: &Path,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<(String, Summary)>, StudyError> {
    let there = names.into_iter().filter(|name| holds_record(&folder.join(name)));
    there.map(|name| Ok((name.clone(), summary_of(&folder.join(&name))?))).collect()
}

fn workers(plan: &Plan) -> u32 {
    let cores = plan.host.brunt_cpus.len() as u32;
    let shares_them = !plan.is_bundled && plan.host.stack_cpus.is_empty();
    match shares_them && plan.load.is_to_loopback() {
        true => cores.div_ceil(2),
        false => cores,
    }
}
