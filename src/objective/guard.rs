//! Guards: what ends a run before it does harm. A guard is a line that live numbers may not be over
//! for so many seconds, written `in_time: share<0.5 for 3s`; the whole run is under watch, warm-up
//! included. Nothing else than ending is a guard's doing.

use super::threshold::{Comparator, split_condition};
use crate::base::units::{duration_text, parse_duration, parse_size, size_text};
use crate::base::{Bytes, Histogram, Nanos, Quantile};
use std::str::FromStr;

/// Seconds that a line may be passed for, at most.
const LASTS_MAX: u32 = 600;

/// A guard as it was written: `in_time: share<0.5 for 3s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    pub expression: String,
    watched: Watched,
    comparator: Comparator,
    /// Nanoseconds for times, bytes for memory, else a share.
    limit: f64,
    /// Seconds in a row that it must be over the line.
    lasts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Watched {
    InTime,
    Errors,
    StartLag(Quantile),
    ResponseTime(Quantile),
    FreeMemory,
}

/// The live numbers of one second. What is absent was not measured, and crosses no line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'a> {
    /// Of the requests of which it became known in it: they ended, or were too late unanswered.
    pub in_time_share: Option<f64>,
    /// Of the requests that ended in it.
    pub error_share: Option<f64>,
    pub start_lag: Option<&'a Histogram>,
    pub response_time: Option<&'a Histogram>,
    pub free_memory: Option<Bytes>,
}

/// A guard that ended a run, and on what numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    pub expression: String,
    /// `0.12 in the last second, 3 s in a row`.
    pub seen: String,
}

/// Guards under watch: how long each has been over its line.
#[derive(Clone, Debug)]
pub struct Guards(Vec<(Guard, u32)>);

impl Guards {
    pub fn new(guards: Vec<Guard>) -> Guards {
        Guards(guards.into_iter().map(|guard| (guard, 0)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one second's numbers. A guard without its number in this second stays where it was:
    /// silence neither clears it nor counts against it.
    pub fn second(&mut self, reading: &Reading<'_>) -> Option<Tripped> {
        let mut tripped = None;
        for (guard, over) in &mut self.0 {
            let Some(value) = guard.value(reading) else { continue };
            *over = if guard.comparator.holds(value, guard.limit) { *over + 1 } else { 0 };
            if *over >= guard.lasts && tripped.is_none() {
                tripped = Some(Tripped {
                    expression: guard.expression.clone(),
                    seen: format!("{} in the last second, {over} s in a row", guard.text(value)),
                });
            }
        }
        tripped
    }
}

impl Guard {
    fn value(&self, reading: &Reading<'_>) -> Option<f64> {
        let quantile = |h: Option<&Histogram>, q: Quantile| h?.quantile(q).map(|v| v.0 as f64);
        match self.watched {
            Watched::InTime => reading.in_time_share,
            Watched::Errors => reading.error_share,
            Watched::StartLag(q) => quantile(reading.start_lag, q),
            Watched::ResponseTime(q) => quantile(reading.response_time, q),
            Watched::FreeMemory => reading.free_memory.map(|bytes| bytes.0 as f64),
        }
    }

    fn text(&self, value: f64) -> String {
        match self.watched {
            Watched::InTime | Watched::Errors => format!("{value:.2}"),
            Watched::StartLag(_) | Watched::ResponseTime(_) => Nanos(value as u64).to_string(),
            Watched::FreeMemory => {
                const MIB: u64 = 1 << 20;
                size_text(Bytes(value as u64 / MIB * MIB))
            }
        }
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "guard `{expression}`: {problem}; write it like `in_time: share<0.5 for 3s`, `errors: share>0.5 \
     for 3s`, `response_time: p(99)>5s for 3s`, `start_lag: p(99)>50ms for 3s` or `host_memory: \
     free<500MiB for 2s`"
)]
pub struct GuardError {
    expression: String,
    problem: String,
}

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        let expression = text.trim().to_string();
        parse(&expression).map_err(|problem| GuardError { expression, problem })
    }
}

fn parse(text: &str) -> Result<Guard, String> {
    let (line, lasts) = text.rsplit_once(" for ").ok_or("it does not say for how long")?;
    let (metric, condition) = line.split_once(':').ok_or("it has no `:` before its condition")?;
    let (how, comparator, limit) = split_condition(condition)?;
    let watched = watched(metric.trim(), how)?;
    let number = |text: &str| match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is no share from 0 to 1")),
    };
    let limit = match watched {
        Watched::InTime | Watched::Errors => number(limit)?,
        Watched::StartLag(_) | Watched::ResponseTime(_) => parse_duration(limit)?.0 as f64,
        Watched::FreeMemory => parse_size(limit)?.0 as f64,
    };
    Ok(Guard { expression: text.into(), watched, comparator, limit, lasts: seconds(lasts)? })
}

fn watched(metric: &str, how: &str) -> Result<Watched, String> {
    let quantile = || {
        let percent = how.strip_prefix("p(").and_then(|t| t.strip_suffix(')'));
        match percent.and_then(|p| p.trim().parse::<f64>().ok()) {
            Some(p) if p > 0.0 && p < 100.0 => Ok(Quantile(p / 100.0)),
            _ => Err(format!("`{metric}` is watched as p(50) to p(99.9), not as `{how}`")),
        }
    };
    match (metric, how) {
        ("in_time", "share") => Ok(Watched::InTime),
        ("errors", "share") => Ok(Watched::Errors),
        ("host_memory", "free") => Ok(Watched::FreeMemory),
        ("start_lag", _) => quantile().map(Watched::StartLag),
        ("response_time", _) => quantile().map(Watched::ResponseTime),
        ("in_time" | "errors", _) => {
            Err(format!("`{metric}` is watched as `share`, not as `{how}`"))
        }
        ("host_memory", _) => Err(format!("`host_memory` is watched as `free`, not as `{how}`")),
        _ => Err(format!(
            "there is no live number `{metric}`, only in_time, errors, response_time, start_lag and \
             host_memory"
        )),
    }
}

fn seconds(text: &str) -> Result<u32, String> {
    let lasts = parse_duration(text.trim())?;
    let whole = u32::try_from(lasts.0 / Nanos::SECOND.0).unwrap_or(u32::MAX);
    match lasts.0 % Nanos::SECOND.0 == 0 && (1..=LASTS_MAX).contains(&whole) {
        true => Ok(whole),
        false => Err(format!(
            "live numbers come once a second; use 1s to {}",
            duration_text(Nanos::from_secs(u64::from(LASTS_MAX)))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(texts: &[&str]) -> Guards {
        Guards::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn in_time(share: f64) -> Reading<'static> {
        Reading { in_time_share: Some(share), ..Reading::default() }
    }

    #[test]
    fn it_trips_when_the_line_was_passed_for_so_long_and_not_before() {
        let mut guards = guards(&["in_time: share<0.5 for 3s"]);
        for share in [0.4, 0.4, 0.6, 0.4, 0.1] {
            assert_eq!(guards.second(&in_time(share)), None);
        }
        let tripped = guards.second(&in_time(0.12)).unwrap();
        assert_eq!(tripped.expression, "in_time: share<0.5 for 3s");
        assert_eq!(tripped.seen, "0.12 in the last second, 3 s in a row");
    }

    #[test]
    fn a_second_without_its_number_changes_nothing() {
        let mut guards = guards(&["in_time: share<0.5 for 2s"]);
        assert_eq!(guards.second(&in_time(0.4)), None);
        assert_eq!(guards.second(&Reading::default()), None);
        assert!(guards.second(&in_time(0.4)).is_some());
    }

    #[test]
    fn each_number_is_held_against_its_own_line() {
        let mut lag = Histogram::new();
        (0..2000).for_each(|_| lag.record(Nanos::from_millis(60)));
        let free_memory = Some(Bytes(400 << 20));
        let reading =
            Reading { start_lag: Some(&lag), free_memory, error_share: Some(0.6), ..in_time(0.9) };
        let trips = |text: &str| guards(&[text]).second(&reading).map(|t| t.seen);
        assert!(trips("start_lag: p(99)>50ms for 1s").unwrap().starts_with("60"));
        assert_eq!(trips("start_lag: p(99)>70ms for 1s"), None);
        assert_eq!(trips("response_time: p(99)>1ns for 1s"), None);
        assert!(trips("host_memory: free<500MiB for 1s").unwrap().starts_with("400MiB"));
        assert_eq!(trips("host_memory: free<300MiB for 1s"), None);
        assert!(trips("errors: share>=0.6 for 1s").is_some());
    }

    #[test]
    fn what_is_wrong_is_named_with_an_example() {
        for (text, problem) in [
            ("in_time: share<0.5", "for how long"),
            ("in_time share<0.5 for 3s", "no `:`"),
            ("mood: share<0.5 for 3s", "no live number `mood`"),
            ("in_time: p(99)<0.5 for 3s", "watched as `share`"),
            ("start_lag: max>1ms for 3s", "p(50) to p(99.9)"),
            ("in_time: share<50 for 3s", "no share from 0 to 1"),
            ("host_memory: free<500 for 2s", "500"),
            ("in_time: share<0.5 for 3", "unit"),
            ("in_time: share<0.5 for 1500ms", "once a second"),
            ("in_time: share 0.5 for 3s", "no <"),
        ] {
            let error = text.parse::<Guard>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("write it like"), "{text}: {error}");
        }
    }
}
