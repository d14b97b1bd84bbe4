//! The io controller on the guest's disk.

use crate::group::{Group, ROOT};
use crate::guest;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes 2 MiB past the page cache; how long it took.
fn write_two_mib(group: &Group) -> Duration {
    let mut dd = group.command("dd");
    dd.args(["if=/dev/zero", "of=/disk/written", "bs=64k", "count=32", "oflag=direct"]);
    let began = Instant::now();
    let output = dd.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn io_max_slows_writing_and_is_gone_afterwards() {
    guest();
    let device = std::fs::read_to_string("/sys/block/vda/dev").unwrap();
    let group = Group::new(Path::new(ROOT), "io");
    let free = write_two_mib(&group);
    group.write("io.max", &format!("{} wbps={}", device.trim(), 1 << 20));
    let slowed = write_two_mib(&group);
    eprintln!("{}; io.stat {}", group.read("io.max"), group.read("io.stat"));
    group.write("io.max", &format!("{} wbps=max", device.trim()));
    let afterwards = write_two_mib(&group);
    eprintln!("2 MiB: {free:?} free, {slowed:?} at 1 MiB/s, {afterwards:?} afterwards");
    assert!(slowed >= Duration::from_millis(1_500), "{slowed:?}");
    assert!(afterwards < slowed, "{afterwards:?}");
    assert_eq!(group.read("io.max"), "");
}
