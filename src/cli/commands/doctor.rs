//! `brunt doctor`: what this machine can do, found out by doing. So far what a comparison needs:
//! cores, CPU shares and the stall they cause, calibration, file limits, other brunts.

use super::output::say_line;
use crate::base::Nanos;
use crate::cli::exit;
use crate::{host, study, target};
use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit};

pub fn run() -> Result<u8> {
    let horizontal = target::load("horizontal")?;
    let setup = study::prepare(&[&horizontal], None)?;
    let facts = &setup.facts;
    say_line(&format!("kernel        {}", facts.kernel))?;
    say_line(&format!(
        "cores         {}: brunt on {:?}, targets on {:?}",
        facts.cores, facts.brunt_cpus, facts.stack_cpus
    ))?;
    say_line(&format!("CPU shares    {}", facts.quota_mechanism))?;
    say_line(&format!(
        "quota stall   {} at one unit ({:.3} core) in periods of {}",
        facts.quota_stall, facts.unit_cores, facts.period
    ))?;
    let container_like = Nanos::from_millis(100);
    let longer = host::stall::measure(facts.unit_cores, container_like, &facts.stack_cpus)?;
    say_line(&format!("              {} in periods of {container_like}", longer.stall))?;
    say_line(&format!(
        "calibration   {:.0} iterations per CPU millisecond",
        facts.iterations_per_ms
    ))?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    say_line(&format!(
        "open files    {soft} (hard limit {hard}): about that many connections per process"
    ))?;
    for doubt in &setup.doubts {
        say_line(&format!("doubt         {doubt}"))?;
    }
    Ok(exit::PASS)
}
