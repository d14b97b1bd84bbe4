//! All drills that fit a target, after one run without any fault, and the card that they make.

use super::outlook::Outlook;
use super::setup::{Setup, StudyError, prepare};
use super::single::{Ran, RunOptions, run_undisturbed};
use crate::analysis;
use crate::analysis::drill::{DrillCard, DrillOutcome, Drilled, drill_card};
use crate::base::Nanos;
use crate::gate;
use crate::plan::{Plan, PlanError, compile};
use crate::profile::Profile;
use crate::run::{End, Runs, StudyNow, Watcher};
use crate::target::Target;
use std::path::PathBuf;

/// Profiles of this name are drills; the rest of it is what they are called.
pub const PREFIX: &str = "drill-";
/// The folder of the run without faults.
const CONTROL: &str = "control";

pub struct DrillOptions {
    pub seed: u64,
    /// Runs of each drill, each with the next seed: a fault falls elsewhere in each.
    pub trials: u32,
    pub run: RunOptions,
    /// Holds one record's folder per run, and the card.
    pub folder: PathBuf,
}

/// A drill before it is run: the plan of each trial, or why there is none.
struct Drill {
    name: String,
    about: String,
    plans: Result<Vec<Plan>, String>,
    runs: Vec<Ran>,
    /// Why not all of its runs were made.
    stopped: Option<String>,
}

/// The runs, and the card that they make.
pub struct Drills {
    pub control: Option<Ran>,
    pub runs: Vec<Ran>,
    pub card: DrillCard,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Control,
    /// A drill, and which of its trials.
    Trial(usize, usize),
    /// Nothing more, and why it is not everything.
    Stop(String),
    Done,
}

/// What is known of a run when the next one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Sound,
    /// The steady state did not hold, or the measurement may not be believed.
    Unsound,
    EndedEarly,
}

/// Runs the control run, then each drill. An interruption or a guard ends it with the runs that
/// there are.
///
/// # Errors
/// When a drill cannot be planned for another reason than that the target lacks what it is about,
/// or a run cannot be started or carried through.
pub fn drill(
    target: &Target,
    profiles: &[Profile],
    options: &DrillOptions,
    watcher: &mut dyn Watcher,
) -> Result<Drills, StudyError> {
    let Prepared { setup, control: control_plan, mut drills } =
        prepared(target, profiles, options)?;
    let loads = loads(control_plan.as_ref(), &drills);
    let mut control = None;
    let counts: Vec<usize> = drills.iter().map(|d| d.plans.as_ref().map_or(0, Vec::len)).collect();
    let mut outlook = Outlook::default();
    let mut so_far = Vec::new();
    let mut history = Vec::new();
    loop {
        let n = history.len() + 1;
        let mut begins = |outlook: &mut Outlook, so_far: &[String], what: String| {
            watcher.study(&StudyNow {
                run: n,
                runs: Runs::Known(loads.len()),
                what,
                so_far: so_far.to_vec(),
                after: outlook.of(loads[n..].iter().copied()),
            });
            outlook.begins();
        };
        match next(&counts, &history) {
            Next::Control => {
                let Some(plan) = &control_plan else { break };
                begins(&mut outlook, &so_far, "no fault, to see what happens anyway".into());
                let folder = options.folder.join(CONTROL);
                let ran = run_undisturbed(plan, &setup, &options.run, &folder, watcher)?;
                outlook.ended(plan.load.end());
                so_far.push(told(CONTROL, &ran));
                history.push(seen(&ran));
                control = Some(ran);
            }
            Next::Trial(index, trial) => {
                let drill = &mut drills[index];
                let plan = &drill.plans.as_ref().expect("only those that fit are chosen")[trial];
                let of_trials = match counts[index] {
                    1 => String::new(),
                    n => format!(", trial {} of {n}", trial + 1),
                };
                let what = format!("{}{of_trials}: {}", drill.name, drill.about);
                begins(&mut outlook, &so_far, what);
                let folder = folder_of(options, &drill.name, trial, counts[index]);
                let ran = run_undisturbed(plan, &setup, &options.run, &folder, watcher)?;
                outlook.ended(plan.load.end());
                so_far.push(told(&drill.name, &ran));
                history.push(seen(&ran));
                drill.runs.push(ran);
            }
            Next::Stop(why) => {
                for drill in drills.iter_mut().filter(|d| d.plans.is_ok()) {
                    drill.stopped = Some(why.clone());
                }
                break;
            }
            Next::Done => break,
        }
    }
    let card = card(control.as_ref(), &drills);
    let runs = drills.into_iter().flat_map(|d| d.runs).collect();
    Ok(Drills { control, runs, card })
}

/// What [`drill`] would do, in words; nothing is run.
///
/// # Errors
/// As those of [`drill`] before it runs anything.
pub fn explain_drills(
    target: &Target,
    profiles: &[Profile],
    options: &DrillOptions,
) -> Result<String, StudyError> {
    let Prepared { control, drills, .. } = prepared(target, profiles, options)?;
    let loads = loads(control.as_ref(), &drills);
    let minutes = Outlook::default().of(loads.iter().copied()).as_secs_f64() / 60.0;
    let mut text = format!(
        "{} runs of {}, about {minutes:.0} min: one without any fault, then\n",
        loads.len(),
        target.name
    );
    for Drill { name, about, plans, .. } in &drills {
        let line = match plans {
            Ok(plans) => {
                let times =
                    if plans.len() == 1 { String::new() } else { format!("{} × ", plans.len()) };
                let lasts = plans.first().map_or(0.0, |plan| plan.load.end().as_secs_f64());
                format!("{about} ({times}{lasts:.0} s)")
            }
            Err(why) => format!("does not fit: {why}"),
        };
        text += &format!("  {name:<16} {line}\n");
    }
    text +=
        &format!("each of them in words: brunt run {} -p {PREFIX}NAME --dry-run\n", target.name);
    Ok(text)
}

/// Everything that is settled before the first run.
struct Prepared {
    setup: Setup,
    control: Option<Plan>,
    drills: Vec<Drill>,
}

fn prepared(
    target: &Target,
    profiles: &[Profile],
    options: &DrillOptions,
) -> Result<Prepared, StudyError> {
    let setup = prepare(&[target], profiles.first())?;
    let drills = profiles
        .iter()
        .map(|profile| plan(target, profile, options, &setup))
        .collect::<Result<Vec<_>, _>>()?;
    let control = control(target, profiles, &drills, options.seed, &setup)?;
    Ok(Prepared { setup, control, drills })
}

/// How long the load of each run lasts, in their order.
fn loads(control: Option<&Plan>, drills: &[Drill]) -> Vec<Nanos> {
    let plans = drills.iter().flat_map(|d| d.plans.iter().flatten());
    control.into_iter().chain(plans).map(|plan| plan.load.end()).collect()
}

/// The next run, from how many trials each drill has and what became of the runs so far.
fn next(counts: &[usize], history: &[Seen]) -> Next {
    if history.last() == Some(&Seen::EndedEarly) {
        return Next::Stop("the run before it was ended early".into());
    }
    match history.first() {
        None => return Next::Control,
        Some(Seen::Unsound) => {
            return Next::Stop("the run without faults may not be believed".into());
        }
        Some(_) => {}
    }
    let mut before = 1;
    for (index, count) in counts.iter().enumerate() {
        if history.len() < before + count {
            return Next::Trial(index, history.len() - before);
        }
        before += count;
    }
    Next::Done
}

/// `kill-leader pass`: of its own thresholds and hypothesis, before the card is made.
fn told(name: &str, ran: &Ran) -> String {
    format!("{name} {}", ran.summary.verdict)
}

fn seen(ran: &Ran) -> Seen {
    match (&ran.end, ran.summary.verdict) {
        (End::Complete, gate::Verdict::Invalid) => Seen::Unsound,
        (End::Complete, _) => Seen::Sound,
        _ => Seen::EndedEarly,
    }
}

fn plan(
    target: &Target,
    profile: &Profile,
    options: &DrillOptions,
    setup: &Setup,
) -> Result<Drill, StudyError> {
    let seeds = options.seed..options.seed + u64::from(options.trials);
    let plans = seeds.map(|seed| compile(target, profile, seed, &setup.facts));
    let plans = match plans.collect::<Result<Vec<_>, _>>() {
        Ok(plans) => Ok(plans),
        Err(PlanError::FaultTarget { missing, .. }) => Err(format!("no {missing}")),
        Err(PlanError::Fault { problem, .. }) => Err(problem),
        Err(error @ PlanError::RelativeRate { .. }) => Err(error.to_string()),
        Err(other) => return Err(other.into()),
    };
    let name = profile.name.strip_prefix(PREFIX).unwrap_or(&profile.name).to_string();
    Ok(Drill { name, about: profile.about.clone(), plans, runs: Vec::new(), stopped: None })
}

/// The first drill that fits, without its fault; with what all of them need to be there, so that
/// what a proxy costs is in it too. `None` when none fits.
fn control(
    target: &Target,
    profiles: &[Profile],
    drills: &[Drill],
    seed: u64,
    setup: &Setup,
) -> Result<Option<Plan>, StudyError> {
    let fitting = || profiles.iter().zip(drills).filter(|(_, d)| d.plans.is_ok()).map(|(p, _)| p);
    let Some(first) = fitting().next() else { return Ok(None) };
    let mut all = first.clone();
    all.name = CONTROL.into();
    all.fault = fitting().flat_map(|p| p.fault.clone()).collect();
    Ok(Some(compile(target, &all, seed, &setup.facts)?.without_faults()))
}

fn folder_of(options: &DrillOptions, name: &str, trial: usize, trials: usize) -> PathBuf {
    match trials {
        1 => options.folder.join(name),
        _ => options.folder.join(format!("{name}-{}", trial + 1)),
    }
}

fn view_of(ran: &Ran) -> analysis::Run<'_> {
    analysis::Run { record: &ran.record, summary: &ran.summary }
}

fn card(control: Option<&Ran>, drills: &[Drill]) -> DrillCard {
    let drilled: Vec<Drilled<'_>> = drills
        .iter()
        .map(|drill| Drilled {
            name: &drill.name,
            about: &drill.about,
            outcome: match (&drill.plans, &drill.stopped) {
                (Err(why), _) => DrillOutcome::DoesNotFit(why),
                (Ok(_), Some(why)) if drill.runs.is_empty() => DrillOutcome::NotRun(why),
                (Ok(_), _) => DrillOutcome::Ran(drill.runs.iter().map(view_of).collect()),
            },
        })
        .collect();
    let mut card = drill_card(control.map(view_of).as_ref(), &drilled);
    gate::judge_drills(&mut card);
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_run_comes_first_then_each_trial_of_each_drill() {
        let counts = [2, 0, 1];
        let mut history = Vec::new();
        let mut order = Vec::new();
        loop {
            match next(&counts, &history) {
                Next::Done => break,
                other => order.push(other),
            }
            history.push(Seen::Sound);
        }
        let expected = [Next::Control, Next::Trial(0, 0), Next::Trial(0, 1), Next::Trial(2, 0)];
        assert_eq!(order, expected);
    }

    #[test]
    fn after_an_interruption_or_an_unsound_control_run_nothing_more_is_run() {
        let stops = |history: &[Seen]| matches!(next(&[1, 1], history), Next::Stop(_));
        assert!(stops(&[Seen::EndedEarly]));
        assert!(stops(&[Seen::Sound, Seen::EndedEarly]));
        assert!(stops(&[Seen::Unsound]));
        assert!(
            !stops(&[Seen::Sound, Seen::Unsound]),
            "one doubtful drill does not end the others"
        );
    }
}
