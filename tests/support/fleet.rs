//! A fleet of shell scripts in place of nodes, and what must be left of it: nothing.

#![allow(dead_code, reason = "each test uses some of it")]

use brunt::base::Nanos;
use brunt::fleet::Options;
use brunt::host::cgroup::Cgroups;
use brunt::plan::{Arrivals, HostFacts, LoadPlan, NodePlan, Plan, ServerPlan};
use brunt::target::{Role, Settings};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const READY: &str = r#"echo '{"at_ns":1,"event":"ready"}' >&3; "#;
/// Leaves a process in a session of its own behind, as some databases do.
pub const WITH_CHILD: &str = "setsid sleep 1000 & exec sleep 1000";
/// Of waits that end by themselves; far more than they take, also on an emulated processor.
pub const BOUND: Duration = Duration::from_secs(20);

pub fn plan(servers: &[(&str, f64, &[&str])]) -> Plan {
    let cores = brunt::host::affinity::own().unwrap();
    let split = brunt::host::affinity::split(&cores);
    let server = |(name, cores, nodes): &(&str, f64, &[&str])| ServerPlan {
        name: (*name).into(),
        group: (*name).into(),
        units: 1.0,
        cores: *cores,
        restart_after: Nanos::from_millis(100),
        nodes: nodes.iter().map(|n| (*n).into()).collect(),
    };
    let nodes = servers.iter().flat_map(|(s, _, nodes)| nodes.iter().map(|n| node(n, s)));
    Plan {
        target: "test".into(),
        profile: "test".into(),
        seed: 1,
        host: HostFacts {
            cores: cores.len() as u32,
            brunt_cpus: split.brunt,
            stack_cpus: split.stack,
            period: Nanos::from_millis(20),
            ..HostFacts::default()
        },
        nodes: nodes.collect(),
        servers: servers.iter().map(server).collect(),
        links: Vec::new(),
        load: load(),
        faults: Vec::new(),
        fault_limits: Default::default(),
        needs: Default::default(),
        hypothesis_in_time: 0.9,
        must_recover: false,
        is_bundled: true,
        cost_per_request: Nanos::ZERO,
        expected_capacity_per_s: 0.0,
        thresholds: Vec::new(),
        abort_on_fail: false,
        guards: Vec::new(),
    }
}

pub fn node(name: &str, server: &str) -> NodePlan {
    NodePlan {
        start: brunt::plan::StartPlan::Bundled,
        name: name.into(),
        role: Role::App,
        server: server.into(),
        region: "eu".into(),
        listen: "127.0.0.1:1".parse().unwrap(),
        admin: "127.0.0.1:2".parse().unwrap(),
        peers: Vec::new(),
        data_folder: Some("data".into()),
        threads: 1,
        iterations_per_ms: 1.0,
        seed: 1,
        settings: Settings::default(),
    }
}

pub fn load() -> LoadPlan {
    LoadPlan::new(Arrivals::Poisson, Vec::new(), Vec::new(), Vec::new())
}

pub fn options(script: &str, folder: &Path, without_cgroups: bool) -> Options {
    Options {
        program: env!("CARGO_BIN_EXE_brunt").into(),
        stand_in: Some(("/bin/sh".into(), vec!["-c".into(), format!("{READY}{script}")])),
        asks_health: false,
        owns_these: false,
        without_cgroups,
        state_folder: folder.join("state"),
    }
}

pub fn run_id(name: &str) -> String {
    format!("test-{}-{name}", std::process::id())
}

pub fn within(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + BOUND;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

pub fn is_clean(run: &str, folder: &Path) -> bool {
    let no_journal = std::fs::read_dir(folder.join("state")).map_or(0, Iterator::count) == 0;
    no_journal && brunt::host::heal::marked(run).is_empty() && groups_of(run).is_empty()
}

/// The run's groups that exist.
pub fn groups_of(run: &str) -> Vec<PathBuf> {
    let mut folders = Cgroups::probe(run).run_folders();
    folders.retain(|f| f.exists());
    folders
}
