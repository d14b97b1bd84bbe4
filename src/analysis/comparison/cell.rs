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
    /// The same, once for every server that holds the role that was hit.
    HitTimesServers {
        not_in_time: u64,
        servers: usize,
    },
    /// The hypothesis held throughout.
    Held,
    OutFor(OutFor),
    /// Measured at the instant itself, beside the bound that follows from the settings.
    After {
        seconds: f64,
        bound_s: Option<f64>,
    },
    Cores {
        cores: f64,
    },
    Data {
        acknowledged: u64,
        lost: Option<u64>,
        /// Not read back: neither found nor lost.
        unchecked: u64,
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
    /// Known in whole seconds only: an upper bound.
    pub is_stepped: bool,
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
            Cell::Held => "held".into(),
            Cell::OutFor(out) => out.to_string(),
            Cell::After { seconds, bound_s: None } => format!("{seconds:.2} s"),
            Cell::After { seconds, bound_s: Some(bound) } => {
                format!("{seconds:.2} s (bound {} s)", short(*bound))
            }
            Cell::Cores { cores } => format!("{cores:.2}"),
            Cell::Data { acknowledged, lost, unchecked } => {
                let seen = acknowledged.saturating_sub(*unchecked);
                let lost = match (lost, unchecked) {
                    (None, _) => "not known".into(),
                    (Some(lost), 0) => count_text(*lost),
                    (Some(lost), _) => format!("{} of {}", count_text(*lost), count_text(seen)),
                };
                format!("{} / {lost}", count_text(*acknowledged))
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
        match (self.is_stepped, self.at_least) {
            (true, true) => write!(f, "over {:.0} s", self.seconds.floor()),
            (true, false) => f.write_str(&within(self.seconds)),
            (false, true) => write!(f, "over {:.1} s", self.seconds),
            (false, false) if self.below_resolution => f.write_str(&under(self.seconds)),
            (false, false) => write!(f, "{:.1} s", self.seconds),
        }?;
        f.write_str(if self.includes_repair { " (b)" } else { "" })
    }
}

/// What is known in steps of one second.
pub fn within(seconds: f64) -> String {
    format!("within {:.0} s", seconds.ceil())
}

/// An upper bound stays one when it is rounded.
pub fn under(seconds: f64) -> String {
    format!("under {:.1} s", (seconds * 10.0).ceil() / 10.0)
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
        v if !(10.0..=90.0).contains(&v) => {
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
        let out = OutFor {
            seconds: 5.864,
            is_stepped: false,
            includes_repair: true,
            at_least: false,
            below_resolution: false,
        };
        let noise = OutFor { seconds: 0.81, below_resolution: true, includes_repair: false, ..out };
        let data = |lost, unchecked| Cell::Data { acknowledged: 300, lost, unchecked };
        for (cell, text) in [
            (Cell::InTime { share: 0.9999, held: true }, "99.9 %"),
            (Cell::InTime { share: 0.01, held: false }, "1 %  FAIL"),
            (Cell::InTime { share: 0.554, held: false }, "55 %  FAIL"),
            (Cell::Quantiles { low_ns: ms(10), high_ns: ms(20) }, "10.0 / 20.0 ms"),
            (Cell::Quantiles { low_ns: ms(10), high_ns: ms(2000) }, "10.0 ms / 2.00 s"),
            (Cell::Hit { not_in_time: 1180, of: 1800 }, "1,180 of 1,800"),
            (Cell::OutFor(out), "5.9 s (b)"),
            (Cell::OutFor(OutFor { is_stepped: true, ..out }), "within 6 s (b)"),
            (Cell::OutFor(OutFor { is_stepped: true, at_least: true, ..out }), "over 5 s (b)"),
            (Cell::OutFor(noise), "under 0.9 s"),
            (Cell::After { seconds: 0.719, bound_s: Some(0.75) }, "0.72 s (bound 0.75 s)"),
            (data(Some(0), 0), "300 / 0"),
            (data(Some(0), 20), "300 / 0 of 280"),
            (data(None, 300), "300 / not known"),
            (Cell::Servers { servers: 11, cores: 0.9 }, "11, 0.90 cores"),
            (Cell::HitTimesServers { not_in_time: 40, servers: 4 }, "40 × 4 = 160"),
        ] {
            assert_eq!(cell.to_string(), text);
        }
        assert_eq!(count_text(1_234_567), "1,234,567");
    }
}
