//! `brunt compare`

use super::output;
use crate::cli::args::CompareArgs;
use crate::cli::{exit, options};
use crate::study::{self, CompareOptions, Compared, LADDER, PairOptions};
use crate::target::Target;
use crate::{gate, plan, profile, report, target};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What pairs may take when nothing is said.
const BUDGET: &str = "5m";
const DEFAULT: [&str; 3] = ["garage", "vertical", "horizontal"];

pub fn run(args: &CompareArgs) -> Result<u8> {
    options::check_common(&args.common)?;
    if args.gate {
        return gate_pairs(args);
    }
    args.wanted.refuse_without("--gate")?;
    args.published.refuse_without_gate()?;
    let records: Vec<PathBuf> = args
        .targets
        .iter()
        .map(PathBuf::from)
        .filter(|p| p.join("manifest.json").exists())
        .collect();
    if args.common.dry_run {
        return explain(args, &records);
    }
    let (compared, folder) = match records.len() {
        0 => run_all(args)?,
        n if n == args.targets.len() => {
            let out = args.common.out.as_ref();
            let folder = out.map(|out| options::new_folder(Some(out), "", "")).transpose()?;
            (study::compare_stored(&records)?, folder)
        }
        _ => bail!("give either targets or folders of records, not both"),
    };
    if let Some(folder) = &folder {
        output::write_comparison(folder, &compared)?;
    }
    let page = folder.map(|f| f.join("report.html").display().to_string());
    match args.common.json {
        true => output::say_line(&report::compare_json(&compared.comparison, &compared.views()))?,
        false => output::say(&report::compare_text(&compared.comparison, page.as_deref()))?,
    }
    if let Some(code) = super::code_of_end(&compared.runs) {
        return Ok(code);
    }
    Ok(gate::compare_exit_code(&compared.comparison, false, false))
}

/// `brunt compare A B --gate`
fn gate_pairs(args: &CompareArgs) -> Result<u8> {
    let common = &args.common;
    let [a, b] = args.targets.as_slice() else {
        bail!(
            "--gate compares two targets, the old one first: brunt compare old.toml new.toml --gate"
        );
    };
    if [a, b].iter().any(|name| PathBuf::from(name).join("manifest.json").exists()) {
        bail!("--gate runs targets; of records say: brunt gate NEW --baseline OLD…");
    }
    let rule = args.wanted.rule(common.seed)?;
    let budget = options::time("--budget", args.budget.as_deref().unwrap_or(BUDGET))?;
    let profile = profile::load(&common.profile)?;
    let (a, b) = (target::load(a)?, target::load(b)?);
    let mut options = PairOptions {
        seed: common.seed,
        budget,
        rule,
        run: super::run_options(common.threads, common.i_own_these),
        folder: PathBuf::new(),
    };
    if common.dry_run {
        output::say(&study::explain_pairs(&a, &b, &profile, &options)?)?;
        return Ok(exit::PASS);
    }
    let mut watcher = super::watcher(common.quiet, false, common.dashboard)?;
    let mut outputs = args.published.open()?;
    let folder = options::new_folder(common.out.as_ref(), "gate", &profile.name)?;
    options.folder = folder.clone();
    let study = study::pairs(&a, &b, &profile, &options, watcher.as_mut())?;
    drop(watcher);
    let page = output::write_gate(&folder, &study.gated)?;
    let code = super::verdict::publish_pairs(&study.gated, Some(&page), &mut outputs, common.json)?;
    Ok(super::code_of(&study.end).unwrap_or(code))
}

/// `--dry-run`: each target's plan, as `brunt explain` tells it.
fn explain(args: &CompareArgs, records: &[PathBuf]) -> Result<u8> {
    if let Some(record) = records.first() {
        bail!("--dry-run: {} is a record; comparing it fires nothing", record.display());
    }
    let common = &args.common;
    let profile = profile::load(&common.profile)?;
    let texts: Vec<String> = study::plan_all(&targets(args)?, &profile, common.seed)?
        .iter()
        .map(plan::explain)
        .collect();
    output::say(&texts.join("\n"))?;
    Ok(exit::PASS)
}

fn targets(args: &CompareArgs) -> Result<Vec<Target>> {
    Ok(names(args).iter().map(|n| target::load(n)).collect::<Result<_, _>>()?)
}

fn run_all(args: &CompareArgs) -> Result<(Compared, Option<PathBuf>)> {
    let common = &args.common;
    let profile = profile::load(&common.profile)?;
    let targets = targets(args)?;
    let mut watcher = super::watcher(common.quiet, false, common.dashboard)?;
    let folder = options::new_folder(common.out.as_ref(), "compare", &profile.name)?;
    let options = CompareOptions {
        seed: common.seed,
        run: super::run_options(common.threads, common.i_own_these),
        folder: folder.clone(),
    };
    let compared = study::compare(&targets, &profile, &options, watcher.as_mut())?;
    Ok((compared, Some(folder)))
}

fn names(args: &CompareArgs) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect();
    match (args.ladder, args.targets.is_empty()) {
        (true, _) => own(&LADDER),
        (false, true) => own(&DEFAULT),
        (false, false) => args.targets.clone(),
    }
}
