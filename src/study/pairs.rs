//! Two targets in interleaved pairs of short runs, so that one job can say whether the second is
//! worse. Minutes and percent choose the pairs; `gate` decides, from the summaries alone.

use super::outlook::{Outlook, START_AND_END_S};
use super::setup::{Setup, StudyError, prepare};
use super::single::{RunOptions, holds_record, run_once, stored_runs, summary_of};
use crate::analysis::Summary;
use crate::analysis::stats::{PairBudget, PairPlan, PairRule, fewest_pairs, plan_pairs};
use crate::base::random::stream;
use crate::base::{Nanos, clock};
use crate::gate::{
    self, GATE_KIND, GateCase, GateRule, GatedPairs, Measure, Pair, judge_pair_runs, wants_another,
};
use crate::plan::{HostFacts, Plan, PlanError, compile, explain};
use crate::profile::Profile;
use crate::run::{End, Runs, StudyNow, Watcher};
use crate::target::Target;
use rand_xoshiro::rand_core::Rng;
use std::path::{Path, PathBuf};

/// Runs may be so many times as long as the profile says, where the budget allows it.
const LONGER: f64 = 3.0;
/// A budget may be passed by this: what one pair took is not what every pair takes.
const OVERRUN: f64 = 1.1;
/// By this it is never passed, whatever was planned.
const OVERRUN_MAX: f64 = 1.25;

pub struct PairOptions {
    pub seed: u64,
    pub budget: Nanos,
    pub rule: GateRule,
    pub run: RunOptions,
    /// Holds one record's folder per run.
    pub folder: PathBuf,
}

/// What became of it, and how its last run ended.
pub struct PairStudy {
    pub gated: GatedPairs,
    pub end: End,
    pub leftovers: Vec<String>,
}

/// Runs A and B in pairs, in an order that the seed draws, with one schedule.
///
/// # Errors
/// When the profile has faults, the budget is too short for a verdict, or a run cannot be planned,
/// started or carried through.
pub fn pairs(
    a: &Target,
    b: &Target,
    profile: &Profile,
    options: &PairOptions,
    watcher: &mut dyn Watcher,
) -> Result<PairStudy, StudyError> {
    let Prepared { setup, pairs: mut planned, profile, mut case } =
        prepared(a, b, profile, options)?;
    let started = clock::now();
    watcher.say(&announcement(&planned, &case));
    let mut history: Vec<(Summary, Summary)> = Vec::new();
    let mut end = End::Complete;
    let mut leftovers = Vec::new();
    let mut outlook = Outlook::default();
    while wants_another(planned.pairs, history.len(), believed(&history)) {
        let number = history.len() + 1;
        let both = plans(a, b, &profile, options, number, &setup)?;
        let mut sides: [Option<Summary>; 2] = [None, None];
        let so_far = judge_pair_runs(&as_pairs(&history), &options.rule).changes_so_far();
        for (nth, side) in order(options.seed, number).into_iter().enumerate() {
            let plan = &both[side];
            let run = 2 * history.len() + nth + 1;
            // One that may not be believed is made again.
            let all = 2 * (planned.pairs + history.len() - believed(&history));
            watcher.study(&StudyNow {
                run,
                runs: Runs::Known(all),
                what: format!("pair {number}, {} = {}", ["A", "B"][side], plan.target),
                so_far: so_far.clone(),
                after: outlook.of((run..all).map(|_| plan.load.end())),
            });
            let folder = options.folder.join(folder_name(number, side));
            outlook.begins();
            let ran = run_once(plan, &setup, &options.run, &folder, watcher)?;
            outlook.ended(plan.load.end());
            leftovers.extend(ran.leftovers);
            sides[side] = Some(ran.summary);
            if ran.end != End::Complete {
                end = ran.end;
                break;
            }
        }
        if let [Some(a), Some(b)] = sides {
            history.push((a, b));
        }
        if end != End::Complete {
            break;
        }
        let took = clock::now().saturating_sub(started);
        if history.len() == 1 {
            planned.pairs = affordable(options.budget, took.as_secs_f64(), planned.pairs)?;
        }
        if is_spent(options.budget, took, history.len()) {
            watcher.say("the budget is spent");
            break;
        }
    }
    case.took_s = clock::now().saturating_sub(started).as_secs_f64();
    let gate = judge_pair_runs(&as_pairs(&history), &options.rule);
    Ok(PairStudy { gated: GatedPairs::new(case, gate), end, leftovers })
}

/// What [`pairs`] would do, in words; nothing is run.
///
/// # Errors
/// As those of [`pairs`] before it runs anything.
pub fn explain_pairs(
    a: &Target,
    b: &Target,
    profile: &Profile,
    options: &PairOptions,
) -> Result<String, StudyError> {
    let Prepared { setup, pairs, profile, case } = prepared(a, b, profile, options)?;
    let [plan_a, plan_b] = plans(a, b, &profile, options, 1, &setup)?;
    Ok(format!(
        "{}, in an order that is drawn; it looks for changes of {:.0} %\n\nA: {}\nB: {}",
        announcement(&pairs, &case),
        options.rule.detect * 100.0,
        explain(&plan_a),
        explain(&plan_b)
    ))
}

/// Everything that is settled before the first run.
struct Prepared {
    setup: Setup,
    pairs: PairPlan,
    profile: Profile,
    case: GateCase,
}

fn prepared(
    a: &Target,
    b: &Target,
    profile: &Profile,
    options: &PairOptions,
) -> Result<Prepared, StudyError> {
    refuse_faults(profile)?;
    // B has A's schedule, so that their requests may cost differently: that is what is asked.
    let setup = prepare(&[a, b], None)?;
    let pairs = plan_pairs(budget(profile, options), options.rule.detect, rule(options))
        .map_err(|short| StudyError::Refused(format!("--budget: {short}")))?;
    let profile = stretched(profile, pairs.slice_s);
    let case = case(a, b, &profile, options, &setup)?;
    Ok(Prepared { setup, pairs, profile, case })
}

/// Judges the pairs that a study left in a folder again, by the rule that is stored with them.
///
/// # Errors
/// When the folder is not a study's, or one of its records cannot be read.
pub fn stored_pairs(folder: &Path) -> Result<GatedPairs, StudyError> {
    let stored = stored(folder)?;
    let mut history = Vec::new();
    for number in 1.. {
        let folders = [0, 1].map(|side| folder.join(folder_name(number, side)));
        if !folders.iter().all(|f| holds_record(f)) {
            break;
        }
        let [a, b] = folders.map(|folder| summary_of(&folder));
        history.push((a?, b?));
    }
    let gate = judge_pair_runs(&as_pairs(&history), &stored.gate.rule);
    Ok(GatedPairs::new(stored.case, gate))
}

/// What a study in a folder came to, as it is stored there.
///
/// # Errors
/// When the folder is not a study's.
pub fn stored_gate(folder: &Path) -> Result<GatedPairs, StudyError> {
    stored(folder)
}

/// The runs of a study whose records are in its folder, by the names of theirs, in their order.
///
/// # Errors
/// When one of them cannot be read.
pub fn runs_of_pairs(folder: &Path) -> Result<Vec<(String, Summary)>, StudyError> {
    let names = (1..).map(|number| [0, 1].map(|side| folder_name(number, side)));
    let there = |pair: &[String; 2]| pair.iter().any(|name| holds_record(&folder.join(name)));
    stored_runs(folder, names.take_while(there).flatten())
}

/// Whether a folder holds the pairs of a study.
pub fn holds_pairs(folder: &Path) -> bool {
    stored(folder).is_ok()
}

fn stored(folder: &Path) -> Result<GatedPairs, StudyError> {
    let path = folder.join("summary.json");
    let refuse = |why: String| StudyError::Refused(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| refuse(e.to_string()))?;
    let stored: GatedPairs = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    match stored.kind == GATE_KIND {
        true => Ok(stored),
        false => Err(refuse(format!("it is of a `{}`, not of a gate", stored.kind))),
    }
}

fn as_pairs(history: &[(Summary, Summary)]) -> Vec<Pair<'_>> {
    history.iter().enumerate().map(|(i, (a, b))| Pair { number: i + 1, a, b }).collect()
}

fn believed(history: &[(Summary, Summary)]) -> usize {
    let sound =
        |(a, b): &&(Summary, Summary)| [a, b].iter().all(|s| gate::unbelievable(s).is_none());
    history.iter().filter(sound).count()
}

/// `pair-03-b`.
fn folder_name(number: usize, side: usize) -> String {
    format!("pair-{number:02}-{}", ["a", "b"][side])
}

/// Which side runs first: a coin, so that what drifts hits both alike.
fn order(seed: u64, number: usize) -> [usize; 2] {
    match stream(seed, "pair-order", number as u64).next_u64() & 1 {
        0 => [0, 1],
        _ => [1, 0],
    }
}

fn refuse_faults(profile: &Profile) -> Result<(), StudyError> {
    match profile.fault.first() {
        None => Ok(()),
        Some(fault) => Err(StudyError::Refused(format!(
            "profile {} injects `{}`: a gate compares runs without faults; name another with -p \
             (default: gate)",
            profile.name, fault.name
        ))),
    }
}

fn rule(options: &PairOptions) -> PairRule {
    PairRule::new(options.seed)
}

fn measured_s(profile: &Profile) -> f64 {
    profile.phase.iter().filter(|p| p.measured).map(|p| p.lasts.as_secs_f64()).sum()
}

fn budget(profile: &Profile, options: &PairOptions) -> PairBudget {
    let measured = measured_s(profile);
    let all: f64 = profile.phase.iter().map(|p| p.lasts.as_secs_f64()).sum();
    PairBudget {
        total_s: options.budget.as_secs_f64(),
        slice_s: (measured, measured * LONGER),
        overhead_s: all - measured + START_AND_END_S,
        metrics: Measure::USUAL,
        deviation: None,
    }
}

/// The profile with its measured phases as long as they may be, in whole tenths of a second.
fn stretched(profile: &Profile, slice_s: f64) -> Profile {
    let factor = (slice_s / measured_s(profile)).max(1.0);
    let mut longer = profile.clone();
    for phase in longer.phase.iter_mut().filter(|p| p.measured) {
        let tenths = (phase.lasts.as_secs_f64() * factor * 10.0).floor() as u64;
        phase.lasts = phase.lasts.max(Nanos::from_millis(tenths * 100));
    }
    longer
}

/// The plans of a pair: one seed, one schedule.
fn plans(
    a: &Target,
    b: &Target,
    profile: &Profile,
    options: &PairOptions,
    number: usize,
    setup: &Setup,
) -> Result<[Plan; 2], StudyError> {
    let seed = options.seed.wrapping_add(number as u64 - 1);
    Ok(compiled(a, b, profile, seed, &setup.facts)?)
}

fn compiled(
    a: &Target,
    b: &Target,
    profile: &Profile,
    seed: u64,
    facts: &HostFacts,
) -> Result<[Plan; 2], PlanError> {
    let plan_a = compile(a, profile, seed, facts)?;
    let mut plan_b = compile(b, profile, seed, facts)?;
    plan_b.load.phases.clone_from(&plan_a.load.phases);
    Ok([plan_a, plan_b])
}

/// Everything is planned once before anything runs, so that what cannot work is refused at once.
fn case(
    a: &Target,
    b: &Target,
    profile: &Profile,
    options: &PairOptions,
    setup: &Setup,
) -> Result<GateCase, StudyError> {
    let [plan, _] = plans(a, b, profile, options, 1, setup)?;
    let measured = plan.load.phases.iter().filter(|p| p.measured);
    let requests: f64 = measured
        .map(|p| 0.5 * (p.rate_from + p.rate_to) * p.end.saturating_sub(p.start).as_secs_f64())
        .sum();
    let measured_s = measured_s(profile);
    Ok(GateCase {
        a: a.name.clone(),
        b: b.name.clone(),
        profile: profile.name.clone(),
        measured_s,
        offered_per_s: (!plan.load.is_closed()).then_some(requests / measured_s),
        budget_s: options.budget.as_secs_f64(),
        took_s: 0.0,
    })
}

fn announcement(planned: &PairPlan, case: &GateCase) -> String {
    let rate = case.offered_per_s.map_or("a closed loop".into(), |rate| format!("{rate:.0}/s"));
    format!(
        "{} pairs of A = {} and B = {}, {:.1} s measured in each run, {rate}",
        planned.pairs, case.a, case.b, case.measured_s
    )
}

/// Whether another pair like those so far would pass the budget by too much.
fn is_spent(budget: Nanos, took: Nanos, pairs: usize) -> bool {
    let one_more = took.as_secs_f64() * (pairs + 1) as f64 / pairs as f64;
    one_more > budget.as_secs_f64() * OVERRUN_MAX
}

/// How many pairs the budget buys now that one has shown what it takes.
fn affordable(budget: Nanos, pair_s: f64, planned: usize) -> Result<usize, StudyError> {
    let fewest = fewest_pairs(Measure::USUAL, crate::analysis::stats::paired::ALPHA);
    let buys = (budget.as_secs_f64() * OVERRUN / pair_s).floor() as usize;
    match buys >= fewest {
        true => Ok(planned.min(buys)),
        false => Err(StudyError::Refused(format!(
            "--budget: a pair of runs takes {pair_s:.0} s here and a verdict needs {fewest} pairs: \
             allow {}s",
            (pair_s * fewest as f64).ceil()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fifth more work a request.
    const DEARER: &str = "vertical[app.cost.feed=1800us,app.cost.video=1440us,app.cost.like=960us,\
        app.cost.comment=960us,app.cost.static=240us]";

    #[test]
    fn the_order_is_drawn_and_both_orders_come() {
        let first: Vec<usize> = (1..=40).map(|number| order(7, number)[0]).collect();
        let b_first = first.iter().sum::<usize>();
        assert!((10..=30).contains(&b_first), "{first:?}");
        assert_eq!(first, (1..=40).map(|number| order(7, number)[0]).collect::<Vec<_>>());
    }

    #[test]
    fn measured_phases_grow_and_the_warm_up_does_not() {
        let profile = crate::profile::load("gate").unwrap();
        let before = measured_s(&profile);
        let longer = stretched(&profile, before * 1.75);
        assert!((measured_s(&longer) - before * 1.75).abs() < 0.1);
        assert_eq!(longer.phase[0].lasts, profile.phase[0].lasts);
        assert_eq!(stretched(&profile, before * 0.5), profile, "never shorter than written");
    }

    #[test]
    fn a_profile_with_faults_is_refused() {
        let error = refuse_faults(&crate::profile::load("smoke").unwrap()).unwrap_err().to_string();
        assert!(error.contains("without faults"), "{error}");
        assert!(refuse_faults(&crate::profile::load("gate").unwrap()).is_ok());
    }

    #[test]
    fn one_pair_shows_what_the_budget_buys() {
        let minutes = |m: u64| Nanos::from_secs(60 * m);
        assert_eq!(affordable(minutes(5), 30.0, 9).unwrap(), 9);
        assert_eq!(affordable(minutes(5), 36.0, 12).unwrap(), 9);
        let error = affordable(minutes(5), 60.0, 9).unwrap_err().to_string();
        assert!(error.contains("8 pairs: allow 480s"), "{error}");
    }

    #[test]
    fn pairs_that_grow_longer_end_with_the_budget() {
        let seconds = Nanos::from_secs;
        assert!(!is_spent(seconds(300), seconds(30), 1));
        assert!(!is_spent(seconds(300), seconds(300), 8), "one more ends at 337 s");
        assert!(is_spent(seconds(300), seconds(340), 8));
    }

    #[test]
    fn b_gets_the_schedule_of_a() {
        let load = |name: &str| crate::target::load(name).unwrap();
        let (a, b) = (load("vertical"), load(DEARER));
        let profile = crate::profile::load("gate").unwrap();
        let facts = crate::plan::HostFacts {
            brunt_cpus: vec![0],
            stack_cpus: vec![1],
            unit_cores: 0.1,
            period: Nanos::from_millis(20),
            network: (1, 1),
            port: 17_170,
            ..crate::plan::HostFacts::default()
        };
        let [plan_a, plan_b] = compiled(&a, &b, &profile, 3, &facts).unwrap();
        assert_eq!((plan_a.seed, plan_b.seed), (3, 3));
        assert_eq!(plan_b.load.phases, plan_a.load.phases);
        let alone = compile(&b, &profile, 3, &facts).unwrap();
        assert_ne!(alone.load.phases, plan_a.load.phases, "its own rate would be lower");
    }
}
