//! The keeper: a single-threaded process in a session of its own that starts, holds and undoes
//! everything. brunt gone (its end of the socket pair closed, for whatever reason): it undoes all
//! and exits. Signals that a terminal sends do not reach it.

mod attached;
mod enforce;
mod environment;
mod holds;
mod levers;
mod log;
mod node;
mod operate;
mod outbox;
mod poll;
mod server;
mod spawn;
mod undo;

use super::protocol::{Answer, Ask, HANDED_FD, LINE_BYTES_MAX, Request, Setup, Stamp, Tell};
use crate::base::{Nanos, clock};
use crate::host::affinity;
use crate::host::cgroup::{Cgroups, Group};
use crate::host::failpoint;
use crate::host::journal::{Entry, Header, Journal};
use crate::host::process::{Identity, boot_id};
use attached::Attached;
use holds::Held;
use log::Log;
use nix::sys::signal::{SigHandler, Signal, signal};
use node::Node;
use outbox::Outbox;
use server::Server;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs the keeper on its end of the socket pair until brunt is gone or asks for the end.
/// `cli` calls this for the hidden command `__keeper`, before it starts any thread.
pub fn main(fd: RawFd) -> ExitCode {
    // SAFETY: asks about a number, whatever it is.
    if unsafe { nix::libc::fcntl(fd, nix::libc::F_GETFD) } < 0 {
        eprintln!("keeper: brunt starts this by itself; it is not for use by hand");
        return ExitCode::FAILURE;
    }
    // SAFETY: `Fleet::start` handed this descriptor over for us alone.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    match prepare(&socket) {
        Ok(()) => Link::new(socket).serve(),
        Err(e) => {
            eprintln!("keeper: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The descriptor that `Fleet::start` hands over.
pub const FD: RawFd = HANDED_FD;

fn prepare(socket: &UnixStream) -> io::Result<()> {
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: ignoring runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    // Nodes must not hold the socket: its end of file is how brunt's end is seen.
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    // What a node leaves behind becomes the keeper's child, so nothing escapes.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    socket.set_nonblocking(true)
}

/// A node that cannot live is not started more often than this.
const REPAIR_TIME_MIN: Nanos = Nanos::from_millis(100);

/// The connection to brunt, and the run once it was set up.
struct Link {
    socket: UnixStream,
    inbox: Vec<u8>,
    outbox: Outbox,
    keeper: Option<Keeper>,
    is_open: bool,
}

impl Link {
    fn new(socket: UnixStream) -> Link {
        Link { socket, inbox: Vec::new(), outbox: Outbox::default(), keeper: None, is_open: true }
    }

    fn serve(mut self) -> ExitCode {
        while self.is_open {
            poll::wait(&self.socket, !self.outbox.is_empty(), self.keeper.as_ref());
            for request in self.requests() {
                let answer = self.answer(request.ask);
                // Who has the answer has heard what it led to: a killed node is known to be down.
                self.pass_news();
                self.outbox.push(&Tell::Answer { id: request.id, answer });
            }
            if let Some(keeper) = &mut self.keeper {
                keeper.turn();
            }
            self.pass_news();
            self.outbox.flush(&mut self.socket);
        }
        // Brunt is gone, or asked for the end and has its answer.
        let left = self.keeper.take().map_or_else(Vec::new, |mut k| k.undo());
        if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn pass_news(&mut self) {
        let news = self.keeper.iter_mut().flat_map(|k| k.news.drain(..));
        news.for_each(|tell| self.outbox.push(&tell));
    }

    fn requests(&mut self) -> Vec<Request> {
        let mut buffer = [0u8; 64 << 10];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(n) => {
                    self.inbox.extend_from_slice(&buffer[..n]);
                    if self.inbox.len() < LINE_BYTES_MAX {
                        continue;
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.is_open = false,
            }
            break;
        }
        let complete = self.inbox.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.inbox.drain(..complete).collect();
        let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        // brunt and its keeper are the same program: a line that cannot be read means the end.
        let requests: Result<Vec<Request>, _> = lines.map(serde_json::from_slice).collect();
        requests.unwrap_or_else(|_| {
            self.is_open = false;
            Vec::new()
        })
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        let result = match (ask, &mut self.keeper) {
            (Ask::Setup(setup), None) => Keeper::new(*setup).map(|keeper| {
                let stamp = keeper.described();
                self.keeper = Some(keeper);
                Answer::Done(stamp)
            }),
            (Ask::Setup(_), Some(_)) => Err(io::Error::other("there is a run already")),
            (_, None) => Err(io::Error::other("no run was set up")),
            (Ask::Shutdown, Some(keeper)) => Ok(Answer::Left(keeper.undo())),
            (ask, Some(keeper)) => keeper.operate(ask),
        };
        result.unwrap_or_else(|e| Answer::Refused(e.to_string()))
    }
}

/// One run: everything that was started and made for it.
pub struct Keeper {
    setup: Setup,
    cgroups: Cgroups,
    journal: Option<Journal>,
    nodes: BTreeMap<String, Node>,
    servers: BTreeMap<String, Server>,
    /// Servers that ran before, by name.
    attached: BTreeMap<String, Attached>,
    /// What faults hold now, by the id of the hold.
    holds: BTreeMap<String, Held>,
    /// What is there of it in the run's own network.
    packets: levers::packets::Made,
    /// For brunt, in the order in which it happened.
    news: Vec<Tell>,
    /// When to look again for what is rarely looked for.
    housekeeping_at: Nanos,
    started_setup: Nanos,
}

impl Keeper {
    /// Writes the journal, then makes every server. No node runs yet.
    fn new(setup: Setup) -> io::Result<Keeper> {
        let started_setup = clock::now();
        if setup.run.is_empty() || setup.run.contains(['/', '\0']) || setup.run.starts_with('.') {
            return Err(io::Error::other(format!("`{}` cannot name a folder", setup.run)));
        }
        affinity::pin_self(&setup.brunt_cpus)?;
        let cgroups = match setup.without_cgroups {
            true => Cgroups::none(&setup.run),
            false => Cgroups::probe(&setup.run),
        };
        let header = Header {
            run: setup.run.clone(),
            boot: boot_id(),
            brunt: setup.brunt,
            keeper: Identity::own(),
            work_folder: Some(setup.work_folder.clone()),
        };
        let mut journal = Journal::begin(&setup.state_folder, header)?;
        failpoint::reach("setup.begun", setup.brunt);
        journal.append(&Entry::Groups { folders: cgroups.run_folders() })?;
        failpoint::reach("setup.groups written ahead", setup.brunt);
        let mut keeper = Keeper {
            setup,
            cgroups,
            journal: Some(journal),
            nodes: BTreeMap::new(),
            servers: BTreeMap::new(),
            attached: BTreeMap::new(),
            holds: BTreeMap::new(),
            packets: levers::packets::Made::default(),
            news: Vec::new(),
            housekeeping_at: Nanos::ZERO,
            started_setup,
        };
        match keeper.make() {
            Ok(()) => Ok(keeper),
            Err(e) => {
                keeper.undo();
                Err(e)
            }
        }
    }

    fn make(&mut self) -> io::Result<()> {
        for spec in self.setup.servers.clone() {
            let group = match spec.is_attached {
                true => Group::default(),
                false => self.cgroups.create(&spec.name)?,
            };
            let server = Server::new(spec.clone(), group, self.setup.period)?;
            self.servers.insert(spec.name, server);
            self.reach("setup.group made");
        }
        for spec in self.setup.nodes.clone() {
            let log = Log::create(&spec.log).map_err(|e| {
                io::Error::new(e.kind(), format!("creating {}: {e}", spec.log.display()))
            })?;
            let (running, restart_at) = (None, None);
            let (is_held, is_paused, lowered) = (false, false, Vec::new());
            let name = spec.name.clone();
            let node = Node { spec, running, is_held, is_paused, lowered, restart_at, log };
            self.nodes.insert(name, node);
        }
        Ok(())
    }

    fn described(&self) -> Stamp {
        Stamp {
            before: self.started_setup,
            after: clock::now(),
            mechanism: self.cgroups.quota_mechanism().into(),
            proof: format!("{} servers made", self.servers.len()),
        }
    }

    /// Everything that is due: output, events, exits, restarts, budgets.
    fn turn(&mut self) {
        self.read_pipes();
        self.collect_exits();
        self.restart_due();
        self.enforce_budgets();
        self.keep_house();
    }

    fn read_pipes(&mut self) {
        for (name, node) in &mut self.nodes {
            let Some(running) = &mut node.running else { continue };
            running.read_output(&mut node.log);
            let lines = running.read_events();
            self.news.extend(lines.into_iter().map(|line| Tell::Line { node: name.clone(), line }));
        }
    }

    fn collect_exits(&mut self) {
        self.servers.values_mut().for_each(|s| s.competitors.collect());
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            self.collect_exit(&name);
        }
    }

    /// How the node ended, when it did since the last look.
    fn collect_exit(&mut self, name: &str) -> Option<String> {
        let node = self.nodes.get_mut(name)?;
        let running = node.running.as_mut()?;
        let how = running.reap()?;
        let at = clock::now();
        // The last words are in the pipes.
        running.read_output(&mut node.log);
        let lines = running.read_events();
        node.log.finish();
        node.running = None;
        node.is_paused = false;
        let is_expected = node.is_held;
        let server = self.servers.get(&node.spec.server)?;
        let repair_time = server.spec.restart_after.max(REPAIR_TIME_MIN);
        let is_ours = !server.spec.is_attached;
        node.restart_at = (is_ours && !is_expected).then(|| at + repair_time);
        let line = |line| Tell::Line { node: name.into(), line };
        self.news.extend(lines.into_iter().map(line));
        let exited = Tell::Exited { node: name.into(), at, how: how.clone(), is_expected };
        self.news.push(exited);
        Some(how)
    }

    fn restart_due(&mut self) {
        let now = clock::now();
        let is_due = |node: &&Node| node.restart_at.is_some_and(|at| at <= now);
        let due: Vec<String> =
            self.nodes.values().filter(is_due).map(|n| n.spec.name.clone()).collect();
        for name in due {
            if let Err(e) = self.start(&name) {
                // Once more after the repair time; a server that is frozen is thawed some day.
                let server = &self.servers[&self.nodes[&name].spec.server];
                let at = now + server.spec.restart_after.max(REPAIR_TIME_MIN);
                self.nodes.entry(name.clone()).and_modify(|n| n.restart_at = Some(at));
                self.news.push(Tell::Note { text: format!("restarting {name}: {e}") });
            }
        }
    }

    /// Reaps what nodes left behind, which the kernel gave to us.
    fn keep_house(&mut self) {
        let now = clock::now();
        if now >= self.housekeeping_at {
            self.housekeeping_at = now + poll::HOUSEKEEPING;
            self.reap_strays();
            self.look_for_descendants();
            self.end_long_holds();
            self.release_again();
        }
    }
}
