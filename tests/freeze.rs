//! A server that stands still for a while: an open load sees it in every request that was due
//! meanwhile, as far as the arithmetic says; a closed loop hardly at all.

mod support;

use brunt::base::Nanos;
use brunt::plan::Arrivals;
use rustix::process::{PidfdFlags, Signal};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Seen, above, plan, run};

const LASTS: Nanos = Nanos::from_secs(5);
const FROZEN_AFTER: Duration = Duration::from_millis(1500);
const FROZEN_FOR: Duration = Duration::from_secs(2);
const RATE: f64 = 500.0;
/// Set in the environment of the process that serves.
const IS_SERVER: &str = "BRUNT_TEST_FREEZE_SERVER";

/// A process of its own, which a test may stop.
struct Server {
    child: Child,
    pidfd: OwnedFd,
    address: SocketAddr,
}

impl Server {
    /// This test binary again, as the test below, which then serves.
    fn start() -> Server {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serves_when_it_is_the_server", "--nocapture", "--test-threads=1"])
            .env(IS_SERVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map(|line| line.unwrap())
            .find_map(|line| Some(line.split_once("listening on ")?.1.parse().unwrap()))
            .expect("the server says where it listens");
        Server { child, pidfd, address }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::pidfd_send_signal(&self.pidfd, signal).unwrap();
    }

    /// Runs a load during which the server is stopped; for how long it was at least.
    fn frozen_during(&self, load: impl FnOnce() -> Seen) -> (Seen, Nanos) {
        std::thread::scope(|scope| {
            let freezing = scope.spawn(|| {
                std::thread::sleep(FROZEN_AFTER);
                self.signal(Signal::STOP);
                let stopped = Instant::now();
                std::thread::sleep(FROZEN_FOR);
                let at_least = stopped.elapsed();
                self.signal(Signal::CONT);
                Nanos::from(at_least)
            });
            let seen = load();
            (seen, freezing.join().unwrap())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of anything unless started by [`Server::start`]: then it serves until its standard
/// input ends.
#[test]
fn serves_when_it_is_the_server() {
    if std::env::var_os(IS_SERVER).is_none() {
        return;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nlistening on {}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut piece = [0; 4096];
    loop {
        // The generator's requests are small and one at a time on a connection.
        stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
    }
}

fn open(address: SocketAddr) -> Seen {
    let mut load = plan(address, Arrivals::Constant, RATE, LASTS);
    load.connections_max = 16;
    run(load, 1)
}

#[test]
fn a_freeze_is_in_every_response_time_that_it_touched() {
    let server = Server::start();
    let calm = open(server.address);
    let (frozen, pause) = server.frozen_during(|| open(server.address));
    let all = (RATE * LASTS.as_secs_f64()) as u64;
    for seen in [&calm, &frozen] {
        assert_eq!((seen.ledger.planned, seen.ledger.ok), (all, all), "{:?}", seen.causes);
    }
    // methods.md 1.2: max(0, P - (1 - q)(1 - rho) T); the server is all but idle, so rho is 0.
    let (p, t) = (pause.as_secs_f64(), LASTS.as_secs_f64());
    // A machine that stands still by itself only adds to it, so the other side is reported.
    let tolerance = 0.1 * p;
    for q in [0.75, 0.9, 0.99, 1.0] {
        let expected = (p - (1.0 - q) * t).max(0.0);
        let seen = frozen.response_at(q).as_secs_f64();
        eprintln!("q {q}: {seen:.3} s, expected {expected:.3} s");
        assert!(seen > expected - tolerance, "q {q}: {seen} s, expected {expected} s");
    }
    let risen = frozen.response_at(0.5).saturating_sub(calm.response_at(0.5));
    eprintln!("the median is {risen} more");
    assert!(risen.as_secs_f64() < p / 2.0, "the median is calm: {risen} more");
    // Sixteen connections were caught; everything else that was slow had waited for one of them.
    let second = Nanos::from_secs(1);
    assert!(above(&frozen.service, second) <= 16);
    let expected = RATE * (p - 1.0);
    let slow = above(&frozen.response, second) as f64;
    eprintln!("{slow} slow, expected {expected:.0}");
    assert!(slow > expected - 0.15 * RATE * p, "{slow} slow, expected {expected}");
    // No more than were due in it, of which those of its last second are not slow.
    assert!(slow < RATE * p, "{slow} slow, expected {expected}");
}

#[test]
fn a_closed_loop_hides_a_freeze() {
    const CONNECTIONS: u32 = 8;
    let server = Server::start();
    let think = Nanos::from_millis(4);
    let arrivals = Arrivals::Closed { connections: CONNECTIONS, think };
    let (seen, pause) = server.frozen_during(|| run(plan(server.address, arrivals, 0.0, LASTS), 1));
    assert!(pause >= Nanos::from(FROZEN_FOR));
    let l = &seen.ledger;
    assert_eq!(l.ok + l.unfinished, l.planned, "{l:?}");
    // One for each connection, whatever the number of all.
    assert!(above(&seen.response, Nanos::from_secs(1)) <= u64::from(CONNECTIONS));
    eprintln!("{} answers, p99 {}", l.ok, seen.response_at(0.99));
}
