//! The answers in Markdown.

use super::words;
use crate::analysis::capacity::{CapacityReport, Sizing};
use crate::report::markdown::{escape, push_table};

pub fn capacity_markdown(report: &CapacityReport) -> String {
    let mut out = String::from("# Capacity\n");
    if !report.answers.is_empty() {
        out.push_str(&format!(
            "\nProfile {}, seed {}, objectives {}.\n",
            escape(&report.profile),
            report.seed,
            escape(&report.objectives.join(", "))
        ));
    }
    for answer in &report.answers {
        out.push_str(&format!("\n## {}\n\n", escape(&words::headline(answer))));
        for line in words::details(answer) {
            out.push_str(&format!("- {}\n", escape(&line)));
        }
        if !answer.trials.is_empty() {
            out.push('\n');
            push_table(&mut out, &words::HEAD, answer.trials.iter().map(words::cells));
        }
        if !answer.doubts.is_empty() {
            out.push('\n');
        }
        for doubt in &answer.doubts {
            out.push_str(&format!("- doubt: {}\n", escape(doubt)));
        }
    }
    for line in [words::losses(&report.answers), words::scaling(report)].concat() {
        out.push_str(&format!("\n{}\n", escape(&line)));
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
        out.push_str(&format!("\n- {}\n", escape(reason)));
    }
    out
}

fn push_sizing(out: &mut String, sizing: &Sizing, is_measured: bool) {
    out.push_str("\n## What to buy\n\n");
    for line in [words::demand(sizing), words::buy(sizing, is_measured)].concat() {
        out.push_str(&format!("- {}\n", escape(&line)));
    }
    if !sizing.candidates.is_empty() {
        out.push('\n');
        push_table(out, &words::CANDIDATE_HEAD, words::candidates(sizing).into_iter());
    }
    out.push('\n');
    push_table(out, &words::ASSUMED_HEAD, words::assumed(sizing).into_iter());
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{answer, report};
    use super::*;

    #[test]
    fn names_and_doubts_cannot_become_markup() {
        let mut one = answer(1, 100.0, None);
        one.target = "a_<b>|".into();
        one.doubts.push("<i>*".into());
        let text = capacity_markdown(&report(vec![one]));
        assert!(text.contains("a\\_&lt;b>\\|") && text.contains("doubt: &lt;i>\\*"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
    }
}
