//! Guards: limits on live numbers at which a run heals and stops, in the grammar of thresholds with a
//! time: `in_time: share<0.5 for 3s`, `host_memory: free<500MiB for 2s`, `start_lag: p(99)>50ms for 3s`.
//!
//! The condition is what must *not* be: it is over the line while it holds. A second about which
//! nothing is known neither trips a guard nor calms it.

use super::Comparator;
use crate::base::Nanos;
use crate::base::units::{parse_duration, parse_size};
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// As it was written.
    pub expression: String,
    pub metric: GuardMetric,
    pub comparator: Comparator,
    /// A share, bytes or nanoseconds.
    pub limit: f64,
    /// Whole seconds that it must hold in a row.
    pub for_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMetric {
    /// Share in time of what ended in the second.
    InTimeShare,
    /// Memory that the machine has left.
    HostMemoryFree,
    /// The generator's own lateness in the second, p99.
    StartLagP99,
}

impl GuardMetric {
    /// Metric, the number of it that is watched, and what it stands for.
    const ALL: [(&'static str, &'static str, GuardMetric); 3] = [
        ("in_time", "share", GuardMetric::InTimeShare),
        ("host_memory", "free", GuardMetric::HostMemoryFree),
        ("start_lag", "p(99)", GuardMetric::StartLagP99),
    ];

    fn parse_limit(self, text: &str) -> Result<f64, String> {
        match self {
            GuardMetric::InTimeShare => (text.parse().ok())
                .filter(|share: &f64| (0.0..=1.0).contains(share))
                .ok_or_else(|| format!("`{text}` is not a share from 0 to 1")),
            GuardMetric::HostMemoryFree => parse_size(text).map(|size| size.0 as f64),
            GuardMetric::StartLagP99 => parse_duration(text).map(|lag| lag.0 as f64),
        }
    }
}

/// What is known of one second of a run; `None` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuardSecond {
    pub second: u32,
    pub in_time_share: Option<f64>,
    pub host_memory_free_bytes: Option<u64>,
    pub start_lag_p99: Option<Nanos>,
}

impl GuardSecond {
    fn value(&self, metric: GuardMetric) -> Option<f64> {
        match metric {
            GuardMetric::InTimeShare => self.in_time_share,
            GuardMetric::HostMemoryFree => self.host_memory_free_bytes.map(|n| n as f64),
            GuardMetric::StartLagP99 => self.start_lag_p99.map(|lag| lag.0 as f64),
        }
    }
}

/// A guard over the line for as long as it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Tripped {
    pub expression: String,
    pub metric: GuardMetric,
    /// The first and the last second that were over the line.
    pub from: u32,
    pub to: u32,
    /// In the last one.
    pub observed: f64,
}

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = match self.metric {
            GuardMetric::InTimeShare => format!("{:.1} % in time", self.observed * 100.0),
            GuardMetric::HostMemoryFree => format!("{:.0} MiB free", self.observed / 1048576.0),
            GuardMetric::StartLagP99 => format!("start lag p99 {}", Nanos(self.observed as u64)),
        };
        let Tripped { expression, from, to, .. } = self;
        write!(f, "{expression}: {observed} in second {to}, over the line since second {from}")
    }
}

/// All guards of a run, fed with one second after the other.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    guards: Vec<(Guard, Streak)>,
}

/// Seconds in a row that were over the line.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    seconds: u32,
    from: u32,
}

impl Watch {
    pub fn new(guards: Vec<Guard>) -> Watch {
        Watch { guards: guards.into_iter().map(|guard| (guard, Streak::default())).collect() }
    }

    /// The first guard, in the order of writing, that this second trips.
    pub fn see(&mut self, second: &GuardSecond) -> Option<Tripped> {
        let mut tripped = None;
        for (guard, run) in &mut self.guards {
            let Some(observed) = second.value(guard.metric) else { continue };
            if !guard.comparator.holds(observed, guard.limit) {
                run.seconds = 0;
                continue;
            }
            if run.seconds == 0 {
                run.from = second.second;
            }
            run.seconds += 1;
            if run.seconds >= guard.for_s && tripped.is_none() {
                tripped = Some(Tripped {
                    expression: guard.expression.clone(),
                    metric: guard.metric,
                    from: run.from,
                    to: second.second,
                    observed,
                });
            }
        }
        tripped
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("guard `{expression}`: {problem}; write it like {EXAMPLE}")]
pub struct GuardError {
    expression: String,
    problem: String,
}

const EXAMPLE: &str =
    "in_time: share<0.5 for 3s, host_memory: free<500MiB for 2s or start_lag: p(99)>50ms for 3s";

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        let expression = text.trim().to_string();
        parse(text.trim()).map_err(|problem| GuardError { expression, problem })
    }
}

fn parse(text: &str) -> Result<Guard, String> {
    let (name, rest) = text.split_once(':').ok_or("it has no `:` before its condition")?;
    let (condition, lasts) =
        rest.rsplit_once(" for ").ok_or("it does not say for how long, as in `for 3s`")?;
    let (number, comparator, limit) = split(condition)?;
    let known = |i: usize| GuardMetric::ALL.map(|(name, number, _)| [name, number][i]).join(", ");
    let (_, watched, metric) = (GuardMetric::ALL.into_iter())
        .find(|(known, ..)| *known == name.trim())
        .ok_or_else(|| format!("there is no metric `{}`, only {}", name.trim(), known(0)))?;
    if number != watched {
        return Err(format!("of `{}` only `{watched}` is watched, not `{number}`", name.trim()));
    }
    Ok(Guard {
        expression: text.into(),
        metric,
        comparator,
        limit: metric.parse_limit(limit)?,
        for_s: whole_seconds(lasts.trim())?,
    })
}

fn split(condition: &str) -> Result<(&str, Comparator, &str), String> {
    let signs = [
        ("<=", Comparator::LessOrEqual),
        (">=", Comparator::GreaterOrEqual),
        ("<", Comparator::Less),
        (">", Comparator::Greater),
    ];
    let split = signs.into_iter().find_map(|(sign, comparator)| {
        let (number, limit) = condition.split_once(sign)?;
        Some((number.trim(), comparator, limit.trim()))
    });
    split.ok_or_else(|| "its condition has no <, <=, > or >=".into())
}

/// Numbers come once a second.
fn whole_seconds(text: &str) -> Result<u32, String> {
    let lasts = parse_duration(text)?.0;
    match (lasts % 1_000_000_000, u32::try_from(lasts / 1_000_000_000)) {
        (0, Ok(seconds @ 1..)) => Ok(seconds),
        _ => Err(format!("`for {text}` is not a number of whole seconds from 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(text: &str) -> Watch {
        Watch::new(vec![text.parse().unwrap()])
    }

    fn share(second: u32, in_time_share: Option<f64>) -> GuardSecond {
        GuardSecond { second, in_time_share, ..GuardSecond::default() }
    }

    /// The second in which it trips.
    fn trips(text: &str, shares: &[Option<f64>]) -> Option<(u32, u32)> {
        let mut watch = watch(text);
        let seconds = (0..).zip(shares);
        let tripped = seconds.filter_map(|(s, value)| watch.see(&share(s, *value))).next();
        tripped.map(|t| (t.from, t.to))
    }

    #[test]
    fn what_the_issue_writes_is_read() {
        for (text, metric, limit, for_s) in [
            ("in_time: share<0.5 for 3s", GuardMetric::InTimeShare, 0.5, 3),
            ("host_memory: free<500MiB for 2s", GuardMetric::HostMemoryFree, 524_288_000.0, 2),
            ("start_lag: p(99)>50ms for 3s", GuardMetric::StartLagP99, 5e7, 3),
            (" in_time : share <= 0.9 for 1m ", GuardMetric::InTimeShare, 0.9, 60),
        ] {
            let guard: Guard = text.parse().unwrap();
            assert_eq!((guard.metric, guard.limit, guard.for_s), (metric, limit, for_s), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("in_time share<0.5 for 3s", "no `:`"),
            ("in_time: share<0.5", "for how long"),
            ("in_time: share 0.5 for 3s", "no <"),
            ("in_time: rate<0.5 for 3s", "only `share` is watched"),
            ("errors: rate>0.5 for 3s", "no metric `errors`, only in_time, host_memory, start_lag"),
            ("in_time: share<50 for 3s", "not a share"),
            ("in_time: share<NaN for 3s", "not a share"),
            ("host_memory: free<500 for 3s", "no unit"),
            ("start_lag: p(99)>50 for 3s", "no unit"),
            ("in_time: share<0.5 for 0s", "whole seconds"),
            ("in_time: share<0.5 for 1500ms", "whole seconds"),
            ("in_time: share<0.5 for 3", "no unit"),
        ] {
            let error = text.parse::<Guard>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("write it like"), "{text}: {error}");
        }
    }

    #[test]
    fn it_trips_after_so_many_seconds_in_a_row() {
        let guard = "in_time: share<0.5 for 3s";
        let (bad, good) = (Some(0.49), Some(0.5));
        assert_eq!(trips(guard, &[bad, bad, bad]), Some((0, 2)));
        assert_eq!(trips(guard, &[bad, bad, good, bad, bad]), None);
        assert_eq!(trips(guard, &[good, bad, bad, bad, bad]), Some((1, 3)));
        assert_eq!(trips("in_time: share<0.5 for 1s", &[good, bad]), Some((1, 1)));
    }

    #[test]
    fn a_second_without_a_number_neither_trips_nor_calms() {
        let guard = "in_time: share<0.5 for 3s";
        let bad = Some(0.1);
        assert_eq!(trips(guard, &[None; 9]), None);
        assert_eq!(trips(guard, &[bad, None, bad, None]), None);
        assert_eq!(trips(guard, &[bad, None, bad, None, bad]), Some((0, 4)));
    }

    #[test]
    fn every_guard_sees_every_second_and_says_what_it_saw() {
        let guards = ["host_memory: free<500MiB for 2s", "start_lag: p(99)>50ms for 1s"];
        let mut watch = Watch::new(guards.map(|g| g.parse().unwrap()).to_vec());
        let second = |second, free_mib: u64, lag_ms| GuardSecond {
            second,
            host_memory_free_bytes: Some(free_mib << 20),
            start_lag_p99: Some(Nanos::from_millis(lag_ms)),
            ..GuardSecond::default()
        };
        assert_eq!(watch.see(&second(0, 501, 50)), None);
        let lag = watch.see(&second(1, 499, 51)).unwrap();
        assert_eq!((lag.metric, lag.from), (GuardMetric::StartLagP99, 1));
        let memory = watch.see(&second(2, 498, 51)).unwrap();
        assert_eq!(
            memory.to_string(),
            "host_memory: free<500MiB for 2s: 498 MiB free in second 2, over the line since second 1"
        );
    }
}
