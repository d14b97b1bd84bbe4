//! The highest rate that still meets the objectives: each step of the search is an ordinary short
//! run, and the next step is a pure function of those before (`analysis::capacity::next`).

mod outline;
mod trial;

pub use outline::{Outline, outline};

use super::compare::folder_name;
use super::outlook::Outlook;
use super::setup::{Setup, StudyError, prepare};
use super::single::{RunOptions, run_once};
use crate::analysis::capacity::{
    Answer, BrokenBy, GroupSize, Outcome, Purpose, Search, ShareObjective, Step, Trial, TrialRow,
    bracket, next, rest,
};
use crate::analysis::{About, Summary};
use crate::base::{Nanos, clock};
use crate::plan::{Plan, StartPlan};
use crate::profile::{ArrivalKind, Profile, ProfileFault};
use crate::run::{End, Runs, StudyNow, Watcher};
use crate::target::Target;
use std::collections::BTreeSet;
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
    let setup = prepare(&targets.iter().collect::<Vec<_>>(), Some(profile))?;
    // What cannot be planned is refused before anything runs.
    let searches = planned(targets, profile, options, &setup)?;
    let mut found = Capacities { answers: Vec::new(), trials: Vec::new(), end: End::Complete };
    let mut outlook = Outlook::default();
    for (index, planned) in searches.iter().enumerate() {
        let Trials { target, with_fault, .. } = planned.trials;
        let later = searches[index + 1..].iter().flat_map(|planned| planned.rest(&[])).collect();
        let mut study = Study {
            planned,
            folder: options.folder.join(search_folder(index, target, with_fault)),
            later,
            outlook: &mut outlook,
            watcher: &mut *watcher,
            history: Vec::new(),
            rows: Vec::new(),
        };
        let outcome = study.run(&mut found)?;
        let fault = options.fault.as_ref().filter(|_| with_fault).map(|f| f.name.clone());
        let rows = study.rows;
        let servers = sizes(target);
        let mut answer =
            Answer::new(target.name.clone(), fault, servers, outcome, rows, options.seed);
        answer.unit_cores = Some(setup.facts.unit_cores).filter(|cores| *cores > 0.0);
        answer.expected_per_s = planned.expected_per_s.filter(|_| !with_fault);
        answer.doubts = doubts(&found.trials[found.trials.len() - answer.trials.len()..]);
        found.answers.push(answer);
        if found.end != End::Complete {
            break;
        }
    }
    Ok(found)
}

/// Every search before its first trial.
fn planned<'a>(
    targets: &'a [Target],
    profile: &'a Profile,
    options: &'a CapacityOptions,
    setup: &'a Setup,
) -> Result<Vec<Planned<'a>>, StudyError> {
    check(profile, options)?;
    let situations: &[bool] = if options.fault.is_some() { &[false, true] } else { &[false] };
    targets
        .iter()
        .flat_map(|target| situations.iter().map(move |with_fault| (target, *with_fault)))
        .map(|(target, with_fault)| {
            let trials = Trials { target, profile, setup, options, with_fault };
            let expected_per_s = trials.expected_per_s()?;
            let search = search(options, expected_per_s);
            Ok(Planned { trials, search, expected_per_s })
        })
        .collect()
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
        .map(|(name, g)| GroupSize {
            group: name.clone(),
            count: g.count,
            units: g.units,
            cores: g.cores,
        })
        .collect()
}

/// What made a trial doubtful and not unbelievable, each kind once: of which trial, in its words, and
/// in how many others.
fn doubts(trials: &[(PathBuf, Summary)]) -> Vec<String> {
    let mut kinds: Vec<(About, String, usize)> = Vec::new();
    for (folder, summary) in trials {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let mut of_trial = BTreeSet::new();
        for doubt in &summary.validity.doubts {
            if !of_trial.insert(doubt.about) {
                continue;
            }
            match kinds.iter_mut().find(|(about, ..)| *about == doubt.about) {
                Some((.., others)) => *others += 1,
                None => kinds.push((doubt.about, format!("{name}: {}", doubt.seen), 0)),
            }
        }
    }
    let text = |(_, first, others): (About, String, usize)| match others {
        0 => first,
        1 => format!("{first}; one more trial was doubtful for such a reason"),
        n => format!("{first}; {n} more trials were doubtful for such a reason"),
    };
    kinds.into_iter().map(text).collect()
}

/// A search before its first trial.
struct Planned<'a> {
    trials: Trials<'a>,
    search: Search,
    /// By arithmetic; `None` when the cost of a request is not known.
    expected_per_s: Option<f64>,
}

impl Planned<'_> {
    /// How long the load of each trial will last that is still to come, as far as can be told.
    fn rest(&self, history: &[Trial]) -> Vec<Nanos> {
        let steps = rest(&self.search, history, self.expected_per_s);
        let load = |step: &Step| trial_of(step).map(|(shape, _)| self.trials.lasts(&shape));
        steps.iter().filter_map(load).collect()
    }
}

/// What is run for a step; `None` for the end.
fn trial_of(step: &Step) -> Option<(Shape, Purpose)> {
    Some(match *step {
        Step::Measure { rate_per_s, seconds, purpose } => {
            (Shape::Level { rate_per_s, seconds }, purpose)
        }
        Step::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s } => (
            Shape::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s },
            Purpose::Overload,
        ),
        Step::Done(_) => return None,
    })
}

/// One search while it goes on.
struct Study<'a> {
    planned: &'a Planned<'a>,
    folder: PathBuf,
    /// The loads of the searches after it.
    later: Vec<Nanos>,
    outlook: &'a mut Outlook,
    watcher: &'a mut dyn Watcher,
    history: Vec<Trial>,
    rows: Vec<TrialRow>,
}

impl Study<'_> {
    /// Until its end.
    fn run(&mut self, found: &mut Capacities) -> Result<Outcome, StudyError> {
        let trials = &self.planned.trials;
        let mut asked_for = Nanos::ZERO;
        loop {
            let step = next(&self.planned.search, &self.history);
            let Some((shape, purpose)) = trial_of(&step) else {
                let Step::Done(outcome) = step else { unreachable!("a trial or the end") };
                return Ok(outcome);
            };
            let n = self.history.len() as u64 + 1;
            let folder = self.folder.join(format!("trial-{n:02}"));
            let plan = trials.plan(&shape, n)?;
            if self.history.last().is_some_and(|trial| !trial.holds()) && runs_on(&plan) {
                let has_held = self.history.iter().any(Trial::holds);
                self.let_it_catch_up(if has_held { asked_for } else { CATCH_UP_MAX });
            }
            asked_for = plan.load.end();
            self.tell(found.trials.len(), &shape, purpose);
            self.outlook.begins();
            let ran = run_once(&plan, trials.setup, &trials.options.run, &folder, self.watcher)?;
            self.outlook.ended(plan.load.end());
            if let Some(why) = ran.end.why() {
                let (held_per_s, _) = bracket(&self.planned.search, &self.history);
                found.end = ran.end;
                return Ok(Outcome::Stopped { why, held_per_s });
            }
            let row = trials.row(&ran, &shape, purpose, &name_of(&self.folder, &folder))?;
            self.conclude(&row.trial);
            self.history.push(row.trial.clone());
            self.rows.push(row);
            found.trials.push((ran.folder, ran.summary));
        }
    }

    /// A target that answers late rather than not at all still works on what the last trial asked of
    /// it. As rates double, that was at most twice what it can do once a rate has held, so it owes at
    /// most as much time again as it was asked for.
    fn let_it_catch_up(&mut self, lasts: Nanos) {
        let text = format!("  waiting for {lasts}: the target runs on, and may have to catch up");
        self.watcher.say(&text);
        let until = clock::now() + lasts;
        let signal = &self.planned.trials.options.run.signal;
        while clock::now() < until && signal.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(SIGNAL_LOOK);
        }
    }

    /// Of the trial that begins, after so many of this command.
    fn tell(&mut self, before: usize, shape: &Shape, purpose: Purpose) {
        let why = match purpose {
            Purpose::Grow => "doubling",
            Purpose::Again => "once more",
            Purpose::Narrow => "halving what is left",
            Purpose::Extend => "longer, because the last did not decide",
            Purpose::Confirm => "confirming",
            Purpose::Overload => "an overload, and does it come back?",
        };
        let trials = &self.planned.trials;
        let fault = if trials.with_fault { ", with the fault" } else { "" };
        let rest = self.planned.rest(&self.history);
        let later = rest.iter().skip(1).chain(&self.later);
        let now = StudyNow {
            run: before + 1,
            runs: Runs::About(before + 1 + later.clone().count()),
            what: format!("{}{fault}, {shape}: {why}", trials.target.name),
            so_far: self.so_far(),
            after: self.outlook.of(later.copied()),
        };
        self.watcher.study(&now);
    }

    /// `254.2/s holds`, `1016.9/s fails`: between them lies what is looked for.
    fn so_far(&self) -> Vec<String> {
        let (low, high) = bracket(&self.planned.search, &self.history);
        let text = |rate: Option<f64>, what| rate.map(|rate| format!("{rate:.1}/s {what}"));
        text(low, "holds").into_iter().chain(text(high, "fails")).collect()
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
        self.watcher.say(&format!("  {text}"));
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
    fn a_size_is_in_units_or_in_cores() {
        let mut target = crate::target::load("garage").unwrap();
        target.server.values_mut().for_each(|g| (g.units, g.cores) = (None, Some(1.5)));
        let seen = sizes(&target);
        assert_eq!((seen[0].units, seen[0].cores), (None, Some(1.5)));
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
