//! The answers in plain text.

use super::words;
use crate::analysis::capacity::{Answer, CapacityReport};
use crate::report::text::{push_table, push_wrapped};

/// Every answer with its trials; `folder` is where the records are.
pub fn capacity_text(report: &CapacityReport, folder: Option<&str>) -> String {
    let mut out = String::new();
    push_wrapped(
        &mut out,
        &format!(
            "brunt capacity        profile {}   seed {}   {}",
            report.profile,
            report.seed,
            report.objectives.join("   ")
        ),
    );
    for answer in &report.answers {
        out.push('\n');
        push_answer(&mut out, answer);
    }
    out.push('\n');
    for line in words::losses(&report.answers) {
        push_wrapped(&mut out, &line);
    }
    push_wrapped(&mut out, &report.verdict.to_string());
    for reason in &report.reasons {
        push_wrapped(&mut out, &format!("- {reason}"));
    }
    if let Some(folder) = folder {
        out.push_str(&format!(
            "records {folder}; a trial's page: brunt report {folder}/…/trial-01\n"
        ));
    }
    out
}

fn push_answer(out: &mut String, answer: &Answer) {
    push_wrapped(out, &words::headline(answer));
    for line in words::details(answer) {
        push_wrapped(out, &format!("- {line}"));
    }
    if !answer.trials.is_empty() {
        out.push('\n');
        let rows: Vec<_> = answer.trials.iter().map(words::cells).collect();
        push_table(out, &words::HEAD, &rows);
    }
    for doubt in &answer.doubts {
        push_wrapped(out, &format!("doubt: {doubt}"));
    }
}
