//! What an ordinary machine may lack: cgroup v2 with every controller, delegation, a third core. These
//! run in the virtual machine of `tests/vm/run tests`; elsewhere they are ignored, or fail when asked
//! for.

mod attached;
mod cpu;
mod delegation;
mod freeze;
mod group;
mod stage;
#[path = "../support/fleet.rs"]
mod support;

/// The first line of each test: outside the guest, what they do is not to be done.
fn guest() {
    let is_guest = std::path::Path::new("/vm/command").exists();
    assert!(is_guest, "this changes cgroups at their root: it runs by tests/vm/run tests");
}
