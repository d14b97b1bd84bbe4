//! The page itself. The first screen answers what happened; charts and details follow.

use super::data::ChartData;
use super::frame::{Frame, figure, numbers, verdict_card, without_scripts};
use super::letters::letter;
use super::tables::{scroll, target_name};
use super::{fates, repeat, tables};
use crate::analysis::comparison::{Row, count_text, percent, short, within};
use crate::analysis::{Comparison, FaultSummary, Run, Summary, share};
use crate::objective::Verdict;
use maud::{Markup, html};

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
    let h = &page.comparison.header;
    let started = started(page.started_wall_ns);
    let mut about = page.about.clone();
    about.push(format!(
        "brunt {} · one file, works offline; the record beside it holds every number",
        page.brunt_version
    ));
    let frame = Frame {
        title: &page.title,
        meta: format!("{started} · seed {} · {}", h.seed, lasted(page.runs)),
        sections: sections(page),
        main: html! {
            (verdict_card(page.verdict, &page.verdict_line, &page.comparison.reasons, page.sentences))
            (tiles(page))
            (table(page))
            (charts(page))
            @if fates::has(page.runs) { (fates::section(page.runs, page.comparison)) }
            (faults(page))
            (validity(page))
            (again(page))
        },
        about,
        script: include_str!("run.js"),
    };
    frame.render(&page.data)
}

fn sections(page: &Page<'_>) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![
        ("verdict", "Verdict"),
        ("numbers", "Numbers"),
        ("charts", "Charts"),
        ("percentile-section", "Percentiles"),
    ];
    if fates::has(page.runs) {
        all.push(("topology", "Servers and nodes"));
    }
    if has_faults(page) {
        all.push(("faults", "Faults"));
    }
    all.extend([("validity", "Validity"), ("repeat", "Repeat it")]);
    all
}

/// `2026-11-23 18:04 UTC`.
fn started(wall_ns: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(wall_ns);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

/// How long the loads were: `48 s each`, `12 to 48 s`.
fn lasted(runs: &[Run<'_>]) -> String {
    let all = || runs.iter().map(|run| run.record.load_end().as_secs_f64());
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    match (least < most, runs) {
        (true, _) => format!("{} to {} s", short(least), short(most)),
        (false, [_]) => format!("{} s", short(most)),
        (false, _) => format!("{} s each", short(most)),
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
        "Requests per second by intended start. A line below what was asked for is unanswered or wrong.",
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
            (without_scripts())
            @for (id, title, caption) in shown {
                @let choices = matches!(*id, "heat" | "node-cpu").then(|| format!("Target of: {title}"));
                (figure(id, title, &[*caption, &more(page, id)].concat(), choices.as_deref()))
            }
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

/// What a caption has to say of these runs alone.
fn more(page: &Page<'_>, chart: &str) -> String {
    match chart {
        "rate" => asked(page.runs, page.data.is_asked_once),
        "lanes" => match page.data.lanes_left_out() {
            0 => String::new(),
            n => format!(
                " {} more had no room; the tables below and the record have them.",
                count_text(n as u64)
            ),
        },
        _ => String::new(),
    }
}

/// How what was asked is drawn, and what set it.
fn asked(runs: &[Run<'_>], is_once: bool) -> String {
    let loads = || runs.iter().map(|run| &run.record.manifest.plan.load);
    let drawn = match is_once {
        true => " The grey area is what was asked for",
        false => " Thin and dashed is what each target was asked for, which was not the same",
    };
    let closed = loads().filter(|load| load.is_closed()).count();
    let set = match closed {
        0 => "; it does not slow down when the target does.",
        n if n == runs.len() => {
            "; in a closed loop each next request waits for an answer, so it slows down with the target."
        }
        _ => "; in a closed loop it slows down with the target, in an open one it does not.",
    };
    let repeats = match loads().any(|load| load.retry.is_some()) {
        true => " Those who asked again after an error or no answer are in it.",
        false => "",
    };
    [drawn, set, repeats].concat()
}

fn legend(page: &Page<'_>) -> Markup {
    html! {
        div.legend {
            @for (index, name) in page.comparison.targets.iter().enumerate() {
                (target_name(index, name))
            }
            @for (index, fault) in page.runs[0].summary.faults.iter().enumerate() {
                span { b.letter { (letter(index)) } (fault.name) ": " (fault.kind) }
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
            @for (index, fault) in names.iter().enumerate() {
                tbody { (fault_rows(page, fault, &letter(index))) }
            }
        }
    }
}

fn fault_rows(page: &Page<'_>, fault: &FaultSummary, letter: &str) -> Markup {
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
    let checked: Vec<(Markup, &Summary)> = (page.runs.iter().enumerate())
        .map(|(index, run)| (target_name(index, &page.comparison.targets[index]), run.summary))
        .collect();
    html! {
        section #validity {
            h2 { "May these numbers be believed?" }
            p { (page.verdict_line) }
            (tables::validity(&checked))
            @if doubts.is_empty() {
                p.caption { "Nothing was found that speaks against them." }
            } @else {
                ul { @for (name, d) in doubts { li { b { (name) } ": " (d.seen) ". " em { (d.remedy) } "." } } }
            }
        }
    }
}

fn again(page: &Page<'_>) -> Markup {
    html! {
        section #repeat {
            h2 { "To have it again" }
            (repeat::section(page.runs, page.comparison))
        }
    }
}
