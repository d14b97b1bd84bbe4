//! One experiment: the server on the target's core, the load from brunt's, the record read back.

use super::SelfTestOptions;
use super::experiments::Experiment;
use super::replay::{Planned, schedule};
use super::server::KnownServer;
use crate::analysis;
use crate::base::{Histogram, Nanos};
use crate::plan::{
    Arrivals, HostFacts, LoadPlan, PhasePlan, Plan, RequestPlan, RoutePlan, ValueKind, ValuePlan,
};
use crate::run::Silent;
use crate::stack::known::{Arrival, Counters, KnownPlan};
use crate::study::{Ran, RunOptions, Setup, StudyError, run_once};
use std::net::{Ipv4Addr, SocketAddr};

/// Everything that is known of an experiment's run.
pub(super) struct Seen {
    pub ran: Ran,
    pub load: LoadPlan,
    pub response: Histogram,
    pub counters: Counters,
    /// By the server's stamps, since the start of the run.
    pub arrivals: Vec<Arrival>,
    /// Empty for a closed loop, which has none.
    pub schedule: Vec<Planned>,
}

pub(super) fn measure(
    experiment: &Experiment,
    setup: &Setup,
    options: &SelfTestOptions,
) -> Result<Seen, StudyError> {
    let facts = &setup.facts;
    let (a, b) = facts.network;
    let known = KnownPlan {
        listen: SocketAddr::from((Ipv4Addr::new(127, a, b, 9), 0)),
        behaviour: experiment.behaviour.clone(),
        cpus: facts.stack_cpus.iter().take(1).copied().collect(),
        // On the only core a spinning server would keep brunt from it.
        spins: options.spins && facts.stack_cpus != facts.brunt_cpus,
    };
    let server = KnownServer::start(&options.program, &known)?;
    let load = load(experiment, server.address);
    let plan = plan(experiment, load.clone(), facts);
    let folder = options.folder.join("record");
    let run_options =
        RunOptions { workers: None, owns_these: false, signal: options.signal.clone() };
    let ran = run_once(&plan, setup, &run_options, &folder, &mut Silent);
    let _ = std::fs::remove_dir_all(&folder);
    let ran = ran?;
    let epoch = Nanos(ran.record.manifest.started_monotonic_ns);
    let since = |a: Arrival| Arrival { at: a.at.saturating_sub(epoch), ..a };
    let is_open = !matches!(load.arrivals, Arrivals::Closed { .. });
    Ok(Seen {
        response: analysis::merged(&ran.record, true, |_, _| true),
        counters: server.counters()?,
        arrivals: server.arrivals()?.into_iter().map(since).collect(),
        schedule: if is_open { schedule(&load)? } else { Vec::new() },
        load,
        ran,
    })
}

/// Each request's path bears its number, by which the server draws its service time.
pub(super) fn load(experiment: &Experiment, address: SocketAddr) -> LoadPlan {
    let phase = PhasePlan::level("known", Nanos::ZERO, experiment.lasts, experiment.rate);
    let request = RequestPlan {
        method: experiment.method.into(),
        body: (experiment.method == "POST").then(|| "x".into()),
        ..RequestPlan::get("known", "known", "/{id}")
    };
    LoadPlan {
        seed: experiment.seed,
        timeout: experiment.timeout,
        in_time: experiment.timeout,
        values: vec![ValuePlan { name: "id".into(), kind: ValueKind::WriteId }],
        ..LoadPlan::new(
            experiment.arrivals,
            vec![phase],
            vec![request],
            vec![RoutePlan::Fixed(address)],
        )
    }
}

fn plan(experiment: &Experiment, load: LoadPlan, facts: &HostFacts) -> Plan {
    Plan::of_load("known".into(), experiment.name.clone(), facts.clone(), load)
}
