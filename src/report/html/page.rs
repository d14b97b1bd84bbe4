//! The page itself. The first screen answers what happened; charts and details follow.

use super::data::ChartData;
use super::tables::{scroll, target_name};
use super::{plotly, tables};
use crate::analysis::comparison::{Row, count_text, percent, short, within};
use crate::analysis::{Comparison, FaultSummary, Run, share};
use crate::objective::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub const STYLE: &str = include_str!("style.css");

pub struct Page<'a> {
    pub title: String,
    pub verdict: Verdict,
    pub verdict_line: String,
    pub sentences: &'a [String],
    pub comparison: &'a Comparison,
    pub runs: &'a [Run<'a>],
    pub about: Vec<String>,
    pub started_wall_ns: u64,
    pub brunt_version: &'a str,
    pub data: ChartData,
}

pub fn render(page: &Page<'_>) -> String {
    let data = serde_json::to_string(&page.data).expect("chart data is plain data");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " – brunt" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#verdict" { "Skip to the verdict" }
                div.page {
                    (heading(page))
                    main {
                        (verdict_card(page))
                        (tiles(page))
                        (table(page))
                        (charts(page))
                        (faults(page))
                        (validity(page))
                        (repeat(page))
                    }
                    (about(page))
                }
                script id="data" type="application/json" {
                    // A name must not be able to close the element.
                    (PreEscaped(data.replace('<', "\\u003c")))
                }
                script id="plotly" type="text/plain" { (PreEscaped(plotly::compressed())) }
                script { (PreEscaped(include_str!("charts.js"))) }
            }
        }
    }
    .into_string()
}

fn heading(page: &Page<'_>) -> Markup {
    let h = &page.comparison.header;
    html! {
        header {
            p.brand { "brunt" }
            h1 { (page.title) }
            p.meta {
                (started(page.started_wall_ns)) " · seed " (h.seed) " · "
                (format!("{:.0}", h.duration_s)) " s"
                @if page.runs.len() > 1 { " each" }
            }
            nav aria-label="On this page" {
                a href="#verdict" { "Verdict" }
                a href="#numbers" { "Numbers" }
                a href="#charts" { "Charts" }
                a href="#percentile-section" { "Percentiles" }
                @if has_faults(page) { a href="#faults" { "Faults" } }
                a href="#validity" { "Validity" }
                a href="#repeat" { "Repeat it" }
            }
        }
    }
}

/// `2026-11-23 18:04 UTC`.
fn started(wall_ns: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(wall_ns);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

fn verdict_card(page: &Page<'_>) -> Markup {
    let (word, health) = page.verdict_line.split_once("  ").unwrap_or((&page.verdict_line, ""));
    html! {
        section.card.verdict #verdict tabindex="-1" aria-label="Verdict" data-verdict=(page.verdict.name()) {
            p.badge { span { (word) } " " small { (health) } }
            @for reason in &page.comparison.reasons { p.reason { (reason) } }
            @if let Some((first, rest)) = page.sentences.split_first() {
                p.lead { (first) }
                @if !rest.is_empty() {
                    ul { @for sentence in rest { li { (sentence) } } }
                }
            }
        }
    }
}

/// How every target's visitors fared, as one bar each.
fn tiles(page: &Page<'_>) -> Markup {
    html! {
        section.tiles aria-label="How the visitors fared" {
            @for (index, (run, name)) in page.runs.iter().zip(&page.comparison.targets).enumerate() {
                @let l = &run.summary.ledger;
                @let in_time = share(run.summary.in_time, l.planned).unwrap_or(0.0);
                @let ok = share(l.ok, l.planned).unwrap_or(0.0);
                div.tile style=(format!("--c:var(--t{})", index % 6)) {
                    h2.name { (target_name(index, name)) }
                    p.big { (percent(in_time)) small { " in time" } }
                    div.bar role="img" aria-label=(format!("{} in time", percent(in_time))) {
                        span.good style=(width(in_time)) {}
                        span.late style=(width((ok - in_time).max(0.0))) {}
                    }
                    p.small {
                        (count_text(run.summary.in_time)) " in time, "
                        (count_text(l.ok.saturating_sub(run.summary.in_time))) " late, "
                        (count_text(l.planned.saturating_sub(l.ok))) " without a correct answer"
                    }
                }
            }
        }
    }
}

fn width(share: f64) -> String {
    format!("width:{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

fn table(page: &Page<'_>) -> Markup {
    let c = page.comparison;
    let compared = html! {
        table {
            thead {
                tr {
                    th scope="col" { "what" }
                    th scope="col" { span.hidden { "measured as" } }
                    @for (index, name) in c.targets.iter().enumerate() {
                        th scope="col" { (target_name(index, name)) }
                    }
                }
            }
            @for group in groups(&c.rows) {
                tbody { @for row in group { (table_row(row)) } }
            }
        }
    };
    html! {
        section #numbers {
            h2 { "The numbers, phase by phase" }
            (scroll("The numbers, phase by phase", compared))
            p.caption {
                @for note in &c.footnotes { (note) br; }
                @for note in &c.notes { (note) br; }
            }
            (tables::phases(page.runs, c))
            (tables::requests(page.runs, c))
        }
    }
}

fn groups(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.group == b.group)
}

fn table_row(row: &Row) -> Markup {
    html! {
        tr {
            @if row.label.trim().is_empty() {
                td {}
            } @else {
                th scope="row" class=[row.label.starts_with(' ').then_some("detail")] {
                    (row.label.trim())
                }
            }
            td.metric { (row.metric) }
            @for cell in &row.cells {
                td class=[cell.is_bad().then_some("bad")] { (cell) }
            }
        }
    }
}

/// Headings say what one sees, captions how to read it.
const TIMELINES: [(&str, &str, &str); 11] = [
    (
        "lanes",
        "What happened",
        "Each bar is something that was so for that time: a fault in force, and below it until when too few answers were in time; who led; whom a balancer or directory did not use; which process was not there.",
    ),
    (
        "in-time",
        "How many visitors got their answer in time",
        "Share of the requests meant to start in each second that were answered correctly within the limit. The dashed line is the hypothesis. Triangles mark what the target itself noticed: members down or up, new leaders, restarts.",
    ),
    (
        "rate",
        "What was asked, and what was answered",
        "Requests per second by intended start. The grey area is what the visitors asked for; it does not slow down when the target does. A line below it is unanswered or wrong.",
    ),
    (
        "errors",
        "What was not answered correctly",
        "Requests per second, by intended start, that ended in an error, in silence or were never sent.",
    ),
    (
        "latency",
        "How long the answers took",
        "Response time from the intended start, of what completed in each second; logarithmic. Solid: p99 of the slowest kind of request. Dotted: median of the most frequent one. Faint: the slowest answer of all. The dashed line is the in-time limit.",
    ),
    (
        "heat",
        "Where the answers lay",
        "Each cell is a stretch of time and of response time; the stronger its colour, the more answers completed there, on a logarithmic scale. Two bands are two kinds of answers, a hit and a miss for one. The dashed line is the in-time limit.",
    ),
    (
        "cpu",
        "Who was out of CPU",
        "CPU used ÷ CPU given, by group of servers. A line at 100 % has nothing left. Several groups of one target have its colour and differ in their dashes; click a name to hide it.",
    ),
    ("node-cpu", "What each node used", "The CPU of each process ÷ what its server was given."),
    ("hits", "What the caches spared", "Found in the cache ÷ asked for, by role."),
    (
        "lag",
        "How far the replicas were behind",
        "Entries of the log that a database node had not yet taken over from the leader.",
    ),
    (
        "nodes",
        "How many nodes were alive",
        "Processes of the target that were alive at each second. A frozen server is still alive: it only falls silent.",
    ),
];

fn charts(page: &Page<'_>) -> Markup {
    let shown = TIMELINES.iter().filter(|(id, ..)| page.data.has(id));
    html! {
        section #charts {
            h2 { @if page.runs.len() > 1 { "All targets under one clock" } @else { "Second by second" } }
            p.caption {
                "Shaded bands are faults in force, named by their letters below. Drag over a chart to zoom all of them; double-click to see all again. Under each chart its numbers can be opened as a table."
            }
            @if page.data.step > 1 {
                p.note {
                    "This run is too long to draw every second: a point stands for " (page.data.step)
                    " s. Rates, shares and CPU are means of that time; p50, p99, the slowest answer and the lag are its worst second, nodes alive its fewest. Nothing is left out, and the record has every second."
                }
            }
            (legend(page))
            noscript { p.caption { "The charts need JavaScript; verdict and tables do not." } }
            @for (id, title, caption) in shown { (figure(id, title, caption)) }
        }
        section #percentile-section {
            h2 { "Response times by percentile" }
            figure aria-labelledby="percentiles-title" {
                h3 #percentiles-title { "How slow the slowest were" }
                div.choices #phases role="group" aria-label="Phase" {}
                div.plot.tall #percentiles role="img" aria-labelledby="percentiles-title" aria-describedby="percentiles-caption" {}
                figcaption #percentiles-caption {
                    "Every step to the right is ten times rarer. Solid: response time, as a visitor has it. Dashed: service time, as most tools report it. Where they part, requests waited before they were sent or were never answered. Grey: fewer than ten samples are left above, so that one more run may well draw it elsewhere; it ends at the slowest."
                }
                p.caption #overloaded role="status" {}
                (numbers("percentiles"))
            }
        }
    }
}

fn figure(id: &str, title: &str, caption: &str) -> Markup {
    let (heading, words) = (format!("{id}-title"), format!("{id}-caption"));
    html! {
        figure aria-labelledby=(heading) {
            h3 id=(heading) { (title) }
            @if id == "heat" || id == "node-cpu" {
                div.choices data-for=(id) role="group" aria-label=(format!("Target of: {title}")) {}
            }
            div.plot id=(id) role="img" aria-labelledby=(heading) aria-describedby=(words) {}
            figcaption id=(words) { (caption) }
            (numbers(id))
        }
    }
}

/// Filled when it is opened: most readers look at the picture.
fn numbers(id: &str) -> Markup {
    html! { details.numbers data-of=(id) { summary { "The numbers of this chart" } div {} } }
}

fn legend(page: &Page<'_>) -> Markup {
    html! {
        div.legend {
            @for (index, name) in page.comparison.targets.iter().enumerate() {
                (target_name(index, name))
            }
            @for (fault, letter) in page.runs[0].summary.faults.iter().zip('A'..='Z') {
                span { b.letter { (letter) } (fault.name) ": " (fault.kind) }
            }
        }
    }
}

fn faults(page: &Page<'_>) -> Markup {
    let names: Vec<&FaultSummary> = page.runs[0].summary.faults.iter().collect();
    html! {
        @if has_faults(page) {
            section #faults {
                h2 { "What each fault did" }
                p.caption { "All times from the instant of injection. Recovered: every later window of two seconds held the hypothesis, told in steps of one second." }
                (scroll("What each fault did, by target", fault_table(page, &names)))
            }
        }
    }
}

fn has_faults(page: &Page<'_>) -> bool {
    !page.runs[0].summary.faults.is_empty()
}

fn fault_table(page: &Page<'_>, names: &[&FaultSummary]) -> Markup {
    let heads = [
        "fault",
        "target",
        "hit",
        "not in time",
        "failed",
        "noticed",
        "new leader",
        "recovered",
        "after heal",
        "proof",
    ];
    html! {
        table.dense {
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            @for (fault, letter) in names.iter().zip('A'..='Z') {
                tbody { (fault_rows(page, fault, letter)) }
            }
        }
    }
}

fn fault_rows(page: &Page<'_>, fault: &FaultSummary, letter: char) -> Markup {
    let seconds = |s: Option<f64>| s.map_or("–".to_string(), seconds_text);
    let had: Vec<(usize, &FaultSummary)> = (page.runs.iter().enumerate())
        .filter_map(|(i, run)| Some((i, run.summary.faults.iter().find(|f| f.name == fault.name)?)))
        .collect();
    html! {
        @for (at, (index, f)) in had.iter().enumerate() {
            tr {
                @if at == 0 {
                    th scope="rowgroup" rowspan=(had.len()) { b.letter { (letter) } (fault.name) }
                }
                td { (target_name(*index, &page.comparison.targets[*index])) }
                @if let Some(why) = &f.skipped {
                    td colspan="8" { "not injected: " (why) }
                } @else {
                    td { (f.node) }
                    td { (count_text(f.not_in_time)) @if !f.attributable { " (not attributable)" } }
                    td { (count_text(f.failed_requests)) }
                    td { (seconds(f.detected_after_s)) }
                    td { (seconds(f.failed_over_after_s)) }
                    td { (recovered_text(f.recovery_time_s)) }
                    td { (f.recovery_after_heal_s.map_or("–".to_string(), within)) }
                    td.small { (f.mechanism) @if !f.proof.is_empty() { ": " (f.proof) } }
                }
            }
        }
    }
}

/// Known in steps of one second, so told in them.
fn recovered_text(seconds: Option<f64>) -> String {
    match seconds {
        Some(0.0) => "held".into(),
        Some(seconds) => within(seconds),
        None => "never".into(),
    }
}

fn seconds_text(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} s", short(seconds)) } else { format!("{seconds:.1} s") }
}

fn validity(page: &Page<'_>) -> Markup {
    let doubts: Vec<(&String, &crate::analysis::Doubt)> = (page.runs.iter())
        .zip(&page.comparison.targets)
        .flat_map(|(run, name)| run.summary.validity.doubts.iter().map(move |d| (name, d)))
        .collect();
    html! {
        section #validity {
            h2 { "May these numbers be believed?" }
            p { (page.verdict_line) }
            (tables::validity(page.runs, page.comparison))
            @if doubts.is_empty() {
                p.caption { "Nothing was found that speaks against them." }
            } @else {
                ul { @for (name, d) in doubts { li { b { (name) } ": " (d.seen) ". " em { (d.remedy) } "." } } }
            }
        }
    }
}

fn repeat(page: &Page<'_>) -> Markup {
    html! {
        section #repeat {
            h2 { "To have it again" }
            (tables::repeat(page.runs, page.comparison))
        }
    }
}

fn about(page: &Page<'_>) -> Markup {
    html! {
        footer {
            @for line in &page.about { p { (line) } }
            p { "brunt " (page.brunt_version) " · one file, works offline; the record beside it holds every number" }
        }
    }
}
