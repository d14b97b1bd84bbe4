//! What is resolved once per command: cores, unit, quota period, calibration, network.

use crate::base::{Nanos, clock, work};
use crate::host;
use crate::plan::{HostFacts, PlanError};
use crate::profile::Profile;
use crate::record::RecordError;
use crate::run::RunError;
use crate::target::Target;

/// Share of the target's cores that the largest budget may take: the rest is for the kernel.
const BUDGET_SHARE: f64 = 0.9;
/// Quota period, unless a server's share would fall under the kernel's minimum.
const PERIOD: Nanos = Nanos::from_millis(20);
/// Where nodes listen on their own addresses; the admin side is one port above.
const PORT: u16 = 17_170;
/// The kernel refuses quotas under 1 ms.
const QUOTA_MIN: Nanos = Nanos::from_millis(1);

#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Judge(#[from] crate::gate::JudgeError),
    #[error(transparent)]
    Facts(#[from] host::FactsError),
    #[error("cannot measure on the target's cores: {0}")]
    Calibrate(std::io::Error),
    #[error("cannot write {path}: {cause}")]
    Output { path: String, cause: std::io::Error },
    #[error("{0}")]
    Refused(String),
}

/// The facts of this command, and what must be held while it runs.
pub struct Setup {
    pub facts: HostFacts,
    /// Reasons for doubt about every run of this command.
    pub doubts: Vec<String>,
    /// Keeps other brunts off this command's network.
    _network: host::NetworkClaim,
}

/// Looks at the machine and resolves what all runs of this command share.
///
/// # Errors
/// When no network can be claimed, or the targets cannot be compared.
pub fn prepare(targets: &[&Target], profile: Option<&Profile>) -> Result<Setup, StudyError> {
    if let Some(profile) = profile {
        equal_costs(targets, profile)?;
    }
    let host::Machine { mut facts, network, notes } = host::resolve(PORT)?;
    let budget = targets.iter().map(|t| t.budget_units()).fold(0.0, f64::max);
    let stack_cores = facts.stack_cpus.len() as f64;
    let is_started = targets.iter().any(|t| !t.server.is_empty());
    facts.unit_cores = match is_started {
        // Without any unit to share them out, all cores are one.
        true => (BUDGET_SHARE * stack_cores / if budget > 0.0 { budget } else { 1.0 }).min(1.0),
        false => 0.0,
    };
    let least = least_cores(targets, facts.unit_cores);
    facts.period = period(least);
    if is_started {
        facts.iterations_per_ms = calibrate(&facts.stack_cpus, &facts.brunt_cpus)?;
        facts.quota_stall = host::stall::measure(facts.unit_cores, facts.period, &facts.stack_cpus)
            .map_err(StudyError::Calibrate)?
            .stall;
    }
    let others = host::other_brunts(&host::state_folder(), "");
    // What the machine lacks matters to the bundled stack, not to a URL.
    let mut doubts = if is_started { notes } else { Vec::new() };
    doubts.extend(
        others.iter().map(|run| format!("another brunt ({run}) was running on this machine")),
    );
    if !is_started && !targets.is_empty() {
        facts = unpinned(facts)?;
    }
    Ok(Setup { facts, doubts, _network: network })
}

/// As [`prepare`], for the load of something that brunt did not place on cores of its own.
///
/// # Errors
/// When no network can be claimed.
pub fn prepare_for_service() -> Result<Setup, StudyError> {
    let setup = prepare(&[], None)?;
    Ok(Setup { facts: unpinned(setup.facts)?, ..setup })
}

/// Where the service runs is not brunt's to know: kept to one core it could share that one with
/// it while another idles, so it goes wherever the scheduler finds room.
fn unpinned(facts: HostFacts) -> Result<HostFacts, StudyError> {
    let all = host::affinity::own().map_err(StudyError::Calibrate)?;
    Ok(HostFacts { brunt_cpus: all, stack_cpus: Vec::new(), ..facts })
}

/// Of a core that seems slow, it is measured so often.
const CALIBRATIONS_MAX: usize = 8;
/// A core is slow when another, or itself a moment ago, does more than this leaves of it.
const SEEMS_SLOW: f64 = 0.85;

/// Iterations per millisecond on the target's cores at their best. A core can be slow for seconds,
/// and work that was measured on it then would be too little for the rest of the run: so brunt's own
/// cores are asked too, and where they do more, the target's are asked again.
fn calibrate(stack: &[u32], brunt: &[u32]) -> Result<f64, StudyError> {
    let (mut best, mut fastest) = (0.0f64, 0.0f64);
    for _ in 0..CALIBRATIONS_MAX {
        let now = calibrate_on(stack)?;
        best = best.max(now);
        fastest = fastest.max(best).max(calibrate_on(brunt)?);
        if now >= fastest * SEEMS_SLOW {
            break;
        }
    }
    Ok(best)
}

/// Measured on a thread pinned there.
fn calibrate_on(cores: &[u32]) -> Result<f64, StudyError> {
    let cores = cores.to_vec();
    let measure = move || {
        host::affinity::pin_self(&cores)?;
        Ok(work::calibrate())
    };
    std::thread::spawn(measure)
        .join()
        .expect("calibration does not panic")
        .map_err(StudyError::Calibrate)
}

/// The smallest share of a server that has one.
fn least_cores(targets: &[&Target], unit_cores: f64) -> f64 {
    let groups = targets.iter().flat_map(|t| t.server.values());
    let shares = groups.filter_map(|g| g.cores.or(g.units.map(|units| units * unit_cores)));
    shares.fold(f64::INFINITY, f64::min)
}

/// 20 ms, lengthened in whole milliseconds only where the smallest quota would be refused.
fn period(least_cores: f64) -> Nanos {
    if !least_cores.is_finite() || least_cores <= 0.0 {
        return PERIOD;
    }
    // A hair of tolerance: 0.05 core in 20 ms is exactly the minimum.
    let needed = QUOTA_MIN.as_millis_f64() / least_cores * (1.0 - 1e-9);
    PERIOD.max(Nanos::from_millis(needed.ceil() as u64))
}

/// Rates relative to the work would differ between targets whose requests cost differently.
fn equal_costs(targets: &[&Target], profile: &Profile) -> Result<(), StudyError> {
    let mut first: Option<(&Target, f64)> = None;
    for target in targets {
        let cost = crate::plan::cost_per_request(target, profile)?;
        match first {
            None => first = Some((target, cost)),
            Some((other, before)) if (before - cost).abs() > 1e-9 => {
                return Err(StudyError::Refused(format!(
                    "{} costs {:.3} ms a request and {} {:.3} ms: they cannot be compared under \
                     one rate; make [app.cost] and [database.cost] equal",
                    other.name,
                    before * 1e3,
                    target.name,
                    cost * 1e3
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A name for everything that a run creates: unique on this machine, sortable by time.
pub(super) fn run_id() -> String {
    let stamp = clock::wall().0 / 1_000_000;
    format!("{stamp:x}-{:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_is_lengthened_only_for_the_smallest_quota() {
        assert_eq!(period(0.1), Nanos::from_millis(20));
        assert_eq!(period(0.05), Nanos::from_millis(20));
        assert_eq!(period(0.02), Nanos::from_millis(50));
        assert_eq!(period(f64::INFINITY), Nanos::from_millis(20));
    }

    #[test]
    fn targets_of_different_cost_are_not_compared() {
        let a = crate::target::load("garage").unwrap();
        let b = crate::target::load("garage[app.cost.feed=3ms]");
        let profile = crate::profile::load("campaign").unwrap();
        assert!(equal_costs(&[&a, &a], &profile).is_ok());
        if let Ok(b) = b {
            let error = equal_costs(&[&a, &b], &profile).unwrap_err().to_string();
            assert!(error.contains("cannot be compared"), "{error}");
        }
    }
}
