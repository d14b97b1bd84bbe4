//! `brunt doctor`: what this machine can do, found out by doing: cores, CPU shares and the stall they
//! cause, calibration, file limits, other brunts, and every kind of fault.

use super::output::say_line;
use crate::analysis::comparison::count_text;
use crate::base::Nanos;
use crate::chaos::{Ability, abilities};
use crate::cli::exit;
use crate::cli::load::CONNECTIONS_LIMIT;
use crate::generator::Limits;
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
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    for line in connections(Limits::here(), soft) {
        say_line(&line)?;
    }
    say_line("faults        tried on a process and in groups and namespaces of brunt's own:")?;
    for ability in abilities(&facts.stack_cpus, &std::env::temp_dir())? {
        say_line(&fault(&ability))?;
    }
    for doubt in &setup.doubts {
        say_line(&format!("doubt         {doubt}"))?;
    }
    Ok(exit::PASS)
}

/// One kind of fault in one line: how, or why not, and what it takes.
fn fault(ability: &Ability) -> String {
    let by = ability.by.map(|by| format!(" by {by}")).unwrap_or_default();
    let name = format!("{}{by}", ability.kind);
    let (verdict, text) = match &ability.tried {
        Ok(mechanism) => ("works", mechanism),
        Err(why) => ("not here", why),
    };
    format!("  {name:<22}{verdict:<10}{text} (takes {})", ability.needs)
}

/// How many connections `brunt load` can hold open at once, and what bounds them.
fn connections(limits: Limits, soft: u64) -> Vec<String> {
    let count = |n: u64| match n {
        // RLIM_INFINITY, of which nobody wants all digits.
        n if n > i64::MAX as u64 => "unlimited".to_string(),
        n => count_text(n),
    };
    let most =
        |is_loopback| count(limits.most_connections(is_loopback).min(u64::from(CONNECTIONS_LIMIT)));
    vec![
        format!(
            "open files    {} per process (ulimit -Sn), which brunt raises up to {} (ulimit -Hn)",
            count(soft),
            count(limits.descriptors)
        ),
        format!(
            "local ports   {} for each local address (net.ipv4.ip_local_port_range)",
            count(limits.ports)
        ),
        format!(
            "brunt load    at most {} connections at once to a server on 127.0.0.0/8",
            most(true)
        ),
        format!(
            "              and {} to another address from one of yours (--source gives more);",
            most(false)
        ),
        format!(
            "              up to {} in brunt's own process, more in worker processes",
            count(limits.most_in_one_process().min(u64::from(CONNECTIONS_LIMIT)))
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_line_with_its_mechanism_or_its_reason() {
        let mut ability = Ability {
            kind: "memory",
            by: Some("limit"),
            needs: "root",
            tried: Ok("memory.max".into()),
        };
        assert_eq!(fault(&ability), "  memory by limit       works     memory.max (takes root)");
        ability.tried = Err("there is no group".into());
        let said = fault(&ability);
        assert_eq!(said, "  memory by limit       not here  there is no group (takes root)");
    }

    #[test]
    fn how_many_connections_there_can_be_is_said_in_words() {
        let limits = Limits { descriptors: 20_000, descriptors_used: 20, ports: 28_232 };
        let said = connections(limits, 1024).join("\n");
        for part in [
            "1,024 per process (ulimit -Sn), which brunt raises up to 20,000",
            "28,232 for each local address",
            "at most 1,000,000 connections at once to a server on 127.0.0.0/8",
            "and 28,232 to another address",
            "up to 19,724 in brunt's own process",
        ] {
            assert!(said.contains(part), "{said}\nwithout {part}");
        }
        let endless = Limits { descriptors: u64::MAX, ..limits };
        assert!(connections(endless, 1024)[0].contains("up to unlimited"));
    }
}
