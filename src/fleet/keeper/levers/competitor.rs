//! `Lever::Competitor`: a busy neighbour. Each hold has a process of its own in the server's group,
//! so it takes from the server's own share and from nobody else's.

use super::super::Keeper;
use super::super::node::Running;
use super::super::operate::{EFFECT_BOUND, refused};
use super::super::spawn::spawn;
use super::Counted;
use crate::base::{Nanos, clock};
use crate::fault::Lever;
use crate::fleet::burner::BURN_COMMAND;
use crate::fleet::protocol::{NodeKind, NodeSpec, Stamp, Tell};
use crate::host::budget::process_cpu;
use crate::host::journal::{Entry, Journal};
use crate::host::usage::queued;
use rustix::process::Signal;
use std::io;
use std::path::PathBuf;

/// The processes that compete in one server.
#[derive(Default)]
pub struct Competitors {
    all: Vec<Competitor>,
    /// CPU that was used by those that ended.
    burnt: Nanos,
}

struct Competitor {
    cores: f64,
    running: Running,
    /// It was killed; in a frozen v1 group it dies when that is thawed.
    is_ending: bool,
}

impl Competitors {
    pub fn running(&self) -> impl Iterator<Item = &Running> {
        self.all.iter().map(|c| &c.running)
    }

    pub fn cpu(&self) -> Nanos {
        self.running().fold(self.burnt, |sum, running| sum + running.cpu())
    }

    /// Takes note of those that ended.
    pub fn collect(&mut self) {
        let burnt = &mut self.burnt;
        self.all.retain_mut(|competitor| {
            // Before it is reaped: a zombie's clock can still be read.
            let cpu = process_cpu(competitor.running.identity().pid);
            let has_ended = competitor.running.reap().is_some();
            if has_ended {
                *burnt += cpu.unwrap_or_default();
            }
            !has_ended
        });
    }

    /// Kills those that nobody wants any more; returns what is wanted and not there.
    fn keep(&mut self, mut wanted: Vec<f64>) -> io::Result<Vec<f64>> {
        for competitor in self.all.iter_mut().filter(|c| !c.is_ending) {
            match wanted.iter().position(|cores| *cores == competitor.cores) {
                Some(index) => drop(wanted.swap_remove(index)),
                None => {
                    competitor.running.held.signal(Signal::KILL)?;
                    competitor.is_ending = true;
                }
            }
        }
        Ok(wanted)
    }

    fn await_ends(&mut self) -> io::Result<()> {
        let ending = self.all.iter().filter(|c| c.is_ending);
        let alive = ending.map(|c| &c.running.held).find(|p| !p.wait_exit(EFFECT_BOUND.duration()));
        match alive {
            Some(alive) => refused(format!("process {} still runs", alive.identity.pid)),
            None => {
                self.collect();
                Ok(())
            }
        }
    }

    fn words(&self) -> String {
        let one = |c: &Competitor| {
            format!("process {} burns {} cores", c.running.identity().pid, c.cores)
        };
        let all: Vec<String> = self.all.iter().filter(|c| !c.is_ending).map(one).collect();
        if all.is_empty() { "no competitor runs".into() } else { all.join(", ") }
    }
}

pub fn check(keeper: &Keeper, server: &str, cores: f64) -> io::Result<()> {
    if !(cores > 0.0 && cores.is_finite()) {
        return refused(format!("{cores} cores cannot be burnt"));
    }
    match keeper.server(server)?.spec.cores {
        Some(_) => Ok(()),
        None => refused(format!("server {server} has no CPU share to compete for")),
    }
}

pub fn set(keeper: &mut Keeper, server: &str, on: &[Lever]) -> io::Result<Stamp> {
    let before = clock::now();
    let is_frozen = keeper.server(server)?.is_frozen;
    let competitors = &mut keeper.server_mut(server)?.competitors;
    competitors.collect();
    let missing = competitors.keep(on.iter().filter_map(cores_of).collect())?;
    let is_late = is_frozen && !missing.is_empty();
    if !is_frozen {
        competitors.await_ends()?;
        missing.into_iter().try_for_each(|cores| start(keeper, server, cores))?;
    }
    let mut proof = keeper.server(server)?.competitors.words();
    if is_late {
        proof.push_str("; what is frozen gets its competitor when it goes on");
    }
    let mechanism = "process in the server's group".into();
    Ok(Stamp { before, after: clock::now(), mechanism, proof })
}

/// A server that goes on, after a freeze in which none could be started.
pub fn catch_up(keeper: &mut Keeper, server: &str) {
    let lever = Lever::Competitor { server: server.into(), cores: 0.0 };
    let on: Vec<Lever> = keeper.on(&lever).cloned().collect();
    if let Err(e) = set(keeper, server, &on) {
        keeper.news.push(Tell::Note { text: format!("competitor of {server}: {e}") });
    }
}

fn cores_of(lever: &Lever) -> Option<f64> {
    match lever {
        Lever::Competitor { cores, .. } => Some(*cores),
        _ => None,
    }
}

/// Nobody may enter a frozen group: the child would stop before it executes, and the keeper with it.
fn start(keeper: &mut Keeper, server: &str, cores: f64) -> io::Result<()> {
    let spec = NodeSpec {
        name: format!("competitor of {server}"),
        server: server.into(),
        kind: NodeKind::Bundled,
        env: Vec::new(),
        folder: None,
        program: "/proc/self/exe".into(),
        arguments: vec![BURN_COMMAND.into(), cores.to_string()],
        stdin: String::new(),
        log: PathBuf::new(),
    };
    let (group, cpus) = (keeper.server(server)?.group.clone(), keeper.cpus_of(server));
    let running = Running::new(spawn(&spec, &keeper.setup.run, &group, &cpus)?)?;
    let process = running.identity();
    let competitor = Competitor { cores, running, is_ending: false };
    keeper.server_mut(server)?.competitors.all.push(competitor);
    keeper.write_down(&Entry::Process { node: spec.name, process }, Journal::note);
    Ok(())
}

pub fn count(keeper: &Keeper, server: &str) -> Counted {
    let Some(found) = keeper.servers.get(server) else { return Counted::Nothing };
    let own = keeper.own_members(server, false);
    let waited = own.iter().map(|m| queued(m.identity.pid)).fold(Nanos::ZERO, |sum, one| sum + one);
    Counted::Competitor { burnt: found.competitors.cpu(), waited }
}
