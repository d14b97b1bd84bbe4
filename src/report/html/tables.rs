//! Tables beside the charts: phase by phase, request by request, and whether the numbers may be
//! believed.

use crate::analysis::comparison::{count_text, percent, short};
use crate::analysis::{About, Comparison, Level, PhaseSummary, Run, Summary, TimeSummary, share};
use crate::base::Nanos;
use crate::plan::LoadPlan;
use crate::record::Ledger;
use crate::report::staleness::staleness;
use maud::{Markup, html};

/// A target's name with its colour.
pub fn target_name(index: usize, name: &str) -> Markup {
    html! {
        span.target style=(format!("--c:var(--t{})", index % 6)) {
            i.chip aria-hidden="true" {}
            (name)
        }
    }
}

/// What is wider than the page scrolls by itself, by keyboard too.
pub fn scroll(label: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

fn time(time: Option<Nanos>) -> Markup {
    html! { td.number { @if let Some(time) = time { (time) } @else { span.soft { "–" } } } }
}

fn number(n: u64) -> Markup {
    html! { td.number { @if n == 0 { span.soft { "0" } } @else { (count_text(n)) } } }
}

fn head(first: &str, second: Option<&str>, service: bool) -> Markup {
    let counts = ["planned", "ok", "wrong", "no answer", "in time"];
    let quantiles = ["p50", "p90", "p99", "p99.9", "max"];
    html! {
        thead {
            tr {
                th scope="col" rowspan="2" { (first) }
                @if let Some(second) = second { th scope="col" rowspan="2" { (second) } }
                th.group scope="colgroup" colspan=(counts.len()) { "requests" }
                th.group scope="colgroup" colspan=(quantiles.len()) { "response time" }
                @if service { th.group scope="colgroup" colspan="2" { "service time" } }
            }
            tr {
                @for name in counts.iter().chain(&quantiles) { th.number scope="col" { (name) } }
                @if service { th.number scope="col" { "p50" } th.number scope="col" { "p99" } }
            }
        }
    }
}

/// How many, how they ended, and how long they took.
fn cells(ledger: &Ledger, in_time: u64, response: &TimeSummary) -> Markup {
    let unanswered =
        ledger.transport_error + ledger.timeout + ledger.unfinished + ledger.never_sent;
    html! {
        (number(ledger.planned)) (number(ledger.ok)) (number(ledger.http_error)) (number(unanswered))
        td.number { (share(in_time, ledger.planned).map_or("–".into(), percent)) }
        (time(response.p50)) (time(response.p90)) (time(response.p99)) (time(response.p999))
        (time(response.max))
    }
}

pub fn phases(runs: &[Run<'_>], c: &Comparison) -> Markup {
    let of = |name: &str| -> Vec<(usize, &PhaseSummary, f64)> {
        let found = runs.iter().enumerate().filter_map(|(index, run)| {
            let phase = run.summary.phases.iter().find(|p| p.name == name)?;
            Some((index, phase, run.summary.when_run(phase)?.1))
        });
        found.collect()
    };
    let end = |name: &str| of(name).iter().map(|(.., end)| *end).fold(0.0, f64::max);
    let table = html! {
        table.dense {
            (head("phase", (runs.len() > 1).then_some("target"), true))
            @for phase in &runs[0].summary.phases {
                @if !of(&phase.name).is_empty() { tbody {
                    @for (at, (index, p, _)) in of(&phase.name).into_iter().enumerate() {
                        tr {
                            @if at == 0 {
                                th scope="rowgroup" rowspan=(of(&phase.name).len()) {
                                    (p.name) " "
                                    span.soft {
                                        (short(p.start_s)) "–" (short(end(&p.name))) " s"
                                        @if !p.measured { " · not measured" }
                                    }
                                }
                            }
                            @if runs.len() > 1 { td { (target_name(index, &c.targets[index])) } }
                            (cells(&p.ledger, p.in_time, &p.response_time_ns))
                            (time(p.service_time_ns.p50)) (time(p.service_time_ns.p99))
                        }
                    }
                } }
            }
        }
    };
    html! {
        h3 { "Every phase" }
        (scroll("Every phase, with its requests and times", table))
    }
}

pub fn requests(runs: &[Run<'_>], c: &Comparison) -> Markup {
    let load: &LoadPlan = &runs[0].record.manifest.plan.load;
    let table = html! {
        table.dense {
            (head("request", (runs.len() > 1).then_some("target"), false))
            @for request in &load.requests {
                tbody {
                    @for (index, run) in runs.iter().enumerate() {
                        @if let Some(r) = run.summary.requests.get(&request.name) {
                            tr {
                                @if index == 0 {
                                    th scope="rowgroup" rowspan=(runs.len()) { (request.name) }
                                }
                                @if runs.len() > 1 { td { (target_name(index, &c.targets[index])) } }
                                (cells(&r.ledger, r.in_time, &r.response_time_ns))
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        h3 { "Every request" }
        p.caption {
            "Over the measured phases. Wrong: answered, and not with a success. A time is left out where fewer than ten answers took longer."
        }
        (scroll("Every request, with its times", table))
    }
}

/// The checks of the measurement itself; each is one column, with the reading that it is judged by.
pub fn validity(runs: &[(Markup, &Summary)]) -> Markup {
    let names = runs.first().map(|(_, summary)| checks(summary)).unwrap_or_default();
    let table = html! {
        table.dense.strip {
            thead {
                tr {
                    th scope="col" { "run" }
                    @for (name, ..) in names { th scope="col" { (name) } }
                }
            }
            tbody {
                @for (name, summary) in runs {
                    tr {
                        th scope="row" { (name) }
                        @for (_, reading, about) in checks(summary) {
                            (check(summary, &reading, &about))
                        }
                    }
                }
            }
        }
    };
    scroll("The checks of each run", table)
}

type Check = (&'static str, String, Vec<About>);

fn checks(s: &Summary) -> Vec<Check> {
    let h = &s.validity;
    let known = |text: Option<String>| text.unwrap_or_else(|| "not observed".into());
    let steal = h.steal_worst_share.or(h.steal_share).map(percent);
    let (counted, planned) = (s.ledger_run.ended(), s.ledger_run.planned);
    let rest = [
        About::NoAnswers,
        About::SteadyState,
        About::Record,
        About::Heal,
        About::Manifest,
        About::Guard,
        About::Lost,
    ];
    vec![
        (
            "starts late by, p99",
            known(h.start_lag_p99_ns.map(|t| t.to_string())),
            vec![About::StartLag, About::Gaps],
        ),
        (
            "machine stalls, p99.9",
            known(h.hiccup_p999_ns.map(|t| t.to_string())),
            vec![About::Hiccups],
        ),
        ("generator's cores", known(h.generator_core_share.map(percent)), vec![About::Generator]),
        ("stolen CPU, worst second", known(steal), vec![About::Steal]),
        ("slow seconds of a core", known(h.slow_seconds.map(|n| n.to_string())), vec![About::Pace]),
        ("CPU a request, off by", known(h.work_off.map(percent)), vec![About::Work]),
        (
            "requests accounted for",
            format!("{} of {}", count_text(counted), count_text(planned)),
            vec![About::Ledger, About::LittlesLaw],
        ),
        ("data check", data_text(s), vec![About::DataCheck]),
        ("all else", String::new(), rest.to_vec()),
    ]
}

fn data_text(s: &Summary) -> String {
    let read_back = match s.data.read_back {
        Some(n) => format!("{} writes read back", count_text(n)),
        None => "nothing read back".into(),
    };
    match s.data.staleness.as_ref().and_then(staleness) {
        Some(stale) => format!("{read_back}; {stale}"),
        None => read_back,
    }
}

fn check(s: &Summary, reading: &str, about: &[About]) -> Markup {
    let found = s.validity.doubts.iter().filter(|d| about.contains(&d.about));
    let worst = found.map(|d| d.level).max();
    let (class, word) = match worst {
        None => ("good", "no doubt"),
        Some(Level::Doubt) => ("warn", "doubt"),
        Some(Level::Inconclusive) => ("warn", "inconclusive"),
        Some(Level::Invalid) => ("bad", "invalid"),
    };
    html! {
        td class=(class) {
            span.word { (word) }
            @if !reading.is_empty() { " " span.soft { (reading) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, planned_for_a_day, with_trio};
    use crate::analysis::{compare, summarise};

    #[test]
    fn the_tables_hold_what_the_summaries_say() {
        with_trio(|c, runs| {
            let phases = phases(runs, c).into_string();
            for text in ["warm-up", "not measured", "server lost", "vertical", "p99.9"] {
                assert!(phases.contains(text), "{text}");
            }
            let requests = requests(&runs[2..], c).into_string();
            assert!(requests.contains("feed") && !requests.contains(">target<"), "{requests}");
            let checked = [(target_name(0, "x"), runs[0].summary)];
            assert!(validity(&checked).into_string().contains("of 3,"));
        });
    }

    #[test]
    fn phases_end_with_the_run_and_those_not_begun_are_not_listed() {
        let mut record = planned_for_a_day(Builder::new("vertical").build());
        for (ended, text) in [(20, "10–20 s"), (8, "6–8 s")] {
            record.ended = Nanos::from_secs(ended);
            let summary = summarise(&record);
            let run = [Run { record: &record, summary: &summary }];
            let c = compare(&run);
            let table = phases(&run, &c).into_string();
            assert!(table.contains(text), "{table}");
            assert_eq!(table.contains("server lost"), ended == 20);
            assert!(c.notes[0].contains(&format!("run for {ended} s of the planned 86400 s")));
        }
    }
}
