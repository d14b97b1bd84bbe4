//! What every page with charts is made of, whatever it tells: head and foot, a verdict, figures,
//! the data that the charts are drawn from, and the scripts that draw them.

use super::plotly;
use crate::objective::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

const STYLE: &str = include_str!("style.css");

pub struct Frame<'a> {
    pub title: &'a str,
    /// Under the title, in a line.
    pub meta: String,
    /// The sections one can go to: their ids, and what they are called.
    pub sections: Vec<(&'a str, &'a str)>,
    pub main: Markup,
    /// The last lines of the page.
    pub about: Vec<String>,
    /// Defines `ownCharts`.
    pub script: &'a str,
}

impl Frame<'_> {
    /// The same bytes whenever it is given the same.
    pub fn render(&self, data: &impl Serialize) -> String {
        let data = serde_json::to_string(data).expect("chart data is plain data");
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(self.title))
                body {
                    a.skip href="#verdict" { "Skip to the verdict" }
                    div.page {
                        header {
                            p.brand { "brunt" }
                            h1 { (self.title) }
                            p.meta { (self.meta) }
                            nav aria-label="On this page" {
                                @for (id, name) in &self.sections { a href={ "#" (id) } { (name) } }
                            }
                        }
                        main { (self.main) }
                        footer { @for line in &self.about { p { (line) } } }
                    }
                    script id="data" type="application/json" {
                        // A name must not be able to close the element.
                        (PreEscaped(data.replace('<', "\\u003c")))
                    }
                    script id="plotly" type="text/plain" { (PreEscaped(plotly::compressed())) }
                    script { (PreEscaped(self.script)) }
                    script { (PreEscaped(include_str!("charts.js"))) }
                }
            }
        }
        .into_string()
    }
}

/// Of every page, with charts or without.
pub fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " – brunt" }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// What it came to: a word, what else belongs beside it, why, and what follows from it.
pub fn verdict_card(
    verdict: Verdict,
    line: &str,
    reasons: &[String],
    sentences: &[String],
) -> Markup {
    let (word, beside) = line.split_once("  ").unwrap_or((line, ""));
    html! {
        section.card.verdict #verdict tabindex="-1" aria-label="Verdict" data-verdict=(verdict.name()) {
            p.badge { span { (word) } " " small { (beside) } }
            @for reason in reasons { p.reason { (reason) } }
            @if let Some((first, rest)) = sentences.split_first() {
                p.lead { (first) }
                @if !rest.is_empty() {
                    ul { @for sentence in rest { li { (sentence) } } }
                }
            }
        }
    }
}

/// A chart under its heading; `choices` says that it shows one of several, to be chosen.
pub fn figure(id: &str, title: &str, caption: &str, choices: Option<&str>) -> Markup {
    let (heading, words) = (format!("{id}-title"), format!("{id}-caption"));
    html! {
        figure aria-labelledby=(heading) {
            h3 id=(heading) { (title) }
            @if let Some(label) = choices {
                div.choices data-for=(id) role="group" aria-label=(label) {}
            }
            div.plot id=(id) role="img" aria-labelledby=(heading) aria-describedby=(words) {}
            figcaption id=(words) { (caption) }
            (numbers(id))
        }
    }
}

/// Filled when it is opened: most readers look at the picture.
pub fn numbers(id: &str) -> Markup {
    html! { details.numbers data-of=(id) { summary { "The numbers of this chart" } div {} } }
}

pub fn without_scripts() -> Markup {
    html! { noscript { p.caption { "The charts need JavaScript; verdict and tables do not." } } }
}

/// A table whose first column names its rows.
pub fn named_rows<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> Markup {
    html! {
        table.dense {
            thead {
                tr {
                    @for (at, name) in head.iter().enumerate() {
                        th scope="col" {
                            @match (name.is_empty(), at) {
                                (false, _) => (name),
                                (true, 0) => span.hidden { "what" },
                                (true, _) => span.hidden { "result" },
                            }
                        }
                    }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (at, cell) in row.iter().enumerate() {
                            @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}
