//! The state of a run in Prometheus' text format, version 0.0.4. Names and units as its conventions
//! ask for; counters are of the run and begin anew with the next one.

use crate::record::Outcome;
use crate::run::{Progress, Standing};
use std::fmt::Write;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Nothing but whether one goes on, where none does.
pub fn text(run: Option<&Progress>) -> String {
    let mut out = Text::default();
    out.family("brunt_running", "gauge", "Whether a run goes on.");
    out.sample("brunt_running", &[], Some(if run.is_some() { 1.0 } else { 0.0 }));
    if let Some(run) = run {
        push_run(&mut out, run);
        push_times(&mut out, run);
        push_target(&mut out, run);
    }
    out.0
}

fn push_run(out: &mut Text, run: &Progress) {
    out.family("brunt_run_info", "gauge", "What runs, and its phase.");
    let labels =
        [("target", run.target.as_str()), ("profile", &run.profile), ("phase", run.phase())];
    out.sample("brunt_run_info", &labels, Some(1.0));
    out.family("brunt_elapsed_seconds", "gauge", "Since the start of the run.");
    out.sample("brunt_elapsed_seconds", &[], Some(run.elapsed.as_secs_f64()));
    out.family("brunt_requests_total", "counter", "Requests of the run that have ended, by how.");
    for outcome in Outcome::ALL {
        let labels = [("outcome", outcome.name())];
        out.sample("brunt_requests_total", &labels, Some(run.ledger.get(outcome) as f64));
    }
    for (name, help, value) in [
        (
            "brunt_asked_requests_per_second",
            "Planned to start in the last second.",
            Some(run.offered_per_s),
        ),
        (
            "brunt_answered_requests_per_second",
            "Answered correctly in the last second.",
            Some(run.completed_per_s),
        ),
        (
            "brunt_in_time_ratio",
            "Of what ended in the last second, answered correctly and in time.",
            run.in_time_share,
        ),
        ("brunt_in_flight_requests", "Sent or waiting to be.", Some(f64::from(run.in_flight))),
    ] {
        out.family(name, "gauge", help);
        out.sample(name, &[], value);
    }
}

fn push_times(out: &mut Text, run: &Progress) {
    let name = "brunt_response_time_seconds";
    out.family(name, "gauge", "Of the last second, from the intended start.");
    let times = run.last_second;
    for (quantile, value) in [
        ("0.5", times.p50),
        ("0.9", times.p90),
        ("0.99", times.p99),
        ("0.999", times.p999),
        ("1", times.max),
    ] {
        out.sample(name, &[("quantile", quantile)], value.map(|v| v.as_secs_f64()));
    }
}

fn push_target(out: &mut Text, run: &Progress) {
    let flag = |is: bool| Some(if is { 1.0 } else { 0.0 });
    out.family("brunt_node_up", "gauge", "Whether a node of the target runs.");
    for node in &run.nodes {
        out.sample("brunt_node_up", &[("node", &node.name)], flag(node.is_up));
    }
    out.family("brunt_node_leads", "gauge", "Whether a node is the leader.");
    for node in &run.nodes {
        out.sample("brunt_node_leads", &[("node", &node.name)], flag(node.leads));
    }
    out.family("brunt_node_cpu_ratio", "gauge", "Of its server's CPU, used in the last second.");
    for node in &run.nodes {
        out.sample("brunt_node_cpu_ratio", &[("node", &node.name)], node.cpu_share);
    }
    out.family("brunt_fault_in_force", "gauge", "A fault, while it is in force.");
    for fault in &run.faults {
        let labels = [("fault", fault.name.as_str()), ("on", &fault.on)];
        out.sample("brunt_fault_in_force", &labels, Some(1.0));
    }
    out.family("brunt_threshold_broken_ratio", "gauge", "Requests that broke it, of those so far.");
    for threshold in &run.thresholds {
        let standing = match threshold.standing {
            Standing::Held => "held",
            Standing::Missed => "missed",
            Standing::Lost => "lost",
        };
        let labels = [("threshold", threshold.expression.as_str()), ("standing", standing)];
        out.sample("brunt_threshold_broken_ratio", &labels, Some(threshold.share));
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// What is not known has no sample.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{}}} {value}", labels.join(",")),
        };
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::block::tests::state;

    #[test]
    fn every_line_is_a_sample_of_a_family_that_was_announced() {
        let target = "odd \"name\"\\ \n".to_string();
        let text = text(Some(&Progress { target, ..state(24) }));
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap().into();
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next().unwrap(), family, "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        for line in [
            r#"brunt_run_info{target="odd \"name\"\\ \n",profile="campaign",phase="peak"} 1"#,
            r#"brunt_requests_total{outcome="http_error"} 10"#,
            r#"brunt_response_time_seconds{quantile="0.99"} 0.045"#,
            r#"brunt_node_cpu_ratio{node="app-2"} 0.414"#,
            r#"brunt_node_up{node="app-1"} 0"#,
            r#"brunt_fault_in_force{fault="lose-app",on="app-1"} 1"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        assert!(!text.contains("0.999\""), "not known: {text}");
    }

    #[test]
    fn without_a_run_it_says_so() {
        let text = text(None);
        assert!(text.ends_with("brunt_running 0\n"), "{text}");
    }
}
