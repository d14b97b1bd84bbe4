//! Several targets under one profile, one after the other, and what can be said of the difference.

use super::outlook::Outlook;
use super::setup::{Setup, StudyError, prepare};
use super::single::{Ran, RunOptions, run_once};
use crate::analysis::{self, Comparison};
use crate::gate;
use crate::plan::{Plan, compile};
use crate::profile::Profile;
use crate::record::Record;
use crate::run::{End, Runs, StudyNow, Watcher};
use crate::target::Target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One change per rung: a bigger CPU, more servers, replicas, a cache, a CDN.
pub const LADDER: [&str; 6] = [
    "garage",
    "vertical",
    "ladder-2-balancer",
    "ladder-3-replicas",
    "ladder-4-cache",
    "horizontal",
];

pub struct CompareOptions {
    pub seed: u64,
    pub run: RunOptions,
    /// Holds one record's folder per run, and the comparison's own reports.
    pub folder: PathBuf,
}

/// The runs and what they say together.
pub struct Compared {
    pub runs: Vec<Ran>,
    pub comparison: Comparison,
}

impl Compared {
    /// The runs as analysis and reports look at them.
    pub fn views(&self) -> Vec<analysis::Run<'_>> {
        views(&self.runs)
    }
}

/// Runs every target in turn. An interruption ends it with the runs that there are.
///
/// # Errors
/// When a target cannot be planned, started or carried through.
pub fn compare(
    targets: &[Target],
    profile: &Profile,
    options: &CompareOptions,
    watcher: &mut dyn Watcher,
) -> Result<Compared, StudyError> {
    let setup = prepare(&targets.iter().collect::<Vec<_>>(), Some(profile))?;
    let plans = plans(targets, profile, options.seed, &setup)?;
    let folders = folders(targets, &options.folder);
    let mut runs: Vec<Ran> = Vec::new();
    let mut outlook = Outlook::default();
    for (index, (plan, folder)) in plans.iter().zip(&folders).enumerate() {
        watcher.study(&StudyNow {
            run: index + 1,
            runs: Runs::Known(plans.len()),
            what: plan.target.clone(),
            so_far: runs.iter().map(so_far).collect(),
            after: outlook.of(plans[index + 1..].iter().map(|p| p.load.end())),
        });
        outlook.begins();
        let ran = run_once(plan, &setup, &options.run, folder, watcher)?;
        outlook.ended(plan.load.end());
        let is_complete = ran.end == End::Complete;
        runs.push(ran);
        if !is_complete {
            break;
        }
    }
    let comparison = judge(&runs);
    Ok(Compared { runs, comparison })
}

/// `garage 43.1 % in time`.
fn so_far(ran: &Ran) -> String {
    let s = &ran.summary;
    let share = analysis::share(s.in_time, s.ledger.planned);
    let share = share.map_or("nothing".into(), |share| format!("{:.1} %", share * 100.0));
    format!("{} {share} in time", s.target)
}

/// The plans of [`compare`], of which nothing is run.
///
/// # Errors
/// When a target cannot be planned.
pub fn plan_all(targets: &[Target], profile: &Profile, seed: u64) -> Result<Vec<Plan>, StudyError> {
    let setup = prepare(&targets.iter().collect::<Vec<_>>(), Some(profile))?;
    plans(targets, profile, seed, &setup)
}

/// Everything is planned before anything runs, so that what cannot work is refused at once.
fn plans(
    targets: &[Target],
    profile: &Profile,
    seed: u64,
    setup: &Setup,
) -> Result<Vec<Plan>, StudyError> {
    targets.iter().map(|t| Ok(compile(t, profile, seed, &setup.facts)?)).collect()
}

/// Compares records that were written before, each judged by what its plan asks for.
///
/// # Errors
/// When one cannot be read or judged.
pub fn compare_stored(folders: &[PathBuf]) -> Result<Compared, StudyError> {
    let mut runs = Vec::new();
    for folder in folders {
        let record = Record::open(folder)?;
        let mut summary = analysis::summarise(&record);
        gate::judge_as_planned(&mut summary, &record)
            .map_err(|error| StudyError::Refused(format!("{}: {error}", folder.display())))?;
        let leftovers = Vec::new();
        runs.push(Ran { folder: folder.clone(), record, summary, end: End::Complete, leftovers });
    }
    let comparison = judge(&runs);
    Ok(Compared { runs, comparison })
}

fn judge(runs: &[Ran]) -> Comparison {
    analysis::compare(&views(runs))
}

fn views(runs: &[Ran]) -> Vec<analysis::Run<'_>> {
    runs.iter().map(|r| analysis::Run { record: &r.record, summary: &r.summary }).collect()
}

/// `garage`, `vertical`, `vertical-2`: what can be a folder's name, each once.
fn folders(targets: &[Target], inside: &Path) -> Vec<PathBuf> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    targets
        .iter()
        .map(|target| {
            let name = folder_name(&target.name);
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            match count {
                1 => inside.join(name),
                n => inside.join(format!("{name}-{n}")),
            }
        })
        .collect()
}

/// A target's name, possibly with an inline variant, as a part of a path.
pub fn folder_name(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' });
    kept.collect::<String>().trim_matches('-').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_folder_of_its_own() {
        let target = |name: &str| Target {
            name: name.into(),
            ..Target::from_url("http://127.0.0.1:1/").unwrap()
        };
        let all = [target("vertical"), target("x[a.b=c]"), target("vertical")];
        let expected = ["r/vertical", "r/x-a.b-c", "r/vertical-2"].map(PathBuf::from);
        assert_eq!(folders(&all, Path::new("r")), expected);
    }
}
