//! Where a search stands: folded from its trials, never stored.

use super::reading::BACK_S;
use super::search::{Outcome, Recovery, Search, Step};
use super::trial::{Flaw, Purpose, Trial, pooled};

#[derive(Clone, Debug)]
enum Stage {
    Growing,
    /// A doubling failed once at the current rate.
    Doubting,
    Narrowing,
    /// The bisection's last trial did not decide and is repeated.
    Extending(Box<Trial>),
    Confirming {
        held: usize,
        lowered: usize,
    },
    Overloading,
    Ended(Outcome),
}

pub struct Progress<'a> {
    search: &'a Search,
    stage: Stage,
    rate: f64,
    low: Option<f64>,
    high: Option<f64>,
    confirmed: Option<f64>,
    recovery: Recovery,
    /// The trial before could not be believed and is repeated: it may have been a passing
    /// disturbance of the machine.
    disturbed: bool,
    /// Of the lowest trial that failed: what limits.
    limiting: Option<String>,
    exhausted: Option<String>,
}

impl<'a> Progress<'a> {
    fn new(search: &'a Search) -> Progress<'a> {
        Progress {
            search,
            stage: Stage::Growing,
            rate: search.first_per_s,
            low: None,
            high: None,
            confirmed: None,
            recovery: Recovery::NotMeasured,
            disturbed: false,
            limiting: None,
            exhausted: None,
        }
    }

    pub fn after(search: &'a Search, history: &[Trial]) -> Progress<'a> {
        let mut progress = Progress::new(search);
        for trial in history {
            progress.take(trial);
        }
        progress
    }

    /// The highest rate that held and the lowest that failed for good.
    pub fn bracket(&self) -> (Option<f64>, Option<f64>) {
        (self.low, self.high)
    }

    fn take(&mut self, trial: &Trial) {
        if let Some(ended) = self.flawed(trial) {
            if self.disturbed {
                self.stage = Stage::Ended(ended);
            }
            self.disturbed = true;
            return;
        }
        self.disturbed = false;
        match std::mem::replace(&mut self.stage, Stage::Growing) {
            Stage::Growing => self.grown(trial),
            Stage::Doubting => self.doubted(trial),
            Stage::Narrowing if trial.decides(self.search.alpha) => self.narrowed(trial),
            Stage::Narrowing => self.stage = Stage::Extending(Box::new(trial.clone())),
            Stage::Extending(first) => self.narrowed(&pooled(&first, trial)),
            Stage::Confirming { held, lowered } => self.confirmed_by(trial, held, lowered),
            Stage::Overloading => self.overloaded(trial),
            ended @ Stage::Ended(_) => self.stage = ended,
        }
    }

    /// The overload is *meant* to be too much, for the generator's connections also.
    fn flawed(&self, trial: &Trial) -> Option<Outcome> {
        let at_per_s = trial.rate_per_s;
        match trial.flaw.as_ref()? {
            _ if trial.purpose == Purpose::Overload => None,
            Flaw::Generator(reason) => Some(Outcome::GeneratorLimited {
                at_per_s,
                held_per_s: self.low,
                reason: reason.clone(),
            }),
            Flaw::Other(reason) => Some(Outcome::Invalid { at_per_s, reason: reason.clone() }),
        }
    }

    fn grown(&mut self, trial: &Trial) {
        if !trial.holds() {
            self.stage = Stage::Doubting;
        } else if self.rate >= self.search.most_per_s {
            self.stage = Stage::Ended(Outcome::AboveMaximum { held_per_s: self.rate });
        } else {
            self.low = Some(self.rate);
            self.rate = (2.0 * self.rate).min(self.search.most_per_s);
        }
    }

    fn doubted(&mut self, trial: &Trial) {
        if trial.holds() {
            self.grown(trial);
            return;
        }
        self.fail(trial);
        match self.low {
            None => {
                let limiting = self.limiting.clone();
                let rate_per_s = self.rate;
                self.stage = Stage::Ended(Outcome::FirstFails { rate_per_s, limiting });
            }
            Some(low) => self.narrow(low, self.rate),
        }
    }

    fn fail(&mut self, trial: &Trial) {
        self.high = Some(self.rate);
        self.limiting = trial.worst().map(|reading| reading.objective.clone());
        self.exhausted.clone_from(&trial.exhausted);
    }

    fn narrowed(&mut self, trial: &Trial) {
        if trial.holds() {
            self.low = Some(self.rate);
        } else {
            self.fail(trial);
        }
        if let (Some(low), Some(high)) = (self.low, self.high) {
            self.narrow(low, high);
        }
    }

    fn narrow(&mut self, low: f64, high: f64) {
        if high / low > self.search.precision {
            self.rate = (low * high).sqrt();
            self.stage = Stage::Narrowing;
        } else {
            self.rate = low;
            self.stage = Stage::Confirming { held: 0, lowered: 0 };
            self.skip_confirming_nothing();
        }
    }

    fn skip_confirming_nothing(&mut self) {
        if self.search.confirmations == 0 {
            self.stage = Stage::Overloading;
        }
    }

    fn confirmed_by(&mut self, trial: &Trial, held: usize, lowered: usize) {
        self.stage = match (trial.holds(), held + 1 >= self.search.confirmations) {
            (true, true) => {
                self.confirmed = Some(self.rate);
                Stage::Overloading
            }
            (true, false) => Stage::Confirming { held: held + 1, lowered },
            (false, _) if lowered >= self.search.lowerings => Stage::Overloading,
            (false, _) => {
                self.rate *= self.search.lower_by;
                Stage::Confirming { held: 0, lowered: lowered + 1 }
            }
        };
    }

    fn overloaded(&mut self, trial: &Trial) {
        self.recovery = match (&trial.flaw, trial.recovered_after_s) {
            (Some(_), _) => Recovery::NotMeasured,
            (None, Some(seconds)) => Recovery::After { seconds },
            // Too short for anything to be called back in it.
            _ if self.search.recover_within_s < f64::from(BACK_S) => Recovery::NotMeasured,
            (None, None) => Recovery::Metastable,
        };
        self.stage = Stage::Ended(self.found());
    }

    fn found(&self) -> Outcome {
        Outcome::Found {
            held_per_s: self.low.unwrap_or(self.rate),
            failed_per_s: self.high.unwrap_or(self.rate),
            confirmed_per_s: self.confirmed,
            recovery: self.recovery,
            limiting: self.limiting.clone(),
            exhausted: self.exhausted.clone(),
        }
    }

    pub fn step(&self, trials: usize) -> Step {
        if let Stage::Ended(outcome) = &self.stage {
            return Step::Done(outcome.clone());
        }
        if trials >= self.search.most_trials {
            return Step::Done(Outcome::OutOfTrials { trials, held_per_s: self.low });
        }
        let search = self.search;
        let measure = |purpose, seconds| Step::Measure { rate_per_s: self.rate, seconds, purpose };
        match &self.stage {
            Stage::Growing => measure(Purpose::Grow, search.trial_s),
            Stage::Doubting => measure(Purpose::Again, search.trial_s),
            Stage::Narrowing => measure(Purpose::Narrow, search.trial_s),
            Stage::Extending(_) => measure(Purpose::Extend, 2.0 * search.trial_s),
            Stage::Confirming { .. } => measure(Purpose::Confirm, search.confirm_s),
            Stage::Overloading | Stage::Ended(_) => Step::Overload {
                rate_per_s: search.overload * self.rate,
                seconds: search.overload_s,
                return_to_per_s: search.return_to * self.rate,
                recover_within_s: search.recover_within_s,
            },
        }
    }
}
