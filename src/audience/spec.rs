//! An audience as it is typed: `live[viewers=1M,click=2%]`. Every assumption is a key.

use super::campaign::{Assumption, Audience, Timing};
use super::presets::{PRESETS, preset};
use super::sizing::retry_factor;
use crate::base::document::{nearest, split_variant};
use crate::base::units::{parse_count, parse_duration};

const EXAMPLE: &str = "live[viewers=1M,click=2%]";
/// Half as much again as foreseen: Shopify rehearses 150 % of last year's peak.
const GROWTH: f64 = 0.5;

/// An audience, and what is added because forecasts are wrong and visitors impatient.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// As it was typed.
    pub text: String,
    pub audience: Audience,
    /// So much more may come than was foreseen.
    pub growth: f64,
    /// Share of requests that fail while it is full, and how often each is tried again.
    pub failing: f64,
    pub retries: u32,
    /// Keys that were typed.
    given: Vec<String>,
}

impl Forecast {
    /// # Errors
    /// What is missing or wrong, with what to write. A number alone does not say whether people
    /// come over days or at once, and the two differ a thousandfold.
    pub fn parse(text: &str) -> Result<Forecast, String> {
        let (name, keys) = split_variant(text.trim(), EXAMPLE)?;
        let mut forecast = Forecast::of(&name)?;
        forecast.text = text.trim().into();
        for (key, value) in &keys {
            forecast.set(key, value).map_err(|problem| format!("`{key}`: {problem}"))?;
            forecast.given.push(key.clone());
        }
        forecast.check(&name)?;
        Ok(forecast)
    }

    fn of(name: &str) -> Result<Forecast, String> {
        let like = |name: &str| preset(name).expect("it is one of the presets").audience;
        let audience = match name {
            "feed" => Audience { views: f64::NAN, ..like("feed-mid") },
            "live" => Audience { views: f64::NAN, ..like("shout-out") },
            "drop" => Audience {
                views: f64::NAN,
                timing: Timing::Drop { within_s: f64::NAN },
                click: 1.0,
                ..like("shout-out")
            },
            other => match preset(other) {
                Some(preset) => preset.audience,
                None => return Err(unknown(other)),
            },
        };
        Ok(Forecast {
            text: String::new(),
            audience,
            growth: GROWTH,
            failing: 0.0,
            retries: 0,
            given: Vec::new(),
        })
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let audience = &mut self.audience;
        match (key, &mut audience.timing) {
            ("views", Timing::Feed { .. })
            | ("viewers", Timing::Live { .. })
            | ("visitors", Timing::Drop { .. }) => audience.views = parse_count(value)? as f64,
            ("first-day", Timing::Feed { first_day, .. }) => *first_day = share(value)?,
            ("peak-hour", Timing::Feed { peak_hour, .. }) => *peak_hour = share(value)?,
            ("two-minutes", Timing::Live { two_minutes, .. }) => *two_minutes = share(value)?,
            ("first-minute", Timing::Live { first_minute, .. }) => *first_minute = share(value)?,
            ("within", Timing::Drop { within_s }) => {
                *within_s = parse_duration(value)?.as_secs_f64();
            }
            ("click", _) => audience.click = share(value)?,
            ("pages", _) => audience.pages = number(value)?,
            ("think", _) => audience.think_s = parse_duration(value)?.as_secs_f64(),
            ("requests", _) => audience.requests_per_page = number(value)?,
            ("cacheable", _) => audience.cacheable = share(value)?,
            ("burst", _) => audience.burst = number(value)?,
            ("growth", _) => self.growth = share(value)?,
            ("failing", _) => self.failing = share(value)?,
            ("retries", _) => {
                self.retries = value
                    .parse()
                    .ok()
                    .filter(|n| *n <= RETRIES_MAX)
                    .ok_or_else(|| format!("`{value}` is no number from 0 to {RETRIES_MAX}"))?;
            }
            _ => return Err(self.unknown_key(key)),
        }
        Ok(())
    }

    fn unknown_key(&self, key: &str) -> String {
        let assumptions = self.assumptions();
        let keys: Vec<&str> = assumptions.iter().map(|a| a.key).collect();
        match nearest(key, keys.iter().copied()) {
            Some(name) => format!("this audience has no such key; did you mean `{name}`?"),
            None => format!("this audience has no such key; it has {}", keys.join(", ")),
        }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        if self.audience.views.is_nan() {
            return Err(match name {
                "feed" => "how many views? write feed[views=3M]".into(),
                "live" => "how many are watching? write live[viewers=1M]".into(),
                _ => "how many visitors? write drop[visitors=100k,within=1m]".into(),
            });
        }
        if let Timing::Drop { within_s } = self.audience.timing
            && within_s.is_nan()
        {
            return Err("within what time do they come? write drop[visitors=100k,within=1m]".into());
        }
        if self.growth < 0.0 {
            return Err(format!("the growth is {}, it must not be negative", self.growth));
        }
        self.audience.check().map_err(|error| error.to_string())
    }

    /// Requests per wish, from the retries.
    pub fn retry_factor(&self) -> f64 {
        retry_factor(self.failing, self.retries)
    }

    /// What is multiplied with what is foreseen: (1 + growth) · retries.
    pub fn margin(&self) -> f64 {
        (1.0 + self.growth) * self.retry_factor()
    }

    /// The worst second, with the margin: what the servers must carry.
    pub fn design_per_s(&self) -> f64 {
        self.audience.demand().worst_second_per_s * self.margin()
    }

    /// Everything that was assumed, each with the key that overrides it.
    pub fn assumptions(&self) -> Vec<Assumption> {
        let mut all = self.audience.assumptions();
        all.extend([
            Assumption {
                key: "growth",
                what: "more than foreseen",
                value: self.growth,
                source: "a choice: Shopify rehearses 150 % of last year's peak",
            },
            Assumption {
                key: "failing",
                what: "share of requests that fail when full",
                value: self.failing,
                source: "a choice",
            },
            Assumption {
                key: "retries",
                what: "times that a failed one is tried again",
                value: f64::from(self.retries),
                source: "what your clients do",
            },
        ]);
        for assumption in &mut all {
            if self.given.iter().any(|key| key == assumption.key) {
                assumption.source = "given";
            }
        }
        all
    }
}

const RETRIES_MAX: u32 = 9;

/// `2%` or `0.02`.
fn share(text: &str) -> Result<f64, String> {
    let (digits, scale) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim(), 0.01),
        None => (text, 1.0),
    };
    let value = digits.parse::<f64>().ok().filter(|v| v.is_finite());
    value.map(|v| v * scale).ok_or_else(|| format!("`{text}` is no share; write 2% or 0.02"))
}

fn number(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
    value.ok_or_else(|| format!("`{text}` is no number"))
}

fn unknown(name: &str) -> String {
    let count = name.split(['=', ' ']).find(|part| parse_count(part).is_ok());
    let n = count.unwrap_or("3M");
    let is_number = count.is_some();
    let ways = format!(
        "feed[views={n}] for views that a feed hands out over hours and days, live[viewers={n}] for \
         people who watch at the same moment, or drop[visitors={n},within=1m] for people who all \
         come when a sale opens"
    );
    match is_number {
        true => format!(
            "`{name}` does not say when they come, and three million views are some requests a \
             second where a million people watching live are thousands: write {ways}"
        ),
        false => {
            let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
            format!("there is no audience `{name}`; write {ways}; or one of {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_viewers_are_different_answers() {
        let feed = Forecast::parse("feed[views=3M]").unwrap();
        let live = Forecast::parse("live[viewers=1M]").unwrap();
        assert!((feed.audience.demand().requests_per_s - 9.636).abs() < 1e-3);
        assert!((live.audience.demand().requests_per_s - 1350.0).abs() < 1e-6);
        assert!((live.design_per_s() - 6750.0 * 1.5).abs() < 1e-6);
        let late = Forecast::parse("live[viewers=1M,first-minute=30%]").unwrap();
        assert!((late.design_per_s() - 11_812.5).abs() < 1e-6);
    }

    #[test]
    fn a_number_alone_is_asked_back() {
        for text in ["3M", "views=3M", "3000000"] {
            let error = Forecast::parse(text).unwrap_err();
            assert!(error.contains("feed[views=3"), "{error}");
            assert!(
                error.contains("live[viewers=3") && error.contains("when they come"),
                "{error}"
            );
        }
        for (text, part) in [
            ("feed", "how many views"),
            ("live", "how many are watching"),
            ("drop[visitors=5k]", "within what time"),
            ("drop[within=1m]", "how many visitors"),
            ("viral", "there is no audience `viral`"),
            ("feed[views=3M,clicks=2%]", "did you mean `click`"),
            ("live[viewers=1M,views=3]", "`views`: this audience has no such key"),
            ("feed[views=3M,click=200%]", "the click share is 2, it must be between 0 and 1"),
            ("feed[views=many]", "is not a count"),
            ("live[viewers=1M,retries=99]", "0 to 9"),
        ] {
            let error = Forecast::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_assumption_can_be_overridden_by_its_key() {
        let typed = [
            ("feed[views=1k]", vec!["first-day=50%", "peak-hour=0.2"]),
            ("live[viewers=1k]", vec!["two-minutes=0.5", "first-minute=50%"]),
            ("drop[visitors=1k,within=1m]", vec![]),
        ];
        let common = ["click=1%", "pages=2", "think=5s", "requests=3", "cacheable=0.5", "burst=2"];
        let reserve = ["growth=0", "failing=50%", "retries=2"];
        for (text, own) in typed {
            let keys = [own, common.to_vec(), reserve.to_vec()].concat().join(",");
            let text = format!("{},{keys}]", text.trim_end_matches(']'));
            let forecast = Forecast::parse(&text).unwrap();
            let all = forecast.assumptions();
            assert!(all.iter().all(|a| a.source == "given"), "{all:?}");
            assert!((forecast.margin() - 1.75).abs() < 1e-12);
        }
    }
}
