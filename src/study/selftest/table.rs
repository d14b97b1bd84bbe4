//! The result as a table for people.

use super::{Figure, Outcome, SelfTest};
use crate::base::Nanos;
use std::fmt::Write;

/// Everything on one page.
pub fn table(result: &SelfTest) -> String {
    let mut out = String::new();
    for outcome in &result.experiments {
        experiment(&mut out, outcome);
    }
    for doubt in &result.doubts {
        line(&mut out, format_args!("doubt: {doubt}"));
    }
    line(&mut out, format_args!("{}", result.unseen));
    line(&mut out, format_args!("{}", verdict(result)));
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string does not fail");
}

fn experiment(out: &mut String, outcome: &Outcome) {
    line(out, format_args!("{}: {}", outcome.name, outcome.says));
    line(
        out,
        format_args!(
            "  {} requests; the server's own timers were late by {} (p50), {} (p99)",
            outcome.requests,
            Nanos(outcome.server_late_p50_ns),
            Nanos(outcome.server_late_p99_ns)
        ),
    );
    line(
        out,
        format_args!(
            "  {:<30}{:>10}{:>20}{:>10}{:>10}{:>10}{:>11}",
            "", "theory", "range", "exact", "brunt", "error", "tolerance"
        ),
    );
    outcome.figures.iter().for_each(|f| figure(out, f));
    for doubt in &outcome.doubts {
        line(out, format_args!("  doubt: {doubt}"));
    }
    line(out, format_args!(""));
}

fn figure(out: &mut String, f: &Figure) {
    let name = if f.unit.is_empty() { f.name.clone() } else { format!("{}, {}", f.name, f.unit) };
    let known = |value: Option<f64>| value.map_or("-".to_string(), number);
    let band = f.band.map(|(low, high)| format!("{} to {}", number(low.max(0.0)), number(high)));
    let word = match (f.tolerance, f.is_ok) {
        (None, _) => "",
        (Some(_), true) => "ok",
        (Some(_), false) => "OFF",
    };
    line(
        out,
        format_args!(
            "  {name:<30}{:>10}{:>20}{:>10}{:>10}{:>10}{:>11}  {word}",
            known(f.theory),
            band.unwrap_or_else(|| "-".into()),
            known(f.exact),
            number(f.measured),
            f.error.map_or("-".into(), |e| format!(
                "{}{}",
                if e < 0.0 { "−" } else { "+" },
                number(e.abs())
            )),
            known(f.tolerance),
        ),
    );
}

/// Four significant digits, whole numbers as such.
fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn verdict(result: &SelfTest) -> String {
    let off = |o: &&Outcome| !o.is_ok();
    let names: Vec<&str> = result.experiments.iter().filter(off).map(|o| o.name.as_str()).collect();
    match (result.interrupted, names.is_empty()) {
        (Some(signal), _) => format!("ended early by signal {signal}: no verdict"),
        (None, true) => "brunt is within its tolerances on this machine, now".into(),
        (None, false) => format!(
            "OFF: {}. Believe no figure of this machine that is finer than the errors above; \
             stop what else runs here and try again",
            names.join("; ")
        ),
    }
}
