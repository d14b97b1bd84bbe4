//! What a command prints, and the reports that it leaves in a folder.

use crate::analysis::capacity::CapacityReport;
use crate::analysis::drill::DrillCard;
use crate::analysis::{self, Summary};
use crate::gate::GatedPairs;
use crate::record::Record;
use crate::report;
use crate::study::{self, Compared, Drills};
use anyhow::{Context, Result};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// stdout could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout: {0}")]
pub struct StdoutError(std::io::Error);

/// Prints on stdout. A reader who has gone away has read enough; anything else is an error.
pub fn say(text: &str) -> Result<()> {
    say_to(&mut std::io::stdout().lock(), text)
}

fn say_to(out: &mut impl Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(StdoutError(error).into()),
        _ => Ok(()),
    }
}

/// The same for one value of JSON, which has no end of line of its own.
pub fn say_line(text: &str) -> Result<()> {
    say(&format!("{text}\n"))
}

/// Writes a run's reports into its record; the page's path.
pub(super) fn write_run(folder: &Path, record: &Record, summary: &Summary) -> Result<String> {
    let view = analysis::Run { record, summary };
    write(folder, "summary.json", &report::run_json(summary))?;
    write(folder, "summary.md", &report::run_markdown(&view))?;
    write(folder, "report.html", &report::run_html(&view))
}

/// Writes the comparison's reports, and those of each run in its folder; the page's path. Records of
/// elsewhere are another command's, and are left as they are.
pub(super) fn write_comparison(folder: &Path, compared: &Compared) -> Result<String> {
    for run in compared.runs.iter().filter(|run| run.folder.starts_with(folder)) {
        write_run(&run.folder, &run.record, &run.summary)?;
    }
    let views = compared.views();
    write(folder, "summary.json", &report::compare_json(&compared.comparison, &views))?;
    write(folder, "summary.md", &report::compare_markdown(&compared.comparison))?;
    write(folder, "report.html", &report::compare_html(&compared.comparison, &views))
}

/// Writes what a gate came to, beside the records of its pairs; the page's path.
pub(super) fn write_gate(folder: &Path, gated: &GatedPairs) -> Result<String> {
    write(folder, "summary.json", &report::gate_json(gated))?;
    write(folder, "summary.md", &report::gate_markdown(gated))?;
    write(folder, "junit.xml", &report::junit(&report::checks_of_pairs(gated)))?;
    write_gate_page(folder, gated)
}

/// Writes the page of pairs, with the checks of those runs whose records are there; its path.
pub(super) fn write_gate_page(folder: &Path, gated: &GatedPairs) -> Result<String> {
    let runs = study::runs_of_pairs(folder)?;
    write(folder, "report.html", &report::gate_html(gated, &runs))
}

/// Writes each run's reports and the card; the page's path.
pub(super) fn write_drills(folder: &Path, drills: &Drills) -> Result<String> {
    for run in drills.control.iter().chain(&drills.runs) {
        write_run(&run.folder, &run.record, &run.summary)?;
    }
    write(folder, "summary.json", &report::drill_json(&drills.card))?;
    write(folder, "summary.md", &report::drill_markdown(&drills.card))?;
    write_drill_page(folder, &drills.card)
}

/// Writes the card's page, with a way to each run whose own page is there; its path.
pub(super) fn write_drill_page(folder: &Path, card: &DrillCard) -> Result<String> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let pages = entries.flatten().filter(|entry| entry.path().join("report.html").is_file());
    let links: Vec<report::RunLink> = pages
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            report::RunLink { href: format!("{name}/report.html"), name }
        })
        .collect();
    write(folder, "report.html", &report::drill_html(card, &links))
}

/// Writes each trial's summary and the answer.
pub(super) fn write_capacity(
    folder: &Path,
    report: &CapacityReport,
    trials: &[(PathBuf, Summary)],
) -> Result<()> {
    for (trial, summary) in trials {
        write(trial, "summary.json", &report::run_json(summary))?;
    }
    write(folder, "capacity.json", &report::capacity_json(report))?;
    write(folder, "capacity.md", &report::capacity_markdown(report))?;
    write_capacity_page(folder, report)?;
    Ok(())
}

/// Writes the page of the answer, with the checks of those trials whose records are there; its path.
pub(super) fn write_capacity_page(folder: &Path, report: &CapacityReport) -> Result<String> {
    let names = report.answers.iter().flat_map(|a| &a.trials).map(|row| row.folder.clone());
    let trials = study::stored_runs(folder, names)?;
    write(folder, "report.html", &report::capacity_html(report, &trials))
}

pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A stored record that misses what its plan asks for.
    fn failed_record(folder: &Path) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/examples/compare/vertical");
        let to = folder.join("vertical");
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        let text = std::fs::read_to_string(to.join("manifest.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        manifest["plan"]["thresholds"] = serde_json::json!(["in_time: rate>0.9999"]);
        std::fs::write(to.join("manifest.json"), manifest.to_string()).unwrap();
        to
    }

    #[test]
    fn a_stored_record_keeps_its_thresholds_and_its_own_reports() {
        let folder = tempfile::tempdir().unwrap();
        let record = failed_record(folder.path());
        std::fs::write(record.join("summary.json"), "its own").unwrap();
        let compared = study::compare_stored(std::slice::from_ref(&record)).unwrap();
        assert_eq!(compared.runs[0].summary.verdict, crate::gate::Verdict::Fail);
        let elsewhere = folder.path().join("out");
        std::fs::create_dir(&elsewhere).unwrap();
        write_comparison(&elsewhere, &compared).unwrap();
        assert_eq!(std::fs::read_to_string(record.join("summary.json")).unwrap(), "its own");
        write_comparison(folder.path(), &compared).unwrap();
        let again = std::fs::read_to_string(record.join("summary.json")).unwrap();
        assert!(again.contains("in_time: rate>0.9999") && again.contains("fail"), "{again}");
    }

    #[test]
    fn a_reader_who_went_away_is_no_error_but_a_full_disk_is() {
        assert!(say_to(&mut Fails(ErrorKind::BrokenPipe), "x").is_ok());
        let error = say_to(&mut Fails(ErrorKind::StorageFull), "x").unwrap_err();
        assert!(error.to_string().contains("stdout"), "{error}");
        assert!(error.downcast_ref::<StdoutError>().is_some());
    }
}
