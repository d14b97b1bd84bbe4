//! What faults hold in a changed state: put on by id, taken off by id. Several may be on one
//! resource; it is always as the strongest of them wants it, and as it was when none is left.

use super::Keeper;
use super::levers;
use super::node::Running;
use super::operate::refused;
use crate::base::{Nanos, clock};
use crate::fault::Lever;
use crate::fleet::protocol::{Stamp, Tell};
use crate::host::failpoint;
use crate::host::journal::{Entry, Journal};
use std::io;

/// One hold.
pub struct Held {
    pub lever: Lever,
    /// `None` while it is only prepared.
    pub since: Option<Since>,
    /// Nobody wants it any more, and taking it off has failed: when to try again.
    pub again_at: Option<Nanos>,
}

impl Held {
    /// In force, and wanted.
    pub fn is_on(&self) -> bool {
        self.since.is_some() && self.again_at.is_none()
    }
}

/// Between two tries of a release that fails; one may take as long as the kernel is waited for.
const AGAIN_AFTER: Nanos = Nanos::from_secs(5);

/// When a hold began, and the counters that tell what it did.
pub struct Since {
    pub at: Nanos,
    pub counted: levers::Counted,
}

impl Keeper {
    /// Journal ahead; nothing is changed yet. Once more is the same as once.
    pub(super) fn prepare(&mut self, hold: String, lever: Lever) -> io::Result<Stamp> {
        let before = clock::now();
        if let Some(held) = self.holds.get(&hold) {
            return match held.lever == lever {
                true => {
                    // Long ago, perhaps: processes may have come since.
                    self.remember(&lever)?;
                    Ok(stamp(before, "in the journal already"))
                }
                false => refused(format!("`{hold}` holds something else")),
            };
        }
        // These may take their time: at the instant they have been done.
        self.check_attached(&lever)?;
        levers::check(self, &lever)?;
        self.look_below(&lever);
        self.remember(&lever)?;
        self.reach("hold.written ahead: before");
        self.append(&Entry::Holding { hold: hold.clone(), lever: lever.clone() })?;
        self.reach("hold.written ahead");
        self.holds.insert(hold, Held { lever, since: None, again_at: None });
        Ok(stamp(before, "written ahead"))
    }

    /// What the nodes it is about have started, so that it need not be looked for at the instant.
    fn look_below(&mut self, lever: &Lever) {
        let object = lever.object();
        let nodes = self.nodes.values_mut();
        let nodes = nodes.filter(|n| n.spec.name == object || n.spec.server == object);
        nodes.filter_map(|n| n.running.as_mut()).for_each(Running::look_for_descendants);
    }

    pub(super) fn hold(&mut self, hold: String, lever: Lever) -> io::Result<Stamp> {
        self.prepare(hold.clone(), lever.clone())?;
        if self.holds.get(&hold).is_some_and(|h| h.since.is_some()) {
            return refused(format!("`{hold}` is held already"));
        }
        let since = Since { at: clock::now(), counted: levers::count(self, &lever) };
        self.holds.entry(hold.clone()).and_modify(|h| h.since = Some(since));
        // What was done in part is undone at once: the resource is as the others want it.
        let stamp = levers::apply(self, &lever).inspect_err(|_| drop(self.release(&hold)))?;
        self.reach("hold.applied");
        Ok(stamp)
    }

    /// The proof says what it did while it was on. What could not be taken off is still held, and
    /// the journal says so: it is tried again, at the latest at the end.
    pub(super) fn release(&mut self, hold: &str) -> io::Result<Stamp> {
        let before = clock::now();
        let Some(held) = self.holds.remove(hold) else {
            return Ok(stamp(before, "was not held"));
        };
        let Some(since) = &held.since else {
            self.write_down(&Entry::Released { hold: hold.into() }, Journal::note);
            return Ok(stamp(before, "was not put on"));
        };
        let lasted = before.saturating_sub(since.at);
        let did = levers::count(self, &held.lever).since(&since.counted).words(lasted);
        self.reach("release.before");
        let stamp = self.take_off(&held.lever);
        self.reach("release.applied");
        let stamp = match stamp {
            Ok(stamp) => stamp,
            Err(e) => {
                let again_at = Some(clock::now() + AGAIN_AFTER);
                self.holds.insert(hold.into(), Held { again_at, ..held });
                return Err(e);
            }
        };
        self.write_down(&Entry::Released { hold: hold.into() }, Journal::note);
        self.reach("release.written");
        let proof = match did.is_empty() {
            true => stamp.proof,
            false => format!("{did}; now {}", stamp.proof),
        };
        Ok(Stamp { proof, ..stamp })
    }

    /// The lever's resource as the other holds want it, and what its processes have left behind too.
    fn take_off(&mut self, lever: &Lever) -> io::Result<Stamp> {
        let stamp = levers::apply(self, lever)?;
        match self.give_back_recorded(lever)? {
            0 => Ok(stamp),
            n => {
                let proof = format!("{}; {n} more processes as they were found", stamp.proof);
                Ok(Stamp { after: clock::now(), proof, ..stamp })
            }
        }
    }

    /// Releases that have failed, when it is time to try again.
    pub(super) fn release_again(&mut self) {
        let now = clock::now();
        let is_due = |held: &Held| held.again_at.is_some_and(|at| at <= now);
        let due = self.holds.iter().filter(|(_, held)| is_due(held));
        let due: Vec<String> = due.map(|(hold, _)| hold.clone()).collect();
        for hold in due {
            if let Ok(stamp) = self.release(&hold) {
                let text = format!("`{hold}` could be taken off after all: {}", stamp.proof);
                self.news.push(Tell::Note { text });
            }
        }
    }

    /// A node that has just been started: what is held of it is held of the new process too, and
    /// what its server could not have before, it may have now.
    pub(super) fn hold_anew(&mut self, node: &str) -> io::Result<()> {
        let server = self.node(node)?.spec.server.clone();
        let is_late = |lever: &Lever| {
            let late = matches!(lever, Lever::Competitor { .. } | Lever::MemoryLimit { .. });
            late && lever.object() == server
        };
        let of_node = |lever: &&Lever| lever.object() == node || is_late(lever);
        let on = self.holds.values().filter(|h| h.is_on()).map(|h| &h.lever);
        let levers: Vec<Lever> = on.filter(of_node).cloned().collect();
        levers.iter().try_for_each(|lever| levers::apply(self, lever).map(drop))
    }

    /// A server that was emptied: a freeze that is still held holds it.
    pub(super) fn hold_server_anew(&mut self, server: &str) -> io::Result<()> {
        let freeze = Lever::Freeze { server: server.into() };
        let is_held = self.on(&freeze).next().is_some();
        match is_held {
            true => levers::apply(self, &freeze).map(drop),
            false => Ok(()),
        }
    }

    /// The levers that are on, of this lever's kind and on its object.
    pub(super) fn on<'a>(&'a self, lever: &'a Lever) -> impl Iterator<Item = &'a Lever> {
        let all = self.holds.values().filter(|h| h.is_on()).map(|h| &h.lever);
        all.filter(|other| {
            std::mem::discriminant(*other) == std::mem::discriminant(lever)
                && other.object() == lever.object()
        })
    }

    /// A point at which a test may end everything.
    pub(super) fn reach(&self, point: &str) {
        failpoint::reach(point, self.setup.brunt);
    }

    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.append(entry),
            None => refused("the run is over".into()),
        }
    }
}

fn stamp(before: Nanos, proof: &str) -> Stamp {
    let mechanism = "journal".into();
    Stamp { before, after: clock::now(), mechanism, proof: proof.into() }
}
