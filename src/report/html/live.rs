//! The page of a run that goes on: empty, and filled from what `live::web` serves beside it.

use super::frame::{Frame, figure, without_scripts};
use maud::{Markup, html};

/// Headings say what one sees, captions how to read it.
const CHARTS: [(&str, &str, &str); 3] = [
    (
        "rate",
        "Asked and answered",
        "Correct answers a second; the area behind is what was asked for. Shaded: a fault is in force.",
    ),
    (
        "in-time",
        "In time",
        "Of the requests that ended in each second, the share that was answered correctly and in time.",
    ),
    (
        "latency",
        "Response times",
        "The 99th percentile of each second where there are enough answers for one, the slowest above it, the median dotted; logarithmic. From the intended start: waiting counts.",
    ),
];

/// What is in the tiles: the element's id, and what it is called.
const TILES: [(&str, &str); 6] = [
    ("answered", "answered"),
    ("share", "in time"),
    ("p50", "p50 of the last second"),
    ("slowest", "slowest of the last second"),
    ("in-flight", "in flight"),
    ("not-ok", "not ok so far"),
];

pub fn live_html() -> String {
    let frame = Frame {
        title: "A run that goes on",
        meta: String::new(),
        sections: vec![
            ("verdict", "Now"),
            ("charts", "Charts"),
            ("nodes", "Nodes"),
            ("events", "Events"),
        ],
        main: html! { (now()) (charts()) (nodes()) (events()) },
        about: vec![
            "the numbers are the recorder's own: the report at the end has the same".into(),
            "for machines: /live.json, and /metrics for Prometheus".into(),
        ],
        script: include_str!("live.js"),
    };
    frame.render(&serde_json::json!({ "points": [], "bands": [], "notes": [] }))
}

fn now() -> Markup {
    html! {
        section.card.verdict #verdict tabindex="-1" aria-label="Now" data-verdict="pass" {
            p.badge { span #state { "WAITING" } " " small #study {} }
            p.lead #phases { "Nothing is running yet." }
            div.bar #progress role="progressbar" aria-label="How far the run is" aria-valuemin="0" aria-valuemax="100" {
                span.good style="--c: var(--t0)" {}
            }
            p.meta #left {}
            ul #standing {}
        }
        div.tiles {
            @for (id, name) in TILES {
                div.tile { p.name { (name) } p.big id=(id) { "–" } }
            }
        }
    }
}

fn charts() -> Markup {
    html! {
        section #charts {
            h2 { "Charts" }
            (without_scripts())
            @for (id, title, caption) in CHARTS { (figure(id, title, caption, None)) }
        }
    }
}

fn nodes() -> Markup {
    html! {
        section #nodes {
            h2 { "Nodes" }
            div.scroll tabindex="0" role="region" aria-label="Nodes" {
                table.dense {
                    thead { tr { th scope="col" { "node" } th scope="col" { "state" } th scope="col" { "of its server's CPU" } } }
                    tbody #node-rows {}
                }
            }
        }
    }
}

fn events() -> Markup {
    html! {
        section #events {
            h2 { "Events" }
            ul.fates #notes role="log" aria-label="Events, the latest first" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_file_that_asks_only_its_own_server() {
        let page = live_html();
        let own = page.split("id=\"plotly\"").next().unwrap();
        assert!(!own.contains("http://") && !own.contains("https://"), "{own}");
        let script = include_str!("live.js");
        for (id, ..) in CHARTS {
            assert!(page.contains(&format!("id=\"{id}\"")) && script.contains(id), "{id}");
        }
        for (id, _) in TILES {
            assert!(script.contains(&format!("\"{id}\"")), "{id}");
        }
    }
}
