//! What of a pair is compared, in the order in which it survives a shared machine: work and
//! errors first, then what got through, times last.

use crate::analysis::stats::{Better, Scale};
use crate::analysis::{Summary, TimeSummary};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A time may be judged when so many answers of each run lie above its percentile: with ten, as a
/// report asks for, it is a number; to tell two of them apart it takes more (methods §2.5).
pub const ABOVE_NEEDED: f64 = 100.0;
/// A share of errors that grows by this matters: one in a thousand.
const ERROR_MARGIN: f64 = 0.001;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// CPU seconds of all servers per 1000 requests that were answered well.
    Cpu,
    /// Share of the planned requests that was not answered well.
    Errors,
    /// Good answers a second.
    Throughput,
    P50,
    P90,
    P95,
    P99,
}

impl Measure {
    pub const ALL: [Measure; 7] = [
        Measure::Cpu,
        Measure::Errors,
        Measure::Throughput,
        Measure::P50,
        Measure::P90,
        Measure::P95,
        Measure::P99,
    ];
    /// Of the tail, the highest that enough answers carry.
    pub const TAIL: [Measure; 3] = [Measure::P99, Measure::P95, Measure::P90];
    /// How many are judged together at most, unless more are asked for.
    pub const USUAL: usize = 5;

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Cpu => "cpu",
            Measure::Errors => "errors",
            Measure::Throughput => "throughput",
            Measure::P50 => "p50",
            Measure::P90 => "p90",
            Measure::P95 => "p95",
            Measure::P99 => "p99",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Measure::Cpu => "CPU per 1000 ok",
            Measure::Errors => "errors",
            Measure::Throughput => "throughput",
            Measure::P50 => "response p50",
            Measure::P90 => "response p90",
            Measure::P95 => "response p95",
            Measure::P99 => "response p99",
        }
    }

    /// The quantile of the response time that it is.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Measure::P50 => Some(0.5),
            Measure::P90 => Some(0.9),
            Measure::P95 => Some(0.95),
            Measure::P99 => Some(0.99),
            Measure::Cpu | Measure::Errors | Measure::Throughput => None,
        }
    }

    pub fn is_time(self) -> bool {
        self.quantile().is_some()
    }

    pub fn better(self) -> Better {
        if self == Measure::Throughput { Better::Higher } else { Better::Lower }
    }

    pub fn scale(self) -> Scale {
        if self == Measure::Errors { Scale::Difference } else { Scale::Ratio }
    }

    /// A margin that no change to be found decides: that of a difference.
    pub fn own_margin(self) -> Option<f64> {
        (self == Measure::Errors).then_some(ERROR_MARGIN)
    }

    /// Its value in one run: seconds, a share, answers a second, nanoseconds.
    pub fn of(self, s: &Summary) -> Option<f64> {
        match self {
            Measure::Cpu => s.cpu.per_1000_ok_s,
            Measure::Errors => {
                crate::analysis::share(s.ledger.planned - s.ledger.ok, s.ledger.planned)
            }
            Measure::Throughput => {
                let planned = s.ledger.planned as f64;
                (planned > 0.0).then(|| s.rate.offered_per_s * s.ledger.ok as f64 / planned)
            }
            Measure::P50 | Measure::P90 | Measure::P95 | Measure::P99 => {
                s.response_time_ns.named(self.name()).map(|ns| ns.0 as f64)
            }
        }
    }

    /// Whether so many answers were counted that it may be compared.
    pub fn is_carried_by(self, times: &TimeSummary) -> bool {
        self.quantile().is_none_or(|q| times.count as f64 * (1.0 - q) >= ABOVE_NEEDED - 1e-6)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Measure, String> {
        let names = || Measure::ALL.map(Measure::name).join(", ");
        Measure::ALL
            .into_iter()
            .find(|measure| measure.name() == text)
            .ok_or_else(|| format!("there is no measure `{text}`, only {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::Builder;

    #[test]
    fn a_run_has_its_values_and_what_was_not_measured_has_none() {
        let s = summarise(&Builder::new("vertical").answered(6..8, 0.5).build());
        assert!((Measure::Cpu.of(&s).unwrap() - 1.77).abs() < 0.01);
        let errors = Measure::Errors.of(&s).unwrap();
        assert!((errors - 200.0 / s.ledger.planned as f64).abs() < 1e-9, "{errors}");
        let throughput = Measure::Throughput.of(&s).unwrap();
        assert!((throughput - s.ledger.ok as f64 / 18.0).abs() < 1e-6, "{throughput}");
        assert!(Measure::P50.of(&s).unwrap() > 1e6);
        let mut unknown = s.clone();
        unknown.cpu.per_1000_ok_s = None;
        assert_eq!(Measure::Cpu.of(&unknown), None);
        let nothing = summarise(&Builder::new("vertical").all_refused().build());
        assert_eq!(Measure::Cpu.of(&nothing), None);
    }

    #[test]
    fn a_percentile_needs_a_hundred_answers_above_it() {
        let times = |count| TimeSummary { count, ..TimeSummary::default() };
        assert!(Measure::P99.is_carried_by(&times(10_000)));
        assert!(!Measure::P99.is_carried_by(&times(9_999)));
        assert!(Measure::P50.is_carried_by(&times(200)));
        assert!(Measure::Cpu.is_carried_by(&times(0)));
    }

    #[test]
    fn names_are_read_back() {
        for measure in Measure::ALL {
            assert_eq!(measure.name().parse(), Ok(measure));
        }
        assert!("latency".parse::<Measure>().unwrap_err().contains("cpu, errors"));
    }
}
