//! Holds the live numbers against the plan's guards, once a second.

use super::progress::Tally;
use crate::base::Nanos;
use crate::objective::{Guards, Reading, Tripped};
use crate::plan::Plan;
use crate::probe::free_memory;

pub(super) struct Guarded {
    guards: Guards,
    next_look: Nanos,
}

impl Guarded {
    /// # Errors
    /// When a guard cannot be read: a plan that was changed by hand.
    pub fn new(plan: &Plan) -> Result<Guarded, crate::objective::GuardError> {
        let guards = plan.guards.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Guarded { guards: Guards::new(guards), next_look: Nanos::SECOND })
    }

    /// Looks if it is time to. What the load showed counts once, in the second that completed last;
    /// what the machine has left counts even when the load shows nothing.
    pub fn look(&mut self, elapsed: Nanos, tally: &mut Tally) -> Option<Tripped> {
        if self.guards.is_empty() || elapsed < self.next_look {
            return None;
        }
        self.next_look = Nanos((elapsed.0 / Nanos::SECOND.0 + 1) * Nanos::SECOND.0);
        let live = tally.take_live();
        let ended = live.as_ref().map(|l| l.ended).filter(|n| *n > 0);
        let share = |part: u64| ended.map(|whole| part as f64 / whole as f64);
        let live = live.as_ref();
        self.guards.second(&Reading {
            in_time_share: live.and_then(|l| share(l.in_time)),
            error_share: live.and_then(|l| share(l.ended - l.ok.min(l.ended))),
            start_lag: live.and_then(|l| l.start_lag.as_ref()),
            response_time: live.and_then(|l| l.response.as_ref()),
            free_memory: free_memory(),
        })
    }
}
