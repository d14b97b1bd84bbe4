//! Who gets which CPU shares: root, an ordinary user with a delegated group, one without.

use crate::group::{Group, ROOT};
use crate::guest;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Of `/etc/passwd` in the guest.
const USER: u32 = 1_000;

/// A user's slice with a session in it, as systemd makes them; given to the user when delegated.
struct Login {
    session: Group,
    _slice: Group,
}

impl Login {
    fn new(name: &str, is_delegated: bool) -> Login {
        let slice = Group::new(Path::new(ROOT), &format!("{name}.slice"));
        let session = Group::new(&slice.0, "session.scope");
        if is_delegated {
            [&slice, &session].iter().for_each(|g| g.delegate(USER));
        }
        Login { session, _slice: slice }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.session.command(program);
        command.uid(USER).gid(USER).current_dir("/tmp").env("HOME", "/tmp");
        command
    }
}

fn brunt() -> &'static str {
    env!("CARGO_BIN_EXE_brunt")
}

/// What `brunt doctor` says of CPU shares.
fn shares(mut doctor: Command) -> String {
    let output = doctor.arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{said}");
    let line = said.lines().find_map(|l| l.strip_prefix("CPU shares")).expect("a line of shares");
    line.trim().to_string()
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn root_has_cgroup_v2_from_a_session_and_from_the_root_group() {
    guest();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_ne!(own.trim(), "0::/", "the guest starts tests in a leaf, as systemd does");
    assert_eq!(shares(Command::new(brunt())), "cgroup v2");
    let root = std::mem::ManuallyDrop::new(Group(ROOT.into()));
    assert_eq!(shares(root.command(brunt())), "cgroup v2");
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn a_user_has_it_where_it_is_delegated_and_only_there() {
    guest();
    let without = Login::new("without", false);
    assert_eq!(shares(without.command(brunt())), "stop-when-spent");
    let with = Login::new("with", true);
    assert_eq!(shares(with.command(brunt())), "cgroup v2 (delegated)");
}

/// The same tests once more, by a user.
#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn quotas_and_freezing_hold_for_a_user_too() {
    guest();
    let login = Login::new("same", true);
    let mut again = login.command(std::env::current_exe().unwrap());
    again.args(["--ignored", "--test-threads=1", "--nocapture", "cpu::", "freeze::"]);
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success() && said.contains("4 passed"));
    assert_eq!(said.matches("cgroup v2 (delegated) for").count(), 4);
}
