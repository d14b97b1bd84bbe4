//! A group made by hand, for who else makes groups: a login.

use rustix::fs::{Gid, Uid};
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const ROOT: &str = "/sys/fs/cgroup";
const FILES_OF_ITS_OWNER: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// Gone with its last use, together with the processes in it.
pub struct Group(pub PathBuf);

impl Group {
    pub fn new(parent: &Path, name: &str) -> Group {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        Group(folder)
    }

    /// Hands it to an ordinary user, as systemd does with `Delegate=yes`.
    pub fn delegate(&self, user: u32) {
        let give = |path: &Path| {
            rustix::fs::chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).unwrap();
        };
        give(&self.0);
        FILES_OF_ITS_OWNER.iter().for_each(|file| give(&self.0.join(file)));
    }

    /// A program that will run in this group.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let procs = OpenOptions::new().write(true).open(self.0.join("cgroup.procs")).unwrap();
        let mut command = Command::new(program);
        let enter = move || rustix::io::write(&procs, b"0").map(drop).map_err(Into::into);
        // SAFETY: between fork and exec this only writes to a file opened before.
        unsafe { command.pre_exec(enter) };
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let is_gone = crate::support::within(|| fs::remove_dir(&self.0).is_ok());
        assert!(is_gone || std::thread::panicking(), "{} is still there", self.0.display());
    }
}
