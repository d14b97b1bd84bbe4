//! What brunt's netem does to packets: delay and reorder. For a kernel that has it, which is the
//! virtual machine's of `tests/vm/run tests`: elsewhere they are ignored.

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
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
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
    // Delayed packets would never be back before the delay is over; others are, some time.
    let is_undelayed = |near: &mut TcpStream, far: &mut TcpStream| {
        support::within(|| round_trip(near, far) < DELAY.duration())
    };
    assert!(is_undelayed(&mut other_near, &mut other_far), "a link without a fault is late");
    assert!(one_way >= DELAY.duration(), "{one_way:?}");
    assert!(both >= 2 * DELAY.duration(), "{both:?}");
    let proof = stage.release("both");
    assert!(proof.contains("packets delayed"), "{proof}");
    stage.release("there");
    eprintln!("round trips: {before:?}, {one_way:?}, {both:?}");
    assert!(is_undelayed(&mut near, &mut far), "still late after the heal");
    stage.end();
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
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
