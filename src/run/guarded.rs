//! Holds the live numbers against the plan's guards, once a second.

use super::in_time::InTime;
use super::progress::Tally;
use crate::base::Nanos;
use crate::objective::{Guards, Reading, Tripped};
use crate::plan::Plan;
use crate::probe::free_memory;
use crate::record::Snapshot;

pub(super) struct Guarded {
    guards: Guards,
    in_time: InTime,
    next_look: Nanos,
}

impl Guarded {
    /// # Errors
    /// When a guard cannot be read: a plan that was changed by hand.
    pub fn new(plan: &Plan) -> Result<Guarded, crate::objective::GuardError> {
        let guards = plan.guards.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let in_time = InTime::new(plan.load.in_time);
        Ok(Guarded { guards: Guards::new(guards), in_time, next_look: Nanos::SECOND })
    }

    pub fn add(&mut self, snapshot: &Snapshot) {
        if !self.guards.is_empty() {
            self.in_time.add(snapshot, snapshot.cells.iter());
        }
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
            // What hangs is not in time, though it has not ended.
            in_time_share: live.and_then(|_| self.in_time.take().share()),
            error_share: live.and_then(|l| share(l.ended - l.ok.min(l.ended))),
            start_lag: live.and_then(|l| l.start_lag.as_ref()),
            response_time: live.and_then(|l| l.response.as_ref()),
            free_memory: free_memory(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_time::tests::snapshot;
    use super::*;
    use crate::plan::{Arrivals, HostFacts, LoadPlan, PhasePlan};

    /// Each second 10 requests are planned, and none ends.
    #[test]
    fn a_guard_sees_a_blackout() {
        let phases = vec![PhasePlan::level("load", Nanos::ZERO, Nanos::from_secs(9), 10.0)];
        let load = LoadPlan::new(Arrivals::Constant, phases, Vec::new(), Vec::new());
        let load = LoadPlan { in_time: Nanos::from_millis(250), ..load };
        let plan = Plan::of_load("t".into(), "p".into(), HostFacts::default(), load);
        let plan = Plan { guards: vec!["in_time: share<0.5 for 3s".into()], ..plan };
        let mut guarded = Guarded::new(&plan).unwrap();
        let mut tally = Tally::new(1, &plan.load);
        let mut second = |n: u32| {
            let snapshot = snapshot(0, u64::from(n) + 1, &[(n, 10, 0, 0)]);
            tally.snapshot(&snapshot);
            guarded.add(&snapshot);
            guarded.look(snapshot.at, &mut tally)
        };
        // Of the first second nothing is known when it is over.
        for n in 0..3 {
            assert_eq!(second(n), None, "second {n}");
        }
        assert_eq!(second(3).unwrap().seen, "0.00 in the last second, 3 s in a row");
    }
}
