//! The known server as a child process; it ends when this is dropped.

use crate::host::http;
use crate::stack::known::{Arrival, Counters, KnownPlan, Ready, read_arrivals};
use crate::study::StudyError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// It listens within this, or not at all.
const READY_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
const PAGE_WITHIN: Duration = Duration::from_secs(5);

#[must_use = "dropping it ends the server"]
pub(super) struct KnownServer {
    child: Child,
    pub address: SocketAddr,
}

fn refused(why: impl std::fmt::Display) -> StudyError {
    StudyError::Refused(format!("the known server of the selftest {why}"))
}

impl KnownServer {
    pub fn start(program: &Path, plan: &KnownPlan) -> Result<KnownServer, StudyError> {
        let mut child = Command::new(program)
            .args(["serve", "known"])
            .args(plan.flags())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| refused(format!("could not be started ({}): {e}", program.display())))?;
        let out = child.stdout.take().expect("its stdout is a pipe");
        // From here on it is ended whatever comes.
        let mut server = KnownServer { child, address: plan.listen };
        let mut fds = [PollFd::new(&out, PollFlags::IN)];
        let is_there = poll(&mut fds, Some(&READY_WITHIN)).is_ok_and(|n| n > 0);
        let mut line = String::new();
        if is_there {
            let _ = BufReader::new(out).read_line(&mut line);
        }
        let ready: Ready = serde_json::from_str(&line).map_err(|_| refused("did not start"))?;
        server.address = ready.address;
        Ok(server)
    }

    pub fn counters(&self) -> Result<Counters, StudyError> {
        let page = http::get(self.address, "/counters", PAGE_WITHIN).map_err(refused)?;
        serde_json::from_slice(&page).map_err(refused)
    }

    pub fn arrivals(&self) -> Result<Vec<Arrival>, StudyError> {
        let page = http::get(self.address, "/arrivals", PAGE_WITHIN).map_err(refused)?;
        Ok(read_arrivals(&page))
    }
}

impl Drop for KnownServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
