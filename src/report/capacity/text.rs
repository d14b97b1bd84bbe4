//! The answers in plain text.

use super::words;
use crate::analysis::capacity::{Answer, CapacityReport, Sizing};
use crate::report::text::{push_table, push_wrapped};

/// Every answer with its trials. `records` is the folder where they are, `profile` where the
/// audience was written.
pub fn capacity_text(
    report: &CapacityReport,
    records: Option<&str>,
    profile: Option<&str>,
) -> String {
    let mut out = String::new();
    if !report.answers.is_empty() {
        let objectives = report.objectives.join("   ");
        let (name, seed) = (&report.profile, report.seed);
        push_wrapped(
            &mut out,
            &format!("brunt capacity   profile {name}   seed {seed}   {objectives}"),
        );
    }
    for answer in &report.answers {
        out.push('\n');
        push_answer(&mut out, answer);
    }
    let between = [words::losses(&report.answers), words::scaling(report)].concat();
    if !between.is_empty() {
        out.push('\n');
    }
    between.iter().for_each(|line| push_wrapped(&mut out, line));
    if let Some(scaling) = &report.scaling {
        push_table(&mut out, &words::SCALE_HEAD, &words::scale_rows(scaling));
    }
    if let Some(sizing) = &report.sizing {
        push_sizing(&mut out, sizing, !report.answers.is_empty());
    }
    if let Some(path) = profile {
        out.push_str(&format!("the audience as a profile: brunt run TARGET -p {path}\n"));
    }
    if !report.answers.is_empty() {
        out.push_str(&format!("{}\n", report.verdict));
    }
    for reason in &report.reasons {
        push_wrapped(&mut out, &format!("- {reason}"));
    }
    if let Some(folder) = records {
        out.push_str(&format!("records {folder}\n"));
        out.push_str(&format!("a trial's page: brunt report {folder}/SEARCH/TRIAL\n"));
    }
    out
}

fn push_sizing(out: &mut String, sizing: &Sizing, is_measured: bool) {
    out.push('\n');
    words::demand(sizing).iter().for_each(|line| push_wrapped(out, line));
    out.push('\n');
    push_table(out, &words::ASSUMED_HEAD, &words::assumed(sizing));
    out.push('\n');
    if !sizing.candidates.is_empty() {
        push_table(out, &words::CANDIDATE_HEAD, &words::candidates(sizing));
        out.push('\n');
    }
    words::buy(sizing, is_measured).iter().for_each(|line| push_wrapped(out, line));
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
