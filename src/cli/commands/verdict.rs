//! Where a verdict goes: stdout, JUnit, Markdown, the summary and the annotations of a GitHub job,
//! and the exit code.

use super::output;
use crate::gate::{self, GateRule, GatedPairs, Measure};
use crate::report::{self, Checks};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// GitHub drops a summary that is larger than this.
const SUMMARY_MAX: usize = 1 << 20;

/// What is looked for.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The change that must be found, like 10% [default: 10%]; smaller ones are tolerated
    #[arg(long, value_name = "PERCENT")]
    pub detect: Option<String>,
    /// From which change on a measure is worse, like p99=15%; the verdict then waits for it too: cpu,
    /// errors, throughput, p50, p90, p95, p99 (repeatable)
    #[arg(long, value_name = "MEASURE=PERCENT")]
    pub margin: Vec<String>,
}

/// Where it goes besides stdout.
#[derive(Debug, Args)]
pub struct Published {
    /// Write the checks as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the verdict as Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Exit 0 instead of 5 when it cannot be told
    #[arg(long = "allow-inconclusive")]
    pub allow_inconclusive: bool,
}

impl Wanted {
    pub fn rule(&self, seed: u64) -> Result<GateRule> {
        let mut rule = GateRule::new(seed);
        if let Some(text) = &self.detect {
            rule.detect = percent("--detect", text)?;
        }
        for text in &self.margin {
            let (name, share) = text
                .split_once('=')
                .with_context(|| format!("--margin {text}: write it like p99=15%"))?;
            let measure: Measure =
                name.trim().parse().map_err(|e| anyhow!("--margin {text}: {e}"))?;
            rule.margins.insert(measure, percent("--margin", share)?);
        }
        Ok(rule)
    }

    /// What they are about is not asked for.
    pub fn refuse_without(&self, flag: &str) -> Result<()> {
        if self.detect.is_some() || !self.margin.is_empty() {
            bail!(
                "--detect and --margin say which change against something else matters: add {flag}"
            );
        }
        Ok(())
    }

    /// Margins that are chosen once the result is known would choose the result.
    pub fn refuse_for_pairs(&self) -> Result<()> {
        if self.detect.is_some() || !self.margin.is_empty() {
            bail!("--detect and --margin of pairs are those that they were run with");
        }
        Ok(())
    }
}

/// `10%` as a share.
fn percent(flag: &str, text: &str) -> Result<f64> {
    let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    match number.filter(|n| (0.01..100.0).contains(n)) {
        Some(number) => Ok(number / 100.0),
        None => bail!("{flag} {text}: write a percentage from 0.01% up to 100%, like 10%"),
    }
}

impl Published {
    pub fn refuse_without_gate(&self) -> Result<()> {
        if self.junit.is_some() || self.markdown.is_some() || self.allow_inconclusive {
            bail!("--junit, --markdown and --allow-inconclusive are for a verdict: add --gate");
        }
        Ok(())
    }

    /// Opens every output, so that a wrong path is found before an hour of measuring.
    pub fn open(&self) -> Result<Outputs> {
        let in_github = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        Ok(Outputs {
            junit: self.junit.as_deref().map(|path| create("--junit", path)).transpose()?,
            markdown: self
                .markdown
                .as_deref()
                .map(|path| create("--markdown", path))
                .transpose()?,
            job_summary: summary.map(|path| append(Path::new(&path))).transpose()?,
            annotates: in_github,
            allow_inconclusive: self.allow_inconclusive,
        })
    }
}

/// An open file and what it is called.
type Output = (File, String);

/// Where a verdict goes, open.
pub struct Outputs {
    junit: Option<Output>,
    markdown: Option<Output>,
    job_summary: Option<Output>,
    annotates: bool,
    allow_inconclusive: bool,
}

fn create(flag: &str, path: &Path) -> Result<Output> {
    let file = File::create(path).with_context(|| format!("{flag} {}", path.display()))?;
    Ok((file, path.display().to_string()))
}

fn append(path: &Path) -> Result<Output> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.with_context(|| format!("GITHUB_STEP_SUMMARY {}", path.display()))?;
    Ok((file, path.display().to_string()))
}

fn write((file, name): &mut Output, text: &str) -> Result<()> {
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {name}"))
}

/// Says what pairs came to, everywhere; the exit code.
pub fn publish_pairs(
    gated: &GatedPairs,
    page: Option<&str>,
    outputs: &mut Outputs,
    json: bool,
) -> Result<u8> {
    let text = match json {
        true => report::gate_json(gated),
        false => report::gate_text(gated, page),
    };
    publish(&report::checks_of_pairs(gated), &text, &report::gate_markdown(gated), outputs)
}

/// Says what checks came to, everywhere; the exit code.
pub fn publish(checks: &Checks, text: &str, markdown: &str, outputs: &mut Outputs) -> Result<u8> {
    output::say(text)?;
    if let Some(junit) = &mut outputs.junit {
        write(junit, &report::junit(checks))?;
    }
    if let Some(file) = &mut outputs.markdown {
        write(file, markdown)?;
    }
    if let Some(summary) = outputs.job_summary.as_mut().filter(|_| markdown.len() < SUMMARY_MAX) {
        write(summary, &format!("{markdown}\n"))?;
    }
    if outputs.annotates {
        // The runner reads both streams; stdout is the data.
        let _ = std::io::stderr().write_all(report::annotations(checks).as_bytes());
    }
    Ok(gate::verdict_exit_code(checks.verdict, outputs.allow_inconclusive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::Builder;
    use crate::objective::Verdict;

    #[test]
    fn percentages_and_margins_are_read_or_refused_by_flag() {
        let wanted = |detect: Option<&str>, margin: &[&str]| {
            let margin = margin.iter().map(ToString::to_string).collect();
            Wanted { detect: detect.map(String::from), margin }.rule(1)
        };
        let rule = wanted(Some("5%"), &["p99=15%", "errors=0.2 %"]).unwrap();
        assert_eq!((rule.detect, rule.margins[&Measure::P99]), (0.05, 0.15));
        assert!((rule.margins[&Measure::Errors] - 0.002).abs() < 1e-12);
        for (detect, margin, part) in [
            (Some("10"), "", "--detect 10: write a percentage"),
            (Some("0%"), "", "--detect 0%"),
            (None, "p99", "write it like p99=15%"),
            (None, "latency=5%", "no measure `latency`"),
        ] {
            let margin: Vec<&str> = Some(margin).filter(|m| !m.is_empty()).into_iter().collect();
            let error = wanted(detect, &margin).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_verdict_goes_to_every_file_and_becomes_the_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut summary = summarise(&Builder::new("vertical").build());
        summary.verdict = Verdict::Inconclusive;
        let checks = report::checks_of_run(&summary);
        std::fs::write(path("job.md"), "before\n").unwrap();
        let mut outputs = Outputs {
            junit: Some(create("--junit", &path("junit.xml")).unwrap()),
            markdown: Some(create("--markdown", &path("pull.md")).unwrap()),
            job_summary: Some(append(&path("job.md")).unwrap()),
            annotates: false,
            allow_inconclusive: false,
        };
        assert_eq!(publish(&checks, "", "## M\n", &mut outputs).unwrap(), 5);
        outputs.allow_inconclusive = true;
        assert_eq!(publish(&checks, "", "", &mut outputs).unwrap(), 0);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert!(read("junit.xml").contains("<testsuite"));
        assert_eq!(read("pull.md"), "## M\n");
        assert!(read("job.md").starts_with("before\n## M\n"));
        let error = create("--junit", Path::new("/nowhere/at/all.xml")).unwrap_err().to_string();
        assert!(error.contains("--junit /nowhere"), "{error}");
    }
}
