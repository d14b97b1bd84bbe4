//! `brunt report RECORD`

use super::output;
use crate::cli::args::ReportArgs;
use crate::cli::exit;
use crate::record::Record;
use crate::{analysis, gate, report, study};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

pub fn run(args: &ReportArgs) -> Result<u8> {
    let folder = &args.record;
    if folder.join("manifest.json").exists() {
        return one(folder, args.json);
    }
    let runs = runs_inside(folder)?;
    if runs.is_empty() {
        bail!("{}: no record is there (a record has a manifest.json)", folder.display());
    }
    let compared = study::compare_stored(&runs)?;
    let page = output::write_comparison(folder, &compared)?;
    match args.json {
        true => output::say_line(&report::compare_json(&compared.comparison, &compared.views()))?,
        false => output::say(&report::compare_text(&compared.comparison, Some(&page)))?,
    }
    Ok(exit::PASS)
}

fn one(folder: &Path, json: bool) -> Result<u8> {
    let record = Record::open(folder)?;
    let mut summary = analysis::summarise(&record);
    gate::judge(&mut summary);
    let page = output::write_run(folder, &record, &summary)?;
    match json {
        true => output::say_line(&report::run_json(&summary))?,
        false => output::say(&report::run_text(&summary, Some(&page)))?,
    }
    Ok(exit::PASS)
}

/// Records inside a comparison's folder, in the order in which they were run.
fn runs_inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut runs: Vec<(u64, PathBuf)> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("manifest.json").exists())
        .filter_map(|p| Some((Record::open(&p).ok()?.manifest.started_wall_ns, p)))
        .collect();
    runs.sort();
    Ok(runs.into_iter().map(|(_, p)| p).collect())
}
