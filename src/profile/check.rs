//! What of a profile cannot work, found before anything starts.

use super::feeder::Table;
use super::file::{ArrivalKind, Profile, ProfileError, Request, Retry, ValueSpec};
use super::rate::RelativeRate;
use crate::base::Nanos;
use crate::objective::Guard;
use std::collections::BTreeSet;

/// The longest load: thirty days.
const LASTS_MAX: Nanos = Nanos::from_secs(30 * 24 * 3600);
/// Visitors who wait to ask again are kept in memory: as many at most as fail in this time.
const RETRY_AFTER_MAX: Nanos = Nanos::from_secs(10);
const RATE_MAX: f64 = 10e6;
const CONNECTIONS_MAX: u32 = 1_000_000;

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
        for guard in &self.guard {
            guard.parse::<Guard>().map_err(|e| ("guard".to_string(), e.to_string()))?;
        }
        unique("phase", self.phase.iter().map(|p| &p.name))?;
        self.check_phases()?;
        self.check_loop()?;
        let transport =
            |(key, problem): (&str, &str)| (format!("transport.{key}"), problem.to_string());
        self.transport.check().map_err(transport)?;
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

    fn check_phases(&self) -> Result<(), (String, String)> {
        let mut all = 0.0;
        for phase in &self.phase {
            let wrong = |(key, problem): (&str, &str)| {
                Err((format!("phase.{}.{key}", phase.name), problem.to_string()))
            };
            all += phase.lasts.as_secs_f64();
            if phase.lasts.0 == 0 || all > LASTS_MAX.as_secs_f64() {
                return wrong(("lasts", "a phase must last, and all together at most 30 days"));
            }
            let is_closed = self.arrivals == ArrivalKind::Closed;
            match phase.rate {
                None if !is_closed => return wrong(("rate", "there is no rate")),
                Some(_) if is_closed => {
                    return wrong((
                        "rate",
                        "a closed loop has no rate; it is as fast as the answers",
                    ));
                }
                _ => {}
            }
            for (key, rate) in [("rate", phase.rate), ("from", phase.from)] {
                if matches!(rate, Some(RelativeRate::PerSecond(rate)) if rate > RATE_MAX) {
                    return wrong((key, "is more than brunt can send; use at most 10M"));
                }
            }
            if let Err(problem) = phase.shape() {
                return wrong(problem);
            }
        }
        Ok(())
    }

    /// What only a closed loop has, and has to have.
    fn check_loop(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, problem: &str| Err((key.to_string(), problem.to_string()));
        match self.retry {
            Some(_) if self.arrivals == ArrivalKind::Closed => {
                return wrong(
                    "retry",
                    "is for an open loop; a user of a closed one asks again anyway",
                );
            }
            Some(Retry { attempts: 0 | 1 | 11.., .. }) => {
                return wrong("retry.attempts", "is how often in all a visitor asks, 2 to 10");
            }
            Some(Retry { after, .. }) if after > RETRY_AFTER_MAX => {
                return wrong("retry.after", "use at most 10s");
            }
            _ => {}
        }
        match (self.arrivals, self.connections) {
            (ArrivalKind::Closed, None) => {
                return wrong("connections", "a closed loop needs the number of its connections");
            }
            (ArrivalKind::Closed, Some(1..=CONNECTIONS_MAX)) => return Ok(()),
            (_, None) => {}
            (ArrivalKind::Closed, _) => return wrong("connections", "use 1 to 1000000"),
            _ => {
                let problem = "is for `arrivals = \"closed\"`; an open loop has `connections_max`";
                return wrong("connections", problem);
            }
        }
        match self.think {
            Some(_) => wrong("think", "is for `arrivals = \"closed\"`"),
            None => Ok(()),
        }
    }

    fn check_request(&self, request: &Request) -> Result<(), (String, String)> {
        let key = |name: &str| format!("request.{}.{name}", request.name);
        if !(request.weight >= 0.0 && request.weight.is_finite()) {
            return Err((key("weight"), "a weight is a number, 0 or more".into()));
        }
        if !request.path.starts_with('/') {
            return Err((key("path"), "a path begins with `/`".into()));
        }
        for expect in &request.expect.0 {
            expect.check().map_err(|problem| (key("expect"), problem))?;
        }
        let body = request.body.as_deref().unwrap_or_default();
        self.check_placeholders(&request.path).map_err(|problem| (key("path"), problem))?;
        self.check_placeholders(body).map_err(|problem| (key("body"), problem))?;
        for (name, text) in &request.headers {
            let in_header = |problem: String| (key("headers"), format!("{name}: {problem}"));
            self.check_placeholders(text).map_err(in_header)?;
            self.check_header_values(text).map_err(in_header)?;
        }
        Ok(())
    }

    fn check_placeholders(&self, text: &str) -> Result<(), String> {
        for name in placeholders(text) {
            if self.value.contains_key(name) || self.column(name).is_some() {
                continue;
            }
            let table = name.split_once('.').and_then(|(feeder, _)| self.feeder.get(feeder));
            return Err(match table {
                Some(feeder) => format!(
                    "`{{{name}}}` is not a column of {}; it has {}",
                    feeder.file,
                    feeder.table.columns.join(", ")
                ),
                None if name.contains('.') => format!("`{{{name}}}` has no [feeder] of that name"),
                None => format!("`{{{name}}}` has no [value.{name}]"),
            });
        }
        Ok(())
    }

    /// A line break in a value would end the header and begin another.
    fn check_header_values(&self, text: &str) -> Result<(), String> {
        let is_unfit = |text: &String| text.chars().any(|c| c.is_ascii_control() && c != '\t');
        for name in placeholders(text) {
            let at = match (self.column(name), self.value.get(name)) {
                (Some((table, column)), _) => {
                    table.rows.iter().position(|row| is_unfit(&row[column]))
                }
                (None, Some(ValueSpec::Choice { of })) => of.iter().position(is_unfit),
                _ => None,
            };
            if let Some(at) = at {
                let problem = "holds a control character, which would end the header";
                return Err(format!("`{{{name}}}`, number {}, {problem}", at + 1));
            }
        }
        Ok(())
    }

    /// The table and the column that `feeder.column` names.
    fn column(&self, name: &str) -> Option<(&Table, usize)> {
        let (feeder, column) = name.split_once('.')?;
        let table = &self.feeder.get(feeder)?.table;
        Some((table, table.columns.iter().position(|c| c == column)?))
    }

    fn check_faults(&self) -> Result<(), (String, String)> {
        unique("fault", self.fault.iter().map(|f| &f.name))?;
        for fault in &self.fault {
            let key = |name: String| format!("fault.{}.{name}", fault.name);
            fault.check(self.lasts()).map_err(|(name, problem)| (key(name), problem))?;
        }
        Ok(())
    }
}

/// Names in `{braces}` that look like placeholders (JSON's own braces do not).
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
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
