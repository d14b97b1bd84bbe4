//! Freeze, thaw and kill of a whole server by its v2 group.

use crate::guest;
use crate::stage::{Stage, TWO_SPIN};
use crate::support::within;
use brunt::fault::Lever;
use brunt::fleet::NodeState;
use brunt::host::cgroup::files::{keyed, processes};
use std::time::Duration;

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn a_frozen_server_uses_nothing_goes_on_and_dies_whole() {
    guest();
    let stage = Stage::new("freeze", 0.5, TWO_SPIN);
    let used = || keyed(&stage.group, "cpu.stat", "usage_usec").unwrap();
    let freeze = || stage.fleet.hold("f", &Lever::Freeze { server: "s1".into() }).unwrap();
    assert!(within(|| processes(&stage.group).len() == 2));

    let frozen = freeze();
    assert_eq!((&*frozen.mechanism, &*frozen.proof), ("cgroup v2", "cgroup.events frozen 1"));
    assert_eq!(stage.fleet.node_state("a"), Some(NodeState::Paused));
    let before = used();
    // A measurement takes its time; nothing is waited for.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(used(), before);

    let thawed = stage.fleet.release("f").unwrap();
    assert!(thawed.proof.contains("cgroup.events frozen 0"), "{thawed:?}");
    assert!(within(|| used() > before));

    freeze();
    let killed = stage.fleet.kill_server("s1").unwrap();
    eprintln!("{frozen:?}\n{thawed:?}\n{killed:?}");
    assert!(killed.proof.contains("cgroup.events populated 0"), "{killed:?}");
    assert_eq!(processes(&stage.group), Vec::<i32>::new());
    stage.fleet.release("f").unwrap();
    stage.fleet.start_server("s1").unwrap();
    assert!(within(|| stage.fleet.node_state("a") == Some(NodeState::Ready)));
    stage.end();
}
