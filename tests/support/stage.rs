//! A fleet of stand-ins that runs, its events, and its end.

#![allow(dead_code, reason = "each test uses some of it")]

use brunt::fleet::{Fleet, FleetEvent};
use brunt::host::Identity;
use brunt::plan::Plan;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

#[path = "fleet.rs"]
mod fleet;
pub use fleet::*;

/// A fleet of stand-ins in a folder of its own.
pub struct Stage {
    pub fleet: Fleet,
    pub events: Receiver<FleetEvent>,
    pub folder: tempfile::TempDir,
    pub run: String,
}

pub fn stage(name: &str, plan: &Plan, script: &str, without_cgroups: bool) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let run = run_id(name);
    let (sender, events) = channel();
    let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
    let options = options(script, folder.path(), without_cgroups);
    let fleet = Fleet::start_with(plan, &run, &work, &logs, sender, options).unwrap();
    Stage { fleet, events, folder, run }
}

impl Stage {
    pub fn process(&self, node: &str) -> Identity {
        self.fleet.process_of(node).unwrap()
    }

    pub fn await_event(&self, wanted: impl Fn(&FleetEvent) -> bool) -> FleetEvent {
        let until = Instant::now() + BOUND;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("the event comes within the bound");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Shuts down and asserts that nothing is left.
    pub fn end(self) {
        assert_eq!(self.fleet.shutdown(), Vec::<String>::new());
        assert_clean(&self.run, self.folder.path());
    }
}

pub fn assert_clean(run: &str, folder: &Path) {
    let processes = brunt::host::heal::marked(run);
    assert!(is_clean(run, folder), "left: {processes:?} {:?}", groups_of(run));
}
