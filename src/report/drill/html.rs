//! The card as a page, with a way to each drill's own.

use super::{RunLink, words};
use crate::analysis::drill::{DrillCard, DrillRow};
use crate::report::html::head;
use maud::{DOCTYPE, Markup, html};

pub fn drill_html(card: &DrillCard, links: &[RunLink]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{}: {}", card.target, words::decision(card.decision))))
            body {
                main {
                    header {
                        p.brand { "brunt drill" }
                        h1 { (card.target) }
                        p.meta { "seed " (card.seed) }
                    }
                    (decision(card))
                    (rows(card, links))
                    (trials(card))
                    (not_tested(card))
                    footer { p { "one file, works offline; the records beside it hold every number" } }
                }
            }
        }
    }
    .into_string()
}

fn decision(card: &DrillCard) -> Markup {
    let reasons = words::reasons(card);
    html! {
        section.card.verdict data-verdict=(words::verdict_of(card.decision)) {
            p.badge { span { (words::decision(card.decision)) } }
            @match reasons.split_first() {
                None => p.lead { "Nothing that was done to it was too much for it." },
                Some((first, rest)) => {
                    p.lead { (first) }
                    @if !rest.is_empty() { ul { @for reason in rest { li { (reason) } } } }
                }
            }
        }
    }
}

fn rows(card: &DrillCard, links: &[RunLink]) -> Markup {
    html! {
        section {
            h2 { "What broke, and what it did" }
            @if let Some(control) = &card.control {
                p.caption {
                    (words::control(control))
                    @if let Some(link) = link_of(links, "control") { " " a href=(link.href) { "Its run" } "." }
                }
            }
            div.scroll {
                table.dense.card-rows {
                    thead { tr { @for name in words::HEAD { th { (name) } } } }
                    @for row in &card.rows { tbody { (table_row(row, links)) } }
                }
            }
            @if !card.rows.is_empty() {
                @for line in words::legend(card) { p.caption { (line) } }
            }
            @for line in words::databases(card) { p.caption { (line) } }
            @for line in words::repeated(card) { p.caption { (line) } }
        }
    }
}

fn table_row(row: &DrillRow, links: &[RunLink]) -> Markup {
    let cells = words::cells(row);
    let bad = words::is_bad(row);
    let folder = match row.trial {
        Some(n) => format!("{}-{n}", row.drill),
        None => row.drill.clone(),
    };
    html! {
        tr {
            th scope="row" {
                @match link_of(links, &folder) {
                    Some(link) => a href=(link.href) { (cells[0]) },
                    None => (cells[0]),
                }
            }
            @for (cell, bad) in cells.iter().zip(bad).skip(1) {
                td class=[bad.then_some("bad")] { (cell) }
            }
        }
    }
}

fn link_of<'a>(links: &'a [RunLink], name: &str) -> Option<&'a RunLink> {
    links.iter().find(|link| link.name == name)
}

fn trials(card: &DrillCard) -> Markup {
    html! {
        @for trials in &card.trials {
            section {
                h2 { (trials.fault) ", " (trials.trials) " times, each with a seed of its own" }
                div.scroll {
                    table.dense {
                        thead { tr { @for name in words::TRIALS_HEAD { th { (name) } } } }
                        tbody {
                            @for row in words::trials(trials) {
                                tr { @for cell in &row { td { (cell) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn not_tested(card: &DrillCard) -> Markup {
    html! {
        section {
            h2 { "What was not tested" }
            ul {
                @for line in words::not_tested(card) { li { (line) } }
            }
            p.caption { (words::UNSEEN) }
        }
    }
}
