//! A fleet of stand-ins in a network of its own, with two links whose far ends are here in the test.

#![allow(dead_code, reason = "each test uses some of it")]

use super::support::{options, plan, run_id};
use brunt::base::{Bytes, Nanos, clock};
use brunt::fault::{Direction, Lever, PacketEffect, PacketRule};
use brunt::fleet::{Fleet, FleetEvent};
use brunt::host::Namespaces;
use brunt::plan::{LinkPlan, Needs, Plan};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const FOLDER: Bytes = Bytes(16 << 20);
/// How long nothing must come where nothing may come.
pub const SILENCE: Duration = Duration::from_millis(700);
/// TCP sends again, after longer and longer waits.
pub const DELIVERY: Duration = Duration::from_secs(90);

/// One link and its far end.
pub struct Line {
    pub to: &'static str,
    listener: TcpListener,
}

pub struct Stage {
    pub fleet: Fleet,
    pub first: Line,
    pub second: Line,
    pub work: PathBuf,
    pub run: String,
    pub folder: tempfile::TempDir,
    _events: Receiver<FleetEvent>,
    // Left last: nothing is then inside but this thread.
    _own: Namespaces,
}

pub fn needs() -> Needs {
    Needs { network: true, data_folder: Some(FOLDER) }
}

pub fn enter(work: &std::path::Path) -> Namespaces {
    std::fs::create_dir_all(work).unwrap();
    Namespaces::enter(true, Some((work, FOLDER)))
        .unwrap_or_else(|e| panic!("this test needs root and the programs nft and tc: {e}"))
}

pub fn linked_plan() -> Plan {
    let link = |to: &str, last: u8| LinkPlan {
        from: "a".into(),
        to: to.into(),
        dial: SocketAddr::new(IpAddr::from([127, 77, 1, last]), 17_170),
        service: "127.0.0.1:1".parse().unwrap(),
        round_trip: Nanos::ZERO,
    };
    let mut plan = plan(&[("s1", 0.3, &["a", "b", "c"])]);
    plan.links = vec![link("b", 120), link("c", 121)];
    plan.needs = needs();
    plan
}

pub fn stage(name: &str) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let run = run_id(name);
    let work = folder.path().join(format!("brunt-{run}"));
    let own = enter(&work);
    let plan = linked_plan();
    let line = |to: &'static str, index: usize| Line {
        to,
        listener: TcpListener::bind(plan.links[index].dial).unwrap(),
    };
    let (first, second) = (line("b", 0), line("c", 1));
    let (sender, events) = channel();
    let options = options("exec sleep 1000", folder.path(), false);
    let logs = folder.path().join("logs");
    let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
    Stage { fleet, first, second, work, run, folder, _events: events, _own: own }
}

impl Stage {
    pub fn hold(
        &self,
        id: &str,
        line: &Line,
        direction: Direction,
        effect: PacketEffect,
    ) -> String {
        let lever = lever(line.to, direction, effect);
        let began = Instant::now();
        self.fleet.prepare(id, &lever).unwrap_or_else(|e| panic!("{id}: {e}"));
        eprintln!("{id}: prepared within {:?}", began.elapsed());
        let asked = clock::now();
        let stamp = self.fleet.hold(id, &lever).unwrap_or_else(|e| panic!("{id}: {e}"));
        let late = stamp.before.saturating_sub(asked);
        let took = stamp.after.saturating_sub(stamp.before);
        eprintln!("{id}: {} ({}), {late} late, within {took}", stamp.proof, stamp.mechanism);
        stamp.proof
    }

    /// Takes it off; what it did.
    pub fn release(&self, id: &str) -> String {
        let stamp = self.fleet.release(id).unwrap();
        eprintln!("{id}: {}", stamp.proof);
        stamp.proof
    }

    pub fn end(self) {
        assert_eq!(self.fleet.shutdown(), Vec::<String>::new());
        assert!(super::support::is_clean(&self.run, self.folder.path()));
        assert!(!self.work.exists());
    }
}

pub fn lever(to: &str, direction: Direction, effect: PacketEffect) -> Lever {
    let rule = PacketRule { direction, effect };
    Lever::Packets { from: "a".into(), to: to.into(), rule }
}

impl Line {
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// A connection, with both of its ends.
    pub fn connect(&self) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect_timeout(&self.address(), DELIVERY).unwrap();
        near.set_nodelay(true).unwrap();
        loop {
            let (far, from) = self.listener.accept().unwrap();
            if from == near.local_addr().unwrap() {
                far.set_nodelay(true).unwrap();
                return (near, far);
            }
        }
    }

    /// Whether a new connection comes about before the silence is over.
    pub fn is_open(&self) -> bool {
        TcpStream::connect_timeout(&self.address(), SILENCE).is_ok()
    }
}

/// Whether nothing comes out of it for a while.
pub fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let result = stream.read(&mut [0; 1]);
    matches!(result, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// Sends so many bytes from one end to the other, all of which must come; how long it took.
pub fn carry(from: &mut TcpStream, to: &mut TcpStream, n: usize) -> Duration {
    to.set_read_timeout(Some(DELIVERY)).unwrap();
    let began = Instant::now();
    let mut writer = from.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&content(n)).unwrap());
        let mut got = vec![0; n];
        to.read_exact(&mut got).unwrap();
        assert!(got == content(n), "what came is not what was sent");
    });
    began.elapsed()
}

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}
