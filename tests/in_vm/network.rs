//! What the kernel does to packets, in a network namespace of each test's own.

use crate::guest;
use crate::support::within;
use nix::sched::{CloneFlags, unshare};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// On a thread of its own, which alone enters the new namespace; its children begin there.
fn in_namespace(test: fn()) {
    guest();
    let inside = move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip link set lo up");
        test();
    };
    std::thread::spawn(inside).join().unwrap();
}

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn connect(listener: &TcpListener) -> Duration {
    let began = Instant::now();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    began.elapsed()
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn netem_delays_each_packet() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = connect(&listener);
        run("tc qdisc add dev lo root netem delay 50ms");
        let delayed = connect(&listener);
        run("tc qdisc del dev lo root");
        let afterwards = connect(&listener);
        eprintln!(
            "connect: {before:?}, with 50 ms each way {delayed:?}, afterwards {afterwards:?}"
        );
        assert!(delayed >= Duration::from_millis(100), "{delayed:?}");
        assert!(within(|| connect(&listener) < Duration::from_millis(100)), "still delayed");
    });
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn nftables_counts_what_it_drops() {
    in_namespace(|| {
        run("nft add table inet t");
        run("nft add chain inet t in { type filter hook input priority 0 ; }");
        run("nft add rule inet t in meta l4proto udp numgen inc mod 2 0 counter drop");
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..20 {
            sender.send_to(&[n], receiver.local_addr().unwrap()).unwrap();
        }
        receiver.set_nonblocking(true).unwrap();
        let mut byte = [0];
        let mut arrived = Vec::new();
        while receiver.recv(&mut byte).is_ok() {
            arrived.push(byte[0]);
        }
        let rules = run("nft list table inet t");
        assert!(rules.contains("counter packets 10 "), "{rules}");
        assert_eq!(arrived.len(), 10, "{arrived:?}");
    });
}

/// What faults on packets are built of is there: links, filters, actions and queues.
#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn every_part_can_be_made() {
    in_namespace(|| {
        for line in [
            "ip link add name veth-a type veth peer name veth-b",
            "ip link add name ifb-i type ifb",
            "ip link set dev ifb-i up",
            "ip link set dev veth-a up",
            "tc qdisc add dev veth-a root handle 1: prio bands 4",
            "tc qdisc add dev veth-a parent 1:4 handle 40: tbf rate 8mbit burst 32k latency 400ms",
            "tc qdisc add dev veth-b root handle 1: htb default 1",
            "tc class add dev veth-b parent 1: classid 1:1 htb rate 8mbit",
            "tc qdisc add dev veth-b parent 1:1 netem loss 10% reorder 25% delay 10ms",
            "tc filter add dev veth-a parent 1: protocol ip u32 match ip dst 127.7.0.3/32 flowid 1:4",
            "tc qdisc add dev veth-a ingress",
            "tc filter add dev veth-a ingress matchall action mirred egress redirect dev ifb-i",
            "nft add table inet t",
            "nft add chain inet t out { type filter hook output priority 0 ; }",
            "nft add rule inet t out numgen random mod 1000 < 300 counter drop",
            "nft add rule inet t out ct state established limit rate 10/second accept",
        ] {
            run(line);
        }
    });
}
