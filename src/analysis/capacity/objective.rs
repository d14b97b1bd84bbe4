//! Objectives that a capacity can be searched for: those that ask what share of the requests may
//! break them. `response_time: p(99)<200ms` allows one in a hundred.

use crate::base::Nanos;
use crate::objective::{Aggregation, Comparator, Metric, Scope, Threshold};

/// What each request of a trial is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareObjective {
    /// As it was written.
    pub expression: String,
    /// Of this request alone.
    pub request: Option<String>,
    pub broken_by: BrokenBy,
    /// The share of requests that may break it, in (0, 1).
    pub allowed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BrokenBy {
    /// Not answered, answered with an error, or later than this.
    Later(Nanos),
    /// Not answered, or answered with an error.
    Failing,
    /// Not answered correctly within the profile's limit.
    NotInTime,
}

impl TryFrom<&Threshold> for ShareObjective {
    type Error = String;

    fn try_from(t: &Threshold) -> Result<ShareObjective, String> {
        let request = match &t.scope {
            Scope::Whole => None,
            Scope::Request(name) => Some(name.clone()),
            Scope::Phase(_) => return Err("a trial has one phase and no `phase` of its own".into()),
            Scope::Fault(_) => return Err("a trial has one phase and no `fault` of its own".into()),
        };
        let is_below = matches!(t.comparator, Comparator::Less | Comparator::LessOrEqual);
        let is_above = matches!(t.comparator, Comparator::Greater | Comparator::GreaterOrEqual);
        let (broken_by, allowed) = match (t.metric, t.aggregation) {
            (Metric::ResponseTime, Aggregation::Quantile(q)) if is_below => {
                (BrokenBy::Later(Nanos(t.limit as u64)), 1.0 - q.0)
            }
            (Metric::Errors, _) if is_below => (BrokenBy::Failing, t.limit),
            (Metric::InTime, _) if is_above => (BrokenBy::NotInTime, 1.0 - t.limit),
            _ => {
                return Err(
                    "it does not say what share of the requests may break it; use a percentile of \
                     response_time with <, errors: rate<… or in_time: rate>…"
                        .into(),
                );
            }
        };
        match 0.0 < allowed && allowed < 1.0 {
            true => {
                let expression = t.expression.clone();
                Ok(ShareObjective { expression, request, broken_by, allowed })
            }
            false => Err(format!(
                "it lets {:.0} % of the requests break it; a share between 0 and 1 can be searched \
                 for, like errors: rate<0.01",
                allowed * 100.0
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ShareObjective, String> {
        ShareObjective::try_from(&text.parse::<Threshold>().unwrap())
    }

    #[test]
    fn a_share_that_may_break_it() {
        for (text, broken_by, allowed) in [
            ("response_time: p(99)<200ms", BrokenBy::Later(Nanos::from_millis(200)), 0.01),
            ("errors: rate<0.02", BrokenBy::Failing, 0.02),
            ("in_time: rate>0.95", BrokenBy::NotInTime, 0.05),
        ] {
            let seen = read(text).unwrap();
            assert_eq!((seen.broken_by, seen.request), (broken_by, None));
            assert!((seen.allowed - allowed).abs() < 1e-9, "{text}: {}", seen.allowed);
        }
        let feed = read("response_time{request:feed}: p(95)<1s").unwrap();
        assert_eq!(feed.request.as_deref(), Some("feed"));
    }

    #[test]
    fn what_has_no_share_is_refused() {
        for text in [
            "response_time: max<1s",
            "response_time: p(99)>1s",
            "throughput: rate>100",
            "errors: rate==0",
            "in_time: rate>1",
            "lost_writes: count==0",
            "errors{phase:peak}: rate<0.1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
