//! `report.html`: one file that needs no network. Verdict and table are plain HTML; the charts are
//! drawn by plotly, which travels inside the file, gzipped, and is inflated by the browser.

mod bins;
mod data;
mod fates;
mod frame;
mod lanes;
mod letters;
mod live;
mod nodes;
mod page;
mod plotly;
mod repeat;
mod tables;

use super::run_text::{difference_of, fault_text};
use super::text::{header_lines, verdict_line};
use crate::analysis::{Comparison, Run, compare};
pub(super) use data::round as significant;
pub(super) use frame::{Frame, figure, head, named_rows, verdict_card, without_scripts};
pub use live::live_html;
use page::Page;
pub(super) use tables::{scroll, validity};

/// Several targets beside each other.
pub fn compare_html(c: &Comparison, runs: &[Run<'_>]) -> String {
    let first = runs[0].record;
    let sentences: Vec<String> = c.headline.iter().chain(&c.sentences).cloned().collect();
    page::render(&Page {
        title: format!("{} under {}", c.targets.join(" · "), c.header.profile),
        verdict: c.verdict,
        verdict_line: verdict_line(c),
        sentences: &sentences,
        comparison: c,
        runs,
        about: header_lines(&c.header),
        started_wall_ns: first.manifest.started_wall_ns,
        brunt_version: &first.manifest.brunt_version,
        data: data::chart_data(c, runs),
    })
}

/// One run; the same page with one column.
pub fn run_html(run: &Run<'_>) -> String {
    let runs = [*run];
    let c = compare(&runs);
    let sentences = run_sentences(run, &c);
    let manifest = &run.record.manifest;
    let title = match run.summary.profile.as_str() {
        "" => run.summary.target.clone(),
        profile => format!("{} under {profile}", run.summary.target),
    };
    page::render(&Page {
        title,
        verdict: run.summary.verdict,
        verdict_line: format!("{}  {}", run.summary.verdict, super::text::health_text(&c.health)),
        sentences: &sentences,
        comparison: &c,
        runs: &runs,
        about: header_lines(&c.header),
        started_wall_ns: manifest.started_wall_ns,
        brunt_version: &manifest.brunt_version,
        data: data::chart_data(&c, &runs),
    })
}

fn run_sentences(run: &Run<'_>, c: &Comparison) -> Vec<String> {
    let s = run.summary;
    let in_time = crate::analysis::share(s.in_time, s.ledger.planned);
    let headline = match in_time {
        Some(share) => format!(
            "{} of {} requests were answered correctly in time.",
            crate::analysis::comparison::percent(share),
            crate::analysis::comparison::count_text(s.ledger.planned)
        ),
        None => "No request was planned in a measured phase.".into(),
    };
    (std::iter::once(headline))
        .chain(s.reasons.iter().cloned())
        .chain(c.findings.iter().map(|f| f.text.clone()))
        .chain(difference_of(s, &run.record.manifest.plan.load))
        .chain(s.faults.iter().map(fault_text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, with_trio};
    use crate::base::Nanos;
    use crate::fault::FaultKind;
    use crate::plan::{Arrivals, RetryPlan};

    #[test]
    fn the_page_has_verdict_and_table_without_scripts_and_needs_no_network() {
        with_trio(|c, runs| {
            let page = compare_html(c, runs);
            assert!(page.len() < 3_000_000, "{}", page.len());
            let before_scripts = &page[..page.find("<script").unwrap()];
            for text in ["1,200 of 2,000", "11, 0.90 cores", "vertical is faster", "VALID"] {
                assert!(before_scripts.contains(text), "{text}");
            }
            for loads in ["src=", "<link", "@import", "url(", "http://", "https://"] {
                assert!(!page.contains(loads), "{loads}");
            }
            if let Ok(path) = std::env::var("BRUNT_TEST_REPORT") {
                std::fs::write(path, &page).unwrap();
            }
        });
    }

    #[test]
    fn names_from_files_cannot_become_markup() {
        with_trio(|c, runs| {
            let mut c = c.clone();
            c.targets[0] = "</script><b>x".into();
            let page = compare_html(&c, runs);
            assert!(!page.contains("<b>x"));
        });
    }

    #[test]
    fn a_fault_beyond_the_alphabet_has_its_letter_in_legend_and_table() {
        let mut story = Builder::new("horizontal");
        for n in 0..27 {
            story = story.fault(&format!("f{n}"), FaultKind::Kill, "app", 12.0, "app-1");
        }
        let record = story.build();
        let page = run_html(&Run { record: &record, summary: &summarise(&record) });
        assert_eq!(page.matches("<b class=\"letter\">AA</b>").count(), 2);
        assert!(page.contains("more had no room"));
    }

    #[test]
    fn the_caption_says_what_set_the_rate() {
        with_trio(|c, runs| {
            assert!(compare_html(c, runs).contains("it does not slow down when the target does"));
            let mut record = runs[0].record.clone();
            let load = &mut record.manifest.plan.load;
            load.arrivals = Arrivals::Closed { connections: 2, think: Nanos::ZERO };
            load.retry = Some(RetryPlan { attempts: 2, after: Nanos::SECOND });
            let page = run_html(&Run { record: &record, summary: runs[0].summary });
            assert!(!page.contains("it does not slow down"));
            assert!(page.contains("it slows down with the target. Those who asked again"));
        });
    }

    #[test]
    fn one_run_has_its_own_page() {
        with_trio(|_, runs| {
            let page = run_html(&runs[2]);
            assert!(page.contains("of 2,960 requests were answered correctly in time"));
            assert!(!page.contains("No difference"));
        });
    }
}
