//! Does the steady state hold before the first fault? Counted from snapshots while the run goes on.

use crate::plan::Plan;
use crate::record::{Outcome, Snapshot};
use std::sync::Mutex;

/// Counts of the first measured phase.
#[derive(Debug)]
pub struct SteadyState {
    phase: u16,
    phase_name: String,
    needed: f64,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ended: u64,
    in_time: u64,
}

impl SteadyState {
    pub fn new(plan: &Plan) -> Self {
        let phase = plan.load.phases.iter().position(|p| p.measured).unwrap_or(0);
        SteadyState {
            phase: phase as u16,
            phase_name: plan.load.phases.get(phase).map_or(String::new(), |p| p.name.clone()),
            needed: plan.hypothesis_in_time,
            counts: Mutex::new(Counts::default()),
        }
    }

    pub fn add(&self, snapshot: &Snapshot) {
        let mut counts = self.counts.lock().expect("no panic while counting");
        for cell in snapshot.cells.iter().filter(|c| c.phase == self.phase) {
            counts.ended += Outcome::ALL.iter().map(|o| cell.ledger.get(*o)).sum::<u64>();
            counts.in_time += cell.in_time;
        }
    }

    /// # Errors
    /// Why no fault may be injected.
    pub fn holds(&self) -> Result<(), String> {
        let counts = *self.counts.lock().expect("no panic while counting");
        if counts.ended == 0 {
            return Err(format!("nothing was measured in phase `{}`", self.phase_name));
        }
        let share = counts.in_time as f64 / counts.ended as f64;
        if share < self.needed {
            return Err(format!(
                "the steady state did not hold: {:.1} % in time in phase `{}`, {:.1} % needed",
                100.0 * share,
                self.phase_name,
                100.0 * self.needed
            ));
        }
        Ok(())
    }
}
