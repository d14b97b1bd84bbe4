//! `--dry-run`: what the searches would do, in words.

use super::{CapacityArgs, MIXED, asked, read_again};
use crate::analysis::capacity::Search;
use crate::base::Nanos;
use crate::cli::args::Common;
use crate::plan;
use crate::profile::Profile;
use crate::study::{self, CapacityOptions, Outline, RunOptions};
use anyhow::{Result, bail};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Nothing is run, and nothing is written.
pub fn text(args: &CapacityArgs, profile: &Profile, stored: &[PathBuf]) -> Result<String> {
    if args.targets.is_empty() {
        return Ok("nothing would be fired: an audience alone is arithmetic\n".into());
    }
    match stored.len() {
        0 => {}
        n if n == args.targets.len() => {
            read_again(args, profile, stored)?;
            return Ok(format!(
                "nothing would be fired: {} would be read again\n",
                args.targets.join(", ")
            ));
        }
        _ => bail!(MIXED),
    }
    let Common { threads, i_own_these, .. } = args.common;
    let run = RunOptions { workers: threads, owns_these: i_own_these, signal: Arc::default() };
    let (targets, options) = asked(args, profile, run)?;
    let outlines = study::outline(&targets, profile, &options)?;
    let mut out = String::new();
    outlines.iter().for_each(|outline| push(&mut out, outline, &options));
    let trials: usize = outlines.iter().map(|o| o.trials).sum();
    let takes = outlines.iter().fold(Nanos::ZERO, |sum, o| sum + o.takes);
    let _ = writeln!(out, "in all about {trials} trials, {}; nothing was fired", time(takes));
    Ok(out)
}

fn push(out: &mut String, outline: &Outline, options: &CapacityOptions) {
    let Search { most_per_s, precision, trial_s, confirmations, overload, .. } = &options.search;
    let with = outline.fault.as_ref().map_or(String::new(), |fault| format!(" with {fault}"));
    let objectives: Vec<&str> = options.objectives.iter().map(|o| o.expression.as_str()).collect();
    let should_it = match outline.expected_per_s {
        Some(rate) => format!("should it carry the {rate:.1}/s that arithmetic says"),
        None => "should it carry about ten times the first rate".into(),
    };
    let _ = writeln!(
        out,
        "a search for the capacity of {}{with}\n  \
         the first rate: {:.1}/s for {trial_s} s; then doubled until it fails, {most_per_s:.0}/s at most\n  \
         what must hold: {}\n  \
         the end: when what holds and what fails are {:.1} % apart; {confirmations} confirmations, and \
         an overload of {overload} times\n  \
         about {} trials, {}, {should_it}\n\n\
         its first trial: {}",
        outline.target,
        outline.first_per_s,
        objectives.join("   "),
        (precision - 1.0) * 100.0,
        outline.trials,
        time(outline.takes),
        plan::explain(&outline.plan),
    );
}

fn time(takes: Nanos) -> String {
    match takes.as_secs_f64() {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::capacity::CapacityReport;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn said(typed: &[&str]) -> String {
        let all = [&["brunt", "capacity", "--dry-run"], typed].concat();
        let Some(Command::Capacity(args)) = Cli::try_parse_from(all).unwrap().command else {
            panic!()
        };
        let profile = crate::profile::load(&args.common.profile).unwrap();
        let stored: Vec<PathBuf> = args
            .targets
            .iter()
            .map(PathBuf::from)
            .filter(|p| super::super::holds_answer(p))
            .collect();
        text(&args, &profile, &stored).unwrap()
    }

    #[test]
    fn the_searches_are_told_and_nothing_is_run() {
        // Nobody listens there: a request would fail the test's patience, a record would be a folder.
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let text = said(&["http://127.0.0.1:9/", "--trial", "10s", "--out", out.to_str().unwrap()]);
        for part in [
            "the first rate: 10.0/s for 10 s",
            "what must hold: in_time: rate>0.99",
            "5.0 % apart; 3 confirmations",
            "trials",
            "its first trial: 127.0.0.1 under campaign",
            "nothing was fired",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!out.exists());
    }

    #[test]
    fn what_fires_nothing_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let report = CapacityReport::new("campaign", 1, vec![], vec![]);
        let stored = crate::report::capacity_json(&report);
        std::fs::write(folder.path().join("capacity.json"), stored).unwrap();
        for typed in [["--audience", "shout-out"].as_slice(), &[folder.path().to_str().unwrap()]] {
            assert!(said(typed).starts_with("nothing would be fired"), "{typed:?}");
        }
    }
}
