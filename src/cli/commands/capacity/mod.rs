//! `brunt capacity TARGET…`: the highest rate that still meets the objectives, and what to buy for
//! an audience. The targets are searched, or folders of earlier searches are read again.

mod dry_run;
mod typed;

use super::output;
use crate::analysis::capacity::{Answer, CapacityReport, Search, size};
use crate::audience::Forecast;
use crate::cli::args::Common;
use crate::cli::{exit, options};
use crate::gate::{self, Verdict};
use crate::profile::Profile;
use crate::study::{self, Capacities, CapacityOptions, RunOptions};
use crate::target::Target;
use crate::{profile, report, target};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, value_parser};
use std::path::{Path, PathBuf};

/// Units that differ by less are the same.
const UNIT_OFF: f64 = 0.01;
const ANSWER: &str = "capacity.json";
/// The audience as a profile.
const PROFILE: &str = "audience.toml";
const MIXED: &str = "give either targets or folders of earlier searches, not both";

#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Targets: files, names in targets/, variants like 'horizontal[server.app.count=2]', or URLs;
    /// or folders of earlier searches. Several sizes of one target tell how it scales
    #[arg(required_unless_present = "audience")]
    pub targets: Vec<String>,
    /// What must hold: 'response_time: p(99)<200ms', 'errors: rate<0.01', 'in_time: rate>0.99'
    /// (repeatable) [default: in_time: rate>0.99]
    #[arg(long, value_name = "EXPR")]
    pub objective: Vec<String>,
    /// The first rate [default: a quarter of what its CPU can do, or 10/s]
    #[arg(long, value_name = "RATE")]
    pub from: Option<String>,
    /// No rate above this [default: 1M/s]
    #[arg(long, value_name = "RATE")]
    pub to: Option<String>,
    /// The search ends when the rate that holds and the rate that fails are this close [default: 5%]
    #[arg(long, value_name = "PERCENT")]
    pub precision: Option<String>,
    /// How long one trial measures; a confirmation takes twice as long, a recovery three times, at
    /// least 10s [default: 20s]
    #[arg(long, value_name = "TIME")]
    pub trial: Option<String>,
    /// Trials in which the rate found must hold [default: 3]
    #[arg(long, value_name = "N")]
    pub confirm: Option<usize>,
    /// Search again with this in force: a fault of the profile by its name, or who is lost, like
    /// server:app-1 or app-1
    #[arg(long, value_name = "FAULT")]
    pub with_fault: Option<String>,
    /// Size it for an audience, every assumption a key: 'feed[views=3M,click=1%]' for views over
    /// days, 'live[viewers=1M]' for people who watch at once, 'drop[visitors=100k,within=1m]'
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: Option<String>,
    /// Servers that may be lost at the same time, when sizing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(0..=1000))]
    pub lose: u32,
    /// What an hour costs: 0.02 for a unit of CPU, app=0.05 for a server of a group (repeatable)
    #[arg(long, value_name = "PRICE")]
    pub price: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(args: &CapacityArgs) -> Result<u8> {
    let common = &args.common;
    options::check_common(common)?;
    let forecast = args.audience.as_ref().map(|text| forecast(text)).transpose()?;
    let prices = typed::prices(&args.price)?;
    let profile = profile::load(&common.profile)?;
    let written = forecast.as_ref().map(|f| audience_profile(&common.profile, f)).transpose()?;
    let stored: Vec<PathBuf> =
        args.targets.iter().map(PathBuf::from).filter(|p| holds_answer(p)).collect();
    if common.dry_run {
        output::say(&dry_run::text(args, &profile, &stored)?)?;
        return Ok(exit::PASS);
    }
    let (mut answer, found, folder) = match (args.targets.len(), stored.len()) {
        (0, _) => (CapacityReport::new(&profile.name, common.seed, vec![], vec![]), None, None),
        (_, 0) => {
            let (answer, found, folder) = search(args, &profile)?;
            (answer, Some(found), Some(folder))
        }
        (n, m) if n == m => (read_again(args, &profile, &stored)?, None, None),
        _ => bail!(MIXED),
    };
    if let Some(forecast) = &forecast {
        answer.sizing = Some(size(forecast, args.lose, &answer.answers, &prices));
    }
    let verdict = match args.targets.is_empty() {
        true => Verdict::Pass,
        false => gate::judge_capacity(&mut answer),
    };
    let folder = match (folder, &written) {
        (Some(folder), _) => Some(folder),
        (None, Some(_)) => Some(new_folder(common, "audience")?),
        (None, None) => common.out.clone().map(|_| new_folder(common, "again")).transpose()?,
    };
    let trials = found.as_ref().map_or(&[][..], |f| &f.trials);
    if let Some(folder) = &folder {
        output::write_capacity(folder, &answer, trials)?;
    }
    let profile_path = match (&folder, &written) {
        (Some(folder), Some(text)) => Some(output::write(folder, PROFILE, text)?),
        _ => None,
    };
    match common.json {
        true => output::say(&report::capacity_json(&answer))?,
        false => {
            let records = found.as_ref().and(folder.as_deref()).map(shown);
            let text = report::capacity_text(&answer, records.as_deref(), profile_path.as_deref());
            output::say(&text)?;
        }
    }
    let of_end = found.and_then(|f| super::code_of(&f.end));
    Ok(of_end.unwrap_or(gate::capacity_exit_code(verdict)))
}

fn search(args: &CapacityArgs, profile: &Profile) -> Result<(CapacityReport, Capacities, PathBuf)> {
    let common = &args.common;
    let run = super::run_options(common.threads, common.i_own_these);
    let (targets, mut options) = asked(args, profile, run)?;
    let mut watcher = super::watcher(common.quiet, false, common.dashboard)?;
    let folder = new_folder(common, &study::folder_name(&targets[0].name))?;
    options.folder.clone_from(&folder);
    let found = study::capacity(&targets, profile, &options, watcher.as_mut());
    drop(watcher);
    // What was refused before its first trial leaves no folder; one with a record stays.
    let mut found = found.inspect_err(|_| drop(std::fs::remove_dir(&folder)))?;
    let expressions = options.objectives.iter().map(|o| o.expression.clone()).collect();
    let answers = std::mem::take(&mut found.answers);
    let answer = CapacityReport::new(&profile.name, common.seed, expressions, answers);
    Ok((answer, found, folder))
}

/// What is searched, and how; without the folder, which is made when nothing is wrong.
fn asked(
    args: &CapacityArgs,
    profile: &Profile,
    run: RunOptions,
) -> Result<(Vec<Target>, CapacityOptions)> {
    let objectives = typed::objectives(args)?;
    let search = typed::search(args)?;
    let from = args.from.as_ref().map(|text| typed::rate("--from", text)).transpose()?;
    Search { first_per_s: from.unwrap_or(search.first_per_s), ..search.clone() }
        .check()
        .map_err(|e| anyhow!("--from, --to, --precision: {e}"))?;
    let fault = args.with_fault.as_ref().map(|text| typed::fault(text, profile)).transpose()?;
    let targets =
        args.targets.iter().map(|name| target::load(name)).collect::<Result<Vec<Target>, _>>()?;
    let options = CapacityOptions {
        seed: args.common.seed,
        run,
        folder: PathBuf::new(),
        first_per_s: from,
        search,
        objectives,
        fault,
    };
    Ok((targets, options))
}

fn new_folder(common: &Common, subject: &str) -> Result<PathBuf> {
    options::new_folder(common.out.as_ref(), subject, "capacity")
}

fn shown(folder: &Path) -> String {
    folder.display().to_string()
}

/// Whether a search has left its answer in a folder.
pub fn holds_answer(folder: &Path) -> bool {
    folder.join(ANSWER).exists()
}

/// What a search has left in a folder.
pub fn stored_answer(folder: &Path) -> Result<CapacityReport> {
    let path = folder.join(ANSWER);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no answer of this brunt", path.display()))
}

/// The answers of earlier searches, of which nothing is asked that they were not searched for.
fn read_again(
    args: &CapacityArgs,
    profile: &Profile,
    folders: &[PathBuf],
) -> Result<CapacityReport> {
    let report = read_all(folders)?;
    typed::refuse_of_stored(args, profile, &report)
        .with_context(|| format!("{} is only read again", folders[0].display()))?;
    Ok(report)
}

/// The answers of earlier searches together; they must have looked for the same.
fn read_all(folders: &[PathBuf]) -> Result<CapacityReport> {
    let all = folders.iter().map(|f| stored_answer(f)).collect::<Result<Vec<_>>>()?;
    let first = &all[0];
    for (other, folder) in all.iter().zip(folders).skip(1) {
        let differ = |text: String| {
            Err(anyhow!(
                "{} and {}: {text}, so they are no sizes of one; search them in one command",
                folders[0].display(),
                folder.display()
            ))
        };
        if (&other.profile, &other.objectives) != (&first.profile, &first.objectives) {
            return differ(format!(
                "one was searched for {} with the profile {}, the other for {} with {}",
                first.objectives.join(", "),
                first.profile,
                other.objectives.join(", "),
                other.profile
            ));
        }
        let (a, b) = (unit_cores(first), unit_cores(other));
        if (a - b).abs() > UNIT_OFF * a {
            return differ(format!(
                "a unit of CPU was {a:.3} cores in one and {b:.3} in the other"
            ));
        }
    }
    let (profile, seed, objectives) = (first.profile.clone(), first.seed, first.objectives.clone());
    let answers: Vec<Answer> = all.into_iter().flat_map(|report| report.answers).collect();
    Ok(CapacityReport::new(&profile, seed, objectives, answers))
}

fn unit_cores(report: &CapacityReport) -> f64 {
    report.answers.iter().find_map(|a| a.unit_cores).unwrap_or(0.0)
}

fn forecast(text: &str) -> Result<Forecast> {
    Forecast::parse(text).map_err(|problem| anyhow!("--audience {text}: {problem}"))
}

/// The audience on top of the profile whose mix it has: a name of the library, or a file.
fn audience_profile(base: &str, forecast: &Forecast) -> Result<String> {
    let named = match Path::new(base).canonicalize() {
        Ok(file) if file.is_file() => file.display().to_string(),
        _ => base.to_string(),
    };
    let text = profile::of_audience(&named, forecast);
    profile::read(PROFILE, &text, &[]).map_err(|error| {
        anyhow!("--profile {base}: an audience cannot be laid over it: {error}")
    })?;
    Ok(text)
}
