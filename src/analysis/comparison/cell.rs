//! The comparison's table as values, each of which knows how it is written.

use crate::base::Nanos;
use serde::Serialize;
use std::fmt;

/// A line of the table: one metric, one cell per target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Rows of one group belong together: a phase, a fault.
    pub group: usize,
    pub label: String,
    pub metric: String,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cell {
    Servers {
        servers: usize,
        cores: f64,
    },
    PerSecond {
        value: f64,
    },
    /// Share in time; `held` says whether the hypothesis did.
    InTime {
        share: f64,
        held: bool,
    },
    Quantiles {
        low_ns: Option<Nanos>,
        high_ns: Option<Nanos>,
    },
    Overloaded,
    Hit {
        not_in_time: u64,
        of: u64,
    },
    /// The same, once for every server that can be lost.
    HitTimesServers {
        not_in_time: u64,
        servers: usize,
    },
    OutFor(OutFor),
    Data {
        acknowledged: u64,
        lost: Option<u64>,
    },
    Count {
        value: u64,
    },
    CpuSeconds {
        value: f64,
    },
    /// The hypothesis did not hold before the fault, so what followed is not its doing.
    AlreadyFailing,
    /// The fault was not injected.
    NotInjected,
    /// Not measured, or it has no meaning here.
    Unknown,
}

/// How long something was out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OutFor {
    pub seconds: f64,
    /// What follows from the settings, where that is known.
    pub bound_s: Option<f64>,
    /// The repair time that the profile assumes is a part of it.
    pub includes_repair: bool,
    /// It had not come back when the observation ended.
    pub at_least: bool,
    /// Not longer than what chance brings about at this rate.
    pub below_resolution: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl Cell {
    /// Whether it should catch the eye.
    pub fn is_bad(&self) -> bool {
        match self {
            Cell::InTime { held, .. } => !held,
            Cell::Overloaded => true,
            Cell::Data { lost, .. } => lost.is_some_and(|n| n > 0),
            _ => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Cell::Servers { servers, cores } => format!("{servers}, {cores:.2} cores"),
            Cell::PerSecond { value } => format!("{}/s", count_text(value.round() as u64)),
            Cell::InTime { share, held: true } => percent(*share),
            Cell::InTime { share, held: false } => format!("{}  FAIL", percent(*share)),
            Cell::Quantiles { low_ns, high_ns } => quantiles_text(*low_ns, *high_ns),
            Cell::Overloaded => "overloaded".into(),
            Cell::Hit { not_in_time, of } => {
                format!("{} of {}", count_text(*not_in_time), count_text(*of))
            }
            Cell::HitTimesServers { not_in_time, servers } => {
                let all = count_text(not_in_time * *servers as u64);
                format!("{} × {servers} = {all}", count_text(*not_in_time))
            }
            Cell::OutFor(out) => out.to_string(),
            Cell::Data { acknowledged, lost: Some(lost) } => {
                format!("{} / {}", count_text(*acknowledged), count_text(*lost))
            }
            Cell::Data { acknowledged, lost: None } => {
                format!("{} / not known", count_text(*acknowledged))
            }
            Cell::Count { value } => count_text(*value),
            Cell::CpuSeconds { value } => format!("{value:.2}"),
            Cell::AlreadyFailing => "(a)".into(),
            Cell::NotInjected => "not injected".into(),
            Cell::Unknown => "–".into(),
        }
    }
}

impl fmt::Display for OutFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match () {
            () if self.at_least => "over ",
            () if self.below_resolution => "under ",
            () => "",
        };
        write!(f, "{sign}{:.1} s", self.seconds)?;
        if self.includes_repair {
            f.write_str(" (b)")?;
        } else if let Some(bound) = self.bound_s {
            write!(f, " (bound {} s)", short(bound))?;
        }
        Ok(())
    }
}

fn quantiles_text(low: Option<Nanos>, high: Option<Nanos>) -> String {
    let text = |n: Option<Nanos>| n.map_or("–".to_string(), |n| n.to_string());
    let (low, high) = (text(low), text(high));
    // One unit for both where it is the same: `10.1 / 18.4 ms`.
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, a)), Some((_, b))) if a == b => format!("{number} / {high}"),
        _ => format!("{low} / {high}"),
    }
}

/// `100 %`, `99.4 %`, `1 %`: one decimal only where it tells something; never 100 when it is less.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        v if v >= 100.0 => "100 %".into(),
        v if v > 99.9 => "99.9 %".into(),
        v if v < 10.0 || v > 90.0 => {
            let one = format!("{v:.1}");
            format!("{} %", one.strip_suffix(".0").unwrap_or(&one))
        }
        v => format!("{v:.0} %"),
    }
}

/// Thousands apart: `1,800`.
pub fn count_text(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Without trailing zeros: `0.75`, `5`.
pub fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_written_like_a_person_would() {
        let ms = |n| Some(Nanos::from_millis(n));
        let out = |seconds, bound_s, includes_repair| {
            let (at_least, below_resolution) = (false, false);
            Cell::OutFor(OutFor { seconds, bound_s, includes_repair, at_least, below_resolution })
        };
        for (cell, text) in [
            (Cell::InTime { share: 0.9999, held: true }, "99.9 %"),
            (Cell::InTime { share: 0.01, held: false }, "1 %  FAIL"),
            (Cell::InTime { share: 0.554, held: false }, "55 %  FAIL"),
            (Cell::Quantiles { low_ns: ms(10), high_ns: ms(20) }, "10.0 / 20.0 ms"),
            (Cell::Quantiles { low_ns: ms(10), high_ns: ms(2000) }, "10.0 ms / 2.00 s"),
            (Cell::Hit { not_in_time: 1180, of: 1800 }, "1,180 of 1,800"),
            (out(5.9, None, true), "5.9 s (b)"),
            (out(0.7, Some(0.75), false), "0.7 s (bound 0.75 s)"),
            (Cell::Servers { servers: 11, cores: 0.9 }, "11, 0.90 cores"),
            (Cell::HitTimesServers { not_in_time: 40, servers: 11 }, "40 × 11 = 440"),
        ] {
            assert_eq!(cell.to_string(), text);
        }
        assert_eq!(count_text(1_234_567), "1,234,567");
    }
}
