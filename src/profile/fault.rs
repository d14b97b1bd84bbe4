//! `[[fault]]` and `[faults]`: what is done to whom, and when.

use super::file::some_duration;
use crate::base::Nanos;
use crate::base::document::nearest;
use crate::base::units::duration;
use crate::fault::{FaultKind, FaultLimits, LinkBy, Need, Selector, ThrottleBy, Trigger};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[fault]]`. Exactly one of `at`, `after` and `per_minute` says when.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProfileFault {
    pub name: String,
    pub on: Selector,
    /// Since the start of the run; an offset within one heartbeat is drawn from the seed.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub at: Option<Nanos>,
    /// So long after something happened for the first time: `{ leader-changed = "database" }`.
    #[serde(default)]
    pub after: Option<Trigger>,
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub wait: Option<Nanos>,
    /// Again and again, `times` in all, each moved by up to `every_jitter`, drawn from the seed.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub every: Option<Nanos>,
    #[serde(default)]
    pub times: Option<u32>,
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub every_jitter: Option<Nanos>,
    /// At random, so often in the mean, between `from` and `until`; drawn from the seed.
    #[serde(default)]
    pub per_minute: Option<f64>,
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub from: Option<Nanos>,
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub until: Option<Nanos>,
    /// Until it is healed; the repair time of a kill, a terminate and a power-off.
    #[serde(default, with = "duration")]
    pub lasts: Nanos,
    /// `kind` and its magnitudes.
    #[serde(flatten)]
    #[schemars(with = "FaultKind")]
    rest: toml::Table,
}

/// What every fault has, whatever its kind.
const OWN_KEYS: [&str; 12] = [
    "name",
    "on",
    "at",
    "after",
    "wait",
    "every",
    "times",
    "every_jitter",
    "per_minute",
    "from",
    "until",
    "lasts",
];

/// `[faults]`.
pub type FaultsSpec = FaultLimits;

type Wrong = (String, String);

fn wrong<T>(key: &str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), problem.into()))
}

impl ProfileFault {
    /// A fault of this kind, once.
    pub fn once(name: &str, kind: &FaultKind, on: Selector, at: Nanos, lasts: Nanos) -> Self {
        let rest = toml::Table::try_from(kind).expect("every kind writes itself as a table");
        ProfileFault {
            name: name.into(),
            on,
            at: Some(at),
            after: None,
            wait: None,
            every: None,
            times: None,
            every_jitter: None,
            per_minute: None,
            from: None,
            until: None,
            lasts,
            rest,
        }
    }

    /// The kind with its magnitude.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn fault_kind(&self) -> Result<FaultKind, Wrong> {
        if !self.rest.contains_key("kind") {
            return wrong("kind", "a fault needs a kind, like kill, throttle or latency");
        }
        let kind: FaultKind = serde_path_to_error::deserialize(self.rest.clone()).map_err(|e| {
            let key = e.path().to_string();
            let key = if key == "." { "kind".into() } else { key };
            (key, e.inner().message().trim().replace('\n', "; "))
        })?;
        self.check_keys(&kind)?;
        Ok(kind)
    }

    /// A kind writes all its keys; what it does not write it does not know.
    fn check_keys(&self, kind: &FaultKind) -> Result<(), Wrong> {
        let known = toml::Table::try_from(kind).map_err(|e| ("kind".into(), e.to_string()))?;
        let Some(unknown) = self.rest.keys().find(|key| !known.contains_key(*key)) else {
            return Ok(());
        };
        let all = known.keys().map(String::as_str).chain(OWN_KEYS);
        let hint = match nearest(unknown, all) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => {
                let keys: Vec<&str> =
                    known.keys().map(String::as_str).filter(|k| *k != "kind").collect();
                format!(
                    "; it has {}",
                    if keys.is_empty() { "none".into() } else { keys.join(", ") }
                )
            }
        };
        wrong(unknown, format!("is no key of the kind `{}`{hint}", kind.name()))
    }

    /// Refuses what cannot work, whatever the target is. `load_lasts` is the length of the load.
    pub(super) fn check(&self, load_lasts: Nanos) -> Result<(), Wrong> {
        let kind = self.fault_kind()?;
        check_magnitude(&kind)?;
        self.check_selector(&kind)?;
        if self.lasts.0 == 0 && !matches!(kind, FaultKind::Restart) {
            return wrong("lasts", "says when it is healed, like \"5s\"");
        }
        self.check_time(load_lasts)
    }

    fn check_selector(&self, kind: &FaultKind) -> Result<(), Wrong> {
        let is_link = matches!(self.on, Selector::Link(..));
        match kind.is_on_links() {
            true if !is_link => {
                wrong("on", format!("a {} is on links; write app->database", kind.name()))
            }
            false if is_link => wrong("on", format!("a {} is on nodes, not on links", kind.name())),
            _ if matches!(self.on, Selector::Visitors(_)) => {
                wrong("on", "visitors are one end of a link; write visitors->balancer")
            }
            _ => Ok(()),
        }
    }

    fn check_time(&self, load_lasts: Nanos) -> Result<(), Wrong> {
        let ways = [self.at.is_some(), self.after.is_some(), self.per_minute.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            return wrong("at", "needs one of `at`, `after` and `per_minute`");
        }
        let absent = |key: &str, is_there: bool, of: &str| match is_there {
            true => wrong(key, format!("goes with `{of}`")),
            false => Ok(()),
        };
        if self.after.is_none() {
            absent("wait", self.wait.is_some(), "after")?;
        }
        if self.every.is_none() {
            absent("times", self.times.is_some(), "every")?;
            absent("every_jitter", self.every_jitter.is_some(), "every")?;
        }
        if self.per_minute.is_none() {
            absent("from", self.from.is_some(), "per_minute")?;
            absent("until", self.until.is_some(), "per_minute")?;
        }
        if self.at.is_none() {
            absent("every", self.every.is_some(), "at")?;
        }
        if self.every.is_some_and(|e| e.0 == 0) || self.every.is_some() && self.times.is_none() {
            return wrong("every", "needs a time above 0, and `times`, how often in all");
        }
        if self.times.is_some_and(|n| n == 0 || n > TIMES_MAX) {
            return wrong("times", format!("use 1 to {TIMES_MAX}"));
        }
        if let Some(rate) = self.per_minute
            && !(rate > 0.0 && rate <= PER_MINUTE_MAX)
        {
            return wrong("per_minute", format!("is above 0 and at most {PER_MINUTE_MAX}"));
        }
        let last = self.every.unwrap_or_default().0 * u64::from(self.times.unwrap_or(1) - 1);
        if self.at.is_some_and(|at| at.0 + last >= load_lasts.0) {
            return wrong("at", "is after the end of the load");
        }
        if self.until.unwrap_or(load_lasts) > load_lasts
            || self.from.unwrap_or_default() >= self.until.unwrap_or(load_lasts)
        {
            return wrong("until", "must be after `from` and within the load");
        }
        Ok(())
    }
}

const TIMES_MAX: u32 = 200;
const PER_MINUTE_MAX: f64 = 600.0;

fn check_magnitude(kind: &FaultKind) -> Result<(), Wrong> {
    let share = |key: &str, share: f64, is_all_allowed: bool| {
        let sound = share > 0.0 && (share < 1.0 || is_all_allowed && share == 1.0);
        match sound {
            true => Ok(()),
            false if is_all_allowed => wrong(key, "is a share above 0, up to 1"),
            false => wrong(key, "is the share that is left, between 0 and 1"),
        }
    };
    let some = |key: &str, n: u64| match n {
        0 => wrong(key, "must be above 0"),
        _ => Ok(()),
    };
    if let Some(link) = kind.on_link() {
        share("share", link.share, true)?;
        if link.by == LinkBy::Packets && kind.need() != Need::Namespace {
            return wrong("by", format!("a {} cannot be done to packets", kind.name()));
        }
        if link.by == LinkBy::Packets && link.share < 1.0 {
            return wrong(
                "share",
                "is of connections, and packets know none; use `by = \"proxy\"`",
            );
        }
    }
    match kind {
        FaultKind::Throttle { to, by: ThrottleBy::Quota | ThrottleBy::Cores } => {
            share("to", *to, false)
        }
        FaultKind::Compete { cores } => match *cores > 0.0 && *cores <= 1024.0 {
            true => Ok(()),
            false => wrong("cores", "is how many cores it burns, above 0"),
        },
        FaultKind::Memory { to, .. } => some("to", to.0),
        FaultKind::Descriptors { to } => some("to", *to),
        FaultKind::DiskSlow { rate } | FaultKind::Bandwidth { rate, .. } => some("rate", rate.0),
        FaultKind::SlowSync { delay }
        | FaultKind::Latency { delay, .. }
        | FaultKind::SlowClose { delay, .. } => some("delay", delay.0),
        FaultKind::Loss { share: s, .. } => share("share", *s, true),
        FaultKind::Reorder { share: s, delay, .. } => {
            share("share", *s, true).and_then(|()| some("delay", delay.0))
        }
        FaultKind::HttpErrors { share: s, status } => {
            if !(400..=599).contains(status) {
                return wrong("status", "an error is a status from 400 to 599");
            }
            share("share", *s, true)
        }
        FaultKind::HttpDelay { share: s, delay, .. } => {
            share("share", *s, true).and_then(|()| some("delay", delay.0))
        }
        FaultKind::HttpWrongLength { share: s } => share("share", *s, true),
        FaultKind::Kill
        | FaultKind::Terminate
        | FaultKind::PowerOff
        | FaultKind::Pause
        | FaultKind::Restart
        | FaultKind::DiskFull { .. }
        | FaultKind::Stall { .. }
        | FaultKind::Reset { .. }
        | FaultKind::Cut { .. }
        | FaultKind::Partition { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> ProfileFault {
        toml::from_str(&format!("name = \"f\"\n{text}")).unwrap()
    }

    fn check(text: &str, expected: &str) {
        let (key, problem) = fault(text).check(Nanos::from_secs(60)).unwrap_err();
        let seen = format!("{key}: {problem}");
        assert!(seen.contains(expected), "{text}: {seen}");
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        check("kind='kil'\non='app'\nat='1s'\nlasts='1s'", "kind: unknown variant `kil`");
        check("on='app'\nat='1s'\nlasts='1s'", "kind: a fault needs a kind");
        check("kind='kill'\non='app'\nat='1s'", "lasts: says when");
        check(
            "kind='kill'\nto=0.5\non='app'\nat='1s'\nlasts='1s'",
            "to: is no key of the kind `kill`",
        );
        check("kind='throttle'\nto=1.5\non='app'\nat='1s'\nlasts='1s'", "to: is the share");
        check(
            "kind='latency'\ndelai='5ms'\non='a->b'\nat='1s'\nlasts='1s'",
            "missing field `delay`",
        );
        check(
            "kind='latency'\ndelay='5ms'\njiter='1ms'\non='a->b'\nat='1s'\nlasts='1s'",
            "jiter: is no key of the kind `latency`; did you mean `jitter`",
        );
        check(
            "kind='latency'\ndelay='5ms'\non='app'\nat='1s'\nlasts='1s'",
            "on: a latency is on links",
        );
        check("kind='kill'\non='a->b'\nat='1s'\nlasts='1s'", "on: a kill is on nodes");
        check("kind='kill'\non='app'\nlasts='1s'", "at: needs one of");
        check("kind='kill'\non='app'\nat='1s'\nevery='5s'\nlasts='1s'", "every: needs");
        check("kind='kill'\non='app'\nat='61s'\nlasts='1s'", "at: is after the end");
        check(
            "kind='kill'\non='app'\nat='50s'\nevery='5s'\ntimes=3\nlasts='1s'",
            "at: is after the end",
        );
        check(
            "kind='reset'\nby='packets'\non='a->b'\nat='1s'\nlasts='1s'",
            "cannot be done to packets",
        );
    }

    #[test]
    fn no_kind_has_a_key_that_says_when() {
        let schema = serde_json::to_value(schemars::schema_for!(FaultKind)).unwrap();
        let mut keys = std::collections::BTreeSet::new();
        let mut left = vec![&schema];
        while let Some(value) = left.pop() {
            if let Some(properties) = value.get("properties").and_then(|p| p.as_object()) {
                keys.extend(properties.keys().map(String::as_str));
            }
            let inner = value.as_object().map(|o| o.values().collect::<Vec<_>>());
            left.extend(
                inner
                    .or_else(|| value.as_array().map(|a| a.iter().collect()))
                    .into_iter()
                    .flatten(),
            );
        }
        assert!(keys.contains("bytes") && keys.contains("jitter"), "{keys:?}");
        for own in OWN_KEYS {
            assert!(!keys.contains(own), "`{own}` says when, and would never reach the kind");
        }
    }

    #[test]
    fn every_kind_reads_back_from_what_it_writes() {
        for text in [
            "kind='throttle'\nto=0.5\nby='cores'",
            "kind='memory'\nto='64MiB'\nby='pressure'",
            "kind='latency'\ndelay='50ms'\njitter='5ms'\ndirection='back'\nshare=0.5",
            "kind='loss'\nshare=0.1",
            "kind='http-errors'\nshare=0.1\nstatus=500",
            "kind='compete'\ncores=1.0",
            "kind='disk-full'",
            "kind='cut'\nbytes='64KiB'",
            "kind='http-delay'\ndelay='50ms'\njitter='5ms'",
        ] {
            let is_link = ["latency", "loss", "cut"].iter().any(|kind| text.contains(kind));
            let on = if is_link { "app->cache" } else { "app" };
            let fault = fault(&format!("{text}\non='{on}'\nat='1s'\nlasts='1s'"));
            fault.check(Nanos::from_secs(60)).unwrap();
            let kind = fault.fault_kind().unwrap();
            assert_eq!(
                text.contains("jitter"),
                format!("{kind:?}").contains("5000000"),
                "{kind:?}"
            );
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<FaultKind>(&json).unwrap(), kind, "{json}");
        }
    }
}
