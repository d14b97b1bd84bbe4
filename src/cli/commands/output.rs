//! The reports that a command leaves in a folder.

use crate::analysis::{self, Summary};
use crate::record::Record;
use crate::report;
use crate::study::Compared;
use anyhow::{Context, Result};
use std::path::Path;

/// Writes a run's reports into its record; the page's path.
pub(super) fn write_run(folder: &Path, record: &Record, summary: &Summary) -> Result<String> {
    let view = analysis::Run { record, summary };
    write(folder, "summary.json", &report::run_json(summary))?;
    write(folder, "summary.md", &report::run_markdown(summary))?;
    write(folder, "report.html", &report::run_html(&view))
}

/// Writes each run's reports and those of the comparison; the page's path.
pub(super) fn write_comparison(folder: &Path, compared: &Compared) -> Result<String> {
    for run in &compared.runs {
        write_run(&run.folder, &run.record, &run.summary)?;
    }
    let views = compared.views();
    write(folder, "summary.json", &report::compare_json(&compared.comparison, &views))?;
    write(folder, "summary.md", &report::compare_markdown(&compared.comparison))?;
    write(folder, "report.html", &report::compare_html(&compared.comparison, &views))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}
