//! One trial: the profile's mix at a steady rate, as a plan; and its record as a row of the search.

use super::CapacityOptions;
use crate::analysis::capacity::{
    Purpose, Trial, TrialRow, busiest, readings, recovered_after_s, unbelievable,
};
use crate::analysis::{PhaseSummary, TimeSummary, merged};
use crate::base::Nanos;
use crate::plan::{Plan, compile};
use crate::profile::{Phase, Profile, ProfileFault, RelativeRate, ShapeName};
use crate::study::setup::{Setup, StudyError};
use crate::study::single::Ran;
use crate::target::Target;
use std::fmt;

/// Connections, caches and the queue come up to the rate.
const WARM_UP: Nanos = Nanos::from_secs(3);
/// Before a fault, so that there is a steady state that it breaks …
const BEFORE: Nanos = Nanos::from_secs(2);
/// … and after it, until it was noticed and the rest has taken over: it is not what is measured.
const SETTLE: Nanos = Nanos::from_secs(8);
const TRIAL: &str = "trial";
const OVERLOAD: &str = "overload";
const RETURN: &str = "return";

/// What a trial's load is.
pub enum Shape {
    Level { rate_per_s: f64, seconds: f64 },
    Overload { rate_per_s: f64, seconds: f64, return_to_per_s: f64, recover_within_s: f64 },
}

/// Everything that the trials of one search have in common.
pub struct Trials<'a> {
    pub target: &'a Target,
    pub profile: &'a Profile,
    pub setup: &'a Setup,
    pub options: &'a CapacityOptions,
    pub with_fault: bool,
}

impl Trials<'_> {
    /// By arithmetic, without any cache; `None` when the cost of a request is not known.
    pub fn expected_per_s(&self) -> Result<Option<f64>, StudyError> {
        let plan = self.plan(&Shape::Level { rate_per_s: 1.0, seconds: 1.0 }, 0)?;
        Ok(Some(plan.expected_capacity_per_s).filter(|rate| *rate > 0.0))
    }

    /// The load of such a trial.
    pub fn lasts(&self, shape: &Shape) -> Nanos {
        let phases = phases(shape, self.options.fault.is_some());
        phases.iter().fold(Nanos::ZERO, |sum, phase| sum + phase.lasts)
    }

    /// The `n`th trial, with arrivals of its own.
    pub fn plan(&self, shape: &Shape, n: u64) -> Result<Plan, StudyError> {
        let profile = profile_of(self.profile, self.options.fault.as_ref(), shape);
        let seed = self.options.seed.wrapping_add(n);
        let plan = compile(self.target, &profile, seed, &self.setup.facts)?;
        // The search without the fault has all that it needs to be there, too.
        Ok(if self.with_fault { plan } else { plan.without_faults() })
    }

    pub fn row(
        &self,
        ran: &Ran,
        shape: &Shape,
        purpose: Purpose,
        folder: &str,
    ) -> Result<TrialRow, StudyError> {
        let objectives = &self.options.objectives;
        let (phase, rate_per_s, seconds) = match *shape {
            Shape::Level { rate_per_s, seconds } => (TRIAL, rate_per_s, seconds),
            Shape::Overload { rate_per_s, seconds, .. } => (OVERLOAD, rate_per_s, seconds),
        };
        let recovered_after_s = match shape {
            Shape::Level { .. } => None,
            Shape::Overload { .. } => recovered_after_s(&ran.record, RETURN, objectives)?,
        };
        let phases = &ran.record.manifest.plan.load.phases;
        let at = phases.iter().position(|p| p.name == phase);
        let times = TimeSummary::of(&merged(&ran.record, true, |_, p| Some(usize::from(p)) == at));
        let (busiest, exhausted) = busiest(&ran.record, phase);
        let trial = Trial {
            rate_per_s,
            seconds,
            purpose,
            readings: readings(&ran.record, phase, objectives)?,
            flaw: unbelievable(&ran.summary),
            exhausted,
            recovered_after_s,
        };
        let folder = folder.to_string();
        let seen = ran.summary.phases.iter().find(|p| p.name == phase);
        Ok(TrialRow {
            folder,
            trial,
            answered_per_s: seen.map(|p| p.ledger.ok as f64 / (p.end_s - p.start_s)),
            in_time: seen.and_then(PhaseSummary::in_time_share),
            p50: times.p50,
            p99: times.p99,
            busiest,
        })
    }
}

/// The profile's visitors and mix, with the phases and the fault of a trial. It has no hypothesis:
/// a trial that fails is an answer.
fn profile_of(profile: &Profile, fault: Option<&ProfileFault>, shape: &Shape) -> Profile {
    let mut of_trial = profile.clone();
    of_trial.phase = phases(shape, fault.is_some());
    of_trial.steady.in_time = 0.0;
    of_trial.steady.must_recover = false;
    let at = WARM_UP + BEFORE;
    let lasts = of_trial.phase.iter().fold(Nanos::ZERO, |sum, p| sum + p.lasts);
    let in_force = |fault: &ProfileFault| {
        let mut fault = fault.clone();
        (fault.at, fault.lasts) = (Some(at), lasts.saturating_sub(at));
        fault
    };
    of_trial.fault = fault.map(in_force).into_iter().collect();
    // A search is about rates; reading the data back would take longer than the trials.
    of_trial.request.iter_mut().for_each(|request| request.check = None);
    of_trial
}

fn phases(shape: &Shape, has_fault: bool) -> Vec<Phase> {
    let calm = match *shape {
        Shape::Level { rate_per_s, .. } => rate_per_s,
        Shape::Overload { return_to_per_s, .. } => return_to_per_s,
    };
    let mut phases = vec![phase("warm-up", WARM_UP, calm / 2.0, calm, false)];
    if has_fault {
        phases.push(phase("before the fault", BEFORE, calm, calm, true));
        phases.push(phase("settle", SETTLE, calm, calm, false));
    }
    let mut level = |name, seconds, rate| {
        phases.push(phase(name, Nanos::from_secs_f64(seconds), rate, rate, true));
    };
    match *shape {
        Shape::Level { rate_per_s, seconds } => level(TRIAL, seconds, rate_per_s),
        Shape::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s } => {
            level(OVERLOAD, seconds, rate_per_s);
            level(RETURN, recover_within_s, return_to_per_s);
        }
    }
    phases
}

fn phase(name: &str, lasts: Nanos, from: f64, to: f64, measured: bool) -> Phase {
    Phase {
        name: name.into(),
        lasts,
        rate: Some(RelativeRate::PerSecond(to)),
        from: Some(RelativeRate::PerSecond(from)),
        shape: ShapeName::Linear,
        levels: None,
        period: None,
        decay: None,
        measured,
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Level { rate_per_s, seconds } => {
                write!(f, "{rate_per_s:.1}/s for {seconds:.0} s")
            }
            Shape::Overload { rate_per_s, seconds, return_to_per_s, recover_within_s } => write!(
                f,
                "{rate_per_s:.1}/s for {seconds:.0} s, then {return_to_per_s:.1}/s for up to \
                 {recover_within_s:.0} s"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;
    use crate::plan::HostFacts;

    fn facts() -> HostFacts {
        HostFacts {
            cores: 2,
            brunt_cpus: vec![0],
            stack_cpus: vec![1],
            unit_cores: 0.1,
            period: Nanos::from_millis(20),
            iterations_per_ms: 1000.0,
            network: (9, 9),
            port: 17_170,
            ..HostFacts::default()
        }
    }

    fn compiled(fault: Option<ProfileFault>, shape: &Shape) -> Plan {
        let target = crate::target::load("horizontal").unwrap();
        let profile = crate::profile::load("campaign").unwrap();
        compile(&target, &profile_of(&profile, fault.as_ref(), shape), 1, &facts()).unwrap()
    }

    #[test]
    fn a_trial_is_one_steady_rate_without_the_profiles_faults() {
        let plan = compiled(None, &Shape::Level { rate_per_s: 120.0, seconds: 20.0 });
        let phases = &plan.load.phases;
        assert_eq!((phases.len(), phases[1].name.as_str()), (2, TRIAL));
        assert_eq!((phases[1].mean_rate(), phases[1].end), (120.0, Nanos::from_secs(23)));
        assert!(plan.faults.is_empty() && plan.hypothesis_in_time == 0.0);
        assert!(plan.load.requests.iter().all(|r| r.check.is_none()));
    }

    #[test]
    fn a_fault_is_in_force_from_before_the_trial_until_its_end() {
        let on = "server:app-1".parse().unwrap();
        let fault =
            ProfileFault::once("lost", &FaultKind::PowerOff, on, Nanos::ZERO, Nanos::SECOND);
        let shape = Shape::Overload {
            rate_per_s: 150.0,
            seconds: 10.0,
            return_to_per_s: 80.0,
            recover_within_s: 30.0,
        };
        let plan = compiled(Some(fault), &shape);
        let named = |name: &str| plan.load.phases.iter().find(|p| p.name == name).unwrap();
        let crate::fault::When::At { at } = plan.faults[0].when else { panic!() };
        assert!(at >= named("before the fault").end && at < named(OVERLOAD).start);
        assert!(at + plan.faults[0].lasts >= named(RETURN).end);
        assert_eq!(named(RETURN).mean_rate(), 80.0);
    }
}
