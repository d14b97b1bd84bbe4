//! The card in plain text.

use super::words;
use crate::analysis::drill::DrillCard;
use crate::report::text::{push_table, push_wrapped};

/// The whole card; `report` is where `report.html` was written.
pub fn drill_text(card: &DrillCard, report: Option<&str>) -> String {
    let mut out = format!("brunt drill {}        seed {}\n", card.target, card.seed);
    if let Some(control) = &card.control {
        push_wrapped(&mut out, &words::control(control));
    }
    out.push('\n');
    if !card.rows.is_empty() {
        let rows: Vec<_> = card.rows.iter().map(words::cells).collect();
        push_table(&mut out, &words::HEAD, &rows);
        out.push('\n');
        words::legend(card).iter().for_each(|line| push_wrapped(&mut out, line));
        words::repeated(card).iter().for_each(|line| push_wrapped(&mut out, line));
        out.push('\n');
    }
    for trials in &card.trials {
        out.push_str(&format!("{}\n", trials.fault));
        push_table(&mut out, &words::TRIALS_HEAD, &words::trials(trials));
        out.push('\n');
    }
    out.push_str("NOT TESTED\n");
    for line in words::not_tested(card) {
        push_wrapped(&mut out, &format!("- {line}"));
    }
    push_wrapped(&mut out, words::UNSEEN);
    out.push('\n');
    out.push_str(words::decision(card.decision));
    out.push('\n');
    for reason in words::reasons(card) {
        push_wrapped(&mut out, &format!("- {reason}"));
    }
    if let Some(path) = report {
        out.push_str(&format!("report {path}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{RunLink, drill_html, drill_markdown};
    use super::*;
    use crate::analysis::drill::{DrillOutcome, Drilled, drill_card};
    use crate::analysis::testing::{Builder, power_off_story};
    use crate::analysis::{Run, summarise};
    use crate::gate;

    fn card() -> DrillCard {
        let records = [
            Builder::new("horizontal").build(),
            power_off_story().writes(0..20_000, 50).read_back(0).build(),
            power_off_story().writes(0..20_000, 50).read_back(2).answered(10..20, 0.2).build(),
        ];
        let summaries = records.each_ref().map(summarise);
        let run = |i: usize| Run { record: &records[i], summary: &summaries[i] };
        let ran = |name, i| Drilled {
            name,
            about: "a server loses its power",
            outcome: DrillOutcome::Ran(vec![run(i)]),
        };
        let mut card = drill_card(
            Some(&run(0)),
            &[
                ran("server-lost", 1),
                ran("metastable", 2),
                Drilled {
                    name: "kill-<b>",
                    about: "the balancer | is killed",
                    outcome: DrillOutcome::DoesNotFit("no role `balancer`"),
                },
            ],
        );
        gate::judge_drills(&mut card);
        card
    }

    #[test]
    fn the_card_fits_one_screen_and_ends_in_the_decision() {
        let text = drill_text(&card(), Some("report.html"));
        assert!(text.lines().count() <= 40, "{text}");
        for part in [
            "server-lost  0.75 s   within 2 s",
            "\nNOT TESTED\n- kill-<b> (the balancer | is killed): does not fit: no role `balancer`\n",
            "\nNO-GO\n- metastable: 2 of ",
            "whether it came back was not observed",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn names_from_files_cannot_break_the_other_formats() {
        let card = card();
        let markdown = drill_markdown(&card);
        assert!(
            markdown.contains("kill-&lt;b>") && markdown.contains("balancer \\| is"),
            "{markdown}"
        );
        let links =
            [RunLink { name: "server-lost".into(), href: "server-lost/report.html".into() }];
        let page = drill_html(&card, &links);
        assert!(!page.contains("kill-<b>") && page.contains("NO-GO"), "{page}");
        assert!(page.contains("href=\"server-lost/report.html\""));
        for loads in ["src=", "<link", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(loads), "{loads}");
        }
        if let Ok(path) = std::env::var("BRUNT_TEST_REPORT") {
            std::fs::write(path, &page).unwrap();
        }
    }
}
