//! `brunt drill TARGET`

use super::output;
use crate::cli::args::DrillArgs;
use crate::cli::{exit, options};
use crate::profile::Profile;
use crate::study::{self, DRILL_PREFIX, DrillOptions};
use crate::{gate, profile, report, target};
use anyhow::{Result, bail};
use std::path::PathBuf;

pub fn run(args: &DrillArgs) -> Result<u8> {
    options::check_threads(args.threads)?;
    let profiles = profiles(&args.only)?;
    check_trials(args, profiles.len())?;
    let target = target::load(&args.target)?;
    let mut options = DrillOptions {
        seed: args.seed,
        trials: args.trials,
        run: super::run_options(args.threads, args.i_own_these),
        folder: PathBuf::new(),
    };
    if args.dry_run {
        output::say(&study::explain_drills(&target, &profiles, &options)?)?;
        return Ok(exit::PASS);
    }
    let mut watcher = super::watcher(args.quiet, false, args.dashboard)?;
    let subject = study::folder_name(&target.name);
    let folder = options::new_folder(args.out.as_ref(), &subject, "drill")?;
    options.folder = folder.clone();
    let drills = study::drill(&target, &profiles, &options, watcher.as_mut())?;
    drop(watcher);
    let page = output::write_drills(&folder, &drills)?;
    match args.json {
        true => output::say(&report::drill_json(&drills.card))?,
        false => output::say(&report::drill_text(&drills.card, Some(&page)))?,
    }
    let runs = drills.control.as_slice().iter().chain(&drills.runs);
    Ok(super::code_of_end(runs).unwrap_or(gate::drill_exit_code(drills.card.decision)))
}

/// The drills that were asked for, in that order, or all that there are.
fn profiles(only: &[String]) -> Result<Vec<Profile>> {
    let all: Vec<String> =
        profile::names().into_iter().filter(|name| name.starts_with(DRILL_PREFIX)).collect();
    let names = match only.is_empty() {
        true => all,
        false => only.iter().map(|name| named(name, &all)).collect(),
    };
    names.iter().map(|name| Ok(profile::load(name)?)).map(with_fault).collect()
}

/// `kill-leader` is the drill of that name; anything else is a profile.
fn named(name: &str, all: &[String]) -> String {
    let (bare, _) = name.split_once('[').unwrap_or((name, ""));
    match all.iter().any(|drill| drill.strip_prefix(DRILL_PREFIX) == Some(bare)) {
        true => format!("{DRILL_PREFIX}{name}"),
        false => name.to_string(),
    }
}

fn with_fault(profile: Result<Profile>) -> Result<Profile> {
    let profile = profile?;
    if profile.fault.is_empty() {
        bail!("profile {}: it has no `[[fault]]`, so it is no drill", profile.name);
    }
    Ok(profile)
}

fn check_trials(args: &DrillArgs, n_drills: usize) -> Result<()> {
    match args.trials {
        1 => Ok(()),
        0 | 101.. => bail!("--trials: use 1 to 100"),
        _ if n_drills != 1 => bail!("--trials: is of one drill; name it, like --only kill-leader"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drills_are_known_by_their_short_names_too() {
        let names = |only: &[&str]| -> Vec<String> {
            let only: Vec<String> = only.iter().map(|n| (*n).to_string()).collect();
            profiles(&only).unwrap().into_iter().map(|p| p.name).collect()
        };
        assert_eq!(names(&["kill-leader", "campaign"]), ["drill-kill-leader", "campaign"]);
        assert_eq!(names(&["kill-leader[in_time=1s]"]), ["drill-kill-leader[in_time=1s]"]);
        assert!(names(&[]).len() >= 9);
        let error = profiles(&["steps".into()]).unwrap_err().to_string();
        assert!(error.contains("no drill"), "{error}");
    }
}
