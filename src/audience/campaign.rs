//! An audience and the requests it makes over time (methods §3.6).

use thiserror::Error;

pub(super) const HOUR_S: f64 = 3_600.0;
pub(super) const DAY_S: f64 = 24.0 * HOUR_S;
const MINUTE_S: f64 = 60.0;
/// Of the mean hour of a day: the busiest one has at least as much.
const MEAN_HOUR: f64 = HOUR_S / DAY_S;
/// A step has been taken just after it.
pub(super) const JUST_AFTER_S: f64 = 1e-9;

/// When the people who see it come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timing {
    /// An algorithm spreads it over hours and days; told is the first day.
    Feed {
        /// Share of all views within the first day.
        first_day: f64,
        /// Share of that day in its busiest hour.
        peak_hour: f64,
    },
    /// Everyone sees it at once: live stream, television, a QR code.
    Live {
        /// Share of the clicks within the first two minutes.
        two_minutes: f64,
        /// Share of those within the first minute.
        first_minute: f64,
    },
    /// A sale opens: all come within this time.
    Drop { within_s: f64 },
}

/// Who sees it, who comes, what they do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audience {
    /// Views, or people watching live.
    pub views: f64,
    pub timing: Timing,
    /// Share of views that become a visit.
    pub click: f64,
    /// Mean pages of a visit; 1.5 is a second page in half of the visits.
    pub pages: f64,
    /// Seconds between two pages.
    pub think_s: f64,
    /// Requests of one page, without what the browser has already.
    pub requests_per_page: f64,
    /// Share of those that a cache in front answers.
    pub cacheable: f64,
    /// The worst second over the mean of the busiest stretch.
    pub burst: f64,
}

#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("{what} is {seen}, it must be {expected}")]
pub struct AudienceError {
    pub what: &'static str,
    pub seen: f64,
    pub expected: &'static str,
}

/// Something that was assumed, to be printed and overridden.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumption {
    /// What overrides it.
    pub key: &'static str,
    pub what: &'static str,
    pub value: f64,
    pub source: &'static str,
}

/// What reaches the servers in the busiest stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    pub sessions_per_s: f64,
    pub requests_per_s: f64,
    /// The worst second.
    pub worst_second_per_s: f64,
}

impl Audience {
    /// # Errors
    /// The first number without meaning: shares lie in 0..=1, counts and times are not negative.
    pub fn check(&self) -> Result<(), AudienceError> {
        let shares = match self.timing {
            Timing::Feed { first_day, peak_hour } => [
                ("the share of the first day", first_day),
                ("the share of the peak hour", peak_hour),
            ],
            Timing::Live { two_minutes, first_minute } => [
                ("the share of two minutes", two_minutes),
                ("the share of the first minute", first_minute),
            ],
            Timing::Drop { .. } => [("the click share", self.click); 2],
        };
        let common = [("the click share", self.click), ("the cacheable share", self.cacheable)];
        for (what, seen) in shares.into_iter().chain(common) {
            require(what, seen, "between 0 and 1", (0.0..=1.0).contains(&seen))?;
        }
        for (what, seen) in [
            ("the number of views", self.views),
            ("the think time", self.think_s),
            ("the number of requests per page", self.requests_per_page),
        ] {
            require(what, seen, "a number from 0 on", seen.is_finite() && seen >= 0.0)?;
        }
        for (what, seen) in [("the number of pages", self.pages), ("the burst", self.burst)] {
            require(what, seen, "at least 1", seen.is_finite() && seen >= 1.0)?;
        }
        require("the number of pages", self.pages, "at most 1000", self.pages <= 1000.0)?;
        if let Timing::Feed { peak_hour, .. } = self.timing {
            let expected = "at least 1/24, what the mean hour of a day has";
            require("the share of the peak hour", peak_hour, expected, peak_hour >= MEAN_HOUR)?;
        }
        if let Timing::Drop { within_s } = self.timing {
            require("the time of the rush", within_s, "above 0", within_s > 0.0)?;
        }
        Ok(())
    }

    /// Requests of one page that reach the servers.
    pub fn origin_requests(&self) -> f64 {
        self.requests_per_page * (1.0 - self.cacheable)
    }

    /// Visits that begin per second, `t_s` seconds after it starts. A feed's peak hour is its first;
    /// the other hours of the day share the rest evenly. After two minutes live, the rest fades over
    /// ten minutes; nothing is told after a feed's first day.
    pub fn sessions_per_s(&self, t_s: f64) -> f64 {
        let visits = self.views * self.click;
        if t_s < 0.0 {
            return 0.0;
        }
        match self.timing {
            Timing::Feed { first_day, peak_hour } => match t_s {
                t if t < HOUR_S => visits * first_day * peak_hour / HOUR_S,
                t if t < DAY_S => visits * first_day * (1.0 - peak_hour) / (DAY_S - HOUR_S),
                _ => 0.0,
            },
            Timing::Live { two_minutes, first_minute } => match t_s {
                t if t < MINUTE_S => visits * two_minutes * first_minute / MINUTE_S,
                t if t < 2.0 * MINUTE_S => visits * two_minutes * (1.0 - first_minute) / MINUTE_S,
                t => visits * (1.0 - two_minutes) * fading(t - 2.0 * MINUTE_S),
            },
            Timing::Drop { within_s } if t_s < within_s => visits / within_s,
            Timing::Drop { .. } => 0.0,
        }
    }

    /// c Σ_j s(t − (j − 1)z): each page follows the one before by the think time.
    pub fn requests_per_s(&self, t_s: f64) -> f64 {
        let whole = self.pages.floor();
        let full: f64 = (0..whole as u32)
            .map(|page| self.sessions_per_s(t_s - f64::from(page) * self.think_s))
            .sum();
        let partial = (self.pages - whole) * self.sessions_per_s(t_s - whole * self.think_s);
        self.origin_requests() * (full + partial)
    }

    /// The busiest instant, whichever it is: the shares may put it into the second minute, or where
    /// the rest begins to fade. Between two steps the rate stays or falls, so it is just after one.
    pub fn demand(&self) -> Demand {
        let steps: Vec<f64> = self.steps().into_iter().map(|at| at + JUST_AFTER_S).collect();
        let most = |rate: &dyn Fn(f64) -> f64| steps.iter().map(|t| rate(*t)).fold(0.0, f64::max);
        let requests_per_s = most(&|t| self.requests_per_s(t));
        Demand {
            sessions_per_s: most(&|t| self.sessions_per_s(t)),
            requests_per_s,
            worst_second_per_s: self.burst * requests_per_s,
        }
    }

    /// Requests that reach the servers within the first day.
    pub fn requests_in_day(&self) -> f64 {
        let share = match self.timing {
            Timing::Feed { first_day, .. } => first_day,
            Timing::Live { .. } | Timing::Drop { .. } => 1.0,
        };
        self.views * self.click * share * self.pages * self.origin_requests()
    }

    /// All that was assumed, in the order in which it enters.
    pub fn assumptions(&self) -> Vec<Assumption> {
        let say = |key, what, value, source| Assumption { key, what, value, source };
        let seen_by = match self.timing {
            Timing::Feed { .. } => say("views", "views", self.views, "given"),
            Timing::Live { .. } => say("viewers", "people watching", self.views, "given"),
            Timing::Drop { .. } => say("visitors", "visitors", self.views, "given"),
        };
        let mut all = vec![seen_by];
        match self.timing {
            Timing::Feed { first_day, peak_hour } => all.extend([
                say(
                    "first-day",
                    "share of views in the first day",
                    first_day,
                    "0.32 (Trendpop, 2 billion videos) to 0.72 (others); sources conflict",
                ),
                say(
                    "peak-hour",
                    "share of that day in its peak hour",
                    peak_hour,
                    "a choice: 0.10 to 0.15",
                ),
            ]),
            Timing::Live { two_minutes, first_minute } => all.extend([
                say(
                    "two-minutes",
                    "share of clicks within two minutes",
                    two_minutes,
                    "about 0.75 (Du, Xu, Wilbur; 40,000 TV ads)",
                ),
                say(
                    "first-minute",
                    "share of those in the first minute",
                    first_minute,
                    "a choice: 0.6",
                ),
            ]),
            Timing::Drop { within_s } => {
                all.push(say("within", "seconds in which all come", within_s, "given"));
            }
        }
        all.extend([
            say(
                "click",
                "share that clicks",
                self.click,
                "0.0002 to 0.02, marketing blogs; low quality",
            ),
            say(
                "pages",
                "pages per visit",
                self.pages,
                "half of mobile visits end after one (Contentsquare, 2021)",
            ),
            say("think", "seconds between pages", self.think_s, "a choice"),
            say(
                "requests",
                "requests per page",
                self.requests_per_page,
                "count your own; a median page makes 66 to 71 (HTTP Archive, 2024)",
            ),
            say(
                "cacheable",
                "share a cache in front answers",
                self.cacheable,
                "0.72 at one large shop's edge (Shopify, 2024)",
            ),
            say(
                "burst",
                "worst second over the peak's mean",
                self.burst,
                "a choice; above 100 was seen on small sites",
            ),
        ]);
        all
    }
}

fn require(
    what: &'static str,
    seen: f64,
    expected: &'static str,
    holds: bool,
) -> Result<(), AudienceError> {
    if holds { Ok(()) } else { Err(AudienceError { what, seen, expected }) }
}

/// What is left of a live audience comes within minutes.
pub(super) const DECAY_S: f64 = 600.0;

/// A density over t ≥ 0 that decays with a constant of ten minutes.
fn fading(t_s: f64) -> f64 {
    (-t_s / DECAY_S).exp() / DECAY_S
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::preset;

    fn visits(audience: &Audience, until_s: u32) -> f64 {
        (0..until_s).map(|t| audience.sessions_per_s(f64::from(t) + 0.5)).sum()
    }

    #[test]
    fn everyone_who_clicks_comes_once() {
        let live = preset("shout-out").unwrap().audience;
        assert!((visits(&live, 20_000) - 2_000.0).abs() < 1.0);
        let feed = preset("feed-mid").unwrap().audience;
        let first_day = feed.views * feed.click * 0.55;
        assert!((visits(&feed, 100_000) / first_day - 1.0).abs() < 1e-9);
        let drop = Audience { timing: Timing::Drop { within_s: 30.0 }, ..live };
        assert!((visits(&drop, 100) - 2_000.0).abs() < 1e-6);
    }

    #[test]
    fn pages_follow_after_the_think_time() {
        let live = Audience { pages: 2.5, think_s: 20.0, ..preset("shout-out").unwrap().audience };
        assert!((live.requests_per_s(10.0) - 135.0).abs() < 1e-9);
        assert!((live.requests_per_s(30.0) - 270.0).abs() < 1e-9);
        assert!((live.requests_per_s(50.0) - 337.5).abs() < 1e-9);
        assert!((live.demand().requests_per_s - 337.5).abs() < 1e-9);
    }

    #[test]
    fn a_cache_takes_its_share() {
        let audience = preset("shout-out").unwrap().audience;
        let cached = Audience { cacheable: 0.8, ..audience };
        let ratio = cached.demand().requests_per_s / audience.demand().requests_per_s;
        assert!((ratio - 0.2).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let good = preset("feed-low").unwrap().audience;
        assert_eq!(good.check(), Ok(()));
        let error = Audience { click: 20.0, ..good }.check().unwrap_err();
        assert_eq!(error.to_string(), "the click share is 20, it must be between 0 and 1");
        assert!(Audience { pages: 0.0, ..good }.check().is_err());
        assert!(Audience { views: f64::NAN, ..good }.check().is_err());
        assert!(Audience { timing: Timing::Drop { within_s: 0.0 }, ..good }.check().is_err());
        let quiet = Timing::Feed { first_day: 0.5, peak_hour: 0.02 };
        let error = Audience { timing: quiet, ..good }.check().unwrap_err();
        assert!(error.to_string().contains("at least 1/24"), "{error}");
    }

    #[test]
    fn every_number_is_an_assumption_with_a_source() {
        let all = preset("feed-low").unwrap().audience.assumptions();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|a| !a.source.is_empty()));
    }
}
