//! `summary.md`: short, for CI. GitHub shows it as the job's summary.

use super::run_text::{difference_of, fault_text};
use super::text::{header_lines, verdict_line};
use crate::analysis::comparison::{Comparison, count_text, percent};
use crate::analysis::{Level, Run};

pub fn compare_markdown(c: &Comparison) -> String {
    let mut out = format!("## brunt compare {}\n\n", escape(&c.targets.join(" ")));
    if let Some(headline) = &c.headline {
        out.push_str(&format!("**{}**\n\n", escape(headline)));
    }
    for sentence in &c.sentences {
        out.push_str(&format!("- {}\n", escape(sentence)));
    }
    out.push_str(&format!("\n| | | {} |\n", escaped_row(c.targets.iter().cloned())));
    out.push_str(&format!("| --- | --- |{}\n", " --- |".repeat(c.targets.len())));
    for row in &c.rows {
        let cells = row.cells.iter().map(ToString::to_string);
        let (label, metric) = (escape(row.label.trim()), escape(&row.metric));
        out.push_str(&format!("| {label} | {metric} | {} |\n", escaped_row(cells)));
    }
    out.push('\n');
    let small = header_lines(&c.header).into_iter().chain(c.footnotes.clone());
    for line in small.chain(c.notes.clone()) {
        out.push_str(&format!("{}  \n", escape(&line)));
    }
    out.push_str(&format!("\n**{}**\n", escape(&verdict_line(c))));
    for reason in &c.reasons {
        out.push_str(&format!("- {}\n", escape(reason)));
    }
    out
}

pub fn run_markdown(run: &Run<'_>) -> String {
    let s = run.summary;
    let in_time = crate::analysis::share(s.in_time, s.ledger.planned).map_or("–".into(), percent);
    let mut out = format!("## brunt: {} — {}\n\n", escape(&s.target), s.verdict);
    out.push_str(&format!(
        "{} requests, {} ok, **{in_time} in time**, {:.1}/s offered\n\n",
        count_text(s.ledger.planned),
        count_text(s.ledger.ok),
        s.rate.offered_per_s
    ));
    out.push_str("| | p50 | p90 | p99 | p99.9 |\n| --- | --- | --- | --- | --- |\n");
    for (name, t) in [("response", &s.response_time_ns), ("service", &s.service_time_ns)] {
        let cells = [t.p50, t.p90, t.p99, t.p999];
        let cells = cells.map(|v| v.map_or("–".to_string(), |v| v.to_string()));
        out.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    out.push('\n');
    let doubts = s.validity.doubts.iter().filter(|d| d.level != Level::Invalid);
    let lines = (difference_of(s, &run.record.manifest.plan.load).into_iter())
        .chain(s.faults.iter().map(fault_text))
        .chain(s.objectives.iter().map(|o| format!("{}: {:?}", o.expression, o.verdict)))
        .chain(s.reasons.iter().cloned())
        .chain(doubts.map(|d| format!("{}; {}", d.seen, d.remedy)));
    for line in lines {
        out.push_str(&format!("- {}\n", escape(&line)));
    }
    out
}

pub(super) fn push_table<const N: usize>(
    out: &mut String,
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    out.push_str(&format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(N)));
    for row in rows {
        out.push_str(&format!("| {} |\n", escaped_row(row.into_iter())));
    }
}

fn escaped_row(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| escape(&cell)).collect::<Vec<_>>().join(" | ")
}

/// Names come from files: keep them from being read as Markdown or HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::with_trio;

    #[test]
    fn the_table_is_markdown_and_names_cannot_break_it() {
        with_trio(|c, runs| {
            let text = compare_markdown(c);
            assert!(
                text.contains("| peak 200/s | in time | 1 %  FAIL | 100 % | 100 % |"),
                "{text}"
            );
            assert!(text.len() < 8_000);
            let mut summary = runs[1].summary.clone();
            summary.target = "a|<b>".into();
            let run = Run { record: runs[1].record, summary: &summary };
            assert!(run_markdown(&run).contains("a\\|&lt;b>"));
        });
    }
}
