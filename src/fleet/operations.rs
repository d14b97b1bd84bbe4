//! What a fault does to a fleet. Each operation returns when it was done, how, and what was seen by
//! looking afterwards.

use super::protocol::{Answer, Ask, Stamp};
use super::rules::Rule;
use super::{Fleet, FleetError};
use crate::fault::Lever;
use std::time::Duration;

/// For a node to end after SIGTERM.
const TERMINATE_BOUND: Duration = Duration::from_secs(10);
/// For a process to take a rule off: it may be stopped, or short of CPU.
const RELEASE_BOUND: Duration = Duration::from_secs(10);

impl Fleet {
    /// Starts a node that does not run; `FleetEvent::Ready` follows.
    ///
    /// # Errors
    /// When it runs already, its server is frozen, or it cannot be started.
    pub fn start_node(&self, node: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::StartNode { node: node.into() })
    }

    /// SIGKILL; it stays down until it is started.
    ///
    /// # Errors
    /// When it does not run, or still runs afterwards.
    pub fn kill_node(&self, node: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::KillNode { node: node.into() })
    }

    /// SIGTERM, then waits for the exit; it stays down until it is started.
    ///
    /// # Errors
    /// When it does not run, or still runs after it was killed in the end.
    pub fn terminate_node(&self, node: &str) -> Result<Stamp, FleetError> {
        let sent = self.do_stamped(Ask::TerminateNode { node: node.into() })?;
        if let Some(proof) = self.shared.await_exit(node, TERMINATE_BOUND) {
            return Ok(Stamp { proof, ..sent });
        }
        let killed = match self.kill_node(node) {
            Ok(killed) => killed,
            // It may have ended after all.
            Err(e) => match self.shared.await_exit(node, Duration::ZERO) {
                Some(proof) => return Ok(Stamp { proof, ..sent }),
                None => return Err(e),
            },
        };
        let proof = format!("killed {TERMINATE_BOUND:?} after SIGTERM: {}", killed.proof);
        Ok(Stamp { after: killed.after, proof, ..sent })
    }

    /// Writes into the journal that this is about to be held, ahead of the instant.
    ///
    /// # Errors
    /// When it cannot be held here, or the journal cannot be written.
    pub fn prepare(&self, hold: &str, lever: &Lever) -> Result<Stamp, FleetError> {
        match lever {
            Lever::Node { .. } | Lever::Link { .. } => Ok(Stamp::default()),
            _ => self.do_stamped(Ask::Prepare { hold: hold.into(), lever: lever.clone() }),
        }
    }

    /// Puts a lever on; `hold` names it until it is released. Several may be on one resource.
    ///
    /// # Errors
    /// When it cannot be held here, or is not seen to be so. It is off again then; but a process
    /// that did not answer may still take its rule up later, until the hold is released.
    pub fn hold(&self, hold: &str, lever: &Lever) -> Result<Stamp, FleetError> {
        if let Some(rule) = self.rule_of(lever)? {
            // Ahead of the asking: what is not answered may have been heard.
            self.shared.held(hold, lever);
            return rule.put(hold);
        }
        let stamp = self.do_stamped(Ask::Hold { hold: hold.into(), lever: lever.clone() })?;
        self.shared.held(hold, lever);
        Ok(stamp)
    }

    /// Takes it off; the proof says what it did. Nothing to do is no error.
    ///
    /// # Errors
    /// When the resource is not seen to be as the remaining holds want it.
    pub fn release(&self, hold: &str) -> Result<Stamp, FleetError> {
        let lever = self.shared.released(hold);
        match lever.as_ref().map(|lever| self.rule_of(lever)).transpose()?.flatten() {
            Some(rule) => {
                let is_gone = || self.process_of(&rule.process).is_none();
                let off = rule.take_off(hold, RELEASE_BOUND, is_gone);
                // It is told again when it starts again, and may be released once more.
                off.inspect_err(|_| lever.iter().for_each(|lever| self.shared.held(hold, lever)))
            }
            None => self.do_stamped(Ask::Release { hold: hold.into() }),
        }
    }

    /// Levers that a process on this machine pulls at itself are asked for at its admin address.
    fn rule_of(&self, lever: &Lever) -> Result<Option<Rule>, FleetError> {
        Rule::of(lever, &self.admin_addresses()).transpose()
    }

    /// Kills all of a server's processes, frozen or not; it stays down until it is started.
    ///
    /// # Errors
    /// When a process is left.
    pub fn kill_server(&self, server: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::KillServer { server: server.into() })
    }

    /// Starts all of a server's nodes that do not run.
    ///
    /// # Errors
    /// When all run, or one cannot be started.
    pub fn start_server(&self, server: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::StartServer { server: server.into() })
    }

    pub(super) fn do_stamped(&self, ask: Ask) -> Result<Stamp, FleetError> {
        match self.shared.client.ask(ask)? {
            Answer::Done(stamp) => Ok(stamp),
            other => {
                let (what, why) = ("a stamp".into(), format!("answered {other:?}"));
                Err(FleetError::Refused { what, why })
            }
        }
    }
}
