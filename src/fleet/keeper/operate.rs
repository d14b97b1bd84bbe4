//! What brunt may ask for during a run: each does one thing, looks whether it is so, and says when
//! it was done.

use super::Keeper;
use super::node::{Running, are_stopped, signal_all};
use super::spawn::spawn;
use crate::base::{Nanos, clock};
use crate::fleet::protocol::{Answer, Ask, Stamp, Tell};
use crate::host::affinity;
use crate::host::cgroup::files::within;
use crate::host::journal::Entry;
use crate::host::process::Process;
use rustix::process::Signal;
use std::io;

/// For a signal to show its effect.
const EFFECT_BOUND: Nanos = Nanos::from_secs(2);

fn refused<T>(text: String) -> io::Result<T> {
    Err(io::Error::other(text))
}

impl Keeper {
    pub(super) fn operate(&mut self, ask: Ask) -> io::Result<Answer> {
        // What ended a moment ago must not be operated on.
        self.collect_exits();
        let stamp = match ask {
            Ask::StartNode { node } => self.start(&node),
            Ask::KillNode { node } => self.kill_node(&node),
            Ask::TerminateNode { node } => self.terminate_node(&node),
            Ask::PauseNode { node } => self.pause_node(&node, true),
            Ask::ResumeNode { node } => self.pause_node(&node, false),
            Ask::FreezeServer { server } => self.freeze_server(&server, true),
            Ask::ThawServer { server } => self.freeze_server(&server, false),
            Ask::KillServer { server } => self.kill_server(&server),
            Ask::StartServer { server } => self.start_server(&server),
            Ask::SetShare { server, fraction } => self.set_share(&server, fraction),
            Ask::SetCpus { server, cpus } => self.set_cpus(&server, cpus),
            Ask::ServerUse => {
                return Ok(Answer::Use(self.servers.values().map(|s| s.cpu_use()).collect()));
            }
            Ask::Setup(_) | Ask::Shutdown => refused("answered elsewhere".into()),
        };
        stamp.map(Answer::Done)
    }

    /// Starts a node that does not run.
    pub(super) fn start(&mut self, name: &str) -> io::Result<Stamp> {
        let node = self.node(name)?;
        if node.running.is_some() {
            return refused(format!("node {name} runs already"));
        }
        let spec = node.spec.clone();
        let server = self.server(&spec.server)?;
        if server.is_frozen {
            return refused(format!("server {} is frozen; thaw or kill it first", spec.server));
        }
        let (group, cpus) = (server.group.clone(), self.cpus_of(&spec.server));
        self.write_ahead(&Entry::Starting { node: name.into() })?;
        let before = clock::now();
        let spawned = spawn(&spec, &self.setup.run, &group, &cpus)?;
        let running = Running::new(spawned)?;
        let after = clock::now();
        let process = running.identity();
        let node = self.node_mut(name)?;
        node.running = Some(running);
        (node.is_held, node.restart_at) = (false, None);
        self.news.push(Tell::Started { node: name.into(), at: after, process });
        self.write_ahead(&Entry::Process { node: name.into(), process })?;
        let proof = format!("process {} runs", process.pid);
        Ok(Stamp { before, after, mechanism: "spawn".into(), proof })
    }

    fn write_ahead(&mut self, entry: &Entry) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.append(entry),
            None => refused("the run is over".into()),
        }
    }

    fn kill_node(&mut self, name: &str) -> io::Result<Stamp> {
        let running = self.running(name)?;
        let before = clock::now();
        running.held.signal(Signal::KILL)?;
        let after = clock::now();
        // Not at once after the signal: the exit must be explained when it is collected.
        let is_gone = running.held.wait_exit(EFFECT_BOUND.duration());
        let node = self.node_mut(name)?;
        (node.is_held, node.restart_at) = (true, None);
        if !is_gone {
            return refused(format!("node {name} still runs after SIGKILL"));
        }
        let proof = self.collect_exit(name).unwrap_or_default();
        Ok(Stamp { before, after, mechanism: "SIGKILL by pidfd".into(), proof })
    }

    /// Only sends the signal; the exit is told when it comes.
    fn terminate_node(&mut self, name: &str) -> io::Result<Stamp> {
        let running = self.running(name)?;
        let before = clock::now();
        running.held.signal(Signal::TERM)?;
        let after = clock::now();
        let node = self.node_mut(name)?;
        (node.is_held, node.restart_at) = (true, None);
        let proof = "signal sent".into();
        Ok(Stamp { before, after, mechanism: "SIGTERM by pidfd".into(), proof })
    }

    fn pause_node(&mut self, name: &str, is_pause: bool) -> io::Result<Stamp> {
        let members = self.running(name)?.members();
        let stamp = stop_all(&members, is_pause)?;
        self.node_mut(name)?.is_paused = is_pause;
        Ok(stamp)
    }

    fn freeze_server(&mut self, name: &str, is_freeze: bool) -> io::Result<Stamp> {
        let group = self.server(name)?.group.clone();
        let before = clock::now();
        let stamp = match group.freeze(is_freeze)? {
            Some(proof) => {
                let mechanism = group.control_mechanism().into();
                Stamp { before, after: clock::now(), mechanism, proof }
            }
            None => stop_all(&self.members(name, !is_freeze), is_freeze)?,
        };
        self.server_mut(name)?.is_frozen = is_freeze;
        Ok(stamp)
    }

    /// Kills all of a server's processes, frozen or not, and leaves the server ready to be started.
    fn kill_server(&mut self, name: &str) -> io::Result<Stamp> {
        let nodes = self.server(name)?.spec.nodes.clone();
        for node in &nodes {
            let node = self.node_mut(node)?;
            (node.is_held, node.restart_at) = (true, None);
        }
        let group = self.server(name)?.group.clone();
        let members = self.members(name, false);
        let before = clock::now();
        let killed = match group.kill()? {
            Some(proof) => proof,
            None => {
                signal_all(&members, Signal::KILL)?;
                format!("{} processes ended", members.len())
            }
        };
        let after = clock::now();
        if let Some(alive) = members.iter().find(|m| !m.wait_exit(EFFECT_BOUND.duration())) {
            return refused(format!("process {} still runs", alive.identity.pid));
        }
        nodes.iter().for_each(|node| drop(self.collect_exit(node)));
        group.freeze(false)?;
        self.server_mut(name)?.is_frozen = false;
        Ok(Stamp { before, after, mechanism: group.control_mechanism().into(), proof: killed })
    }

    /// Starts all of a server's nodes that do not run, in the order of the plan.
    fn start_server(&mut self, name: &str) -> io::Result<Stamp> {
        let nodes = self.server(name)?.spec.nodes.clone();
        let mut stamps = Vec::new();
        for node in nodes {
            if self.node(&node)?.running.is_none() {
                stamps.push(self.start(&node)?);
            }
        }
        let (Some(first), Some(last)) = (stamps.first(), stamps.last()) else {
            return refused(format!("all nodes of server {name} run already"));
        };
        let proof: Vec<&str> = stamps.iter().map(|s| s.proof.as_str()).collect();
        let (before, after) = (first.before, last.after);
        Ok(Stamp { before, after, mechanism: "spawn".into(), proof: proof.join(", ") })
    }

    fn set_share(&mut self, name: &str, fraction: f64) -> io::Result<Stamp> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            return refused(format!("a share of {fraction} is not above 0 and at most 1"));
        }
        self.server_mut(name)?.set_share(fraction)
    }

    fn set_cpus(&mut self, name: &str, n: Option<u32>) -> io::Result<Stamp> {
        let all = self.setup.stack_cpus.clone();
        let cpus = match n {
            Some(n) if n == 0 || n as usize >= all.len() => {
                return refused(format!("{n} of {} cores takes nothing away", all.len()));
            }
            Some(n) => all[..n as usize].to_vec(),
            None => all,
        };
        // First, so that a node that starts meanwhile has them too.
        self.server_mut(name)?.cpus = n.map(|_| cpus.clone());
        let members = self.members(name, false);
        let before = clock::now();
        let mut threads = 0;
        for member in &members {
            match affinity::pin_process(member.identity.pid, &cpus) {
                Ok(n) => threads += n,
                Err(e) if member.identity.is_alive() => return Err(e),
                Err(_) => {}
            }
        }
        let after = clock::now();
        let proof = format!("{threads} threads on {} cores", cpus.len());
        Ok(Stamp { before, after, mechanism: "sched_setaffinity".into(), proof })
    }

    /// A server's processes, held; without the nodes that a fault of their own has paused.
    fn members(&self, server: &str, without_paused: bool) -> Vec<Process> {
        let nodes = self.nodes.values().filter(|n| n.spec.server == server);
        let nodes = nodes.filter(|n| !(without_paused && n.is_paused));
        nodes.filter_map(|n| n.running.as_ref()).flat_map(Running::members).collect()
    }

    fn cpus_of(&self, server: &str) -> Vec<u32> {
        match self.servers.get(server) {
            Some(s) if s.spec.cores.is_none() => self.setup.brunt_cpus.clone(),
            Some(s) => s.cpus.clone().unwrap_or_else(|| self.setup.stack_cpus.clone()),
            None => self.setup.stack_cpus.clone(),
        }
    }

    fn node(&self, name: &str) -> io::Result<&super::Node> {
        self.nodes.get(name).ok_or_else(|| io::Error::other(format!("there is no node {name}")))
    }

    fn node_mut(&mut self, name: &str) -> io::Result<&mut super::Node> {
        self.nodes.get_mut(name).ok_or_else(|| io::Error::other(format!("there is no node {name}")))
    }

    fn running(&self, name: &str) -> io::Result<&Running> {
        let running = self.node(name)?.running.as_ref();
        running.ok_or_else(|| io::Error::other(format!("node {name} does not run")))
    }

    fn server(&self, name: &str) -> io::Result<&super::Server> {
        self.servers.get(name).ok_or_else(|| io::Error::other(format!("there is no server {name}")))
    }

    fn server_mut(&mut self, name: &str) -> io::Result<&mut super::Server> {
        let none = || io::Error::other(format!("there is no server {name}"));
        self.servers.get_mut(name).ok_or_else(none)
    }
}

/// Stops or continues these processes and waits until the kernel shows it.
fn stop_all(members: &[Process], is_stop: bool) -> io::Result<Stamp> {
    let (signal, word) = match is_stop {
        true => (Signal::STOP, "SIGSTOP"),
        false => (Signal::CONT, "SIGCONT"),
    };
    let before = clock::now();
    signal_all(members, signal)?;
    let after = clock::now();
    if !within(EFFECT_BOUND, || are_stopped(members, is_stop)) {
        return refused(format!("{word} was sent, but not every process shows it"));
    }
    let state = if is_stop { "stopped" } else { "not stopped" };
    let proof = format!("{} processes {state}", members.len());
    Ok(Stamp { before, after, mechanism: format!("{word} by pidfd"), proof })
}
