//! Worker processes and the sink, with the real program: the same load whoever generates it, and
//! nothing left behind whoever dies.

use brunt::base::{Nanos, clock};
use brunt::generator::{self, Crew, GeneratorError};
use brunt::host::process::{Identity, Process, descendants};
use brunt::plan::{Arrivals, LoadPlan, PhasePlan, RequestPlan, RoutePlan};
use brunt::record::{GeneratorUsage, Ledger, Snapshot};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_brunt");

/// A server that answers every read; its threads end with their connections.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while stream.read(&mut piece).is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

fn plan(to: SocketAddr, lasts: Nanos) -> LoadPlan {
    let phase = PhasePlan::level("main", Nanos::ZERO, lasts, 1000.0 / 3.0);
    let request = RequestPlan::get("root", "test", "/");
    LoadPlan {
        connections_max: 60,
        ..LoadPlan::new(Arrivals::Poisson, vec![phase], vec![request], vec![RoutePlan::Fixed(to)])
    }
}

/// What a crew did: requests planned by second, the ledger, workers, and what it took.
fn run(load: LoadPlan, crew: &Crew) -> (BTreeMap<u32, u64>, Ledger, u32, GeneratorUsage) {
    let (sink, snapshots) = std::sync::mpsc::channel();
    let generator = generator::prepare(load, crew, &[], sink).unwrap();
    generator.begin(clock::now() + Nanos::from_millis(20));
    let meter = generator.meter();
    generator.join().unwrap();
    let (mut seconds, mut ledger, mut n_last) = (BTreeMap::new(), Ledger::default(), 0);
    for snapshot in snapshots {
        let Snapshot { cells, is_last, .. } = snapshot;
        n_last += u32::from(is_last);
        for cell in cells {
            *seconds.entry(cell.second).or_default() += cell.ledger.planned;
            ledger.add(&cell.ledger);
        }
    }
    (seconds, ledger, n_last, meter.usage())
}

#[test]
fn processes_start_what_threads_start_and_merge_exactly() {
    let load = plan(server(), Nanos::from_millis(1500));
    let processes = Crew::of_processes(&load, 3, PROGRAM.into());
    let (starts, ledger, n_last, usage) = run(load.clone(), &processes);
    let (same, of_threads, ..) = run(load.clone(), &Crew::of_threads(&load, 2));
    assert_eq!(starts, same);
    assert_eq!(n_last, 3);
    assert!(ledger.is_closed() && of_threads.is_closed(), "{ledger:?} {of_threads:?}");
    assert_eq!(ledger.planned, of_threads.planned);
    assert_eq!(usage.processes, 3);
    assert!((1..=60).contains(&usage.in_flight_max), "{usage:?}");
    assert!((1..=60).contains(&usage.connections_max), "{usage:?}");
    assert!(usage.pss_max_bytes > 1_000_000, "{usage:?}");
    // Even starting three processes costs more; brunt's own part of it is far less.
    assert!(usage.cpu > Nanos::from_millis(6), "{usage:?}");
}

/// The worker processes of a process, polled for until there are so many.
fn workers_of(pid: u32, wanted: usize) -> Vec<Identity> {
    let is_worker = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|text| text.windows(8).any(|w| w == b"__worker"))
    };
    let mut found = Vec::new();
    until("the workers run", || {
        found = descendants(&[pid as i32])
            .iter()
            .filter(|s| is_worker(s.pid))
            .filter_map(|s| Identity::of(s.pid))
            .collect();
        found.len() >= wanted
    });
    found
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_worker_ends_the_load_with_its_name_and_no_orphan() {
    let load = plan(server(), Nanos::from_secs(60));
    let program = format!("{PROGRAM}-alias-{}", std::process::id());
    // Its own name, so that the other tests' workers are not mistaken for these.
    std::os::unix::fs::symlink(PROGRAM, &program).unwrap();
    let (sink, snapshots) = std::sync::mpsc::channel();
    let crew = Crew::of_processes(&load, 3, program.clone().into());
    let generator = generator::prepare(load, &crew, &[], sink).unwrap();
    let _ = std::fs::remove_file(&program);
    let all: Vec<Identity> = workers_of(std::process::id(), 3)
        .into_iter()
        .filter(|i| {
            let text = std::fs::read_to_string(format!("/proc/{}/cmdline", i.pid));
            text.is_ok_and(|text| text.starts_with(&program))
        })
        .collect();
    assert_eq!(all.len(), 3);
    generator.begin(clock::now() + Nanos::from_millis(20));
    snapshots.recv_timeout(Duration::from_secs(30)).unwrap();
    Process::open(all[1]).unwrap().signal(rustix::process::Signal::KILL).unwrap();
    until("the load ends", || generator.is_finished());
    let error = generator.join().unwrap_err();
    assert!(matches!(error, GeneratorError::Process { .. }), "{error}");
    assert!(error.to_string().contains("signal: 9"), "{error}");
    assert!(all.iter().all(|worker| !worker.is_alive()));
    // The others have said their last word.
    assert_eq!(snapshots.iter().filter(|s| s.is_last).count(), 2);
}

/// Started with so few open files that 200 connections take worker processes.
fn brunt(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let few = rustix::process::Rlimit { current: Some(340), maximum: Some(340) };
    let limit = move || Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, few)?);
    // SAFETY: between fork and exec this makes one system call.
    unsafe { command.pre_exec(limit) };
    command
}

struct Sink {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Sink {
    fn start(release_at: &str, hold: &str) -> Sink {
        let options = ["serve", "sink", "--listen", "127.0.0.1:0", "--release-at", release_at];
        let mut command = Command::new(PROGRAM);
        command.args(options).args(["--hold", hold]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut sink = Sink { child, lines, address: String::new() };
        let line = sink.line();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(';').next());
        sink.address = format!("http://{}/", address.expect("an address"));
        sink
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Closes its stdin; what it then says.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let line = self.line();
        assert!(self.child.wait().unwrap().success());
        line
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_sink_holds_what_several_processes_send_and_both_count_the_same() {
    let mut sink = Sink::start("200", "60s");
    let options = ["-c", "200", "-n", "200", "--timeout", "60s", "--json", "--quiet"];
    let output = brunt(&["load", &sink.address]).args(options).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["ledger_run"]["ok"], 200);
    let generator = &summary["generator"];
    assert!(generator["processes"].as_u64().unwrap() > 1, "{generator}");
    // The first may be answered before the last worker has counted its own last one.
    assert!((150..=200).contains(&generator["in_flight_max"].as_u64().unwrap()), "{generator}");
    assert_eq!(sink.line(), "released (all there): held 200 requests at once\n");
    assert_eq!(sink.end(), "held at most 200 requests at once\n");
}

#[test]
fn a_sink_lets_go_after_its_hold() {
    let mut sink = Sink::start("1000", "300ms");
    let options = ["-c", "20", "-n", "20", "--json", "--quiet"];
    let output = brunt(&["load", &sink.address]).args(options).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["ledger_run"]["ok"], 20);
    assert_eq!(summary["generator"]["processes"], 1);
    assert_eq!(summary["generator"]["in_flight_max"], 20);
    assert_eq!(sink.line(), "released (time is up): held 20 requests at once\n");
}

#[test]
fn no_worker_outlives_a_killed_brunt() {
    let sink = Sink::start("1000", "60s");
    let options = ["-c", "200", "-d", "60s", "--quiet"];
    let mut load = brunt(&["load", &sink.address]).args(options).spawn().unwrap();
    let workers = workers_of(load.id(), 3);
    load.kill().unwrap();
    load.wait().unwrap();
    until("the workers are gone", || workers.iter().all(|worker| !worker.is_alive()));
}

#[test]
fn what_cannot_be_opened_is_refused_before_the_start() {
    let output = brunt(&["load", "http://127.0.0.1:9/", "-c", "1000000", "-n", "1", "--quiet"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("ulimit -Hn is 340"), "{text}");
}
