//! The rate over time as straight pieces, from the first visitor until most have been: what a
//! profile's phases are made of.

use super::campaign::{Audience, DAY_S, DECAY_S, HOUR_S, JUST_AFTER_S, Timing};

/// A live audience is followed for so many of its constants: less than a tenth of what was left.
const DECAYS: f64 = 2.5;
/// A feed's peak hour is the same in every minute; so much of it is enough to see.
const FEED_RAMP_S: f64 = 300.0;
const FEED_PEAK_S: f64 = 600.0;

/// A piece of the course.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub name: String,
    pub seconds: f64,
    /// Requests per second at its beginning.
    pub from_per_s: f64,
    pub to_per_s: f64,
    /// Falls from `from` towards `to` with this constant, not along a line.
    pub decay_s: Option<f64>,
}

impl Piece {
    fn line(name: &str, seconds: f64, from_per_s: f64, to_per_s: f64) -> Piece {
        Piece { name: name.into(), seconds, from_per_s, to_per_s, decay_s: None }
    }

    fn level(name: &str, seconds: f64, rate_per_s: f64) -> Piece {
        Piece::line(name, seconds, rate_per_s, rate_per_s)
    }

    /// Its integral.
    pub fn requests(&self) -> f64 {
        match self.decay_s {
            None => self.seconds * (self.from_per_s + self.to_per_s) / 2.0,
            Some(decay) => {
                let above = self.from_per_s - self.to_per_s;
                self.seconds * self.to_per_s + above * decay * (1.0 - (-self.seconds / decay).exp())
            }
        }
    }
}

impl Audience {
    /// Live and at once: each second as it is foreseen, and one in which the burst comes. Of a
    /// feed: a way up, ten minutes of its peak hour with the burst in the middle, and a way down.
    pub fn course(&self) -> Vec<Piece> {
        let demand = self.demand();
        let (peak, worst) = (demand.requests_per_s, demand.worst_second_per_s);
        if let Timing::Feed { .. } = self.timing {
            return vec![
                Piece::line("ramp", FEED_RAMP_S, peak / 10.0, peak),
                Piece::level("peak", FEED_PEAK_S / 2.0, peak),
                Piece::level("worst second", 1.0, worst),
                Piece::level("peak again", FEED_PEAK_S / 2.0 - 1.0, peak),
                Piece::line("decay", FEED_RAMP_S, peak, peak / 10.0),
            ];
        }
        let mut pieces = Vec::new();
        let mut breaks = self.steps();
        breaks.dedup_by(|a, b| (*a - *b).abs() < 1e-3);
        let last = breaks.pop().expect("there is a first and a last");
        for pair in [breaks.as_slice(), &[last]].concat().windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let rate = self.requests_per_s(0.5 * (from + to));
            push(&mut pieces, from, to - from, rate);
        }
        if let Timing::Live { .. } = self.timing {
            pieces.push(Piece {
                name: "fading".into(),
                seconds: DECAYS * DECAY_S,
                from_per_s: self.requests_per_s(last + JUST_AFTER_S),
                to_per_s: 0.0,
                decay_s: Some(DECAY_S),
            });
        }
        put_burst(&mut pieces, worst);
        pieces
    }

    /// Where the staircase steps: the visits' own steps, each again a think time later per page.
    /// After the last one it falls smoothly, or is over.
    pub(super) fn steps(&self) -> Vec<f64> {
        let own = match self.timing {
            Timing::Feed { .. } => vec![0.0, HOUR_S, DAY_S],
            Timing::Live { .. } => vec![0.0, 60.0, 120.0],
            Timing::Drop { within_s } => vec![0.0, within_s],
        };
        let last_page = self.pages.ceil() as u32 - 1;
        let pages = (0..=last_page).map(|page| f64::from(page) * self.think_s);
        let mut all: Vec<f64> =
            pages.flat_map(|later| own.iter().map(move |at| at + later)).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// Neighbours of one rate are one piece.
fn push(pieces: &mut Vec<Piece>, at_s: f64, seconds: f64, rate: f64) {
    if let Some(last) = pieces.last_mut()
        && (last.to_per_s - rate).abs() <= 1e-9 * rate
    {
        last.seconds += seconds;
        return;
    }
    pieces.push(Piece::level(&format!("from {at_s:.0} s"), seconds, rate));
}

/// The worst second is the last one of the busiest piece, or the first where that one fades.
fn put_burst(pieces: &mut Vec<Piece>, worst_per_s: f64) {
    let all = pieces.iter().enumerate();
    let busiest = all.max_by(|a, b| a.1.from_per_s.total_cmp(&b.1.from_per_s)).map(|(i, _)| i);
    let Some(at) = busiest.filter(|i| worst_per_s > pieces[*i].from_per_s) else { return };
    let piece = &mut pieces[at];
    if piece.seconds <= 1.0 {
        (piece.from_per_s, piece.to_per_s) = (worst_per_s, worst_per_s);
        return;
    }
    piece.seconds -= 1.0;
    let where_it_comes = match piece.decay_s {
        Some(decay) => {
            piece.from_per_s *= (-1.0 / decay).exp();
            at
        }
        None => at + 1,
    };
    pieces.insert(where_it_comes, Piece::level("worst second", 1.0, worst_per_s));
}

#[cfg(test)]
mod tests {
    use super::super::presets::preset;
    use super::*;

    fn total(pieces: &[Piece]) -> f64 {
        pieces.iter().map(Piece::requests).sum()
    }

    #[test]
    fn a_live_audience_comes_as_it_is_foreseen() {
        let live = Audience { burst: 1.0, ..preset("shout-out").unwrap().audience };
        let pieces = live.course();
        let rates: Vec<(f64, f64)> = pieces.iter().map(|p| (p.seconds, p.from_per_s)).collect();
        assert_eq!(rates.len(), 3);
        assert!((rates[0].0 - 60.0).abs() < 1e-9 && (rates[0].1 - 135.0).abs() < 1e-9);
        assert!((rates[1].1 - 90.0).abs() < 1e-9);
        // 2,000 visits of 9 requests; a quarter of them fade, of which 8 % are left.
        let expected = 18_000.0 * (0.75 + 0.25 * (1.0 - (-2.5f64).exp()));
        assert!((total(&pieces) / expected - 1.0).abs() < 1e-9, "{}", total(&pieces));
    }

    #[test]
    fn pages_make_steps_and_nobody_is_lost() {
        for (pages, think_s) in [(2.5, 20.0), (4.0, 45.0), (1.0, 0.0), (3.0, 0.0)] {
            let live = preset("shout-out").unwrap().audience;
            let drop = Audience {
                timing: Timing::Drop { within_s: 30.0 },
                pages,
                think_s,
                burst: 1.0,
                ..live
            };
            let pieces = drop.course();
            let expected = 2_000.0 * pages * 9.0;
            assert!((total(&pieces) / expected - 1.0).abs() < 1e-9, "{pages}: {pieces:?}");
            let top = pieces.iter().map(|p| p.to_per_s).fold(0.0, f64::max);
            assert!((top / drop.demand().requests_per_s - 1.0).abs() < 1e-9, "{pages}");
        }
    }

    #[test]
    fn a_later_minute_may_be_the_busiest() {
        let live = |two_minutes, first_minute| Audience {
            timing: Timing::Live { two_minutes, first_minute },
            ..preset("shout-out-1M").unwrap().audience
        };
        let second = live(0.75, 0.3).demand();
        assert!((second.requests_per_s - 1_575.0).abs() < 1e-6 && second.sessions_per_s > 174.9);
        let fading = live(0.1, 0.6);
        assert!((fading.demand().requests_per_s - 270.0).abs() < 1e-6);
        let names: Vec<String> = fading.course().into_iter().map(|p| p.name).collect();
        assert_eq!(names[2..], ["worst second", "fading"]);
    }

    proptest::proptest! {
        #[test]
        fn no_moment_is_busier_than_the_peak(
            kind in 0..3u8,
            (one, two) in (0.0..=1.0f64, 0.0..=1.0f64),
            (pages, think_s, burst) in (1.0..6.0f64, 0.0..90.0f64, 1.0..9.0f64),
        ) {
            let timing = match kind {
                0 => Timing::Live { two_minutes: one, first_minute: two },
                1 => Timing::Feed { first_day: one, peak_hour: (1.0 + 23.0 * two) / 24.0 },
                _ => Timing::Drop { within_s: 0.5 + 200.0 * one },
            };
            let live = preset("shout-out").unwrap().audience;
            let audience = Audience { timing, pages, think_s, burst, ..live };
            proptest::prop_assert_eq!(audience.check(), Ok(()));
            let demand = audience.demand();
            let pieces = audience.course();
            let top = pieces.iter().map(|p| p.from_per_s.max(p.to_per_s)).fold(0.0, f64::max);
            proptest::prop_assert!((top - demand.worst_second_per_s).abs() <= 1e-9 * top);
            let most = 1.000_001 * demand.requests_per_s;
            for second in 0..900 {
                let rate = audience.requests_per_s(f64::from(second));
                proptest::prop_assert!(rate <= most, "{} at {}", rate, second);
            }
        }
    }

    #[test]
    fn the_worst_second_lasts_one() {
        for name in ["feed-mid", "shout-out"] {
            let audience = preset(name).unwrap().audience;
            let pieces = audience.course();
            let worst: Vec<&Piece> = pieces.iter().filter(|p| p.name == "worst second").collect();
            assert_eq!((worst.len(), worst[0].seconds), (1, 1.0));
            assert_eq!(worst[0].to_per_s, audience.demand().worst_second_per_s);
            let mut names: Vec<&str> = pieces.iter().map(|p| p.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), pieces.len(), "each name once");
        }
    }
}
