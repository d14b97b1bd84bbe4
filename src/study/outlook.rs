//! How long the runs that are still to come will take, for whoever waits.

use crate::base::{Nanos, clock};

/// Start, draining and reading back of one run, until one has shown it.
pub const START_AND_END_S: f64 = 3.0;

/// What runs take beyond their load.
#[derive(Default)]
pub struct Outlook {
    began: Option<Nanos>,
    /// The least of the runs so far: one that was made once more took twice as long.
    beyond: Option<Nanos>,
}

impl Outlook {
    pub fn begins(&mut self) {
        self.began = Some(clock::now());
    }

    /// Of a run whose load was planned to last so long.
    pub fn ended(&mut self, load: Nanos) {
        if let Some(began) = self.began.take() {
            self.took(load, clock::now().saturating_sub(began));
        }
    }

    fn took(&mut self, load: Nanos, in_all: Nanos) {
        // Less than its load is one that was ended early.
        if in_all < load {
            return;
        }
        let beyond = in_all.saturating_sub(load);
        self.beyond = Some(self.beyond.map_or(beyond, |least| least.min(beyond)));
    }

    /// What runs with such loads will take.
    pub fn of(&self, loads: impl IntoIterator<Item = Nanos>) -> Nanos {
        let beyond = self.beyond.unwrap_or(Nanos::from_secs_f64(START_AND_END_S));
        loads.into_iter().fold(Nanos::ZERO, |sum, load| sum + load + beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_beside_the_load_is_learned_from_the_runs_so_far() {
        let seconds = Nanos::from_secs;
        let mut outlook = Outlook::default();
        assert_eq!(outlook.of([seconds(10), seconds(20)]), seconds(36));
        outlook.took(seconds(10), seconds(12));
        outlook.took(seconds(10), seconds(25));
        outlook.took(seconds(10), seconds(4));
        assert_eq!(outlook.of([seconds(10), seconds(20)]), seconds(34));
        assert_eq!(outlook.of([]), Nanos::ZERO);
    }
}
