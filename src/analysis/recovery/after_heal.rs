//! After the last heal: does the steady-state hypothesis hold again? What is undone and still not
//! well again is the finding of a drill.

use super::hold::{Hypothesis, WINDOW_S, held_from};
use super::{Impact, second_of};
use crate::analysis::timeline::{Timeline, share};
use serde::{Deserialize, Serialize};

/// It must have held for so long, up to the end, to be called steady.
const STEADY_S: u32 = 5;

/// What became of the hypothesis once nothing was broken any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Recovery {
    /// For good, so long after the last heal: in steps of one second, 0 when it held from then on.
    Held { after_heal_s: f64 },
    NotRecovered {
        /// In the last window.
        in_time_share: f64,
        needed: f64,
        /// Since the last heal.
        watched_s: f64,
    },
    /// The load ended too early to say, or a fault was in force until then.
    NotEnoughTime { watched_s: f64, needed_s: f64 },
}

/// `None` when nothing was injected. `end` is the second in which the load ended.
pub fn after_heal<'a>(
    impacts: impl Iterator<Item = &'a Impact> + Clone,
    timeline: &Timeline,
    end: u32,
    hypothesis: &Hypothesis,
) -> Option<Recovery> {
    let too_early =
        |watched_s| Some(Recovery::NotEnoughTime { watched_s, needed_s: f64::from(STEADY_S) });
    impacts.clone().next()?;
    let Some(healed_ns) = impacts.map(|i| i.healed_ns).try_fold(0, |last, at| Some(last.max(at?)))
    else {
        return too_early(0.0);
    };
    let end = end.min(timeline.end());
    let watched_s = (f64::from(end) - healed_ns as f64 / 1e9).max(0.0);
    // The second of the heal is half broken.
    let range = second_of(healed_ns.saturating_add(999_999_999)).min(end)..end;
    if range.len() < STEADY_S as usize {
        return too_early(watched_s);
    }
    let last = timeline.sum(end - WINDOW_S..end);
    let Some(in_time_share) = share(last.in_time, last.ledger.planned) else {
        return too_early(watched_s);
    };
    match held_from(range, |seconds| hypothesis.is_broken_in(timeline, seconds)) {
        Some(from) if from + STEADY_S <= end => {
            let after = f64::from(from) - healed_ns as f64 / 1e9;
            // From the first whole second on is from the heal on, as far as can be told.
            Some(Recovery::Held { after_heal_s: if after < 1.0 { 0.0 } else { after } })
        }
        Some(_) => too_early(watched_s),
        None => {
            let needed = hypothesis.needed;
            Some(Recovery::NotRecovered { in_time_share, needed, watched_s })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, power_off_story};
    use crate::record::{EventKind, Record};

    fn outcome(record: &Record, end: u32) -> Option<Recovery> {
        let timeline = Timeline::of(record);
        let found = super::super::impacts(record, &timeline);
        let hypothesis = Hypothesis::of_run(record, &timeline);
        after_heal(found.iter().filter_map(|(_, i)| i.as_ref()), &timeline, end, &hypothesis)
    }

    /// Healed at 12.25 s.
    fn healed_early(builder: Builder) -> Record {
        let mut record = builder.build();
        for event in record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed) {
            event.at_ns = 12_250_000_000;
        }
        record
    }

    #[test]
    fn it_holds_again_at_once_or_later() {
        assert_eq!(
            outcome(&healed_early(power_off_story()), 20),
            Some(Recovery::Held { after_heal_s: 0.0 })
        );
        assert_eq!(
            outcome(&healed_early(power_off_story().share(10..15, 0.5)), 20),
            Some(Recovery::Held { after_heal_s: 2.75 })
        );
    }

    #[test]
    fn what_stays_broken_has_not_recovered() {
        assert_eq!(
            outcome(&healed_early(power_off_story().share(10..20, 0.5)), 20),
            Some(Recovery::NotRecovered { in_time_share: 0.5, needed: 0.99, watched_s: 7.75 })
        );
        // Well for a while, and then not.
        let relapsed = healed_early(power_off_story().share(18..20, 0.5));
        assert!(matches!(outcome(&relapsed, 20), Some(Recovery::NotRecovered { .. })));
    }

    #[test]
    fn what_ended_too_early_is_neither() {
        let early = |record: &Record, end| match outcome(record, end) {
            Some(Recovery::NotEnoughTime { watched_s, needed_s: 5.0 }) => watched_s,
            other => panic!("{other:?}"),
        };
        assert_eq!(early(&healed_early(power_off_story()), 17), 4.75);
        // It holds again, and not yet for long enough.
        assert_eq!(early(&healed_early(power_off_story().share(10..17, 0.5)), 20), 7.75);
        let mut unhealed = power_off_story().build();
        unhealed.events.retain(|e| e.kind != EventKind::FaultHealed);
        assert_eq!(early(&unhealed, 20), 0.0);
    }

    #[test]
    fn without_a_fault_there_is_nothing_to_recover_from() {
        assert_eq!(outcome(&Builder::new("vertical").build(), 20), None);
    }
}
