//! What brunt may ask for during a run: each does one thing, looks whether it is so, and says when
//! it was done.

use super::Keeper;
use super::node::{Running, signal_all};
use super::spawn::spawn;
use crate::base::{Nanos, clock};
use crate::fleet::protocol::{Answer, Ask, NodeKind, ServerUse, Stamp, Tell};
use crate::host::journal::{Entry, Journal};
use crate::host::process::Process;
use rustix::process::Signal;
use std::io;

/// For a signal to show its effect.
pub(super) const EFFECT_BOUND: Nanos = Nanos::from_secs(2);

pub(super) fn refused<T>(text: String) -> io::Result<T> {
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
            Ask::KillServer { server } => self.kill_server(&server),
            Ask::StartServer { server } => self.start_server(&server),
            Ask::Prepare { hold, lever } => self.prepare(hold, lever),
            Ask::Hold { hold, lever } => self.hold(hold, lever),
            Ask::Release { hold } => self.release(&hold),
            Ask::ServerUse => {
                return Ok(Answer::Use(
                    self.servers.values().map(|s| self.cpu_use_of(s)).collect(),
                ));
            }
            Ask::Setup(_) | Ask::Shutdown => refused("answered elsewhere".into()),
        };
        stamp.map(Answer::Done)
    }

    /// Starts a node that does not run.
    pub(super) fn start(&mut self, name: &str) -> io::Result<Stamp> {
        if self.journal.is_none() {
            return refused("the run is over".into());
        }
        let node = self.node(name)?;
        if node.running.is_some() {
            return refused(format!("node {name} runs already"));
        }
        let spec = node.spec.clone();
        if let NodeKind::Attached(attach) = &spec.kind {
            return self.attach(name, attach);
        }
        let server = self.server(&spec.server)?;
        if server.is_frozen {
            return refused(format!("server {} is frozen; thaw or kill it first", spec.server));
        }
        let (group, cpus) = (server.group.clone(), self.cpus_of(&spec.server));
        self.write_down(&Entry::Starting { node: name.into() }, Journal::append);
        self.reach("start.written ahead");
        let before = clock::now();
        let spawned = spawn(&spec, &self.setup.run, &group, &cpus)?;
        let running = Running::new(spawned)?;
        let after = clock::now();
        self.reach("start.spawned");
        let process = running.identity();
        let node = self.node_mut(name)?;
        node.running = Some(running);
        (node.is_held, node.restart_at) = (false, None);
        self.news.push(Tell::Started { node: name.into(), at: after, process });
        self.write_down(&Entry::Process { node: name.into(), process }, Journal::note);
        self.reach("start.written");
        self.hold_anew(name)?;
        let proof = format!("process {} runs", process.pid);
        Ok(Stamp { before, after, mechanism: "spawn".into(), proof })
    }

    /// A full disk does not keep a node from being repaired: the groups are in the journal already,
    /// and every process bears the run's id in its environment, where `heal` finds it.
    pub(super) fn write_down(
        &mut self,
        entry: &Entry,
        write: fn(&mut Journal, &Entry) -> io::Result<()>,
    ) {
        if let Some(journal) = &mut self.journal
            && let Err(e) = write(journal, entry)
        {
            let text = format!("writing {}: {e}", journal.path().display());
            self.news.push(Tell::Note { text });
        }
    }

    fn kill_node(&mut self, name: &str) -> io::Result<Stamp> {
        self.refuse_to_end(name)?;
        let running = self.running(name)?;
        let below = running.members();
        let before = clock::now();
        running.held.signal(Signal::KILL)?;
        let after = clock::now();
        // What a service has started would go on serving without it.
        signal_all(&below, Signal::KILL)?;
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
        self.refuse_to_end(name)?;
        let running = self.running(name)?;
        let before = clock::now();
        running.held.signal(Signal::TERM)?;
        let after = clock::now();
        let node = self.node_mut(name)?;
        (node.is_held, node.restart_at) = (true, None);
        let proof = "signal sent".into();
        Ok(Stamp { before, after, mechanism: "SIGTERM by pidfd".into(), proof })
    }

    /// Kills all of a server's processes, frozen or not, and leaves the server ready to be started.
    fn kill_server(&mut self, name: &str) -> io::Result<Stamp> {
        self.refuse_to_end(name)?;
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
        self.server_mut(name)?.competitors.collect();
        group.freeze(false)?;
        self.server_mut(name)?.is_frozen = false;
        // Who still wants it frozen has it frozen, empty as it is.
        self.hold_server_anew(name)?;
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

    /// What a server has used so far; of one that ran before, what its processes have.
    pub(super) fn cpu_use_of(&self, server: &super::Server) -> ServerUse {
        let mut cpu = server.cpu_use();
        if let Some(denied) = self.throttled_of_attached(&server.spec.name) {
            let nodes = self.nodes.values().filter(|n| n.spec.server == server.spec.name);
            let used = nodes.filter_map(|n| n.running.as_ref()).map(Running::cpu);
            cpu.used = used.fold(Nanos::ZERO, |sum, one| sum + one);
            cpu.throttled += denied;
        }
        cpu
    }

    /// All processes in a server, held; without the nodes that a fault of their own has paused.
    pub(super) fn members(&self, server: &str, without_paused: bool) -> Vec<Process> {
        self.all(server, without_paused).flat_map(Running::members).collect()
    }

    /// Those that are known without looking for more.
    pub(super) fn known(
        &self,
        server: &str,
        without_paused: bool,
    ) -> impl Iterator<Item = &Process> {
        self.all(server, without_paused).flat_map(Running::known)
    }

    /// Those of its nodes.
    pub(super) fn own_members(&self, server: &str, without_paused: bool) -> Vec<Process> {
        self.own(server, without_paused).flat_map(Running::members).collect()
    }

    /// Its nodes and competitors.
    fn all(&self, server: &str, without_paused: bool) -> impl Iterator<Item = &Running> {
        let found = self.servers.get(server).into_iter();
        let competitors = found.flat_map(|s| s.competitors.running());
        self.own(server, without_paused).chain(competitors)
    }

    fn own(&self, server: &str, without_paused: bool) -> impl Iterator<Item = &Running> {
        let nodes = self.nodes.values().filter(move |n| n.spec.server == server);
        let nodes = nodes.filter(move |n| !(without_paused && n.is_paused));
        nodes.filter_map(|n| n.running.as_ref())
    }

    pub(super) fn cpus_of(&self, server: &str) -> Vec<u32> {
        match self.servers.get(server) {
            Some(s) if s.spec.cores.is_none() => self.setup.brunt_cpus.clone(),
            Some(s) => s.cpus.clone().unwrap_or_else(|| self.setup.stack_cpus.clone()),
            None => self.setup.stack_cpus.clone(),
        }
    }

    pub(super) fn node(&self, name: &str) -> io::Result<&super::Node> {
        self.nodes.get(name).ok_or_else(|| io::Error::other(format!("there is no node {name}")))
    }

    pub(super) fn node_mut(&mut self, name: &str) -> io::Result<&mut super::Node> {
        self.nodes.get_mut(name).ok_or_else(|| io::Error::other(format!("there is no node {name}")))
    }

    pub(super) fn running(&self, name: &str) -> io::Result<&Running> {
        let running = self.node(name)?.running.as_ref();
        running.ok_or_else(|| io::Error::other(format!("node {name} does not run")))
    }

    pub(super) fn server(&self, name: &str) -> io::Result<&super::Server> {
        self.servers.get(name).ok_or_else(|| io::Error::other(format!("there is no server {name}")))
    }

    pub(super) fn server_mut(&mut self, name: &str) -> io::Result<&mut super::Server> {
        let none = || io::Error::other(format!("there is no server {name}"));
        self.servers.get_mut(name).ok_or_else(none)
    }
}
