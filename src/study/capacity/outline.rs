//! What a search would do, of which nothing is run.

use super::super::outlook::Outlook;
use super::{CapacityOptions, Planned, Shape, planned};
use crate::base::Nanos;
use crate::plan::Plan;
use crate::profile::Profile;
use crate::study::setup::{StudyError, prepare};
use crate::target::Target;

/// A search as far as it can be told before its first trial.
pub struct Outline {
    pub target: String,
    pub fault: Option<String>,
    pub first_per_s: f64,
    /// By arithmetic; `None` when the cost of a request is not known.
    pub expected_per_s: Option<f64>,
    /// So many trials, should the target carry about what is expected, and how long they take.
    pub trials: usize,
    pub takes: Nanos,
    /// Of the first trial.
    pub plan: Plan,
}

/// The searches of [`super::capacity`], in their order.
///
/// # Errors
/// What `capacity` would refuse before it runs anything.
pub fn outline(
    targets: &[Target],
    profile: &Profile,
    options: &CapacityOptions,
) -> Result<Vec<Outline>, StudyError> {
    let setup = prepare(&targets.iter().collect::<Vec<_>>(), Some(profile))?;
    planned(targets, profile, options, &setup)?.iter().map(of_search).collect()
}

fn of_search(planned: &Planned<'_>) -> Result<Outline, StudyError> {
    let Planned { trials, search, expected_per_s } = planned;
    let first = Shape::Level { rate_per_s: search.first_per_s, seconds: search.trial_s };
    let rest = planned.rest(&[]);
    let fault = trials.options.fault.as_ref().filter(|_| trials.with_fault);
    Ok(Outline {
        target: trials.target.name.clone(),
        fault: fault.map(|fault| fault.name.clone()),
        first_per_s: search.first_per_s,
        expected_per_s: *expected_per_s,
        trials: rest.len(),
        takes: Outlook::default().of(rest),
        plan: trials.plan(&first, 1)?,
    })
}
