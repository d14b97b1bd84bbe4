//! What a plan takes from this machine.

use super::affinity;
use super::cgroup::Cgroups;
use super::network::{self, NetworkClaim};
use crate::plan::HostFacts;

#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error("cannot read which cores brunt may use: {0}")]
    Cores(std::io::Error),
    #[error("cannot claim a loopback network: {0}")]
    Network(std::io::Error),
}

/// The facts, and what must be held while they are true.
#[derive(Debug)]
pub struct Machine {
    /// `unit_cores`, `period`, `iterations_per_ms` and `quota_stall` are left for the caller.
    pub facts: HostFacts,
    /// Keep it as long as the plan's addresses are used.
    pub network: NetworkClaim,
    /// Reasons to doubt what is measured here, as sentences.
    pub notes: Vec<String>,
}

/// Looks at the machine, by doing. The nodes will listen on `port` and `port + 1`.
///
/// # Errors
/// When the cores cannot be read or no network is free.
pub fn resolve(port: u16) -> Result<Machine, FactsError> {
    let cores = affinity::own().map_err(FactsError::Cores)?;
    let split = affinity::split(&cores);
    let network = network::claim(port).map_err(FactsError::Network)?;
    let cgroups = Cgroups::probe(&format!("probe-{}", std::process::id()));
    let mut notes = Vec::new();
    if split.is_shared {
        notes.push(
            "one core: brunt and the stack share it, so brunt disturbs what it measures".into(),
        );
    }
    if !cgroups.has_quota() {
        let why = "no cgroup is writable here: CPU shares are kept by stopping servers that have \
                   spent their budget, which is coarser; run as root or in a delegated cgroup";
        notes.push(why.into());
    }
    let facts = HostFacts {
        cores: cores.len() as u32,
        brunt_cpus: split.brunt,
        stack_cpus: split.stack,
        network: network.network,
        port,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        quota_mechanism: cgroups.quota_mechanism().into(),
        ..HostFacts::default()
    };
    Ok(Machine { facts, network, notes })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_machine_is_described() {
        let machine = super::resolve(17_200).unwrap();
        let facts = &machine.facts;
        assert!(facts.cores >= 1 && !facts.brunt_cpus.is_empty() && !facts.stack_cpus.is_empty());
        assert!(!facts.kernel.is_empty());
        assert_eq!(facts.network, machine.network.network);
        assert_eq!(
            facts.quota_mechanism == "stop-when-spent",
            machine.notes.iter().any(|n| n.contains("no cgroup"))
        );
    }
}
