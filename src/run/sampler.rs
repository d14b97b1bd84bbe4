//! Reads every node's usage and counters once a second, and brunt's own.

use crate::base::{Nanos, clock};
use crate::fleet::{Fleet, NodeState};
use crate::host::http;
use crate::plan::Plan;
use crate::probe::{Machine, MachineSample, NodeSample, NodeSampler, OwnUsage, PaceMeter};
use crate::record::NodeRow;
use crate::target::Role;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Longest wait for a node's counters.
const COUNTERS_DEADLINE: Duration = Duration::from_millis(60);

/// Node → role and admin address, where it has one.
type Admins = BTreeMap<String, (Role, Option<SocketAddr>)>;

/// The thread that reads every node's usage once a second.
pub(super) struct Sampler {
    stop: mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sampler {
    pub fn start(
        plan: &Plan,
        fleet: Option<Arc<Fleet>>,
        epoch: Nanos,
        sink: mpsc::Sender<Vec<NodeRow>>,
    ) -> Sampler {
        let (stop, stopped) = mpsc::channel();
        let cores = plan.host.brunt_cpus.clone();
        let mut all_cores = [plan.host.brunt_cpus.as_slice(), &plan.host.stack_cpus].concat();
        all_cores.sort_unstable();
        all_cores.dedup();
        let pace = PaceMeter::start(&all_cores, plan.host.iterations_per_ms);
        let admins = plan.nodes.iter().map(|n| (n.name.clone(), (n.role, n.admin()))).collect();
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                let fleet = fleet.as_deref();
                sample_every_second(fleet, &admins, (&cores, &pace), epoch, &stopped, &sink);
            })
            .expect("one more thread can be started");
        Sampler { stop, thread: Some(thread) }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sample_every_second(
    fleet: Option<&Fleet>,
    admins: &Admins,
    (cores, pace): (&[u32], &PaceMeter),
    epoch: Nanos,
    stopped: &Receiver<()>,
    sink: &mpsc::Sender<Vec<NodeRow>>,
) {
    let mut sampler = NodeSampler::default();
    let mut machine = Machine::sample(cores);
    // What was used before instant 0 belongs to no second.
    for sample in samples(fleet, admins, &machine, &machine) {
        sampler.row(0, sample);
    }
    pace.slowdown();
    for second in 0.. {
        let at = epoch + Nanos::from_secs(u64::from(second) + 1);
        let wait = at.saturating_sub(clock::now());
        let is_last = stopped.recv_timeout(wait.duration()).is_ok();
        let now = Machine::sample(cores);
        let mut samples = samples(fleet, admins, &machine, &now);
        samples[0].slowdown = pace.slowdown();
        let rows = samples.into_iter().map(|sample| sampler.row(second, sample)).collect();
        machine = now;
        if sink.send(rows).is_err() || is_last {
            return;
        }
    }
}

fn samples(
    fleet: Option<&Fleet>,
    admins: &Admins,
    before: &MachineSample,
    now: &MachineSample,
) -> Vec<NodeSample> {
    let own = OwnUsage::sample();
    let mut all = vec![NodeSample {
        node: "brunt".into(),
        server: "brunt".into(),
        role: "generator".into(),
        alive: true,
        cpu_ns: own.cpu.0,
        // All that runs on brunt's cores: the keeper and the relay are there too.
        server_cpu_ns: now.busy_on_cores.0,
        rss_bytes: own.rss_bytes,
        threads: own.threads,
        fds: own.fds,
        steal_share: Some(now.steal_since(before)),
        ..NodeSample::default()
    }];
    let Some(fleet) = fleet else { return all };
    let leader = fleet.leader();
    for usage in fleet.usage() {
        // The relay is brunt's own, not the target's.
        let Some((role, admin)) = admins.get(&usage.node) else { continue };
        let role = match *role {
            Role::Database if leader.as_deref() == Some(&usage.node) => {
                "database/leader".to_string()
            }
            Role::Database => "database/replica".to_string(),
            other => other.name().to_string(),
        };
        // A stopped node would only use up the deadline.
        let counters = match (fleet.node_state(&usage.node), admin) {
            (Some(NodeState::Ready), Some(admin)) => counters(*admin),
            _ => BTreeMap::new(),
        };
        let process = usage.process.unwrap_or_default();
        all.push(NodeSample {
            node: usage.node,
            server: usage.server,
            role,
            alive: usage.process.is_some(),
            cpu_ns: process.cpu.0,
            server_cpu_ns: usage.server_cpu.0,
            server_throttled_ns: usage.server_throttled.0,
            rss_bytes: process.resident.0,
            threads: process.threads,
            fds: process.descriptors,
            counters,
            steal_share: None,
            slowdown: None,
        });
    }
    all
}

fn counters(admin: SocketAddr) -> BTreeMap<String, u64> {
    http::get(admin, "/counters", COUNTERS_DEADLINE)
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or_default()
}
