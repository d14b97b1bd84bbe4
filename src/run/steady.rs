//! Does the steady state hold before the first fault? Counted from snapshots while the run goes on.

use super::in_time::{InTime, Known};
use crate::plan::Plan;
use crate::record::{NOT_STEADY, Snapshot};
use std::sync::Mutex;

/// Counts of the first measured phase.
#[derive(Debug)]
pub struct SteadyState {
    phase: u16,
    phase_name: String,
    needed: f64,
    counts: Mutex<(InTime, Known)>,
}

impl SteadyState {
    pub fn new(plan: &Plan) -> Self {
        let phase = plan.load.phases.iter().position(|p| p.measured).unwrap_or(0);
        SteadyState {
            phase: phase as u16,
            phase_name: plan.load.phases.get(phase).map_or(String::new(), |p| p.name.clone()),
            needed: plan.hypothesis_in_time,
            counts: Mutex::new((InTime::new(plan.load.in_time), Known::default())),
        }
    }

    pub fn add(&self, snapshot: &Snapshot) {
        let (counts, _) = &mut *self.counts.lock().expect("no panic while counting");
        counts.add(snapshot, snapshot.cells.iter().filter(|c| c.phase == self.phase));
    }

    /// # Errors
    /// Why no fault may be injected.
    pub fn holds(&self) -> Result<(), String> {
        let (counts, known) = &mut *self.counts.lock().expect("no panic while counting");
        let new = counts.take();
        known.all += new.all;
        known.in_time += new.in_time;
        let Some(share) = known.share() else {
            return Err(format!(
                "{NOT_STEADY}: nothing was measured in phase `{}`",
                self.phase_name
            ));
        };
        if share < self.needed {
            return Err(format!(
                "{NOT_STEADY}: {:.1} % in time in phase `{}`, {:.1} % needed",
                100.0 * share,
                self.phase_name,
                100.0 * self.needed
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_time::tests::snapshot;
    use super::*;
    use crate::base::Nanos;
    use crate::plan::{Arrivals, HostFacts, LoadPlan, PhasePlan};

    fn steady() -> SteadyState {
        let phases = vec![PhasePlan::level("quiet", Nanos::ZERO, Nanos::from_secs(9), 10.0)];
        let load = LoadPlan::new(Arrivals::Constant, phases, Vec::new(), Vec::new());
        let load = LoadPlan { in_time: Nanos::from_millis(250), ..load };
        let plan = Plan::of_load("t".into(), "p".into(), HostFacts::default(), load);
        SteadyState::new(&Plan { hypothesis_in_time: 0.9, ..plan })
    }

    #[test]
    fn half_of_the_requests_hang_and_it_does_not_hold() {
        let steady = steady();
        assert!(steady.holds().unwrap_err().contains("nothing was measured in phase `quiet`"));
        for second in 0..4 {
            let answered = [(second, 10, 5, 5)];
            steady.add(&snapshot(0, u64::from(second) + 1, &answered));
        }
        // Of the last second it is not known yet.
        let why = steady.holds().unwrap_err();
        assert!(why.contains("57.1 % in time"), "{why}");
    }

    #[test]
    fn what_is_only_under_way_does_not_count_against_it() {
        let steady = steady();
        for second in 0..4_u32 {
            let answered = [(second, 10, 9, 9), (second.saturating_sub(1), 0, 1, 1)];
            let cells = if second == 0 { &answered[..1] } else { &answered[..] };
            steady.add(&snapshot(0, u64::from(second) + 1, cells));
        }
        assert_eq!(steady.holds(), Ok(()));
    }
}
