//! The memory controller: a limit that kills, and one that only slows down.

use crate::group::{Group, ROOT};
use crate::guest;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

const MIB: u64 = 1 << 20;

fn group(name: &str) -> Group {
    Group::new(Path::new(ROOT), name)
}

/// Writes so many MiB to a file.
fn dd(group: &Group, to: &str, mib: u64) -> std::process::ExitStatus {
    let mut dd = group.command("dd");
    dd.args(["if=/dev/zero", &format!("of={to}"), "bs=64k", &format!("count={}", mib * 16)]);
    let status = dd.stderr(std::process::Stdio::null()).status().unwrap();
    std::fs::remove_file(to).unwrap();
    status
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn beyond_memory_max_the_kernel_kills() {
    guest();
    let group = group("memory-max");
    group.write("memory.max", &(16 * MIB).to_string());
    // A tmpfs is memory that cannot be reclaimed where there is no swap.
    let status = dd(&group, "/dev/shm/too-much", 32);
    assert_eq!(status.signal(), Some(9), "{status:?}");
    assert!(group.keyed("memory.events", "oom_kill") >= 1, "{}", group.read("memory.events"));
    assert!(dd(&group, "/dev/shm/fits", 8).success());
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn beyond_memory_high_it_is_reclaimed_and_nobody_dies() {
    guest();
    let group = group("memory-high");
    group.write("memory.high", &(8 * MIB).to_string());
    assert!(dd(&group, "/disk/reclaimed", 24).success());
    let events = group.read("memory.events");
    assert!(group.keyed("memory.events", "high") > 0, "{events}");
    assert_eq!(group.keyed("memory.events", "oom_kill"), 0, "{events}");
    eprintln!("memory.pressure {}", group.read("memory.pressure"));
}
