//! Processes that brunt did not start. How each was is written ahead of the first change to it, and
//! put back when the change ends; none is ever ended.

use super::Keeper;
use super::node::{Running, signal_all};
use super::operate::refused;
use crate::base::{Nanos, clock};
use crate::fault::Lever;
use crate::fleet::protocol::{AttachSpec, NodeKind, Stamp, Tell};
use crate::host::affinity;
use crate::host::attach::members;
use crate::host::attach::{Asker, Lent, Was, by_cgroup, by_pid_file, by_port, check, give_back};
use crate::host::journal::Entry;
use crate::host::process::{Identity, Process};
use crate::host::quota::Quota;
use crate::target::Attach;
use rustix::process::Signal;
use std::io;

/// One server that is an attached process, with all that it started.
#[derive(Default)]
pub struct Attached {
    pub node: String,
    /// In the journal already.
    was: Vec<Was>,
    /// Where its processes are moved for a smaller share, where they can be.
    lent: Option<Lent>,
    is_in_lent: bool,
    /// CPU that was denied to it in groups that are gone.
    throttled: Nanos,
}

impl Keeper {
    /// Finds it, holds it, and makes sure that it may be touched. Changes nothing.
    pub(super) fn attach(&mut self, name: &str, spec: &AttachSpec) -> io::Result<Stamp> {
        let before = clock::now();
        let found = match &spec.to {
            Attach::PidFile(file) => by_pid_file(file),
            Attach::Port(port) => by_port(*port),
            Attach::Cgroup(path) => by_cgroup(path),
        }?;
        let roots: Vec<Identity> = found.iter().map(|p| p.identity).collect();
        let own = [self.setup.brunt.pid, std::process::id() as i32];
        let asker = Asker { own, owns_these: self.setup.owns_these };
        let all = members(&roots);
        all.iter().try_for_each(|process| check(process, asker))?;
        let Some(running) = Running::attached(found) else {
            return refused(format!("nothing was found by {}", spec.to));
        };
        let process = running.identity();
        let after = clock::now();
        let server = self.node(name)?.spec.server.clone();
        let attached = Attached { node: name.into(), ..Attached::default() };
        self.attached.insert(server, attached);
        let node = self.node_mut(name)?;
        (node.running, node.is_held, node.restart_at) = (Some(running), false, None);
        self.news.push(Tell::Started { node: name.into(), at: after, process });
        let proof = format!("process {} and {} below it", process.pid, all.len() - 1);
        Ok(Stamp { before, after, mechanism: format!("found by {}", spec.to), proof })
    }

    /// The server of an attached process that this lever is about.
    fn attached_of(&self, lever: &Lever) -> Option<String> {
        let object = lever.object();
        let is_it = |(server, a): &(&String, &Attached)| **server == object || a.node == object;
        self.attached.iter().find(is_it).map(|(server, _)| server.clone())
    }

    /// # Errors
    /// Refuses what could not be undone.
    pub(super) fn check_attached(&self, lever: &Lever) -> io::Result<()> {
        let can_be_undone = matches!(
            lever,
            Lever::Pause { .. }
                | Lever::Freeze { .. }
                | Lever::CpuShare { .. }
                | Lever::CpuCores { .. }
                | Lever::Descriptors { .. }
        );
        match self.attached_of(lever) {
            Some(server) if !can_be_undone => refused(format!(
                "brunt did not start {server}, and does to it only what can be undone"
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Refuses to end what could not be brought back.
    pub(super) fn refuse_to_end(&self, object: &str) -> io::Result<()> {
        let is_it = |(server, a): (&String, &Attached)| server == object || a.node == object;
        match self.attached.iter().any(is_it) {
            true => refused(format!("brunt did not start {object} and could not bring it back")),
            false => Ok(()),
        }
    }

    /// Writes down how every process of an attached server is that was not written down before.
    pub(super) fn remember(&mut self, lever: &Lever) -> io::Result<()> {
        let Some(server) = self.attached_of(lever) else { return Ok(()) };
        let all = self.members(&server, false);
        let attached = &self.attached[&server];
        let is_new = |p: &&Process| !attached.was.iter().any(|w| w.process == p.identity);
        let changed = self.changed_of(&server);
        let mut was: Vec<Was> = Vec::new();
        for process in all.iter().filter(is_new) {
            match Was::of(process) {
                Ok(mut one) => {
                    if let Some(parent) = Was::nearest(process.identity, &attached.was) {
                        one.inherit(parent, &changed);
                    }
                    was.push(one);
                }
                // One that ended meanwhile is not changed either.
                Err(e) if process.identity.is_alive() => return Err(e),
                Err(_) => {}
            }
        }
        self.reach("remember.before");
        let wants_lent = matches!(lever, Lever::CpuShare { .. }) && attached.lent.is_none();
        let first = attached.was.first().or(was.first());
        let is_without = self.setup.without_cgroups;
        let lent = first.filter(|_| wants_lent && !is_without);
        let lent = lent.and_then(|first| Lent::below(first, &self.setup.run));
        let node = attached.node.clone();
        if !was.is_empty() {
            let entry = Entry::Attached { server: server.clone(), node, was: was.clone() };
            self.append(&entry)?;
            self.reach("remember.attached written");
        }
        if let Some(lent) = &lent {
            self.append(&Entry::Lent { server: server.clone(), lent: lent.clone() })?;
            self.reach("remember.lent written");
        }
        if let Some(attached) = self.attached.get_mut(&server) {
            attached.was.extend(was);
            attached.lent = lent.or(attached.lent.take());
        }
        Ok(())
    }

    /// What holds that are on have changed of a server's processes, also those that nobody wants
    /// any more.
    fn changed_of(&self, server: &str) -> Vec<Lever> {
        let is_its = |lever: &Lever| self.attached_of(lever).as_deref() == Some(server);
        let on = self.holds.values().filter(|h| h.since.is_some() && is_its(&h.lever));
        on.map(|h| h.lever.clone()).collect()
    }

    /// The cores that it could use when it was found.
    pub(super) fn cores_of_attached(&self, server: &str) -> Option<usize> {
        let attached = self.attached.get(server)?;
        let written = attached.was.iter().map(Was::n_cores).max();
        // Before the first fault nothing is written down.
        let found = || Was::of(&self.running(&attached.node).ok()?.held).ok();
        written.or_else(|| found().map(|was| was.n_cores()))
    }

    /// A share of the CPU that it could use; all of it puts it back where it was.
    pub(super) fn share_attached(&mut self, server: &str, to: f64) -> io::Result<Stamp> {
        let before = clock::now();
        if to >= 1.0 {
            self.unshare_attached(server)?;
            return Ok(stamp(before, "undone", "where and as it was found"));
        }
        let cores = self.cores_of_attached(server).unwrap_or(1).max(1);
        let quota = Quota::new(cores as f64 * to, self.setup.period);
        let all = self.members(server, false);
        let made = match self.attached.get_mut(server) {
            Some(Attached { lent: Some(lent), is_in_lent, .. }) => {
                // First: what is done in part is to be undone too.
                *is_in_lent = true;
                Some(lent.make(quota).map(|seen| (lent.clone(), seen)))
            }
            _ => None,
        };
        if let Some(made) = made {
            self.reach("share.group made");
            match made.and_then(|(lent, seen)| Ok(format!("{seen}, {}", lent.take(&all)?))) {
                Ok(proof) => {
                    self.reach("share.moved");
                    return Ok(stamp(before, "moved to a group with a quota", &proof));
                }
                // Not ours to make a group there: the budget needs no group.
                Err(_) => self.move_back(server)?,
            }
        }
        let proof = self.server_mut(server)?.set_budget(quota, before);
        Ok(stamp(before, "stop-when-spent", &proof))
    }

    /// Out of the group that brunt made, which is removed.
    fn move_back(&mut self, server: &str) -> io::Result<()> {
        if let Some(attached) = self.attached.get_mut(server)
            && let Some(lent) = attached.lent.as_ref().filter(|_| attached.is_in_lent)
        {
            let throttled = lent.throttled();
            lent.give_back(&attached.was)?;
            attached.throttled += throttled;
            attached.is_in_lent = false;
        }
        Ok(())
    }

    fn unshare_attached(&mut self, server: &str) -> io::Result<()> {
        self.move_back(server)?;
        self.reach("share.moved back");
        let is_paused = self
            .attached
            .get(server)
            .is_some_and(|a| self.nodes.get(&a.node).is_some_and(|n| n.is_paused));
        let one = self.server_mut(server)?;
        let (had_budget, is_frozen) = (one.budget.take().is_some(), one.is_frozen);
        if had_budget && !is_paused && !is_frozen {
            signal_all(&self.members(server, false), Signal::CONT)?;
        }
        Ok(())
    }

    /// Fewer cores than it had, or those that it had.
    pub(super) fn cut_attached(&mut self, server: &str, to: f64) -> io::Result<Stamp> {
        let before = clock::now();
        let Some(attached) = self.attached.get(server) else { return refused("gone".into()) };
        if to >= 1.0 {
            let lever = Lever::CpuCores { server: server.into(), to };
            give_back(&lever, &attached.was)?;
            return Ok(stamp(before, "sched_setaffinity", "on the cores that it had"));
        }
        let (mut threads, mut kept) = (0, 0);
        for process in self.members(server, false) {
            let was = attached.was.iter().find(|w| w.process == process.identity);
            let Some((_, cores)) = was.and_then(|w| w.threads.first()) else { continue };
            kept = super::levers::kept(cores.len(), to);
            match affinity::pin_process(process.identity.pid, &cores[..kept]) {
                Ok(n) => threads += n,
                Err(e) if process.identity.is_alive() => return Err(e),
                Err(_) => {}
            }
        }
        Ok(stamp(before, "sched_setaffinity", &format!("{threads} threads on {kept} cores")))
    }

    /// CPU that was denied to it so far by a group that brunt made.
    pub(super) fn throttled_of_attached(&self, server: &str) -> Option<Nanos> {
        let attached = self.attached.get(server)?;
        let now = attached.lent.as_ref().filter(|_| attached.is_in_lent).map(Lent::throttled);
        Some(attached.throttled + now.unwrap_or_default())
    }

    /// Every hold on an attached process that is older than the target allows is taken off.
    pub(super) fn end_long_holds(&mut self) {
        let now = clock::now();
        let is_over = |(id, held): (&String, &super::Held)| {
            let server = self.attached_of(&held.lever)?;
            let node = self.nodes.get(&self.attached[&server].node)?;
            let NodeKind::Attached(spec) = &node.spec.kind else { return None };
            // One whose release has failed is tried again anyway.
            let since = held.since.as_ref().filter(|_| held.again_at.is_none())?.at;
            (now.saturating_sub(since) > spec.max_hold).then(|| id.clone())
        };
        let over: Vec<String> = self.holds.iter().filter_map(is_over).collect();
        for hold in over {
            let how = self.release(&hold).map_or_else(|e| e.to_string(), |s| s.proof);
            let text = format!("`{hold}` lasted as long as the target allows and was ended: {how}");
            self.news.push(Tell::Note { text });
        }
    }

    /// What a lever that was taken off has changed of the processes that were written down, also of
    /// those that are no node's any more: when the first of them has ended, the others may be as the
    /// fault has left them. How many there were.
    pub(super) fn give_back_recorded(&self, lever: &Lever) -> io::Result<usize> {
        let Some(server) = self.attached_of(lever) else { return Ok(0) };
        let stops = |l: &Lever| matches!(l, Lever::Pause { .. } | Lever::Freeze { .. });
        let is_same = |l: &Lever| std::mem::discriminant(l) == std::mem::discriminant(lever);
        let others = self.holds.values().filter(|h| h.is_on());
        let is_still = others.map(|h| &h.lever).any(|other| {
            let is_its = self.attached_of(other).as_deref() == Some(server.as_str());
            let is_stopped =
                stops(other) && (stops(lever) || matches!(lever, Lever::CpuShare { .. }));
            is_its && (is_same(other) || is_stopped)
        });
        match is_still {
            true => Ok(0),
            false => give_back(lever, &self.attached[&server].was),
        }
    }

    /// Takes every hold off the attached processes and forgets those that are as they were.
    pub(super) fn give_back_attached(&mut self, left: &mut Vec<String>) {
        self.reach_if_attached("give back.before");
        let is_attached = |held: &super::Held| self.attached_of(&held.lever).is_some();
        let on = self.holds.iter().filter(|(_, held)| is_attached(held));
        let ids: Vec<String> = on.map(|(id, _)| id.clone()).collect();
        for hold in ids {
            if let Err(e) = self.release(&hold) {
                left.push(format!("giving back `{hold}`: {e}"));
            }
        }
        let servers: Vec<String> = self.attached.keys().cloned().collect();
        for server in servers {
            if let Err(e) = self.move_back(&server) {
                left.push(format!("{server} is not where it was: {e}"));
            }
        }
        self.reach_if_attached("give back.done");
        let is_back = |server: &String| {
            self.changed_of(server).is_empty() && !self.attached[server].is_in_lent
        };
        let back: Vec<String> = self.attached.keys().filter(|s| is_back(s)).cloned().collect();
        for server in back {
            if let Some(attached) = self.attached.remove(&server) {
                self.nodes.entry(attached.node).and_modify(|n| n.running = None);
            }
            self.servers.remove(&server);
        }
    }

    fn reach_if_attached(&self, point: &str) {
        if !self.attached.is_empty() {
            self.reach(point);
        }
    }
}

fn stamp(before: Nanos, mechanism: &str, proof: &str) -> Stamp {
    Stamp { before, after: clock::now(), mechanism: mechanism.into(), proof: proof.into() }
}
