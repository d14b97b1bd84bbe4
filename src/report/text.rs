//! The table that ends `brunt compare`, in plain text without colours.

use crate::analysis::comparison::{Comparison, Header, Row, WorstHealth, percent, short};
use crate::base::units::duration_text;

const COLUMN_GAP: usize = 2;
/// A word may stick out; a line is broken before it passes this.
const WIDTH: usize = 100;

/// The whole comparison; `report` is where `report.html` was written.
pub fn compare_text(c: &Comparison, report: Option<&str>) -> String {
    let mut out = header_text(c);
    out.push('\n');
    out.push_str(&table_text(c));
    out.push('\n');
    for sentence in &c.sentences {
        push_wrapped(&mut out, sentence);
    }
    out.push('\n');
    if !c.footnotes.is_empty() {
        push_footnotes(&mut out, &c.footnotes);
    }
    for note in &c.notes {
        push_wrapped(&mut out, note);
    }
    out.push('\n');
    push_wrapped(&mut out, &verdict_line(c));
    for reason in &c.reasons {
        push_wrapped(&mut out, &format!("- {reason}"));
    }
    if let Some(path) = report {
        out.push_str(&format!("report {path}\n"));
    }
    out
}

fn header_text(c: &Comparison) -> String {
    let h = &c.header;
    let mut out = String::new();
    let command = format!("brunt compare {}", c.targets.join(" "));
    let story = format!("profile {}, seed {}, {} s each", h.profile, h.seed, short(h.duration_s));
    push_wrapped(&mut out, &format!("{command}        {story}"));
    for line in header_lines(h) {
        push_wrapped(&mut out, &line);
    }
    out
}

/// What was the same for all targets, in words.
pub fn header_lines(h: &Header) -> Vec<String> {
    let mut machine = Vec::new();
    if h.unit_cores > 0.0 {
        let (quota, period) = (h.unit_cores * h.period.as_millis_f64(), h.period.as_millis_f64());
        machine.push(format!(
            "1 unit = {:.2} core ({} ms per {} ms, {}; stall {:.0} ms)",
            h.unit_cores,
            short(quota),
            short(period),
            h.quota_mechanism,
            h.quota_stall.as_millis_f64()
        ));
    }
    machine.push(format!("{} cores", h.cores));
    machine.push(match (h.is_generator_apart, h.generator_cores) {
        (true, 1) => "generator on its own core".into(),
        (true, n) => format!("generator on its own {n} cores"),
        (false, _) => "generator shares its cores with the target".into(),
    });
    let limit = duration_text(h.in_time);
    let machine = match h.machines.is_empty() {
        true => machine.join(" · "),
        false => format!("measured on other machines: {}", h.machines.join(" · ")),
    };
    let mut lines = vec![
        machine,
        format!("in time = answered correctly within {limit} of when the visitor came"),
    ];
    let admission = h.admission_limit.map(|n| format!("each app serves at most {n} at once"));
    let balancing = h.balancing.as_ref().map(|b| format!("balancing: {b}"));
    let limits: Vec<String> = admission.into_iter().chain(balancing).collect();
    if !limits.is_empty() {
        lines.push(limits.join(" · "));
    }
    lines.extend(equal_text(h));
    lines
}

/// What makes the comparison a fair one, and in which sense.
fn equal_text(h: &Header) -> Option<String> {
    if h.equal_cpu.is_empty() {
        return None;
    }
    let offered = h.is_open.then(|| "equal offered load: all".to_string());
    let groups: Vec<String> = h.equal_cpu.iter().map(|names| names.join(" and ")).collect();
    let cpu = format!("equal total CPU, so equal cost of it: {}", groups.join("; "));
    Some(offered.into_iter().chain([cpu]).collect::<Vec<_>>().join(" · "))
}

fn table_text(c: &Comparison) -> String {
    let width = |text: &str| text.chars().count();
    let labels = c.rows.iter().filter(|r| !r.metric.is_empty()).map(|r| width(&r.label)).max();
    let metrics = c.rows.iter().map(|r| width(&r.metric)).max().unwrap_or(0);
    let label_width = labels.unwrap_or(0) + COLUMN_GAP;
    let wide = c.rows.iter().map(|r| width(&r.label)).max().unwrap_or(0);
    let head_width = (label_width + metrics).max(wide) + COLUMN_GAP;
    let columns: Vec<usize> = (c.targets.iter().enumerate())
        .map(|(i, name)| {
            let cells = c.rows.iter().map(|r| width(&r.cells[i].to_string()));
            cells.max().unwrap_or(0).max(width(name)) + COLUMN_GAP
        })
        .collect();
    let mut out = String::new();
    push_line(&mut out, &" ".repeat(head_width), c.targets.iter().map(String::as_str), &columns);
    for row in &c.rows {
        let head = row_head(row, label_width);
        let cells: Vec<String> = row.cells.iter().map(ToString::to_string).collect();
        let padded = format!("{head:<head_width$}");
        push_line(&mut out, &padded, cells.iter().map(String::as_str), &columns);
    }
    out
}

fn row_head(row: &Row, label_width: usize) -> String {
    match row.metric.as_str() {
        "" => row.label.clone(),
        metric => format!("{:<label_width$}{metric}", row.label),
    }
}

fn push_line<'a>(
    out: &mut String,
    head: &str,
    cells: impl Iterator<Item = &'a str>,
    columns: &[usize],
) {
    let mut line = head.to_string();
    for (cell, width) in cells.zip(columns) {
        line.push_str(&format!("{cell:<width$}"));
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// `VALID  start lag p99 0.3 ms · generator core 41 % · …`
pub fn verdict_line(c: &Comparison) -> String {
    use crate::objective::Verdict;
    let word = match c.verdict {
        Verdict::Pass => "VALID",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Fail => "FAIL",
        Verdict::Invalid => "INVALID",
    };
    format!("{word}  {}", health_text(&c.health))
}

pub fn health_text(h: &WorstHealth) -> String {
    let mut parts = Vec::new();
    if let Some(lag) = h.start_lag_p99_ns {
        parts.push(format!("start lag p99 {lag}"));
    }
    if let Some(share) = h.generator_core_share {
        parts.push(format!("generator core {}", percent(share)));
    }
    if let Some(share) = h.steal_share {
        let worst = h.steal_worst_share.filter(|worst| *worst > share);
        let worst = worst.map(|w| format!(" (worst second {})", percent(w)));
        parts.push(format!("steal {}{}", percent(share), worst.unwrap_or_default()));
    }
    if let Some(worst) = h.slowdown_worst.filter(|_| h.slow_seconds > 0) {
        parts.push(format!("cores {worst:.1} × slower in {} s", h.slow_seconds));
    }
    if let Some(off) = h.work_off {
        parts.push(format!("work per request ± {}", percent(off.abs())));
    }
    if parts.is_empty() { "the generator was not observed".into() } else { parts.join(" · ") }
}

/// On one line where they fit.
fn push_footnotes(out: &mut String, notes: &[String]) {
    let joined = notes.join("   ");
    if joined.chars().count() <= WIDTH {
        return push_wrapped(out, &joined);
    }
    notes.iter().for_each(|note| push_wrapped(out, note));
}

/// Columns as wide as their widest cell.
pub fn push_table<const N: usize>(out: &mut String, head: &[&str; N], rows: &[[String; N]]) {
    push_table_with(out, head, rows, &[]);
}

/// A head without names is left out; `beneath` has a line for each row, or none at all.
pub fn push_table_with<const N: usize>(
    out: &mut String,
    head: &[&str; N],
    rows: &[[String; N]],
    beneath: &[String],
) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0) + COLUMN_GAP
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let push = |out: &mut String, cells: &mut dyn Iterator<Item = &str>| {
        let line: String =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    };
    if head.iter().any(|name| !name.is_empty()) {
        push(out, &mut head.iter().copied());
    }
    for (index, row) in rows.iter().enumerate() {
        push(out, &mut row.iter().map(String::as_str));
        if let Some(line) = beneath.get(index) {
            let mut wrapped = String::new();
            push_wrapped_at(&mut wrapped, line, WIDTH - COLUMN_GAP);
            wrapped.lines().for_each(|line| out.push_str(&format!("{:COLUMN_GAP$}{line}\n", "")));
        }
    }
}

/// Adds a line, broken between words where it would pass the width; what follows is indented.
pub fn push_wrapped(out: &mut String, text: &str) {
    push_wrapped_at(out, text, WIDTH);
}

pub fn push_wrapped_at(out: &mut String, text: &str, width: usize) {
    if text.chars().count() <= width {
        out.push_str(text);
        out.push('\n');
        return;
    }
    let mut line = String::new();
    for word in text.split(' ') {
        // What sets parts of a line apart stays, but for where a line begins.
        if word.is_empty() && line.trim().is_empty() {
            continue;
        }
        if line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".into();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::compared_trio;

    #[test]
    fn other_machines_are_named_where_one_would_be() {
        let mut c = compared_trio();
        c.header.machines = vec!["a: 2 cores".into(), "b: 8 cores".into()];
        let lines = header_lines(&c.header);
        assert_eq!(lines[0], "measured on other machines: a: 2 cores · b: 8 cores");
    }

    #[test]
    fn the_table_reads_as_designed() {
        let text = compare_text(&compared_trio(), Some("reports/x/report.html"));
        assert_eq!(text, include_str!("testdata/compare.txt"), "\n{text}");
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "\n{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn long_lines_break_between_words() {
        let mut out = String::new();
        push_wrapped(&mut out, &"word ".repeat(40));
        assert!(out.lines().count() == 3 && out.lines().all(|l| l.chars().count() <= WIDTH));
        assert!(out.lines().nth(1).unwrap().starts_with("  word"));
    }

    #[test]
    fn three_targets_with_everything_to_say_fit_the_width() {
        use crate::analysis::comparison::compare;
        use crate::analysis::testing::Builder;
        use crate::analysis::{Run, summarise};
        use crate::fault::{FaultKind, ThrottleBy};
        let throttle = FaultKind::Throttle { to: 0.25, by: ThrottleBy::Quota };
        let record = || {
            let mut record = Builder::new("horizontal")
                .fault("lose-app", FaultKind::PowerOff, "server:app-1", 7.25, "app-1")
                .event(8.0, crate::record::EventKind::MemberDown, "balancer-1", "app-1")
                .leader_killed_at(10.0, 0.7)
                .fault("brown-out", throttle.clone(), "server:app-1", 15.0, "app-1")
                .writes(0..20_000, 50)
                .read_back(3)
                .build();
            record.history[0].key = 2;
            record.operations_lost = 9;
            record
        };
        let records = [record(), record(), record()];
        let summaries = records.each_ref().map(summarise);
        let runs = [0, 1, 2].map(|i| Run { record: &records[i], summary: &summaries[i] });
        let text = compare_text(&compare(&runs), None);
        for said in ["noticed after", "new leader", "cores taken", "unchecked", "not recorded"] {
            assert!(text.contains(said), "{said}\n{text}");
        }
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "\n{text}");
    }
}
