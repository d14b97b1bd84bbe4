//! The answers as a page: what each target carries, where the trials lay, how it scales.

use super::data::CapacityData;
use super::words;
use crate::analysis::Summary;
use crate::analysis::capacity::{Answer, CapacityReport, Sizing};
use crate::report::html::{
    Frame, figure, named_rows, scroll, validity, verdict_card, without_scripts,
};
use maud::{Markup, html};

/// Headings say what one sees, captions how to read it.
const CHARTS: [(&str, &str, &str); 3] = [
    (
        "knee",
        "What was offered, and what was answered",
        "Each mark is a trial at its rate: correct answers a second, to requests that were meant to start in it. On the dashed line everything is answered; where the marks leave it is the knee.",
    ),
    (
        "broken",
        "How many requests broke the objective",
        "Of each trial, the share that broke the objective nearest to its limit. The dashed line is the share that may; logarithmic, and at the lower edge are also the trials in which none did.",
    ),
    (
        "p99",
        "How long the slowest took",
        "The 99th percentile of the response time in each trial, logarithmic. A trial with too few answers for it has no mark.",
    ),
];

/// `trials` are those whose records are at hand, with their names.
pub fn capacity_html(report: &CapacityReport, trials: &[(String, Summary)]) -> String {
    let data = CapacityData::of(report);
    let title = title(report);
    let mut sections = vec![("verdict", "Verdict")];
    let searched = !report.answers.is_empty();
    if searched {
        sections.extend([("charts", "Trials"), ("numbers", "Numbers")]);
    }
    if data.has("scaling") || report.no_scaling.is_some() {
        sections.push(("scaling-section", "Scaling"));
    }
    if report.sizing.is_some() {
        sections.push(("sizing", "What to buy"));
    }
    if searched {
        sections.push(("validity", "Validity"));
    }
    let frame = Frame {
        title: &title,
        meta: format!(
            "profile {}, seed {}, {}",
            report.profile,
            report.seed,
            report.objectives.join(", ")
        ),
        sections,
        main: html! {
            (verdict(report))
            @if searched { (charts(&data)) (numbers(&report.answers)) }
            (scaling(report, &data))
            @if let Some(sizing) = &report.sizing { (buying(sizing, searched)) }
            @if searched { (believed(report, trials)) }
        },
        about: vec![
            "one file, works offline; capacity.json and the records beside it hold every number"
                .into(),
        ],
        script: include_str!("capacity.js"),
    };
    frame.render(&data)
}

fn title(report: &CapacityReport) -> String {
    let whole = report.answers.iter().filter(|a| a.fault.is_none());
    let mut names: Vec<&str> = whole.map(|a| a.target.as_str()).collect();
    names.dedup();
    match names.as_slice() {
        [] => "What an audience asks for".into(),
        // More of them are sizes of one, each in the list right below.
        [first, .., last] if names.len() > 3 => format!("Capacity of {first} to {last}"),
        names => format!("Capacity of {}", names.join(" · ")),
    }
}

fn verdict(report: &CapacityReport) -> Markup {
    let trials: usize = report.answers.iter().map(|a| a.trials.len()).sum();
    let searches = report.answers.len();
    let line = format!("{}  searches {searches}, trials {trials}", report.verdict);
    let mut sentences: Vec<String> = report.answers.iter().map(words::headline).collect();
    sentences.extend(words::losses(&report.answers));
    if let Some(sizing) = report.sizing.as_ref().filter(|_| sentences.is_empty()) {
        sentences.extend(words::demand(sizing));
    }
    verdict_card(report.verdict, &line, &report.reasons, &sentences)
}

fn charts(data: &CapacityData) -> Markup {
    html! {
        section #charts {
            h2 { "Trial by trial" }
            p.caption {
                "The upright line is the capacity that all trials of a search together say, the band its 95 % interval. Under each chart its numbers can be opened as a table."
            }
            (without_scripts())
            div.choices #searches role="group" aria-label="Search" {}
            div.beside {
                @for (id, title, caption) in CHARTS {
                    @if data.has(id) { (figure(id, title, caption, None)) }
                }
            }
        }
    }
}

fn numbers(answers: &[Answer]) -> Markup {
    html! {
        section #numbers {
            h2 { "Every search" }
            @for answer in answers {
                @let name = words::subject(answer);
                h3 { (name) }
                p { (words::headline(answer)) }
                ul { @for line in words::details(answer) { li { (line) } } }
                @if !answer.trials.is_empty() {
                    @let rows: Vec<_> = answer.trials.iter().map(words::cells).collect();
                    (scroll(&format!("The trials of {name}"), named_rows(&words::HEAD, &rows)))
                }
            }
        }
    }
}

fn scaling(report: &CapacityReport, data: &CapacityData) -> Markup {
    html! {
        @if let Some(scaling) = &report.scaling {
            section #scaling-section {
                h2 { "How it scales" }
                @for line in words::scaling(report) { p.caption { (line) } }
                (figure("scaling", "What each size carries", "A mark is a measured size with the 95 % interval of its capacity. Dashed: what it would be if every further one brought as much as those of the smallest size. The curve is the law that the sizes carry, if they carry one; a dotted line where it has its peak.", None))
                (scroll("What each size carries", named_rows(&words::SCALE_HEAD, &words::scale_rows(scaling))))
            }
        } @else if data.has("scaling") || report.no_scaling.is_some() {
            section #scaling-section {
                h2 { "How it scales" }
                @for line in words::scaling(report) { p { (line) } }
            }
        }
    }
}

fn buying(sizing: &Sizing, is_measured: bool) -> Markup {
    html! {
        section #sizing {
            h2 { "What to buy" }
            ul {
                @for line in words::demand(sizing).iter().chain(&words::buy(sizing, is_measured)) {
                    li { (line) }
                }
            }
            @if !sizing.candidates.is_empty() {
                (scroll("What was measured, for this audience", named_rows(&words::CANDIDATE_HEAD, &words::candidates(sizing))))
            }
            h3 { "What is assumed" }
            (scroll("What is assumed", named_rows(&words::ASSUMED_HEAD, &words::assumed(sizing))))
        }
    }
}

fn believed(report: &CapacityReport, trials: &[(String, Summary)]) -> Markup {
    let checked: Vec<(Markup, &Summary)> =
        trials.iter().map(|(name, summary)| (html! { (name) }, summary)).collect();
    let flawed: Vec<(String, &str)> = (report.answers.iter().flat_map(|a| &a.trials))
        .filter_map(|row| Some((row.folder.clone(), row.trial.flaw.as_ref()?.why())))
        .collect();
    let doubts: Vec<&String> = report.answers.iter().flat_map(|a| &a.doubts).collect();
    html! {
        section #validity {
            h2 { "May these numbers be believed?" }
            @if flawed.is_empty() && doubts.is_empty() {
                p.caption { "Nothing was found that speaks against them." }
            } @else {
                ul {
                    @for (trial, why) in &flawed { li { b { (trial) } " says nothing of the target: " (why) } }
                    @for doubt in doubts { li { "doubt: " (doubt) } }
                }
            }
            @if checked.is_empty() {
                p.caption { "The records of the trials, which hold their checks, are not beside this page." }
            } @else {
                (validity(&checked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{answer, report};
    use super::*;

    #[test]
    fn the_page_says_the_answers_without_scripts_and_draws_only_what_there_is() {
        let two = report(vec![answer(1, 100.0, None), answer(2, 190.0, None)]);
        let page = capacity_html(&two, &[]);
        assert!(page.len() < 3_000_000, "{}", page.len());
        let before_scripts = &page[..page.find("<script").unwrap()];
        for text in [
            "x2: 190.0/s (95 % interval",
            "METASTABLE",
            "0.25 % of 2000",
            "4 more different sizes are missing",
            "id=\"scaling\"",
            "id=\"broken\"",
        ] {
            assert!(before_scripts.contains(text), "{text}");
        }
        assert!(!before_scripts.contains("id=\"p99\""), "no trial had enough answers");
        let one = capacity_html(&report(vec![answer(1, 100.0, None)]), &[]);
        assert!(!one.contains("scaling-section"));
    }
}
