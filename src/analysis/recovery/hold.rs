//! From which second on does the hypothesis hold for good? A short window has so few requests that
//! two late ones are too many for it: late ones count against it only when they are more than come
//! by chance at the run's own calm share.

use super::second_of;
use crate::analysis::stats::distributions::binomial_cdf;
use crate::analysis::timeline::Timeline;
use crate::record::{EventKind, Record};
use std::ops::Range;

/// Seconds over which the hypothesis is checked; one alone would be noise at low rates.
pub const WINDOW_S: u32 = 2;
/// A window breaks the hypothesis when as many late ones come by chance less often than this. A card
/// of nine drills looks at some 150 windows; the tests simulate what that comes to.
const BY_CHANCE: f64 = 1e-4;

/// What a share in time is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypothesis {
    /// The share in time that is needed.
    pub needed: f64,
    /// The share of late ones that is to be expected of the run when nothing is broken.
    late: f64,
}

impl Hypothesis {
    /// From the requests of calm seconds: with one late one more than was seen, since none seen is
    /// not none, and at most what the hypothesis allows.
    pub fn new(needed: f64, calm_in_time: u64, calm_planned: u64) -> Hypothesis {
        let late = calm_planned - calm_in_time.min(calm_planned);
        let share = (late + 1) as f64 / (calm_planned + 1) as f64;
        Hypothesis { needed, late: share.min(1.0 - needed).max(0.0) }
    }

    /// Calm are the measured seconds before the first fault.
    pub fn of_run(record: &Record, timeline: &Timeline) -> Hypothesis {
        let plan = &record.manifest.plan;
        let injected = record.events.iter().filter(|e| e.kind == EventKind::FaultInjected);
        let first_fault = injected.map(|e| second_of(e.at_ns)).min().unwrap_or(timeline.end());
        let until = first_fault.min(second_of(plan.load.end().0));
        let measured = plan.load.phases.iter().find(|p| p.measured);
        let from = measured.map_or(0, |p| second_of(p.start.0 + 999_999_999));
        let calm = timeline.sum(from.min(until)..until);
        Hypothesis::new(plan.hypothesis_in_time, calm.in_time, calm.ledger.planned)
    }

    /// Fewer in time than needed, and not by chance. Where nothing was planned, nothing is broken.
    pub fn is_broken_by(&self, in_time: u64, planned: u64) -> bool {
        let late = planned - in_time.min(planned);
        let is_short = late > 0 && (in_time as f64) < self.needed * planned as f64;
        is_short && 1.0 - binomial_cdf(late - 1, planned, self.late) < BY_CHANCE
    }

    pub fn is_broken_in(&self, timeline: &Timeline, seconds: Range<u32>) -> bool {
        let sum = timeline.sum(seconds);
        self.is_broken_by(sum.in_time, sum.ledger.planned)
    }
}

/// The first second of a range from which every window up to its end holds the hypothesis, and all
/// of it together: what is a little late for long shows in no window. `None` when the last window
/// breaks it. A window that is cut short is looked at only where the range is no longer than that.
pub fn held_from(range: Range<u32>, breaks: impl Fn(Range<u32>) -> bool) -> Option<u32> {
    let window = WINDOW_S.min(range.len() as u32);
    if window == 0 {
        return None;
    }
    let last = range.end - window;
    let broken = (range.start..=last).rev().find(|from| breaks(*from..from + window));
    let mut after = broken.map_or(range.start, |from| from + 1)..=last;
    after.find(|from| !breaks(*from..range.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::stats::draws;
    use crate::base::random::{self, Stream};

    /// Of a drill at two units on two cores.
    const PER_S: u64 = 95;
    const DRILLS: u64 = 9;

    fn held(late: &[u64], calm: (u64, u64)) -> Option<u32> {
        let hypothesis = Hypothesis::new(0.99, calm.0, calm.1);
        held_from(0..late.len() as u32, |seconds| {
            let late: u64 = late[seconds.start as usize..seconds.end as usize].iter().sum();
            let planned = PER_S * seconds.len() as u64;
            hypothesis.is_broken_by(planned - late, planned)
        })
    }

    const CALM: (u64, u64) = (665, 665);

    #[test]
    fn one_late_request_in_the_last_second_breaks_nothing() {
        assert_eq!(held(&[0, 0, 0, 0, 0, 0, 0, 1], CALM), Some(0));
        assert_eq!(held(&[0, 0, 0, 2, 0, 0, 1, 1], CALM), Some(0), "98.9 % of 190 is chance");
        assert_eq!(held(&[1], CALM), Some(0), "all there is");
        assert_eq!(held(&[], CALM), None);
    }

    #[test]
    fn what_is_more_than_chance_breaks_it_up_to_its_last_second() {
        assert_eq!(held(&[95, 50, 8, 0, 0, 0, 0, 0], CALM), Some(3));
        assert_eq!(held(&[0, 0, 0, 0, 0, 0, 0, 20], CALM), None, "the last window");
        assert_eq!(held(&[0, 0, 0, 0, 0, 20, 0, 0], CALM), Some(6));
        assert_eq!(held(&[50], CALM), None);
    }

    #[test]
    fn a_little_late_for_long_does_not_hold_though_no_window_shows_it() {
        assert_eq!(held(&[2; 30], CALM), Some(28), "2 % late: only the end is too short to say");
        assert_eq!(held(&[2; 30], (640, 665)), Some(14), "a bad start excuses no more than 1 %");
    }

    #[test]
    fn many_requests_leave_little_to_chance() {
        let hypothesis = Hypothesis::new(0.99, 10_000, 10_000);
        assert!(hypothesis.is_broken_by(1_979, 2_000) && !hypothesis.is_broken_by(1_980, 2_000));
        let none_allowed = Hypothesis::new(1.0, 665, 665);
        assert!(none_allowed.is_broken_by(99, 100) && !none_allowed.is_broken_by(100, 100));
        assert!(!none_allowed.is_broken_by(0, 0));
    }

    /// Late requests of each second at a constant share.
    fn late(chance: &mut Stream, seconds: u32, share: f64) -> Vec<u64> {
        (0..seconds).map(|_| draws::binomial(chance, PER_S, share)).collect()
    }

    /// A drill in which nothing happens: calm from 4 to 11 s, a fault, and 28 s at the end.
    fn calm_drill(chance: &mut Stream, share: f64) -> Option<u32> {
        let calm = late(chance, 7, share).iter().sum::<u64>();
        held(&late(chance, 17, share), (7 * PER_S - calm, 7 * PER_S))
    }

    #[test]
    fn a_card_of_nine_drills_hardly_ever_shows_what_is_chance() {
        const CARDS: u64 = 1_000;
        for share in [0.0005, 0.002] {
            let mut chance = random::stream(1, "cards", (share * 1e6) as u64);
            let (mut not_recovered, mut out) = (0, 0);
            for _ in 0..CARDS {
                let drills: Vec<_> = (0..DRILLS).map(|_| calm_drill(&mut chance, share)).collect();
                not_recovered += u64::from(drills.iter().any(Option::is_none));
                out += u64::from(drills.iter().any(|from| *from != Some(0)));
            }
            println!("{share}: {not_recovered} of {CARDS} cards not recovered, {out} with any");
            assert!(not_recovered * 50 < CARDS, "{share}: {not_recovered} of {CARDS}");
            assert!(out * 20 < CARDS, "{share}: {out} of {CARDS}");
        }
    }

    #[test]
    fn what_stays_a_little_broken_is_hardly_ever_called_held() {
        let mut chance = random::stream(1, "broken", 0);
        let is_held = |chance: &mut Stream, share| {
            let from = held(&late(chance, 9, share), CALM);
            from.is_some_and(|from| from + 5 <= 9)
        };
        for (share, most) in [(0.03, 50), (0.05, 5)] {
            let wrong = (0..1_000).filter(|_| is_held(&mut chance, share)).count();
            println!("{share} late for 9 s: held for 5 s in {wrong} of 1000");
            assert!(wrong < most, "{share}: {wrong}");
        }
    }
}
