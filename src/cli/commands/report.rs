//! `brunt report RECORD`

use super::output;
use crate::analysis::drill::{DrillCard, KIND};
use crate::cli::args::ReportArgs;
use crate::cli::exit;
use crate::record::{Manifest, Record};
use crate::{analysis, gate, report, study};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

pub fn run(args: &ReportArgs) -> Result<u8> {
    let folder = &args.record;
    if folder.join("manifest.json").exists() {
        return one(folder, args.json);
    }
    if study::holds_pairs(folder) {
        return pairs(folder, args.json);
    }
    if super::capacity::holds_answer(folder) {
        return answer(folder, args.json);
    }
    match kind(folder).as_deref() {
        Some(KIND) => return drill(folder, args.json),
        None | Some("compare") => {}
        Some(other) => bail!(
            "{}: its summary.json is of a {other}, and cannot be read by this brunt; name one of the \
             records in it",
            folder.display()
        ),
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

/// What the pairs came to stands in their summary: `brunt gate` judges again, this shows it.
fn pairs(folder: &Path, json: bool) -> Result<u8> {
    let gated = study::stored_gate(folder)?;
    let page = output::write_gate_page(folder, &gated)?;
    match json {
        true => output::say(&report::gate_json(&gated))?,
        false => output::say(&report::gate_text(&gated, Some(&page)))?,
    }
    Ok(exit::PASS)
}

/// What was drilled stands on its card: which drills did not fit, and why, is in no record.
fn drill(folder: &Path, json: bool) -> Result<u8> {
    let path = folder.join("summary.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let card: DrillCard = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is no card of this brunt; each run can be rendered: brunt report {}/RUN",
            path.display(),
            folder.display()
        )
    })?;
    let page = output::write_drill_page(folder, &card)?;
    match json {
        true => output::say(&report::drill_json(&card))?,
        false => output::say(&report::drill_text(&card, Some(&page)))?,
    }
    Ok(exit::PASS)
}

/// What was searched stands in its answer.
fn answer(folder: &Path, json: bool) -> Result<u8> {
    let answer = super::capacity::stored_answer(folder)?;
    let page = output::write_capacity_page(folder, &answer)?;
    match json {
        true => output::say(&report::capacity_json(&answer))?,
        false => {
            let text = report::capacity_text(&answer, None, None);
            output::say(&format!("{text}report {page}\n"))?;
        }
    }
    Ok(exit::PASS)
}

fn one(folder: &Path, json: bool) -> Result<u8> {
    let record = Record::open(folder)?;
    let mut summary = analysis::summarise(&record);
    gate::judge_as_planned(&mut summary, &record).with_context(|| folder.display().to_string())?;
    let page = output::write_run(folder, &record, &summary)?;
    match json {
        true => output::say_line(&report::run_json(&summary))?,
        false => output::say(&report::run_text(&record, &summary, Some(&page)))?,
    }
    Ok(exit::PASS)
}

/// Records inside a comparison's folder, in the order in which they were run.
fn runs_inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let (mut runs, mut others) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry =
            entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let path = entry.path();
        if path.join("manifest.json").exists() {
            let record = Record::open(&path)
                .with_context(|| format!("{}: the record cannot be read", path.display()))?;
            runs.push((record.manifest, path));
        } else if path.is_dir() {
            others.push(path);
        }
    }
    runs.sort_by_key(|(manifest, _)| manifest.started_wall_ns);
    if !runs.is_empty() && kind(folder).is_none() {
        check_belong_together(folder, &runs, others.first())?;
    }
    Ok(runs.into_iter().map(|(_, path)| path).collect())
}

/// What has left its findings here: `compare`, `drill`, …
fn kind(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("summary.json")).ok()?;
    let summary = serde_json::from_str::<serde_json::Value>(&text).ok()?;
    summary["kind"].as_str().map(String::from)
}

/// Runs of one command have the same profile, seed and measured machine (the calibration differs
/// from command to command), and nothing else is in their folder.
fn check_belong_together(
    folder: &Path,
    runs: &[(Manifest, PathBuf)],
    other: Option<&PathBuf>,
) -> Result<()> {
    let refuse = |why: String| {
        bail!(
            "{}: not the folder of one comparison ({why}); name a record, or give the records to \
             `brunt compare`",
            folder.display()
        )
    };
    if let Some(other) = other {
        return refuse(format!("{} is no record", other.display()));
    }
    let Some(((first, path), rest)) = runs.split_first() else { return Ok(()) };
    let command = |m: &Manifest| (m.plan.profile.clone(), m.plan.seed, m.plan.host.clone());
    match rest.iter().find(|(manifest, _)| command(manifest) != command(first)) {
        Some((_, other)) => refuse(format!(
            "{} and {} were written by different commands",
            path.display(),
            other.display()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drill::drill_card;

    #[test]
    fn a_record_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        std::fs::create_dir(&broken).unwrap();
        std::fs::write(broken.join("manifest.json"), "{").unwrap();
        let error = format!("{:#}", runs_inside(folder.path()).unwrap_err());
        assert!(error.contains("broken: the record cannot be read"), "{error}");
    }

    #[test]
    fn a_card_is_rendered_again_and_nothing_else_is_written_over_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(kind(folder.path()), None);
        let json = report::drill_json(&drill_card(None, &[]));
        let summary = folder.path().join("summary.json");
        std::fs::write(&summary, &json).unwrap();
        std::fs::create_dir(folder.path().join("control")).unwrap();
        std::fs::write(folder.path().join("control/report.html"), "").unwrap();
        let again = || run(&ReportArgs { record: folder.path().into(), json: false });
        assert_eq!(again().unwrap(), exit::PASS);
        assert_eq!(std::fs::read_to_string(&summary).unwrap(), json);
        std::fs::write(&summary, r#"{"kind": "drill"}"#).unwrap();
        assert!(format!("{:#}", again().unwrap_err()).contains("each run can be rendered"));
        std::fs::write(&summary, r#"{"kind": "later"}"#).unwrap();
        assert!(again().unwrap_err().to_string().contains("is of a later"));
    }
}
