//! Who generates a load: so many threads of brunt, or, when one process may not open that many
//! connections, so many worker processes, and from which local addresses they connect. Pure
//! arithmetic on the plan and the machine's limits; nothing is started here.

use crate::plan::{Arrivals, LoadPlan};
use rustix::process::Resource;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// File descriptors of a process beside its connections.
const DESCRIPTORS_SPARE: u64 = 256;
/// Connections from one local address to one other: beyond half of the usual range of ports the
/// kernel's search for a free one made connects eight times slower (measured).
const PER_SOURCE: u64 = 14_000;
/// More worker processes than this are a mistake, or a limit that can be raised.
const PROCESSES_MAX: u64 = 256;
/// The loopback addresses that are taken as sources: `127.101.1.1` and on.
const SOURCES_PER_NET: u64 = 250;

/// What the machine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open files that a process may be allowed (`ulimit -Hn`).
    pub descriptors: u64,
    /// Open files of this process now.
    pub descriptors_used: u64,
    /// Local ports that the kernel hands out (`net.ipv4.ip_local_port_range`).
    pub ports: u64,
}

impl Limits {
    /// Those of this process, now.
    pub fn here() -> Limits {
        let limit = rustix::process::getrlimit(Resource::Nofile).maximum;
        let used = std::fs::read_dir("/proc/self/fd").map_or(64, |all| all.count() as u64);
        Limits {
            descriptors: limit.unwrap_or(u64::MAX),
            descriptors_used: used,
            ports: ports("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or(28_232),
        }
    }
}

impl Limits {
    /// Connections that one process may open beside what it has open.
    pub fn most_in_one_process(self) -> u64 {
        room(self).saturating_sub(self.descriptors_used)
    }

    /// Connections of a closed loop to one other address, over as many worker processes as there
    /// may be. From one local address, or, where the other one is on loopback, from any.
    pub fn most_connections(self, is_loopback: bool) -> u64 {
        match is_loopback {
            true => PROCESSES_MAX * room(self).min(per_source(self)),
            false => room(self).saturating_mul(PROCESSES_MAX).min(self.ports),
        }
    }
}

fn ports(path: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut ends = text.split_whitespace().map(|n| n.parse::<u64>());
    let (from, to) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(to.checked_sub(from)? + 1)
}

/// Why nobody can generate the load; found before anything is started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrewError {
    #[error("the load plan has no shards or no connections")]
    Nothing,
    #[error(
        "{needed} connections need {needed} local ports, but {sources} local address(es) have \
         {had} for this destination; ask for fewer connections (-c), give more local addresses \
         (--source), or widen net.ipv4.ip_local_port_range"
    )]
    Ports { needed: u64, sources: u64, had: u64 },
    #[error(
        "{needed} connections need {processes} processes of {room} open files each, and at most \
         {most} can share this load; ask for fewer connections (-c), or allow more open files \
         (ulimit -Hn is {limit})"
    )]
    Descriptors { needed: u64, processes: u64, room: u64, most: u64, limit: u64 },
}

/// How a load is shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crew {
    /// Workers, each of which sends a last snapshot.
    pub n_workers: u32,
    /// Whether each worker is a process of its own.
    pub is_processes: bool,
    /// Local addresses: of all threads, or of each process in turn. Empty: the kernel's choice.
    sources: Vec<IpAddr>,
    /// Whether a process gets one of the sources rather than all of them.
    is_source_each: bool,
    /// What a worker process executes.
    pub program: PathBuf,
}

/// What one worker is told: a thread, a local process and an agent do the same with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerPlan {
    pub id: u32,
    pub n_workers: u32,
    /// The whole load; `id` of `n_workers` decides which part of it.
    #[serde(with = "whole")]
    pub load: Arc<LoadPlan>,
    pub connections_max: u32,
    pub waiting_max: u32,
    /// Instead of the load's own.
    pub sources: Vec<IpAddr>,
    pub cpus: Vec<u32>,
}

/// An `Arc` as what it holds.
mod whole {
    use super::{Arc, LoadPlan};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(plan: &Arc<LoadPlan>, out: S) -> Result<S::Ok, S::Error> {
        plan.as_ref().serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<LoadPlan>, D::Error> {
        LoadPlan::deserialize(from).map(Arc::new)
    }
}

impl Crew {
    /// Who generates this load when `wanted` workers are asked for. One process of threads when
    /// its connections fit into it; never more workers than there is to share.
    ///
    /// # Errors
    /// When no crew within the limits can open the connections.
    pub fn of(load: &LoadPlan, wanted: u32, limits: Limits) -> Result<Crew, CrewError> {
        let slots = n_slots(load).min(load.connections_max);
        if slots == 0 {
            return Err(CrewError::Nothing);
        }
        let needed = u64::from(load.connections_max);
        let to = Destination::of(load, limits);
        let (room, per_source) = (room(limits), per_source(limits));
        let is_processes = needed + limits.descriptors_used > room;
        let each = if to.is_loopback { room.min(per_source) } else { room };
        let n_workers = match is_processes {
            false => wanted.min(slots).max(1),
            true => processes(needed, each, slots, limits)?,
        };
        let n_sources = match (is_processes, needed.div_ceil(per_source)) {
            (true, _) => u64::from(n_workers),
            (false, 1) => 0,
            (false, n) => n,
        };
        let sources = match to.is_loopback {
            true => (0..n_sources).map(loopback).collect(),
            false => to.sources_for(needed, load)?,
        };
        let program = PathBuf::from("/proc/self/exe");
        Ok(Crew { n_workers, is_processes, sources, is_source_each: to.is_loopback, program })
    }

    /// As many worker processes as asked for, whether they are needed or not.
    pub fn of_processes(load: &LoadPlan, wanted: u32, program: PathBuf) -> Crew {
        let n_workers = wanted.min(n_slots(load)).min(load.connections_max).max(1);
        let sources = load.transport.sources.clone();
        Crew { n_workers, is_processes: true, sources, is_source_each: false, program }
    }

    /// As many threads as asked for and useful, whatever the limits.
    pub fn of_threads(load: &LoadPlan, wanted: u32) -> Crew {
        let program = PathBuf::new();
        Crew { is_processes: false, ..Crew::of_processes(load, wanted, program) }
    }

    pub fn n_processes(&self) -> u32 {
        if self.is_processes { self.n_workers } else { 1 }
    }

    /// What worker `id` is told.
    pub(super) fn plan(&self, load: &Arc<LoadPlan>, id: u32, cpus: &[u32]) -> WorkerPlan {
        let part = |all: u32| super::load::part(u64::from(all), self.n_workers, id) as u32;
        WorkerPlan {
            id,
            n_workers: self.n_workers,
            load: load.clone(),
            connections_max: part(load.connections_max),
            waiting_max: part(load.waiting_max),
            sources: self.sources_of(id),
            cpus: cpus.to_vec(),
        }
    }

    /// Processes that share addresses begin at different ones.
    fn sources_of(&self, id: u32) -> Vec<IpAddr> {
        let mut sources = self.sources.clone();
        if self.is_processes && !sources.is_empty() {
            let n = sources.len();
            sources.rotate_left(id as usize % n);
            sources.truncate(if self.is_source_each { 1 } else { n });
        }
        sources
    }
}

impl WorkerPlan {
    /// File descriptors of the worker's process, when it is alone in it.
    pub(super) fn descriptors(&self) -> u64 {
        u64::from(self.connections_max) + DESCRIPTORS_SPARE
    }
}

/// Where the connections go to.
struct Destination {
    /// Loopback addresses can be connected to from any loopback address; ours to choose.
    is_loopback: bool,
    /// Local ports that one local address has for all destinations together.
    ports: u64,
}

impl Destination {
    fn of(load: &LoadPlan, limits: Limits) -> Destination {
        let mut addresses = load.addresses();
        addresses.sort_unstable();
        addresses.dedup();
        let is_v4_loopback = |a: &SocketAddr| a.is_ipv4() && a.ip().is_loopback();
        let is_ours = load.transport.sources.is_empty() && addresses.iter().all(is_v4_loopback);
        // Ports are taken per pair of addresses; how requests spread over them is not known here.
        Destination { is_loopback: is_ours, ports: limits.ports * addresses.len().max(1) as u64 }
    }

    /// The given sources, when they have ports enough.
    fn sources_for(&self, needed: u64, load: &LoadPlan) -> Result<Vec<IpAddr>, CrewError> {
        let sources = load.transport.sources.clone();
        let n = sources.len().max(1) as u64;
        let had = n * self.ports;
        if needed > had {
            return Err(CrewError::Ports { needed, sources: n, had });
        }
        Ok(sources)
    }
}

/// What can be shared out: connections of a closed loop, shards of an open one.
fn n_slots(load: &LoadPlan) -> u32 {
    match load.arrivals {
        Arrivals::Closed { connections, .. } => connections,
        Arrivals::Poisson | Arrivals::Constant => load.shards,
    }
}

/// Connections that a process of its own may open.
fn room(limits: Limits) -> u64 {
    limits.descriptors.saturating_sub(DESCRIPTORS_SPARE)
}

/// Connections from one local address to one other that are made without a long search.
fn per_source(limits: Limits) -> u64 {
    PER_SOURCE.min(limits.ports / 2).max(1)
}

fn processes(needed: u64, each: u64, slots: u32, limits: Limits) -> Result<u32, CrewError> {
    let n = needed.div_ceil(each.max(1));
    let most = u64::from(slots).min(PROCESSES_MAX);
    if n > most {
        let (limit, room) = (limits.descriptors, each);
        return Err(CrewError::Descriptors { needed, processes: n, room, most, limit });
    }
    Ok(n as u32)
}

fn loopback(index: u64) -> IpAddr {
    let (net, host) = (index / SOURCES_PER_NET, index % SOURCES_PER_NET);
    Ipv4Addr::new(127, 101, 1 + (net % SOURCES_PER_NET) as u8, 1 + host as u8).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Nanos;
    use crate::plan::{PhasePlan, RequestPlan, RoutePlan};

    const HERE: Limits = Limits { descriptors: 20_000, descriptors_used: 20, ports: 28_232 };

    fn closed(connections: u32, to: &str) -> LoadPlan {
        let arrivals = Arrivals::Closed { connections, think: Nanos::ZERO };
        let phase = PhasePlan::level("main", Nanos::ZERO, Nanos::SECOND, 0.0);
        let route = RoutePlan::Fixed(to.parse().unwrap());
        LoadPlan::new(arrivals, vec![phase], vec![RequestPlan::get("a", "b", "/")], vec![route])
    }

    fn all_plans(crew: &Crew, load: LoadPlan) -> Vec<WorkerPlan> {
        let load = Arc::new(load);
        (0..crew.n_workers).map(|id| crew.plan(&load, id, &[])).collect()
    }

    #[test]
    fn what_fits_into_one_process_is_threads_and_the_kernels_choice_of_address() {
        for (connections, wanted, n_workers) in [(64, 2, 2), (1, 8, 1), (14_000, 4, 4)] {
            let crew = Crew::of(&closed(connections, "127.0.0.1:80"), wanted, HERE).unwrap();
            assert_eq!((crew.n_workers, crew.is_processes), (n_workers, false), "{connections}");
            assert!(crew.sources.is_empty() && crew.n_processes() == 1);
        }
        let crew = Crew::of(&closed(19_000, "127.0.0.1:80"), 1, HERE).unwrap();
        assert_eq!((crew.is_processes, crew.sources.len()), (false, 2));
        let roomy = Limits { descriptors: 2_000_000, ..HERE };
        let crew = Crew::of(&closed(1_000_000, "127.0.0.1:80"), 2, roomy).unwrap();
        assert_eq!((crew.n_workers, crew.is_processes, crew.sources.len()), (2, false, 72));
        assert_eq!(all_plans(&crew, closed(1_000_000, "127.0.0.1:80"))[1].sources.len(), 72);
    }

    #[test]
    fn a_million_is_spread_over_processes_with_an_address_each() {
        let load = closed(1_000_000, "127.0.0.1:80");
        let crew = Crew::of(&load, 1, HERE).unwrap();
        assert_eq!((crew.n_workers, crew.is_processes), (72, true));
        let plans = all_plans(&crew, load);
        assert_eq!(plans.iter().map(|p| u64::from(p.connections_max)).sum::<u64>(), 1_000_000);
        assert!(plans.iter().all(|p| p.connections_max <= 14_000 && p.sources.len() == 1));
        let mut sources: Vec<IpAddr> = plans.iter().map(|p| p.sources[0]).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), 72);
        assert!(sources.iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn given_addresses_are_shared_by_the_processes() {
        let mut load = closed(50_000, "127.0.0.1:80");
        load.transport.sources = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let crew = Crew::of(&load, 1, HERE).unwrap();
        assert_eq!((crew.n_workers, crew.is_processes), (3, true));
        let plans = all_plans(&crew, load.clone());
        assert_eq!(plans[0].sources, load.transport.sources);
        assert_eq!(plans[1].sources[0], load.transport.sources[1]);
        load.transport.sources.truncate(1);
        let refused = Crew::of(&load, 1, HERE).unwrap_err();
        assert_eq!(refused, CrewError::Ports { needed: 50_000, sources: 1, had: 28_232 });
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_change() {
        let far = closed(50_000, "192.0.2.1:80");
        let text = Crew::of(&far, 1, HERE).unwrap_err().to_string();
        assert!(text.contains("50000") && text.contains("28232") && text.contains("--source"));
        let far = closed(20_000, "192.0.2.1:80");
        assert_eq!(Crew::of(&far, 1, HERE).unwrap().n_workers, 2);
        let narrow = Limits { descriptors: 1024, ..HERE };
        let text = Crew::of(&closed(1_000_000, "127.0.0.1:80"), 1, narrow).unwrap_err().to_string();
        assert!(
            text.contains("ulimit") && text.contains("1024") && text.contains("1303"),
            "{text}"
        );
        let mut open = closed(1_000_000, "127.0.0.1:80");
        open.arrivals = Arrivals::Poisson;
        let refused = Crew::of(&open, 1, HERE).unwrap_err();
        assert!(matches!(refused, CrewError::Descriptors { most: 16, .. }), "{refused}");
        assert_eq!(Crew::of(&closed(0, "127.0.0.1:80"), 1, HERE), Err(CrewError::Nothing));
    }

    #[test]
    fn what_the_limits_allow_is_what_a_crew_can_open() {
        for limits in [HERE, Limits { descriptors: 1024, ..HERE }] {
            for (to, is_loopback) in [("127.0.0.1:80", true), ("192.0.2.1:80", false)] {
                let most = limits.most_connections(is_loopback) as u32;
                assert!(Crew::of(&closed(most, to), 1, limits).is_ok(), "{most} to {to}");
                assert!(Crew::of(&closed(most + 1, to), 1, limits).is_err(), "{most} to {to}");
            }
            let alone = limits.most_in_one_process() as u32;
            let is_many = |n| Crew::of(&closed(n, "127.0.0.1:80"), 1, limits).unwrap().is_processes;
            assert!(!is_many(alone) && is_many(alone + 1), "{alone}");
        }
    }

    #[test]
    fn a_plan_survives_its_way_to_another_process() {
        let mut load = closed(7, "127.0.0.1:80");
        load.phases[0].rate_from = 1000.0 / 3.0;
        load.requests[0].headers.push(("Authorization".into(), "Bearer ${env:TOKEN}".into()));
        let plan = Crew::of_threads(&load, 2).plan(&Arc::new(load), 1, &[3]);
        let bytes = postcard::to_stdvec(&super::super::exact::Exact::of(&plan).unwrap()).unwrap();
        let exact: super::super::exact::Exact = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(exact.read::<WorkerPlan>().unwrap(), plan);
    }
}
