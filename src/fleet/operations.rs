//! What a fault does to a fleet. Each operation returns when it was done, how, and what was seen by
//! looking afterwards.

use super::protocol::{Answer, Ask, Stamp};
use super::{Fleet, FleetError};
use std::time::Duration;

/// For a node to end after SIGTERM.
const TERMINATE_BOUND: Duration = Duration::from_secs(10);

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
    /// When it does not run, or had to be killed in the end.
    pub fn terminate_node(&self, node: &str) -> Result<Stamp, FleetError> {
        let sent = self.do_stamped(Ask::TerminateNode { node: node.into() })?;
        if let Some(proof) = self.shared.await_exit(node, TERMINATE_BOUND) {
            return Ok(Stamp { proof, ..sent });
        }
        let killed = self.kill_node(node)?;
        let (node, after) = (node.to_string(), TERMINATE_BOUND);
        Err(FleetError::NotTerminated { node, after, proof: killed.proof })
    }

    /// Stops the node's processes; they go on as if nothing had happened when resumed.
    ///
    /// # Errors
    /// When it does not run, or is not seen to be stopped.
    pub fn pause_node(&self, node: &str) -> Result<Stamp, FleetError> {
        let stamp = self.do_stamped(Ask::PauseNode { node: node.into() })?;
        self.shared.set_paused(node, true);
        Ok(stamp)
    }

    /// # Errors
    /// When it does not run, or is not seen to go on.
    pub fn resume_node(&self, node: &str) -> Result<Stamp, FleetError> {
        let stamp = self.do_stamped(Ask::ResumeNode { node: node.into() })?;
        self.shared.set_paused(node, false);
        Ok(stamp)
    }

    /// The whole server falls silent; its kernel still accepts connections.
    ///
    /// # Errors
    /// When it is not seen to be frozen.
    pub fn freeze_server(&self, server: &str) -> Result<Stamp, FleetError> {
        let stamp = self.do_stamped(Ask::FreezeServer { server: server.into() })?;
        self.shared.set_frozen(server, true);
        Ok(stamp)
    }

    /// # Errors
    /// When it is not seen to be thawed.
    pub fn thaw_server(&self, server: &str) -> Result<Stamp, FleetError> {
        let stamp = self.do_stamped(Ask::ThawServer { server: server.into() })?;
        self.shared.set_frozen(server, false);
        Ok(stamp)
    }

    /// Kills all of a server's processes, frozen or not; it stays down until it is started.
    ///
    /// # Errors
    /// When a process is left.
    pub fn kill_server(&self, server: &str) -> Result<Stamp, FleetError> {
        let stamp = self.do_stamped(Ask::KillServer { server: server.into() })?;
        self.shared.set_frozen(server, false);
        Ok(stamp)
    }

    /// Starts all of a server's nodes that do not run.
    ///
    /// # Errors
    /// When all run, or one cannot be started.
    pub fn start_server(&self, server: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::StartServer { server: server.into() })
    }

    /// Leaves the server this fraction of its own CPU share; 1.0 restores it.
    ///
    /// # Errors
    /// When the fraction is not in (0, 1], or the kernel refuses.
    pub fn set_server_share(&self, server: &str, fraction: f64) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::SetShare { server: server.into(), fraction })
    }

    /// Leaves the server this many of the stack's cores.
    ///
    /// # Errors
    /// When that takes nothing away.
    pub fn set_server_cpus(&self, server: &str, n: u32) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::SetCpus { server: server.into(), cpus: Some(n) })
    }

    /// Gives the server all of the stack's cores again.
    ///
    /// # Errors
    /// When a living process refuses.
    pub fn restore_server_cpus(&self, server: &str) -> Result<Stamp, FleetError> {
        self.do_stamped(Ask::SetCpus { server: server.into(), cpus: None })
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
