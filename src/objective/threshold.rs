//! Thresholds in k6's grammar with brunt's metrics: `response_time{phase:peak}: p(95)<1s`.

use crate::base::Quantile;
use crate::base::units::parse_duration;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    ResponseTime,
    ServiceTime,
    StartLag,
    RecoveryTime,
    Errors,
    InTime,
    Throughput,
    LostWrites,
}

impl Metric {
    const ALL: [(&'static str, Metric); 8] = [
        ("response_time", Metric::ResponseTime),
        ("service_time", Metric::ServiceTime),
        ("start_lag", Metric::StartLag),
        ("recovery_time", Metric::RecoveryTime),
        ("errors", Metric::Errors),
        ("in_time", Metric::InTime),
        ("throughput", Metric::Throughput),
        ("lost_writes", Metric::LostWrites),
    ];

    /// Whether its limit is a duration.
    pub fn is_time(self) -> bool {
        use Metric::{RecoveryTime, ResponseTime, ServiceTime, StartLag};
        matches!(self, ResponseTime | ServiceTime | StartLag | RecoveryTime)
    }

    fn labels(self) -> &'static [&'static str] {
        match self {
            Metric::ResponseTime | Metric::Errors | Metric::InTime => &["request", "phase"],
            Metric::ServiceTime => &["phase"],
            Metric::RecoveryTime => &["fault"],
            Metric::StartLag | Metric::Throughput | Metric::LostWrites => &[],
        }
    }

    fn takes(self, how: Aggregation) -> bool {
        match self {
            Metric::ResponseTime | Metric::ServiceTime | Metric::StartLag => {
                !matches!(how, Aggregation::Rate | Aggregation::Count)
            }
            Metric::RecoveryTime => how == Aggregation::Max,
            Metric::Errors | Metric::InTime | Metric::Throughput => how == Aggregation::Rate,
            Metric::LostWrites => how == Aggregation::Count,
        }
    }
}

/// How the values become one number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    Quantile(Quantile),
    Mean,
    Min,
    Max,
    Rate,
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

impl Comparator {
    pub fn holds(self, observed: f64, limit: f64) -> bool {
        match self {
            Comparator::Less => observed < limit,
            Comparator::LessOrEqual => observed <= limit,
            Comparator::Greater => observed > limit,
            Comparator::GreaterOrEqual => observed >= limit,
            Comparator::Equal => observed == limit,
        }
    }
}

/// What of a run a threshold is about: its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    Whole,
    Request(String),
    Phase(String),
    Fault(String),
}

impl Scope {
    fn of(key: &str, name: &str) -> Option<Scope> {
        Some(match key {
            "request" => Scope::Request(name.into()),
            "phase" => Scope::Phase(name.into()),
            "fault" => Scope::Fault(name.into()),
            _ => return None,
        })
    }

    pub fn has_request(&self, name: &str) -> bool {
        !matches!(self, Scope::Request(only) if only != name)
    }

    /// A phase that is not measured is in it only by its name.
    pub fn has_phase(&self, name: &str, is_measured: bool) -> bool {
        match self {
            Scope::Phase(only) => only == name,
            _ => is_measured,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub expression: String,
    pub metric: Metric,
    pub scope: Scope,
    pub aggregation: Aggregation,
    pub comparator: Comparator,
    /// Nanoseconds for times.
    pub limit: f64,
}

impl Threshold {
    /// The share of the requests that may break it, where it is about one: 0.01 of a p(99), of
    /// `errors: rate<0.01` and of `in_time: rate>0.99`. That not a single one may is a statement about
    /// those observed, and no sample shows it of others.
    pub fn allowed_share(&self) -> Option<f64> {
        use Comparator::{Greater, GreaterOrEqual, Less, LessOrEqual};
        let share = match (self.metric, self.aggregation, self.comparator) {
            (Metric::ResponseTime | Metric::ServiceTime, how, Less | LessOrEqual) => match how {
                Aggregation::Quantile(q) => 1.0 - q.0,
                _ => return None,
            },
            (Metric::Errors, _, Less | LessOrEqual) => self.limit,
            (Metric::InTime, _, Greater | GreaterOrEqual) => 1.0 - self.limit,
            _ => return None,
        };
        (share > 0.0 && share < 1.0).then_some(share)
    }

    /// [`Self::allowed_share`], and 0 where a single request misses it.
    pub fn may_break(&self) -> Option<f64> {
        use Comparator::{Equal, GreaterOrEqual, Less, LessOrEqual};
        let is_none = match (self.metric, self.aggregation, self.comparator) {
            (Metric::ResponseTime | Metric::ServiceTime, Aggregation::Max, Less | LessOrEqual) => {
                true
            }
            (Metric::Errors, _, LessOrEqual | Equal) => self.limit == 0.0,
            (Metric::InTime, _, GreaterOrEqual | Equal) => self.limit == 1.0,
            _ => false,
        };
        if is_none { Some(0.0) } else { self.allowed_share() }
    }
}

impl Threshold {
    /// One that is typed. A stored one is read whatever it says.
    ///
    /// # Errors
    /// When it cannot be read, or no run could miss it or meet it: `errors: rate<5`, which was meant as
    /// 5 %, `in_time: rate>99`.
    pub fn typed(text: &str) -> Result<Threshold, ThresholdError> {
        let threshold: Threshold = text.parse()?;
        let limit = threshold.limit;
        let is_share = matches!(threshold.metric, Metric::Errors | Metric::InTime);
        if !is_share || (0.0..=1.0).contains(&limit) {
            return Ok(threshold);
        }
        let percent = if (1.0..=100.0).contains(&limit) { limit } else { 5.0 };
        let share = (percent * 1e4).round() / 1e6;
        Err(wrong(
            text,
            format!(
                "its rate is a share from 0 to 1, which {limit} is not; {percent} % is {share}"
            ),
        ))
    }
}

fn wrong(text: &str, problem: String) -> ThresholdError {
    ThresholdError {
        expression: text.trim().into(),
        problem,
        example: "response_time{phase:peak}: p(95)<1s, errors: rate<0.01 or lost_writes: count==0",
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("threshold `{expression}`: {problem}; write it like {example}")]
pub struct ThresholdError {
    expression: String,
    problem: String,
    example: &'static str,
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        parse(text.trim()).map_err(|problem| wrong(text, problem))
    }
}

fn parse(text: &str) -> Result<Threshold, String> {
    let (subject, condition) = split_subject(text)?;
    let (metric, scope) = parse_subject(subject)?;
    let (how, comparator, limit) = split_condition(condition)?;
    let aggregation = parse_aggregation(how)?;
    if !metric.takes(aggregation) {
        return Err(format!("`{how}` has no meaning for `{}`", subject.trim()));
    }
    let limit = match metric.is_time() {
        true => parse_duration(limit)?.0 as f64,
        false => (limit.parse().ok().filter(|v: &f64| v.is_finite()))
            .ok_or_else(|| format!("`{limit}` is not a number"))?,
    };
    Ok(Threshold { expression: text.into(), metric, scope, aggregation, comparator, limit })
}

/// The colon after the braces parts subject and condition; one inside them belongs to a label.
fn split_subject(text: &str) -> Result<(&str, &str), String> {
    let after_braces = match (text.find('{'), text.find('}')) {
        (Some(open), Some(close)) if open < close => close,
        (None, None) => 0,
        _ => return Err("its braces do not match".into()),
    };
    let colon = text[after_braces..].find(':').ok_or("it has no `:` before its condition")?;
    Ok((&text[..after_braces + colon], &text[after_braces + colon + 1..]))
}

fn parse_subject(text: &str) -> Result<(Metric, Scope), String> {
    let (name, braces) = text.split_once('{').unwrap_or((text, ""));
    let known = || Metric::ALL.map(|(name, _)| name).join(", ");
    let metric =
        (Metric::ALL.iter().find(|(n, _)| *n == name.trim()))
            .map(|(_, metric)| *metric)
            .ok_or_else(|| format!("there is no metric `{}`, only {}", name.trim(), known()))?;
    let inside = braces.trim().trim_end_matches('}').trim();
    if inside.is_empty() {
        return Ok((metric, Scope::Whole));
    }
    let (key, value) = inside.split_once(':').ok_or("a label is written {key:name}")?;
    let (key, value) = (key.trim(), value.trim());
    let is_one = metric.labels().contains(&key) && !value.contains(',');
    match Scope::of(key, value).filter(|_| is_one) {
        Some(scope) => Ok((metric, scope)),
        None if metric.labels().is_empty() => Err(format!("`{}` has no labels", name.trim())),
        None => Err(format!("one label of {} is possible", metric.labels().join(" or "))),
    }
}

pub(super) fn split_condition(text: &str) -> Result<(&str, Comparator, &str), String> {
    let comparators = [
        ("<=", Comparator::LessOrEqual),
        (">=", Comparator::GreaterOrEqual),
        ("==", Comparator::Equal),
        ("<", Comparator::Less),
        (">", Comparator::Greater),
    ];
    comparators
        .into_iter()
        .find_map(|(sign, comparator)| {
            let (how, limit) = text.split_once(sign)?;
            Some((how.trim(), comparator, limit.trim()))
        })
        .ok_or_else(|| "its condition has no <, <=, >, >= or ==".into())
}

fn parse_aggregation(text: &str) -> Result<Aggregation, String> {
    let percentile = text.strip_prefix("p(").and_then(|t| t.strip_suffix(')'));
    if let Some(percent) = percentile {
        // Those that a summary holds; others would have to be read from the record again.
        let held = ["50", "75", "90", "95", "99", "99.9", "99.99"];
        return match (held.contains(&percent.trim()), percent.trim().parse::<f64>()) {
            (true, Ok(p)) => Ok(Aggregation::Quantile(Quantile(p / 100.0))),
            _ => Err(format!("p({percent}) is not kept, only p of {}", held.join(", "))),
        };
    }
    match text {
        "avg" => Ok(Aggregation::Mean),
        "med" => Ok(Aggregation::Quantile(Quantile(0.5))),
        "min" => Ok(Aggregation::Min),
        "max" => Ok(Aggregation::Max),
        "rate" => Ok(Aggregation::Rate),
        "count" => Ok(Aggregation::Count),
        _ => Err(format!("`{text}` is none of p(…), avg, med, min, max, rate, count")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_examples_parse() {
        for text in [
            "response_time{request:feed}: p(99)<200ms",
            "response_time{phase:peak}: p(95)<1s",
            "errors: rate<0.01",
            "errors: rate<=0",
            "errors: rate<1",
            "in_time: rate>0.99",
            "in_time: rate>=1",
            "throughput: rate>450",
            "recovery_time{fault:kill-leader}: max<10s",
            "lost_writes: count==0",
            "start_lag: p(99)<1ms",
        ] {
            assert_eq!(Threshold::typed(text).unwrap().expression, text);
        }
        let t: Threshold = "response_time{phase:server lost}: p(99.9) <= 1.5s".parse().unwrap();
        assert_eq!(t.scope, Scope::Phase("server lost".into()));
        assert_eq!((t.limit, t.comparator), (1.5e9, Comparator::LessOrEqual));
    }

    #[test]
    fn what_may_break_it_is_a_share_where_it_is_about_one() {
        let share = |text: &str| text.parse::<Threshold>().unwrap().allowed_share();
        for (text, allowed) in [
            ("response_time: p(99)<200ms", 0.01),
            ("service_time: p(50)<=1s", 0.5),
            ("errors: rate<0.001", 0.001),
            ("in_time: rate>=0.95", 0.05),
        ] {
            assert!((share(text).unwrap() - allowed).abs() < 1e-12, "{text}");
        }
        for text in
            ["response_time: max<1s", "errors: rate<=0", "in_time: rate>=1", "errors: rate>0.5"]
        {
            assert_eq!(share(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("response_time: p(99)<200", "no unit"),
            ("response_time p(99)<200ms", "no `:`"),
            ("latency: p(99)<1s", "no metric `latency`"),
            ("errors: p(99)<1", "no meaning"),
            ("response_time: p(98)<1s", "not kept"),
            ("start_lag{phase:peak}: p(99)<1ms", "no labels"),
            ("recovery_time{phase:x}: max<1s", "one label of fault"),
            ("errors: rate", "no <"),
            ("errors{request:feed: rate<1", "braces"),
            ("errors: rate<many", "not a number"),
            ("errors: rate<5", "a share from 0 to 1, which 5 is not; 5 % is 0.05"),
            ("errors{request:feed}: rate<=1.5", "its rate is a share"),
            ("in_time: rate>99.9", "99.9 % is 0.999"),
            ("in_time: rate>-1", "5 % is 0.05"),
        ] {
            let error = Threshold::typed(text).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("write it like"), "{text}: {error}");
        }
    }
}
