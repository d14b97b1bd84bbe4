//! Audiences to begin from (methods §3.6). Their numbers are guesses with sources, not forecasts.

use super::campaign::{Audience, Timing};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    pub name: &'static str,
    pub means: &'static str,
    pub audience: Audience,
}

const fn feed(
    first_day: f64,
    peak_hour: f64,
    click: f64,
    pages: f64,
    requests: f64,
    burst: f64,
) -> Audience {
    Audience {
        views: 3e6,
        timing: Timing::Feed { first_day, peak_hour },
        click,
        pages,
        think_s: 20.0,
        requests_per_page: requests,
        cacheable: 0.0,
        burst,
    }
}

/// Only the first page: it is the steep one.
const fn live(viewers: f64) -> Audience {
    Audience {
        views: viewers,
        timing: Timing::Live { two_minutes: 0.75, first_minute: 0.6 },
        click: 0.02,
        pages: 1.0,
        think_s: 20.0,
        requests_per_page: 9.0,
        cacheable: 0.0,
        burst: 5.0,
    }
}

pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "feed-low",
        means: "three million views of a video that few follow",
        audience: feed(0.32, 0.10, 0.003, 2.0, 8.0, 3.0),
    },
    Preset {
        name: "feed-mid",
        means: "three million views, an ordinary share of clicks",
        audience: feed(0.55, 0.12, 0.0073, 3.0, 8.0, 5.0),
    },
    Preset {
        name: "feed-high",
        means: "three million views on one day, many follow and look around",
        audience: feed(0.72, 0.15, 0.02, 4.0, 10.0, 10.0),
    },
    Preset {
        name: "shout-out",
        means: "a hundred thousand people watch live and are told to look",
        audience: live(1e5),
    },
    Preset {
        name: "shout-out-1M",
        means: "a million people watch live and are told to look",
        audience: live(1e6),
    },
];

pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_presets() {
        for (name, sessions, requests, worst) in [
            ("feed-low", 0.0800, 1.28, 3.84),
            ("feed-mid", 0.4015, 9.636, 48.18),
            ("feed-high", 1.80, 72.0, 720.0),
            ("shout-out", 15.0, 135.0, 675.0),
            ("shout-out-1M", 150.0, 1350.0, 6750.0),
        ] {
            let preset = preset(name).unwrap();
            let seen = preset.audience.demand();
            assert_eq!(preset.audience.check(), Ok(()), "{name}");
            for (seen, expected) in [
                (seen.sessions_per_s, sessions),
                (seen.requests_per_s, requests),
                (seen.worst_second_per_s, worst),
            ] {
                assert!((seen / expected - 1.0).abs() < 5e-4, "{name}: {seen}, not {expected}");
            }
        }
        assert_eq!(super::preset("viral"), None);
    }
}
