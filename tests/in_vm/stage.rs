//! A fleet of shell scripts on one server, and its group as the kernel has it.

use crate::support::{groups_of, is_clean, options, plan, run_id};
use brunt::fleet::{Fleet, FleetEvent};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

pub const SPIN: &str = "while :; do :; done";
/// The node spins, and so does a child that it left in a session of its own.
pub const TWO_SPIN: &str = "setsid sh -c 'while :; do :; done' & while :; do :; done";

pub struct Stage {
    pub fleet: Fleet,
    /// The group of `s1`.
    pub group: PathBuf,
    run: String,
    folder: tempfile::TempDir,
    _events: Receiver<FleetEvent>,
}

impl Stage {
    /// One server `s1` with so many cores and the node `a`, in a folder of its own.
    pub fn new(name: &str, cores: f64, script: &str) -> Stage {
        let plan = plan(&[("s1", cores, &["a"])]);
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(name);
        let (sender, events) = channel();
        let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
        let options = options(script, folder.path(), false);
        let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
        let wanted = match rustix::process::geteuid().is_root() {
            true => "cgroup v2",
            false => "cgroup v2 (delegated)",
        };
        assert_eq!(fleet.quota_mechanism(), wanted);
        let groups = groups_of(&run);
        assert_eq!(groups.len(), 1, "quota, freeze and kill are in one tree: {groups:?}");
        let group = groups[0].join("s1");
        eprintln!("{} for {}", wanted, group.display());
        Stage { fleet, group, run, folder, _events: events }
    }

    /// Shuts down and looks whether anything is left.
    pub fn end(self) {
        assert_eq!(self.fleet.shutdown(), Vec::<String>::new());
        assert!(!self.group.exists());
        assert!(is_clean(&self.run, self.folder.path()), "left: {:?}", groups_of(&self.run));
    }
}
