//! The answers in Markdown.

use super::words;
use crate::analysis::capacity::CapacityReport;

pub fn capacity_markdown(report: &CapacityReport) -> String {
    let mut out = format!(
        "# Capacity\n\nProfile `{}`, seed {}, objectives `{}`.\n",
        report.profile,
        report.seed,
        report.objectives.join("`, `")
    );
    for answer in &report.answers {
        out.push_str(&format!("\n## {}\n\n", words::headline(answer)));
        for line in words::details(answer) {
            out.push_str(&format!("- {line}\n"));
        }
        if !answer.trials.is_empty() {
            out.push_str(&format!("\n| {} |\n", words::HEAD.join(" | ")));
            out.push_str(&format!("|{}\n", " --- |".repeat(words::HEAD.len())));
            for row in &answer.trials {
                out.push_str(&format!("| {} |\n", words::cells(row).join(" | ")));
            }
        }
        if !answer.doubts.is_empty() {
            out.push('\n');
        }
        for doubt in &answer.doubts {
            out.push_str(&format!("- doubt: {doubt}\n"));
        }
    }
    for line in words::losses(&report.answers) {
        out.push_str(&format!("\n{line}\n"));
    }
    out.push_str(&format!("\n**{}**\n", report.verdict));
    for reason in &report.reasons {
        out.push_str(&format!("\n- {reason}\n"));
    }
    out
}
