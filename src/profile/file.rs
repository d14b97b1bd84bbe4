//! A profile's document.

use super::rate::RelativeRate;
use crate::base::Nanos;
use crate::base::document::DocumentError;
use crate::base::library::LibraryError;
use crate::base::units::duration;
use crate::fault::{FaultKind, Selector, ThrottleBy};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A situation that a target is put into.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(skip)]
    pub name: String,
    #[serde(default)]
    pub about: String,
    /// Answered correctly within this of when the visitor came.
    #[serde(with = "duration")]
    pub in_time: Nanos,
    /// Then the visitor gives up.
    #[serde(default = "timeout", with = "duration")]
    pub timeout: Nanos,
    #[serde(default)]
    pub arrivals: ArrivalKind,
    /// Open connections at most.
    #[serde(default = "connections_max")]
    pub connections_max: u32,
    #[serde(default)]
    pub steady: Steady,
    pub phase: Vec<Phase>,
    pub request: Vec<Request>,
    /// Generators of placeholder values, by name.
    #[serde(default)]
    pub value: BTreeMap<String, ValueSpec>,
    /// Where visitors come from; without any, from the target's home.
    #[serde(default)]
    pub region: Vec<Region>,
    #[serde(default)]
    pub distance: Distance,
    #[serde(default)]
    pub fault: Vec<ProfileFault>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalKind {
    #[default]
    Poisson,
    Constant,
}

/// `[steady]`: the hypothesis that must hold before the first fault.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// Share of requests in time.
    pub in_time: f64,
}

impl Default for Steady {
    fn default() -> Self {
        Steady { in_time: 0.99 }
    }
}

/// `[[phase]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub name: String,
    #[serde(with = "duration")]
    pub lasts: Nanos,
    /// At its end; over all of it when `from` is not given.
    pub rate: RelativeRate,
    /// At its start: the phase is a ramp.
    #[serde(default)]
    pub from: Option<RelativeRate>,
    #[serde(default = "yes")]
    pub measured: bool,
}

/// `[[request]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub name: String,
    pub weight: f64,
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    /// Key in `[app.cost]` and `[database.cost]`: what it costs the bundled stack.
    #[serde(default)]
    pub costs: Option<String>,
    /// Served by a CDN edge where the target has edges.
    #[serde(default)]
    pub edge: bool,
    /// Keeps its operations for the data check: `read` or `write`.
    #[serde(default)]
    pub check: Option<CheckSpec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckSpec {
    Read,
    Write,
}

/// `[value.NAME]`: exactly one of these.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValueSpec {
    Zipf { n: u64, exponent: f64 },
    Uniform { n: u64 },
    Choice { of: Vec<String> },
    WriteId {},
}

/// `[[region]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub name: String,
    pub weight: f64,
}

/// `[distance]`: the round trip between two different regions; within one it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distance {
    #[serde(default, with = "duration")]
    pub between_regions: Nanos,
}

/// `[[fault]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFault {
    pub name: String,
    pub kind: KindName,
    /// For a throttle: the share of its CPU that is left.
    #[serde(default)]
    pub to: Option<f64>,
    /// For a throttle: `quota` (a stall in each period) or `cores`.
    #[serde(default)]
    pub by: Option<ThrottleBy>,
    pub on: Selector,
    /// Since the start of the run; an offset within one heartbeat is drawn from the seed.
    #[serde(with = "duration")]
    pub at: Nanos,
    /// The repair time.
    #[serde(with = "duration")]
    pub lasts: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    Kill,
    PowerOff,
    Pause,
    Restart,
    Throttle,
}

impl ProfileFault {
    /// The kind with its magnitude.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn fault_kind(&self) -> Result<FaultKind, (&'static str, &'static str)> {
        if self.kind == KindName::Throttle {
            return match self.to {
                Some(to) if to > 0.0 && to < 1.0 => {
                    Ok(FaultKind::Throttle { to, by: self.by.unwrap_or_default() })
                }
                _ => Err(("to", "a throttle needs the share of CPU left, between 0 and 1")),
            };
        }
        if self.to.is_some() || self.by.is_some() {
            return Err(("to", "only a throttle has `to` and `by`"));
        }
        Ok(match self.kind {
            KindName::Kill => FaultKind::Kill,
            KindName::PowerOff => FaultKind::PowerOff,
            KindName::Pause => FaultKind::Pause,
            KindName::Restart => FaultKind::Restart,
            KindName::Throttle => unreachable!("returned above"),
        })
    }
}

fn timeout() -> Nanos {
    Nanos::from_secs(10)
}

fn connections_max() -> u32 {
    4096
}

fn yes() -> bool {
    true
}

fn get() -> String {
    "GET".into()
}

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Document(DocumentError),
    #[error("{0}")]
    Variant(String),
    #[error("{file}: `{key}`: {problem}")]
    Impossible { file: String, key: String, problem: String },
}

impl Profile {
    /// How long the load lasts.
    pub fn lasts(&self) -> Nanos {
        Nanos(self.phase.iter().map(|p| p.lasts.0).sum())
    }

    /// Refuses what cannot work; `place` says where a key is written.
    pub(super) fn check(&self, place: &dyn Fn(&str) -> String) -> Result<(), ProfileError> {
        self.check_load()
            .and_then(|()| self.check_faults())
            .map_err(|(key, problem)| ProfileError::Impossible { file: place(&key), key, problem })
    }

    fn check_load(&self) -> Result<(), (String, String)> {
        let wrong = |key: String, problem: &str| Err((key, problem.to_string()));
        if self.in_time.0 == 0 || self.in_time > self.timeout {
            return wrong("in_time".into(), "must be above 0 and not above `timeout`");
        }
        if !(self.steady.in_time > 0.0 && self.steady.in_time <= 1.0) {
            return wrong("steady.in_time".into(), "is a share above 0, up to 1");
        }
        if self.phase.is_empty() || !self.phase.iter().any(|p| p.measured) {
            return wrong("phase".into(), "there is no measured phase");
        }
        if let Some(phase) = self.phase.iter().find(|p| p.lasts.0 == 0) {
            return wrong(format!("phase.{}.lasts", phase.name), "a phase must last");
        }
        unique("phase", self.phase.iter().map(|p| &p.name))?;
        unique("request", self.request.iter().map(|r| &r.name))?;
        unique("region", self.region.iter().map(|r| &r.name))?;
        for request in &self.request {
            self.check_request(request)?;
        }
        if !self.request.iter().any(|r| r.weight > 0.0) {
            return wrong("request".into(), "no request has a weight above 0");
        }
        if self.region.iter().any(|r| !(r.weight >= 0.0 && r.weight.is_finite())) {
            return wrong("region.weight".into(), "a weight is a number, 0 or more");
        }
        Ok(())
    }

    fn check_request(&self, request: &Request) -> Result<(), (String, String)> {
        let key = |name: &str| format!("request.{}.{name}", request.name);
        if !(request.weight >= 0.0 && request.weight.is_finite()) {
            return Err((key("weight"), "a weight is a number, 0 or more".into()));
        }
        if !request.path.starts_with('/') {
            return Err((key("path"), "a path begins with `/`".into()));
        }
        let body = request.body.as_deref().unwrap_or_default();
        let texts = [request.path.as_str(), body];
        for text in texts.into_iter().chain(request.headers.values().map(String::as_str)) {
            for name in placeholders(text) {
                if !self.value.contains_key(name) {
                    let problem = format!("`{{{name}}}` has no [value.{name}]");
                    return Err((key("path"), problem));
                }
            }
        }
        Ok(())
    }

    fn check_faults(&self) -> Result<(), (String, String)> {
        unique("fault", self.fault.iter().map(|f| &f.name))?;
        for fault in &self.fault {
            let key = |name: &str| format!("fault.{}.{name}", fault.name);
            if fault.at >= self.lasts() {
                return Err((key("at"), "is after the end of the load".into()));
            }
            fault.fault_kind().map_err(|(name, problem)| (key(name), problem.to_string()))?;
        }
        Ok(())
    }
}

/// Names in `{braces}` that look like placeholders (JSON's own braces do not).
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        is_name.then_some(name)
    })
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), (String, String)> {
    let mut seen = BTreeSet::new();
    for name in names {
        let sound = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.'));
        if !sound {
            let problem = format!("`{name}`: use letters, digits, spaces, `.`, `-` and `_`");
            return Err((format!("{what}.name"), problem));
        }
        // The record's tags know no spaces, so two names may not differ by that alone.
        if !seen.insert(name.replace(' ', "_")) {
            return Err((format!("{what}.name"), format!("`{name}` is there twice")));
        }
    }
    Ok(())
}
