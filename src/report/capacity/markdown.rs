//! The answers in Markdown.

use super::words;
use crate::analysis::capacity::{CapacityReport, Sizing};
use crate::report::markdown::push_table;

pub fn capacity_markdown(report: &CapacityReport) -> String {
    let mut out = String::from("# Capacity\n");
    if !report.answers.is_empty() {
        out.push_str(&format!(
            "\nProfile `{}`, seed {}, objectives `{}`.\n",
            report.profile,
            report.seed,
            report.objectives.join("`, `")
        ));
    }
    for answer in &report.answers {
        out.push_str(&format!("\n## {}\n\n", words::headline(answer)));
        for line in words::details(answer) {
            out.push_str(&format!("- {line}\n"));
        }
        if !answer.trials.is_empty() {
            out.push('\n');
            push_table(&mut out, &words::HEAD, answer.trials.iter().map(words::cells));
        }
        if !answer.doubts.is_empty() {
            out.push('\n');
        }
        for doubt in &answer.doubts {
            out.push_str(&format!("- doubt: {doubt}\n"));
        }
    }
    for line in [words::losses(&report.answers), words::scaling(report)].concat() {
        out.push_str(&format!("\n{line}\n"));
    }
    if let Some(scaling) = &report.scaling {
        out.push('\n');
        push_table(&mut out, &words::SCALE_HEAD, words::scale_rows(scaling).into_iter());
    }
    if let Some(sizing) = &report.sizing {
        push_sizing(&mut out, sizing, !report.answers.is_empty());
    }
    if !report.answers.is_empty() {
        out.push_str(&format!("\n**{}**\n", report.verdict));
    }
    for reason in &report.reasons {
        out.push_str(&format!("\n- {reason}\n"));
    }
    out
}

fn push_sizing(out: &mut String, sizing: &Sizing, is_measured: bool) {
    out.push_str("\n## What to buy\n\n");
    for line in [words::demand(sizing), words::buy(sizing, is_measured)].concat() {
        out.push_str(&format!("- {line}\n"));
    }
    if !sizing.candidates.is_empty() {
        out.push('\n');
        push_table(out, &words::CANDIDATE_HEAD, words::candidates(sizing).into_iter());
    }
    out.push('\n');
    push_table(out, &words::ASSUMED_HEAD, words::assumed(sizing).into_iter());
}
