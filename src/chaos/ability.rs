//! Which faults can be done on this machine, how, and why not where one cannot: found out by doing
//! each to something of brunt's own, where there is anything that the machine could refuse.

use crate::base::{Bytes, Nanos};
use crate::fault::{Direction, FaultKind, LinkBy, MemoryBy, OnLink, ThrottleBy};
use crate::host::trial::{
    Trial, Tried, full_folder, packets_delayed, packets_lost, packets_shaped,
};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// One way to do one kind of fault.
pub struct Ability {
    pub kind: &'static str,
    /// The `by` of the profile, where there are several ways.
    pub by: Option<&'static str>,
    /// What it takes from whoever runs brunt.
    pub needs: &'static str,
    pub tried: Tried,
}

/// What faults are done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Facility {
    Signals,
    Freeze,
    Share,
    Cores,
    Competitor,
    MemoryLimit,
    MemoryPressure,
    Descriptors,
    Disk,
    FullFolder,
    Node,
    Proxy,
    Filter,
    Shaper,
    Queue,
}

/// Tries all. `stack` is the cores that targets have, `work` a folder on the disk of their data.
///
/// # Errors
/// When no process can be started to try them on.
pub fn abilities(stack: &[u32], work: &Path) -> io::Result<Vec<Ability>> {
    Trial::run(|trial| {
        let mut tried: BTreeMap<Facility, Tried> = BTreeMap::new();
        let mut ability = |kind: &FaultKind| {
            let (by, facility) = facility(kind);
            let tried = tried.entry(facility);
            let tried = tried.or_insert_with(|| attempt(facility, trial, stack, work)).clone();
            Ability { kind: kind.name(), by, needs: needs(facility), tried }
        };
        kinds().iter().map(&mut ability).collect()
    })
}

/// Of what no machine refuses.
const OWN: &str = "not tried here: brunt's own code";

fn attempt(facility: Facility, trial: &Trial, stack: &[u32], work: &Path) -> Tried {
    match facility {
        Facility::Signals => trial.signals(),
        Facility::Freeze => trial.freeze(),
        Facility::Share => trial.share(),
        Facility::Cores => trial.cores(stack),
        Facility::Competitor => {
            trial.share().map(|share| format!("process inside {share}; only the share was tried"))
        }
        Facility::MemoryLimit => trial.memory_limit(),
        Facility::MemoryPressure => trial.memory_pressure(),
        Facility::Descriptors => trial.descriptors(),
        Facility::Disk => trial.disk(work),
        Facility::FullFolder => full_folder(),
        Facility::Node => Ok(format!("rule in a bundled node; {OWN}")),
        Facility::Proxy => Ok(format!("brunt's proxy; {OWN}")),
        Facility::Filter => packets_lost(),
        Facility::Shaper => packets_shaped(),
        Facility::Queue => packets_delayed(),
    }
}

fn needs(facility: Facility) -> &'static str {
    match facility {
        Facility::Signals | Facility::Freeze | Facility::Node | Facility::Proxy => "no privilege",
        Facility::Share | Facility::Competitor => "no privilege; exact with a writable cgroup",
        Facility::Cores => "no privilege; two cores for targets",
        Facility::MemoryLimit => "a writable cgroup with memory (root, or delegated)",
        Facility::MemoryPressure => "a writable cgroup v2 with memory (root, or delegated)",
        Facility::Descriptors => "no privilege; nodes of the same user",
        Facility::Disk => "a writable cgroup with blkio or io (root, or delegated); a real disk",
        Facility::FullFolder => "root, for a mount namespace",
        Facility::Filter => "root, for a network namespace; nft",
        Facility::Shaper => "root, for a network namespace; tc",
        Facility::Queue => "root, for a network namespace; tc, and a kernel with netem",
    }
}

/// What a kind is done with, and its `by` where there is a choice.
fn facility(kind: &FaultKind) -> (Option<&'static str>, Facility) {
    match kind {
        FaultKind::Kill | FaultKind::Terminate | FaultKind::Restart => (None, Facility::Signals),
        FaultKind::PowerOff | FaultKind::Pause => (None, Facility::Freeze),
        FaultKind::Throttle { by: ThrottleBy::Quota, .. } => (Some("quota"), Facility::Share),
        FaultKind::Throttle { by: ThrottleBy::Cores, .. } => (Some("cores"), Facility::Cores),
        FaultKind::Compete { .. } => (None, Facility::Competitor),
        FaultKind::Memory { by: MemoryBy::Limit, .. } => (Some("limit"), Facility::MemoryLimit),
        FaultKind::Memory { by: MemoryBy::Pressure, .. } => {
            (Some("pressure"), Facility::MemoryPressure)
        }
        FaultKind::Descriptors { .. } => (None, Facility::Descriptors),
        FaultKind::DiskSlow { .. } => (None, Facility::Disk),
        FaultKind::DiskFull { .. } => (None, Facility::FullFolder),
        FaultKind::SlowSync { .. }
        | FaultKind::HttpErrors { .. }
        | FaultKind::HttpDelay { .. }
        | FaultKind::HttpWrongLength { .. } => (None, Facility::Node),
        FaultKind::Latency { link, .. } => by(link, Facility::Queue),
        FaultKind::Bandwidth { link, .. } => by(link, Facility::Shaper),
        FaultKind::Stall { link } | FaultKind::Partition { link } => by(link, Facility::Filter),
        FaultKind::Reset { .. } | FaultKind::SlowClose { .. } | FaultKind::Cut { .. } => {
            (None, Facility::Proxy)
        }
        FaultKind::Loss { .. } => (None, Facility::Filter),
        FaultKind::Reorder { .. } => (None, Facility::Queue),
    }
}

fn by(link: &OnLink, packets: Facility) -> (Option<&'static str>, Facility) {
    match link.by {
        LinkBy::Proxy => (Some("proxy"), Facility::Proxy),
        LinkBy::Packets => (Some("packets"), packets),
    }
}

/// Each kind, in each of the ways in which it can be done.
fn kinds() -> Vec<FaultKind> {
    let (share, delay, jitter) = (1.0, Nanos::ZERO, Nanos::ZERO);
    let (bytes, direction) = (Bytes(0), Direction::Both);
    let proxy = OnLink::default();
    let packets = OnLink { by: LinkBy::Packets, ..proxy };
    vec![
        FaultKind::Kill,
        FaultKind::Terminate,
        FaultKind::PowerOff,
        FaultKind::Pause,
        FaultKind::Restart,
        FaultKind::Throttle { to: share, by: ThrottleBy::Quota },
        FaultKind::Throttle { to: share, by: ThrottleBy::Cores },
        FaultKind::Compete { cores: share },
        FaultKind::Memory { to: bytes, by: MemoryBy::Limit },
        FaultKind::Memory { to: bytes, by: MemoryBy::Pressure },
        FaultKind::Descriptors { to: 0 },
        FaultKind::DiskSlow { rate: bytes },
        FaultKind::DiskFull { free: bytes },
        FaultKind::SlowSync { delay },
        FaultKind::Latency { delay, jitter, link: proxy },
        FaultKind::Latency { delay, jitter, link: packets },
        FaultKind::Bandwidth { rate: bytes, link: proxy },
        FaultKind::Bandwidth { rate: bytes, link: packets },
        FaultKind::Stall { link: proxy },
        FaultKind::Stall { link: packets },
        FaultKind::Reset { link: proxy },
        FaultKind::SlowClose { delay, link: proxy },
        FaultKind::Cut { bytes, link: proxy },
        FaultKind::Partition { link: proxy },
        FaultKind::Partition { link: packets },
        FaultKind::Loss { share, direction },
        FaultKind::Reorder { share, delay, direction },
        FaultKind::HttpErrors { share, status: 503 },
        FaultKind::HttpDelay { share, delay, jitter },
        FaultKind::HttpWrongLength { share },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_fault_is_left_out() {
        // What serde expects is what there is.
        let none = serde_json::from_str::<FaultKind>(r#"{"kind":"none of them"}"#).unwrap_err();
        let expected = none.to_string();
        let expected: Vec<&str> = expected.split('`').skip(3).step_by(2).collect();
        assert!(expected.len() >= 24, "{expected:?}");
        let mut listed: Vec<&str> = kinds().iter().map(FaultKind::name).collect();
        listed.dedup();
        assert_eq!(listed, expected);
    }

    #[test]
    fn every_way_is_tried_and_nothing_is_left() {
        let cores = crate::host::affinity::own().unwrap();
        let found = abilities(&cores, &std::env::temp_dir()).unwrap();
        for one in &found {
            eprintln!("{} {:?}: {:?} ({})", one.kind, one.by, one.tried, one.needs);
        }
        let works = |kind: &str| found.iter().any(|a| a.kind == kind && a.tried.is_ok());
        for kind in ["kill", "pause", "throttle", "compete", "descriptors", "latency"] {
            assert!(works(kind), "{kind} needs no privilege");
        }
        let left = crate::host::scratch::groups("trial").run_folders();
        assert!(left.iter().all(|folder| !folder.exists()), "{left:?}");
    }
}
