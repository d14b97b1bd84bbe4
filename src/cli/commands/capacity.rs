//! `brunt capacity TARGET…`

use super::output;
use crate::analysis::capacity::{CapacityReport, SCHEMA, Search, ShareObjective};
use crate::base::Nanos;
use crate::base::units::parse_rate;
use crate::cli::args::Common;
use crate::cli::{options, signals};
use crate::fault::{FaultKind, OnLink, Selector};
use crate::gate::{self, Verdict};
use crate::objective::Threshold;
use crate::profile::{Profile, ProfileFault};
use crate::study::{self, CapacityOptions, RunOptions};
use crate::target::Target;
use crate::{profile, report, target};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

/// No generator of one machine goes beyond; where this one ends, the search finds out.
const MOST: &str = "1M/s";

const DEFAULT_OBJECTIVE: &str = "in_time: rate>0.99";

#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Targets: files, names in targets/, variants like 'horizontal[server.app.count=2]', or URLs
    #[arg(required = true)]
    pub targets: Vec<String>,
    /// What must hold: 'response_time: p(99)<200ms', 'errors: rate<0.01', 'in_time: rate>0.99'
    /// (repeatable) [default: in_time: rate>0.99]
    #[arg(long, value_name = "EXPR")]
    pub objective: Vec<String>,
    /// The first rate [default: a quarter of what its CPU can do, or 10/s]
    #[arg(long, value_name = "RATE")]
    pub from: Option<String>,
    /// No rate above this
    #[arg(long, value_name = "RATE", default_value = MOST)]
    pub to: String,
    /// The search ends when the rate that holds and the rate that fails are this close
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub precision: String,
    /// How long one trial measures; a confirmation takes twice as long, a recovery three times
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub trial: String,
    /// Trials in which the rate found must hold
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub confirm: usize,
    /// Search again with this in force: a fault of the profile by its name, or who is lost, like
    /// server:app-1 or app-1
    #[arg(long, value_name = "FAULT")]
    pub with_fault: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(args: &CapacityArgs) -> Result<u8> {
    let common = &args.common;
    options::check_common(common)?;
    let profile = profile::load(&common.profile)?;
    let objectives = objectives(args)?;
    let search = search(args)?;
    let from = args.from.as_ref().map(|text| rate("--from", text)).transpose()?;
    Search { first_per_s: from.unwrap_or(search.first_per_s), ..search.clone() }
        .check()
        .map_err(|e| anyhow!("--from, --to, --precision: {e}"))?;
    let fault = args.with_fault.as_ref().map(|text| fault(text, &profile)).transpose()?;
    let targets =
        args.targets.iter().map(|name| target::load(name)).collect::<Result<Vec<Target>, _>>()?;
    let subject = study::folder_name(&targets[0].name);
    let folder = options::record_folder(common.out.as_ref(), &subject, "capacity")?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let options = CapacityOptions {
        seed: common.seed,
        run: RunOptions {
            workers: common.threads,
            owns_these: common.i_own_these,
            signal: signals::install(),
        },
        folder: folder.clone(),
        first_per_s: from,
        search,
        objectives,
        fault,
    };
    let found = {
        let mut watcher = super::watcher(common.quiet, false);
        study::capacity(&targets, &profile, &options, watcher.as_mut())?
    };
    let mut answer = CapacityReport {
        schema: SCHEMA,
        kind: "capacity".into(),
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        profile: profile.name.clone(),
        seed: common.seed,
        objectives: options.objectives.iter().map(|o| o.expression.clone()).collect(),
        answers: found.answers,
    };
    let verdict = gate::judge_capacity(&mut answer);
    output::write_capacity(&folder, &answer, &found.trials)?;
    match common.json {
        true => output::say(&report::capacity_json(&answer))?,
        false => {
            let folder = folder.display().to_string();
            output::say(&report::capacity_text(&answer, Some(&folder)))?;
        }
    }
    Ok(super::code_of(&found.end).unwrap_or(gate::capacity_exit_code(verdict)))
}

fn objectives(args: &CapacityArgs) -> Result<Vec<ShareObjective>> {
    let default = [DEFAULT_OBJECTIVE.to_string()];
    let texts: &[String] = if args.objective.is_empty() { &default } else { &args.objective };
    let all = texts.iter().map(|text| {
        let threshold: Threshold = text.parse().map_err(|e| anyhow!("--objective: {e}"))?;
        let objective = ShareObjective::try_from(&threshold)
            .map_err(|problem| anyhow!("--objective {text}: {problem}"))?;
        Ok(objective)
    });
    let all: Vec<ShareObjective> = all.collect::<Result<_>>()?;
    Ok(all)
}

fn search(args: &CapacityArgs) -> Result<Search> {
    let trial_s = options::time("--trial", &args.trial)?;
    if trial_s < Nanos::from_secs(1) || trial_s > Nanos::from_secs(3600) {
        bail!("--trial {}: use 1s to 1h", args.trial);
    }
    if args.confirm > 100 {
        bail!("--confirm: use 0 to 100");
    }
    let trial_s = trial_s.as_secs_f64();
    Ok(Search {
        precision: 1.0 + percent("--precision", &args.precision)?,
        trial_s,
        confirm_s: 2.0 * trial_s,
        confirmations: args.confirm,
        overload_s: trial_s,
        recover_within_s: 3.0 * trial_s,
        ..Search::from(1e-3, rate("--to", &args.to)?)
    })
}

fn rate(flag: &str, text: &str) -> Result<f64> {
    let rate = parse_rate(text).map_err(|e| anyhow!("{flag}: {e}"))?.0;
    if rate <= 0.0 {
        bail!("{flag} {text}: must be above 0");
    }
    Ok(rate)
}

/// `5%` as 0.05.
fn percent(flag: &str, text: &str) -> Result<f64> {
    let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    match number.filter(|p| *p > 0.0 && *p <= 100.0) {
        Some(percent) => Ok(percent / 100.0),
        None => bail!("{flag} {text}: write it as a percentage above 0, like 5%"),
    }
}

/// A fault of the profile, or the loss of what a selector names: a server loses its power, a
/// process is killed.
fn fault(text: &str, profile: &Profile) -> Result<ProfileFault> {
    if let Some(named) = profile.fault.iter().find(|f| f.name == text) {
        return Ok(named.clone());
    }
    let names = || match profile.fault.as_slice() {
        [] => "it has no faults".to_string(),
        faults => {
            let names: Vec<&str> = faults.iter().map(|f| f.name.as_str()).collect();
            format!("it has {}", names.join(", "))
        }
    };
    let on: Selector = text.parse().map_err(|e| {
        anyhow!(
            "--with-fault: `{text}` is no fault of the profile {} ({}), and {e}",
            profile.name,
            names()
        )
    })?;
    let kind = match on {
        Selector::ServerOf(_) => FaultKind::PowerOff,
        Selector::Link(..) => FaultKind::Partition { link: OnLink::default() },
        _ => FaultKind::Kill,
    };
    let name = format!("loss of {text}");
    Ok(ProfileFault::once(&name, &kind, on, Nanos::ZERO, Nanos::SECOND))
}
