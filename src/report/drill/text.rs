//! The card in plain text.

use super::words;
use crate::analysis::drill::DrillCard;
use crate::report::text::{push_table, push_table_with, push_wrapped};

/// A longer one is cut short in its column, and whole in the line beneath.
const LABEL_MAX: usize = 16;

/// The whole card; `report` is where `report.html` was written.
pub fn drill_text(card: &DrillCard, report: Option<&str>) -> String {
    let mut out = format!("brunt drill {}        seed {}\n", card.target, card.seed);
    if let Some(control) = &card.control {
        push_wrapped(&mut out, &words::control(control));
    }
    out.push('\n');
    if !card.rows.is_empty() {
        push_rows(&mut out, card);
        out.push('\n');
        words::databases(card).iter().for_each(|line| push_wrapped(&mut out, line));
        words::repeated(card).iter().for_each(|line| push_wrapped(&mut out, line));
        words::legend(card).iter().for_each(|line| push_wrapped(&mut out, line));
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

/// A table of figures, and under each of its lines what broke.
fn push_rows(out: &mut String, card: &DrillCard) {
    let [head @ .., _] = &words::HEAD;
    let mut beneath = Vec::new();
    let rows = card.rows.iter().map(|row| {
        let [mut figures @ .., broke] = words::cells(row);
        let label = figures[0].clone();
        let is_long = label.chars().count() > LABEL_MAX;
        if is_long {
            figures[0] = label.chars().take(LABEL_MAX - 1).chain(['…']).collect();
        }
        beneath.push(if is_long { format!("{label}: {broke}") } else { broke });
        figures
    });
    let rows: Vec<[String; 9]> = rows.collect();
    push_table_with(out, head, &rows, &beneath);
}

#[cfg(test)]
mod tests {
    use super::super::{RunLink, drill_html, drill_markdown};
    use super::*;
    use crate::analysis::drill::{ComeBack, DrillOutcome, Drilled, drill_card};
    use crate::analysis::testing::{Builder, power_off_story};
    use crate::analysis::{Point, Run, Spread, fault_trials, summarise};
    use crate::base::Nanos;
    use crate::gate;
    use crate::record::{EventKind, Operation, OperationKind};

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
    fn every_line_fits_a_hundred_columns() {
        let mut card = card();
        let row = &mut card.rows[0];
        row.fault = Some("a-fault-with-a-name-of-its-own".into());
        row.broke.what = "cdn-1->balancer-1 cdn-2->balancer-1".into();
        row.broke.how = "a share of 12.5 % of the packets that are on their way there lost".into();
        (row.failed_requests, row.late_requests) = (12_345, 67_890);
        row.out.until_in_time_s = None;
        row.lost_minutes = Some(0.001);
        row.came_back = ComeBack::AfterHeal { after_s: 10.0 };
        let text = drill_text(&card, None);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{widest}\n{text}");
        for part in
            ["server-lost: a-…  ", "\n  server-lost: a-fault-with-a-name-of-its-own: cdn-1->"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    /// A leader that is killed while reads go to replicas, two of which are behind.
    fn failed_over() -> DrillCard {
        let mut record = Builder::new("horizontal")
            .leader_killed_at(10.0, 0.3)
            .event(10.24, EventKind::BecameReplica, "database-3", "2")
            .writes(0..10_000, 50)
            .writes(10_400..20_000, 50)
            .read_back(0)
            .build();
        for at_ms in [5_030u64, 6_130, 7_500] {
            let version = at_ms / 50 - if at_ms == 7_500 { 0 } else { 2 };
            record.history.push(Operation {
                kind: OperationKind::Read,
                session: 1,
                key: 1,
                id: 0,
                version,
                started: Nanos::from_millis(at_ms),
                ended: Nanos::from_millis(at_ms + 3),
            });
        }
        let mut summary = summarise(&record);
        gate::judge(&mut summary);
        let runs = vec![Run { record: &record, summary: &summary }];
        let (name, about) = ("kill-leader", "the leader is killed");
        let mut card =
            drill_card(None, &[Drilled { name, about, outcome: DrillOutcome::Ran(runs) }]);
        gate::judge_drills(&mut card);
        card
    }

    #[test]
    fn a_failover_is_told_in_its_phases_and_staleness_as_a_histogram() {
        let without = drill_text(&card(), None);
        assert!(!without.contains("reads were stale"), "{without}");
        let card = failed_over();
        let text = drill_text(&card, None);
        println!("{text}");
        let one_line = text.replace("\n  ", " ");
        for part in [
            "kill-leader: noticed after 0.24 s (database-3 follows another), another led after 0.3 s \
             (at most 1.7 s), first write after 0.4",
            "reads were not out for longer than chance.",
            "kill-leader: 2 of 3 reads were stale (",
            "ms: ",
        ] {
            assert!(one_line.contains(part), "{part}\n{text}");
        }
        for page in [drill_markdown(&card), drill_html(&card, &[])] {
            assert!(page.contains("another led after 0.3 s") && page.contains("reads were stale"));
        }
    }

    #[test]
    fn a_card_reads_back() {
        for mut card in [card(), failed_over()] {
            let mut trials = fault_trials([].into_iter(), "lose-leader");
            trials.leader = Spread::of(vec![Point::Seen(0.3), Point::Never]);
            card.trials = vec![trials];
            let json = crate::report::drill_json(&card);
            let read: DrillCard = serde_json::from_str(&json).unwrap();
            assert_eq!(drill_html(&read, &[]), drill_html(&card, &[]));
        }
    }

    #[test]
    fn trials_in_which_a_figure_was_not_seen_are_counted() {
        let mut card = failed_over();
        let points = [Point::Seen(0.3), Point::Never, Point::Absent, Point::Seen(0.4)];
        let mut trials = fault_trials([].into_iter(), "lose-leader");
        trials.leader = Spread::of(points.to_vec());
        card.trials = vec![trials];
        let text = drill_text(&card, None);
        let row = text.lines().find(|l| l.starts_with("new leader after")).expect("a row");
        assert!(row.contains("3, 1 never, 1 not seen"), "{row}");
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
