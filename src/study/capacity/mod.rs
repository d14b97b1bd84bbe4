//! The highest rate that still meets the objectives: each step of the search is an ordinary short
//! run, and the next step is a pure function of those before (`analysis::capacity::next`).

mod trial;

use super::compare::folder_name;
use super::setup::{StudyError, prepare};
use super::single::{RunOptions, run_once};
use crate::analysis::Summary;
use crate::analysis::capacity::{
    Answer, BrokenBy, GroupSize, Outcome, Purpose, Search, ShareObjective, Step, Trial, TrialRow,
    next,
};
use crate::base::{Nanos, clock};
use crate::plan::{Plan, StartPlan};
use crate::profile::{ArrivalKind, Profile, ProfileFault};
use crate::run::{End, Watcher};
use crate::target::Target;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;
use trial::{Shape, Trials};

/// A search that is not told where to begin does so at this share of what arithmetic says …
const FIRST_SHARE: f64 = 0.25;
/// … or, where the cost of a request is not known, here.
const FIRST_PER_S: f64 = 10.0;

/// The wait for a target to catch up with a rate of which nothing is known.
const CATCH_UP_MAX: Nanos = Nanos::from_secs(60);
/// How often a wait between trials looks for a signal.
const SIGNAL_LOOK: Duration = Duration::from_millis(50);
/// Of a target's name in a folder's: a variant may have many keys, and the number tells them apart.
const NAME_MOST: usize = 60;

pub struct CapacityOptions {
    pub seed: u64,
    pub run: RunOptions,
    /// Holds a folder per search, with a record per trial.
    pub folder: PathBuf,
    /// Where each search begins; when `None`, from what the target should carry.
    pub first_per_s: Option<f64>,
    /// The rest of the settings.
    pub search: Search,
    pub objectives: Vec<ShareObjective>,
    /// Searched for a second time with this in force.
    pub fault: Option<ProfileFault>,
}

/// The answers, and what is left of the runs that they come from: their records are on disk.
pub struct Capacities {
    pub answers: Vec<Answer>,
    pub trials: Vec<(PathBuf, Summary)>,
    /// Of the last run.
    pub end: End,
}

/// Searches each target, whole first, then with the fault. An interruption or a guard ends it with
/// the answers that there are.
///
/// # Errors
/// When a target cannot be planned, started or carried through.
pub fn capacity(
    targets: &[Target],
    profile: &Profile,
    options: &CapacityOptions,
    watcher: &mut dyn Watcher,
) -> Result<Capacities, StudyError> {
    check(profile, options)?;
    let setup = prepare(&targets.iter().collect::<Vec<_>>(), Some(profile))?;
    let situations: &[bool] = if options.fault.is_some() { &[false, true] } else { &[false] };
    let mut found = Capacities { answers: Vec::new(), trials: Vec::new(), end: End::Complete };
    let searches = targets.iter().flat_map(|t| situations.iter().map(move |with| (t, *with)));
    for (index, (target, with_fault)) in searches.enumerate() {
        let trials = Trials { target, profile, setup: &setup, options, with_fault };
        // What cannot be planned is refused before anything runs.
        let expected = trials.expected_per_s()?;
        let search = search(options, expected);
        let folder = options.folder.join(search_folder(index, target, with_fault));
        let mut study = Study { trials, search, folder, watcher: &mut *watcher, rows: Vec::new() };
        let outcome = study.run(&mut found)?;
        let fault = options.fault.as_ref().filter(|_| with_fault).map(|f| f.name.clone());
        let rows = study.rows;
        let servers = sizes(target);
        let mut answer =
            Answer::new(target.name.clone(), fault, servers, outcome, rows, options.seed);
        answer.unit_cores = Some(setup.facts.unit_cores).filter(|cores| *cores > 0.0);
        answer.expected_per_s = expected.filter(|_| !with_fault);
        answer.doubts = doubts(&found.trials[found.trials.len() - answer.trials.len()..]);
        found.answers.push(answer);
        if found.end != End::Complete {
            break;
        }
    }
    Ok(found)
}

fn check(profile: &Profile, options: &CapacityOptions) -> Result<(), StudyError> {
    let refuse = |text: String| Err(StudyError::Refused(text));
    if profile.arrivals == ArrivalKind::Closed {
        return refuse(format!(
            "profile {}: a closed loop sends as fast as it is answered, so there is no rate to \
             search for; use arrivals = \"poisson\"",
            profile.name
        ));
    }
    for objective in &options.objectives {
        let known = || profile.request.iter().map(|r| r.name.as_str()).collect::<Vec<_>>();
        if let Some(name) = objective.request.as_ref().filter(|n| !known().contains(&n.as_str())) {
            return refuse(format!(
                "--objective {}: the profile {} has no request `{name}`, only {}",
                objective.expression,
                profile.name,
                known().join(", ")
            ));
        }
        if let BrokenBy::Later(limit) = objective.broken_by
            && limit >= profile.timeout
        {
            return refuse(format!(
                "--objective {}: visitors of the profile {} give up after {}, so nothing is ever \
                 later than that; use a shorter limit, or -p '{}[timeout=…]'",
                objective.expression, profile.name, profile.timeout, profile.name
            ));
        }
    }
    Ok(())
}

fn search(options: &CapacityOptions, expected: Option<f64>) -> Search {
    let first = options.first_per_s.or(expected.map(|rate| rate * FIRST_SHARE));
    let most = options.search.most_per_s;
    Search { first_per_s: first.unwrap_or(FIRST_PER_S).min(most), ..options.search.clone() }
}

/// `1-garage`, `2-garage-with-fault`.
fn search_folder(index: usize, target: &Target, with_fault: bool) -> String {
    let suffix = if with_fault { "-with-fault" } else { "" };
    let name: String = folder_name(&target.name).chars().take(NAME_MOST).collect();
    format!("{}-{}{suffix}", index + 1, name.trim_end_matches('-'))
}

fn sizes(target: &Target) -> Vec<GroupSize> {
    let groups = target.server.iter();
    groups
        .map(|(name, g)| GroupSize { group: name.clone(), count: g.count, units: g.units })
        .collect()
}

/// Each doubt that did not make its trial unbelievable, once.
fn doubts(trials: &[(PathBuf, Summary)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (folder, summary) in trials {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        for doubt in &summary.validity.doubts {
            let is_known = |text: &String| text.ends_with(&format!(": {}", doubt.seen));
            if !all.iter().any(is_known) {
                all.push(format!("{name}: {}", doubt.seen));
            }
        }
    }
    all
}

/// One search while it goes on.
struct Study<'a> {
    trials: Trials<'a>,
    search: Search,
    folder: PathBuf,
    watcher: &'a mut dyn Watcher,
    rows: Vec<TrialRow>,
}

impl Study<'_> {
    /// Until its end.
    fn run(&mut self, found: &mut Capacities) -> Result<Outcome, StudyError> {
        let mut history: Vec<Trial> = Vec::new();
        let mut asked_for = Nanos::ZERO;
        loop {
            let (shape, purpose) = match next(&self.search, &history) {
                Step::Measure { rate_per_s, seconds, purpose } => {
                    (Shape::Level { rate_per_s, seconds }, purpose)
                }
                Step::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s } => (
                    Shape::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s },
                    Purpose::Overload,
                ),
                Step::Done(outcome) => return Ok(outcome),
            };
            let n = history.len() as u64 + 1;
            self.say(n, &shape, purpose);
            let folder = self.folder.join(format!("trial-{n:02}"));
            let plan = self.trials.plan(&shape, n)?;
            if history.last().is_some_and(|trial| !trial.holds()) && runs_on(&plan) {
                let has_held = history.iter().any(Trial::holds);
                self.let_it_catch_up(if has_held { asked_for } else { CATCH_UP_MAX });
            }
            asked_for = plan.load.end();
            let ran = run_once(
                &plan,
                self.trials.setup,
                &self.trials.options.run,
                &folder,
                self.watcher,
            )?;
            if let Some(why) = ran.end.why() {
                let held = history.iter().filter(|t| t.flaw.is_none() && t.holds());
                let held_per_s = held.map(|t| t.rate_per_s).reduce(f64::max);
                found.end = ran.end;
                return Ok(Outcome::Stopped { why, held_per_s });
            }
            let row = self.trials.row(&ran, &shape, purpose, &name_of(&self.folder, &folder))?;
            self.conclude(&row.trial);
            history.push(row.trial.clone());
            self.rows.push(row);
            found.trials.push((ran.folder, ran.summary));
        }
    }

    /// A target that answers late rather than not at all still works on what the last trial asked of
    /// it. As rates double, that was at most twice what it can do once a rate has held, so it owes at
    /// most as much time again as it was asked for.
    fn let_it_catch_up(&mut self, lasts: Nanos) {
        let text = format!("  waiting for {lasts}: the target runs on, and may have to catch up");
        self.watcher.note(Nanos::ZERO, &text);
        let until = clock::now() + lasts;
        while clock::now() < until && self.trials.options.run.signal.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(SIGNAL_LOOK);
        }
    }

    fn say(&mut self, n: u64, shape: &Shape, purpose: Purpose) {
        let why = match purpose {
            Purpose::Grow => "doubling",
            Purpose::Again => "once more",
            Purpose::Narrow => "halving what is left",
            Purpose::Extend => "longer, because the last did not decide",
            Purpose::Confirm => "confirming",
            Purpose::Overload => "an overload, and does it come back?",
        };
        let fault = if self.trials.with_fault { ", with the fault" } else { "" };
        let target = &self.trials.target.name;
        let text = format!("{target}{fault}: trial {n}, {shape}: {why}");
        self.watcher.note(Nanos::ZERO, &text);
    }

    fn conclude(&mut self, trial: &Trial) {
        let text = match (&trial.flaw, trial.worst()) {
            (Some(flaw), _) => format!("not believed: {}", flaw.why()),
            (None, Some(worst)) => format!(
                "{}: {:.2} % of {} break {}, {:.2} % may",
                if trial.holds() { "holds" } else { "fails" },
                worst.share() * 100.0,
                worst.arrivals,
                worst.objective,
                worst.allowed * 100.0
            ),
            (None, None) => "nothing was measured".into(),
        };
        self.watcher.note(Nanos::ZERO, &format!("  {text}"));
    }
}

/// Whether a trial finds the target as the one before left it: brunt did not start it.
fn runs_on(plan: &Plan) -> bool {
    plan.nodes.is_empty() || plan.nodes.iter().any(|n| matches!(n.start, StartPlan::Attach(_)))
}

fn name_of(search: &Path, trial: &Path) -> String {
    let last = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{}/{}", last(search), last(trial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_brunt_does_not_start_is_waited_for() {
        let bundled = crate::analysis::testing::power_off_story().build().manifest.plan;
        assert!(!runs_on(&bundled));
        let url = Plan::of_load("t".into(), "p".into(), bundled.host, bundled.load);
        assert!(runs_on(&url));
    }

    #[test]
    fn a_search_begins_where_it_is_told_or_below_what_arithmetic_says() {
        let options = |first| CapacityOptions {
            seed: 1,
            run: RunOptions { workers: None, owns_these: false, signal: Default::default() },
            folder: PathBuf::new(),
            first_per_s: first,
            search: Search::from(1.0, 500.0),
            objectives: vec![],
            fault: None,
        };
        assert_eq!(search(&options(None), Some(100.0)).first_per_s, 25.0);
        assert_eq!(search(&options(Some(7.0)), Some(100.0)).first_per_s, 7.0);
        assert_eq!(search(&options(None), None).first_per_s, FIRST_PER_S);
        assert_eq!(search(&options(None), Some(1e6)).first_per_s, 500.0);
    }
}
