//! `brunt gate RECORD`

use super::verdict;
use crate::analysis::{self, Summary};
use crate::cli::args::GateArgs;
use crate::cli::options;
use crate::gate::{self, HistoryGate, Stored};
use crate::objective::Threshold;
use crate::record::Record;
use crate::{report, study};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub fn run(args: &GateArgs) -> Result<u8> {
    let folder = &args.record;
    if !folder.join("manifest.json").exists() {
        return pairs(args);
    }
    if args.baseline.is_empty() {
        args.wanted.refuse_without("--baseline")?;
    }
    let rule = args.wanted.rule(1)?;
    let (mut record, _) = open(folder)?;
    record.manifest.plan.thresholds = thresholds(args, &record)?;
    let mut outputs = args.published.open()?;
    let summary = judged(folder, &record)?;
    let baselines = against(args, &record, &summary, &rule)?;
    let mut checks = report::checks_of_run(&summary);
    if let Some(baselines) = &baselines {
        checks = report::with_baselines(checks, baselines);
    }
    let text = match args.json {
        true => report::gated_run_json(&checks, &summary, baselines.as_ref()),
        false => report::checks_text(&checks),
    };
    verdict::publish(&checks, &text, &report::checks_markdown(&checks), &mut outputs)
}

/// A folder of pairs is judged by the rule that was asked for when they were run.
fn pairs(args: &GateArgs) -> Result<u8> {
    let folder = &args.record;
    if !study::holds_pairs(folder) {
        bail!(
            "{}: no record and no pairs are there (a record has a manifest.json, `brunt compare A B \
             --gate` leaves a summary.json)",
            folder.display()
        );
    }
    if !args.threshold.is_empty() || !args.baseline.is_empty() {
        bail!(
            "{}: pairs are judged by themselves, without --threshold and --baseline",
            folder.display()
        );
    }
    args.wanted.refuse_for_pairs()?;
    let mut outputs = args.published.open()?;
    verdict::publish_pairs(&study::stored_pairs(folder)?, None, &mut outputs, args.json)
}

fn open(folder: &Path) -> Result<(Record, String)> {
    let name = folder.display().to_string();
    let record =
        Record::open(folder).with_context(|| format!("{name}: the record cannot be read"))?;
    Ok((record, name))
}

/// What the run was asked, and what is asked now.
fn thresholds(args: &GateArgs, record: &Record) -> Result<Vec<String>> {
    let plan = &record.manifest.plan;
    let mut all = plan.thresholds.clone();
    for text in &args.threshold {
        options::check_threshold(text, plan)?;
        let parsed: Threshold = text.parse().map_err(|e| anyhow!("--threshold: {e}"))?;
        if !all.contains(&parsed.expression) {
            all.push(parsed.expression);
        }
    }
    Ok(all)
}

fn judged(folder: &Path, record: &Record) -> Result<Summary> {
    let mut summary = analysis::summarise(record);
    gate::judge_as_planned(&mut summary, record).with_context(|| folder.display().to_string())?;
    Ok(summary)
}

/// Each once, and not the record itself: `--baseline reports/*` has it too.
fn others<'a>(record: &Path, baselines: &'a [PathBuf]) -> Vec<&'a Path> {
    let known = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut seen = BTreeSet::from([known(record)]);
    baselines.iter().map(PathBuf::as_path).filter(|path| seen.insert(known(path))).collect()
}

fn against(
    args: &GateArgs,
    record: &Record,
    summary: &Summary,
    rule: &gate::GateRule,
) -> Result<Option<HistoryGate>> {
    if args.baseline.is_empty() {
        return Ok(None);
    }
    let mut old = Vec::new();
    for folder in others(&args.record, &args.baseline) {
        let (record, name) = open(folder)?;
        old.push((name, judged(folder, &record)?, record.manifest.plan));
    }
    let stored = old.iter().map(|(name, summary, plan)| Stored { name, summary, plan });
    let baselines: Vec<Stored<'_>> = stored.collect();
    let run = Stored { name: "the record", summary, plan: &record.manifest.plan };
    Ok(Some(gate::judge_history(run, &baselines, rule)?))
}
