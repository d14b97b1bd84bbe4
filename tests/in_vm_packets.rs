//! What netem does to packets: delay and reorder. For a machine whose kernel has it; the one that
//! these tests are written on has not, so they run in a virtual one.

use brunt::base::Nanos;
use brunt::fault::{Direction, PacketEffect};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[path = "support/packets.rs"]
mod packets;
#[path = "support/fleet.rs"]
mod support;
use packets::{carry, stage};

const DELAY: Nanos = Nanos::from_millis(50);

/// The shortest of a few round trips of one byte: what is always added is in it.
fn round_trip(near: &mut TcpStream, far: &mut TcpStream) -> Duration {
    let mut one = || {
        let began = Instant::now();
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0; 1]).unwrap();
        far.write_all(b"y").unwrap();
        near.read_exact(&mut [0; 1]).unwrap();
        began.elapsed()
    };
    (0..5).map(|_| one()).min().unwrap()
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run"]
fn each_packet_is_later_by_the_delay_on_the_ways_that_have_it() {
    let stage = stage("delay");
    let (mut near, mut far) = stage.first.connect();
    let (mut other_near, mut other_far) = stage.second.connect();
    let before = round_trip(&mut near, &mut far);
    let effect = || PacketEffect::Latency { delay: DELAY, jitter: Nanos::ZERO };
    let proof = stage.hold("there", &stage.first, Direction::There, effect());
    assert!(proof.contains("there: 50ms later") && !proof.contains("back"), "{proof}");
    let one_way = round_trip(&mut near, &mut far);
    stage.hold("both", &stage.first, Direction::Both, effect());
    let both = round_trip(&mut near, &mut far);
    let other = round_trip(&mut other_near, &mut other_far);
    assert!(one_way >= DELAY.duration(), "{one_way:?}");
    assert!(both >= 2 * DELAY.duration(), "{both:?}");
    assert!(other < DELAY.duration(), "{other:?} on a link without a fault");
    let proof = stage.release("both");
    assert!(proof.contains("packets delayed"), "{proof}");
    stage.release("there");
    let after = round_trip(&mut near, &mut far);
    eprintln!(
        "round trips: {before:?}, {one_way:?}, {both:?}, then {after:?}; other link {other:?}"
    );
    assert!(after < DELAY.duration(), "{after:?} after the heal");
    stage.end();
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run"]
fn packets_out_of_order_still_bring_everything() {
    let stage = stage("reorder");
    let (mut near, mut far) = stage.first.connect();
    let effect = PacketEffect::Reorder { share: 0.25, delay: Nanos::from_millis(10) };
    let proof = stage.hold("reorder", &stage.first, Direction::There, effect);
    assert!(proof.contains("25 % overtake"), "{proof}");
    let took = carry(&mut near, &mut far, 300_000);
    let proof = stage.release("reorder");
    eprintln!("300 kB took {took:?}: {proof}");
    assert!(proof.contains("packets delayed") && !proof.contains("no effect"), "{proof}");
    carry(&mut near, &mut far, 300_000);
    stage.end();
}
