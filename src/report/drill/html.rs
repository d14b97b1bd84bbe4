//! The card as a page, with a way to each drill's own.

use super::{RunLink, words};
use crate::analysis::drill::{DrillCard, DrillRow};
use crate::report::html::{head, named_rows, scroll};
use maud::{DOCTYPE, Markup, html};

pub fn drill_html(card: &DrillCard, links: &[RunLink]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{}: {}", card.target, words::decision(card.decision))))
            body {
                a.skip href="#verdict" { "Skip to the verdict" }
                div.page {
                    header {
                        p.brand { "brunt drill" }
                        h1 { (card.target) }
                        p.meta { "seed " (card.seed) }
                        nav aria-label="On this page" {
                            @for (id, name) in sections(card) { a href={ "#" (id) } { (name) } }
                        }
                    }
                    main {
                        (decision(card))
                        (rows(card, links))
                        (trials(card))
                        (not_tested(card))
                    }
                    footer { p { "one file, works offline; the records beside it hold every number" } }
                }
            }
        }
    }
    .into_string()
}

fn sections(card: &DrillCard) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("verdict", "Verdict"), ("drills", "Drills")];
    if !card.trials.is_empty() {
        all.push(("trials", "Trials"));
    }
    all.push(("not-tested", "Not tested"));
    all
}

fn decision(card: &DrillCard) -> Markup {
    let reasons = words::reasons(card);
    html! {
        section.card.verdict #verdict tabindex="-1" aria-label="Verdict" data-verdict=(words::verdict_of(card.decision)) {
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
    let table = html! {
        table.dense.card-rows {
            thead { tr { @for name in words::HEAD { th scope="col" { (name) } } } }
            @for row in &card.rows { tbody { (table_row(row, links)) } }
        }
    };
    html! {
        section #drills {
            h2 { "What broke, and what it did" }
            @if let Some(control) = &card.control {
                p.caption {
                    (words::control(control))
                    @if let Some(link) = link_of(links, "control") { " " a href=(link.href) { "Its run" } "." }
                }
            }
            (scroll("What broke, and what it did", table))
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
        @for (index, trials) in card.trials.iter().enumerate() {
            section id=[(index == 0).then_some("trials")] {
                h2 { (trials.fault) ", " (trials.trials) " times, each with a seed of its own" }
                (scroll(&format!("The trials of {}", trials.fault), named_rows(&words::TRIALS_HEAD, &words::trials(trials))))
            }
        }
    }
}

fn not_tested(card: &DrillCard) -> Markup {
    html! {
        section #not-tested {
            h2 { "What was not tested" }
            ul {
                @for line in words::not_tested(card) { li { (line) } }
            }
            p.caption { (words::UNSEEN) }
        }
    }
}
