//! The answers in plain text.

use super::words;
use crate::analysis::capacity::{Answer, CapacityReport, Sizing};
use crate::report::text::{push_table, push_wrapped};

/// Every answer with its trials. `records` is the folder where they are, `profile` where the
/// audience was written.
pub fn capacity_text(
    report: &CapacityReport,
    records: Option<&str>,
    profile: Option<&str>,
) -> String {
    let mut out = String::new();
    if !report.answers.is_empty() {
        let objectives = report.objectives.join("   ");
        let (name, seed) = (&report.profile, report.seed);
        push_wrapped(
            &mut out,
            &format!("brunt capacity   profile {name}   seed {seed}   {objectives}"),
        );
    }
    for answer in &report.answers {
        out.push('\n');
        push_answer(&mut out, answer);
    }
    let between = [words::losses(&report.answers), words::scaling(report)].concat();
    if !between.is_empty() {
        out.push('\n');
    }
    between.iter().for_each(|line| push_wrapped(&mut out, line));
    if let Some(scaling) = &report.scaling {
        push_table(&mut out, &words::SCALE_HEAD, &words::scale_rows(scaling));
    }
    if let Some(sizing) = &report.sizing {
        push_sizing(&mut out, sizing, !report.answers.is_empty());
    }
    if let Some(path) = profile {
        out.push_str(&format!("the audience as a profile: brunt run TARGET -p {path}\n"));
    }
    if !report.answers.is_empty() {
        out.push_str(&format!("{}\n", report.verdict));
    }
    for reason in &report.reasons {
        push_wrapped(&mut out, &format!("- {reason}"));
    }
    if let Some(folder) = records {
        out.push_str(&format!("report {folder}/report.html\n"));
        out.push_str(&format!("records {folder}\n"));
        out.push_str(&format!("a trial's page: brunt report {folder}/SEARCH/TRIAL\n"));
    }
    out
}

fn push_sizing(out: &mut String, sizing: &Sizing, is_measured: bool) {
    out.push('\n');
    words::demand(sizing).iter().for_each(|line| push_wrapped(out, line));
    out.push('\n');
    push_table(out, &words::ASSUMED_HEAD, &words::assumed(sizing));
    out.push('\n');
    if !sizing.candidates.is_empty() {
        push_table(out, &words::CANDIDATE_HEAD, &words::candidates(sizing));
        out.push('\n');
    }
    words::buy(sizing, is_measured).iter().for_each(|line| push_wrapped(out, line));
}

fn push_answer(out: &mut String, answer: &Answer) {
    push_wrapped(out, &words::headline(answer));
    for line in words::details(answer) {
        push_wrapped(out, &format!("- {line}"));
    }
    if !answer.trials.is_empty() {
        out.push('\n');
        let rows: Vec<_> = answer.trials.iter().map(words::cells).collect();
        push_table(out, &words::HEAD, &rows);
    }
    for doubt in &answer.doubts {
        push_wrapped(out, &format!("doubt: {doubt}"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::capacity_markdown;
    use super::*;
    use crate::analysis::capacity::{
        GroupSize, Interval, Outcome, Prices, Purpose, Reading, Recovery, Trial, TrialRow, size,
    };
    use crate::audience::Forecast;
    use crate::base::Nanos;

    pub fn answer(count: u32, rate: f64, fault: Option<&str>) -> Answer {
        let outcome = Outcome::Found {
            held_per_s: rate,
            failed_per_s: rate * 1.04,
            confirmed_per_s: Some(rate),
            recovery: Recovery::Metastable,
            limiting: Some("in_time: rate>0.99".into()),
            exhausted: Some("the CPU of server app-1: 97 % of its 0.10 cores used".into()),
        };
        let reading = Reading {
            objective: "in_time: rate>0.99".into(),
            allowed: 0.01,
            arrivals: 2000,
            violations: 5,
            design_effect: 1.0,
        };
        let trial = Trial {
            rate_per_s: rate,
            seconds: 20.0,
            purpose: Purpose::Grow,
            readings: vec![reading],
            flaw: None,
            exhausted: None,
            recovered_after_s: None,
        };
        let row = TrialRow {
            folder: "1-x/trial-01".into(),
            trial,
            answered_per_s: None,
            in_time: None,
            p50: Some(Nanos::from_millis(5)),
            p99: None,
            busiest: None,
        };
        let servers = vec![GroupSize { group: "app".into(), count, units: Some(1.0), cores: None }];
        let fault = fault.map(String::from);
        let mut answer = Answer::new(format!("x{count}"), fault, servers, outcome, vec![row], 1);
        answer.capacity = Some(Interval {
            rate_per_s: rate,
            low_per_s: Some(rate * 0.95),
            high_per_s: Some(rate * 1.05),
        });
        answer.expected_per_s = Some(rate * 1.1);
        answer
    }

    pub fn report(answers: Vec<Answer>) -> CapacityReport {
        CapacityReport::new("campaign", 1, vec!["in_time: rate>0.99".into()], answers)
    }

    #[test]
    fn the_answer_its_limits_and_what_was_used_up() {
        let report = report(vec![answer(2, 100.0, None), answer(2, 60.0, Some("loss of app-1"))]);
        for text in [capacity_text(&report, Some("reports/x"), None), capacity_markdown(&report)] {
            let text = text.replace("\n  ", " ").replace('\\', "");
            for part in [
                "x2: 100.0/s (95 % interval 95.0 to 105.0)",
                "x2 with loss of app-1: 60.0/s",
                "91 % of that",
                "what breaks first: in_time: rate>0.99",
                "the CPU of server app-1: 97 %",
                "METASTABLE",
                "confirmed: 100.0/s",
                "it carries 60.0/s of 100.0/s, 60 %",
                "0.25 % of 2000",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn sizes_tell_what_is_missing_and_sizing_what_to_measure() {
        let mut report = report(vec![answer(1, 100.0, None), answer(2, 190.0, None)]);
        let forecast = Forecast::parse("live[viewers=1M]").unwrap();
        let prices = Prices { per_unit: Some(0.02), per_server: vec![] };
        report.sizing = Some(size(&forecast, 1, &report.answers, &prices));
        for text in [capacity_text(&report, None, Some("a.toml")), capacity_markdown(&report)] {
            let text = text.replace("\n  ", " ");
            // 10,125/s at 95/s a server: 107 and the one that is lost, half of which are 54.
            for part in [
                "scaling by the number of servers in the group app",
                "4 more different sizes are missing",
                "95 %",
                "10125/s in the worst second",
                "more servers: not measured: run capacity with at least 54 servers of app",
                "share that clicks",
                "0.02 an hour",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn an_audience_alone_says_how_to_measure() {
        let mut report = report(vec![]);
        let forecast = Forecast::parse("feed[views=3M]").unwrap();
        report.sizing = Some(size(&forecast, 1, &[], &Prices::default()));
        let text = capacity_text(&report, None, Some("a.toml"));
        assert!(text.contains("is not measured: add targets"), "{text}");
        assert!(text.contains("brunt run TARGET -p a.toml"), "{text}");
        assert!(!text.contains("PASS"), "nothing was measured: {text}");
    }

    #[test]
    fn what_is_stored_reads_back() {
        let mut report = report(vec![answer(1, 100.0, None), answer(2, 190.0, None)]);
        let forecast = Forecast::parse("shout-out").unwrap();
        report.sizing = Some(size(&forecast, 1, &report.answers, &Prices::default()));
        let text = crate::report::capacity_json(&report);
        let read: CapacityReport = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read.answers[1].trials[0].trial.readings,
            report.answers[1].trials[0].trial.readings
        );
        assert_eq!(
            (read.answers[0].outcome.clone(), read.answers.len()),
            (report.answers[0].outcome.clone(), 2)
        );
        let (a, b) = (read.sizing.unwrap(), report.sizing.unwrap());
        assert!((a.design_per_s / b.design_per_s - 1.0).abs() < 1e-9);
        assert_eq!(a.assumptions.len(), b.assumptions.len());
    }
}
