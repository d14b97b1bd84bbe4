//! `brunt doctor`: what this machine can do, found out by doing. So far what a comparison needs:
//! cores, CPU shares and the stall they cause, calibration, file limits, other brunts.

use crate::base::Nanos;
use crate::cli::exit;
use crate::{host, study, target};
use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit};

pub fn run() -> Result<u8> {
    let horizontal = target::load("horizontal")?;
    let setup = study::prepare(&[&horizontal], None)?;
    let facts = &setup.facts;
    println!("kernel        {}", facts.kernel);
    println!(
        "cores         {}: brunt on {:?}, targets on {:?}",
        facts.cores, facts.brunt_cpus, facts.stack_cpus
    );
    println!("CPU shares    {}", facts.quota_mechanism);
    println!(
        "quota stall   {} at one unit ({:.3} core) in periods of {}",
        facts.quota_stall, facts.unit_cores, facts.period
    );
    let container_like = Nanos::from_millis(100);
    let longer = host::stall::measure(facts.unit_cores, container_like, &facts.stack_cpus)?;
    println!("              {} in periods of {container_like}", longer.stall);
    println!("calibration   {:.0} iterations per CPU millisecond", facts.iterations_per_ms);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    println!("open files    {soft} (hard limit {hard}): about that many connections per process");
    for doubt in &setup.doubts {
        println!("doubt         {doubt}");
    }
    Ok(exit::PASS)
}
