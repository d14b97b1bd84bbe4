//! The generator against small servers of known behaviour, in one process.

mod hot;
mod transport;

use super::*;
use crate::base::{Histogram, clock};
use crate::plan::{
    Arrivals, Check, PhasePlan, RequestPlan, RetryPlan, RoutePlan, ValueKind, ValuePlan,
};
use crate::record::{Cause, Ledger, OperationKind, Outcome, Tag};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: 7\r\n\r\nok";

/// A server that answers each request head with what `behave` makes of (connection, request), one
/// thread a connection. Its threads end with their connections.
fn serve<F>(behave: F) -> SocketAddr
where
    F: Fn(&mut TcpStream, u64, &str) -> bool + Send + Sync + Clone + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (connection, stream) in (0..).zip(listener.incoming()) {
            let Ok(stream) = stream else { continue };
            let behave = behave.clone();
            std::thread::spawn(move || answer(stream, connection, &behave));
        }
    });
    address
}

fn answer(
    mut stream: TcpStream,
    connection: u64,
    behave: &dyn Fn(&mut TcpStream, u64, &str) -> bool,
) {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = text.drain(..end + 4).collect();
            if !behave(&mut stream, connection, &String::from_utf8_lossy(&head)) {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => text.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
}

fn plan(address: SocketAddr, arrivals: Arrivals, rate: f64, millis: u64) -> LoadPlan {
    let phase = PhasePlan::level("main", Nanos::ZERO, Nanos::from_millis(millis), rate);
    let request = RequestPlan::get("root", "test", "/");
    LoadPlan {
        shards: 8,
        timeout: Nanos::from_millis(400),
        in_time: Nanos::from_millis(100),
        connections_max: 64,
        waiting_max: 10_000,
        ..LoadPlan::new(arrivals, vec![phase], vec![request], vec![RoutePlan::Fixed(address)])
    }
}

/// All snapshots of a run, added up.
#[derive(Default)]
struct Seen {
    ledger: Ledger,
    sent: u64,
    in_time: u64,
    retried: u64,
    repeated: u64,
    response: Histogram,
    service: Histogram,
    start_lag: Histogram,
    connection_wait: Histogram,
    planned_gap: Histogram,
    due_gap: Histogram,
    causes: Vec<(Outcome, Cause, u64)>,
    operations: Vec<crate::record::Operation>,
    n_last: u32,
    connections: u32,
    phases: std::collections::BTreeMap<u16, u64>,
}

impl Seen {
    fn add(&mut self, snapshot: Snapshot) {
        for cell in &snapshot.cells {
            self.ledger.add(&cell.ledger);
            self.sent += cell.sent;
            self.in_time += cell.in_time;
            self.retried += cell.retried;
            self.repeated += cell.repeated;
            *self.phases.entry(cell.phase).or_default() += cell.ledger.planned;
        }
        for (tag, histogram) in &snapshot.histograms {
            match tag {
                Tag::Response { .. } => self.response.merge(histogram),
                Tag::Service { .. } => self.service.merge(histogram),
                Tag::StartLag => self.start_lag.merge(histogram),
                Tag::ConnectionWait => self.connection_wait.merge(histogram),
                Tag::PlannedGap => self.planned_gap.merge(histogram),
                Tag::DueGap => self.due_gap.merge(histogram),
                Tag::Hiccup => unreachable!(),
            }
        }
        self.causes.extend(snapshot.causes);
        self.operations.extend(snapshot.operations);
        self.n_last += u32::from(snapshot.is_last);
        self.connections = self.connections.max(snapshot.connections);
    }

    fn cause(&self, cause: Cause) -> u64 {
        self.causes.iter().filter(|(_, c, _)| *c == cause).map(|(.., n)| n).sum()
    }
}

fn soon() -> Nanos {
    clock::now() + Nanos::from_millis(5)
}

/// Runs a load to its end, or stops it after a while, and checks what must hold for any run.
fn run_until(load: LoadPlan, workers: u32, stop_after: Option<Duration>) -> Seen {
    let (sink, snapshots) = std::sync::mpsc::channel();
    let generator = start(load, workers, &[], soon(), sink).unwrap();
    if let Some(pause) = stop_after {
        std::thread::sleep(pause);
        generator.stop();
    }
    generator.join().unwrap();
    let mut seen = Seen::default();
    snapshots.into_iter().for_each(|snapshot| seen.add(snapshot));
    assert!(seen.ledger.is_closed(), "{:?}", seen.ledger);
    assert_eq!(seen.start_lag.count(), seen.ledger.planned);
    let never_served = seen.cause(Cause::TimeoutWaiting) + seen.cause(Cause::TimeoutConnecting);
    assert_eq!(seen.connection_wait.count(), seen.sent + never_served);
    assert_eq!(seen.planned_gap.count(), seen.due_gap.count());
    assert_eq!(seen.service.count(), seen.ledger.ok);
    let queue_full = seen.cause(Cause::QueueFull);
    let l = &seen.ledger;
    assert_eq!(
        seen.response.count(),
        l.ok + l.timeout + l.unfinished + l.never_sent - queue_full,
        "{l:?}"
    );
    seen
}

fn run(load: LoadPlan) -> Seen {
    run_until(load, 2, None)
}

fn always_ok() -> SocketAddr {
    serve(|stream, _, _| stream.write_all(OK).is_ok())
}

#[test]
fn an_open_load_is_answered_as_planned() {
    let seen = run(plan(always_ok(), Arrivals::Constant, 500.0, 400));
    assert_eq!(seen.ledger.planned, 200);
    assert_eq!(seen.ledger.ok, 200);
    assert_eq!(seen.n_last, 2);
    assert!(seen.connections < 64, "connections are made on demand: {}", seen.connections);
}

#[test]
fn answers_are_checked() {
    use crate::plan::Expect;
    // The body in two pieces, so that it has to be collected.
    let address = serve(|stream, _, _| {
        let first =
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\": t\r\n";
        stream.write_all(first).is_ok()
            && stream.flush().is_ok()
            && stream.write_all(b"4\r\nrue}\r\n0\r\n\r\n").is_ok()
    });
    let outcome = |expects: Vec<Expect>| {
        let mut load = plan(address, Arrivals::Constant, 200.0, 100);
        load.requests[0].expects = expects;
        let seen = run(load);
        assert_eq!(seen.ledger.planned, seen.ledger.ok + seen.cause(Cause::CheckFailed));
        seen.ledger.ok == seen.ledger.planned
    };
    let json = |value: bool| Expect::Json { pointer: "/ok".into(), equals: Some(value.into()) };
    let text = |text: &str| Expect::BodyContains { text: text.into() };
    assert!(outcome(vec![Expect::Status { of: vec![201] }, json(true), text(": true")]));
    assert!(!outcome(vec![json(false)]));
    assert!(!outcome(vec![text("nothing of it")]));
    assert!(!outcome(vec![Expect::Status { of: vec![200] }]));
}

#[test]
fn a_feeder_and_a_sequence_reach_the_server() {
    use crate::plan::{FeederOrder, FeederPlan};
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen_lines = lines.clone();
    let address = serve(move |stream, _, head| {
        seen_lines.lock().unwrap().push(head.lines().next().unwrap_or_default().to_string());
        stream.write_all(OK).is_ok()
    });
    let mut load = plan(address, Arrivals::Constant, 400.0, 100);
    load.requests[0].path = "/{n}/{t.a}{t.b}".into();
    let named = |name: &str, kind| ValuePlan { name: name.into(), kind };
    load.values = vec![
        named("n", ValueKind::Sequence { from: 100 }),
        named("t.a", ValueKind::Column { feeder: 0, column: 0 }),
        named("t.b", ValueKind::Column { feeder: 0, column: 1 }),
    ];
    load.feeders = vec![FeederPlan {
        name: "t".into(),
        columns: vec!["a".into(), "b".into()],
        rows: (0..4).map(|i| vec![format!("x{i}"), format!(" {i}")]).collect(),
        n_rows: 4,
        hash: String::new(),
        order: FeederOrder::Sequential,
    }];
    let mut emptied = load.clone();
    emptied.feeders[0].rows.clear();
    assert_eq!(run(load).ledger.ok, 40);
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.sort();
    let expected: Vec<String> =
        (100..140).map(|n| format!("GET /{n}/x{}%20{} HTTP/1.1", n % 4, n % 4)).collect();
    assert_eq!(lines, expected);
    let error = start(emptied, 1, &[], soon(), std::sync::mpsc::channel().0).err().unwrap();
    assert!(error.to_string().contains("the feeder `t` has no rows"), "{error}");
}

#[test]
fn a_freeze_is_seen_by_every_request_that_was_due() {
    let frozen_at = std::sync::Arc::new(std::sync::Mutex::new(None::<clock_instant::At>));
    let shared = frozen_at.clone();
    // The whole server stands still for 300 ms once, 100 ms after the first request.
    let address = serve(move |stream, _, _| {
        let wait = {
            let mut first = shared.lock().unwrap();
            let first = first.get_or_insert_with(clock_instant::At::now);
            first.left_of_freeze(100, 400)
        };
        std::thread::sleep(wait);
        stream.write_all(OK).is_ok()
    });
    let mut load = plan(address, Arrivals::Constant, 500.0, 800);
    load.connections_max = 4;
    load.timeout = Nanos::from_secs(5);
    let seen = run(load);
    assert_eq!(seen.ledger.ok, 400);
    let max = seen.response.max().unwrap().as_millis_f64();
    // A busy machine makes it longer, never shorter.
    assert!(max >= 280.0, "{max}");
    let slow = |h: &Histogram| -> u64 {
        let slow = h.hdr().iter_recorded().filter(|v| v.value_iterated_to() > 100_000_000);
        slow.map(|v| v.count_since_last_iteration()).sum()
    };
    let slow_responses = slow(&seen.response);
    assert!(slow_responses >= 80, "{slow_responses}");
    // Four connections: so many answers were slow; the others had waited for a connection.
    assert!(slow(&seen.service) <= slow_responses / 4, "{}", slow(&seen.service));
}

mod clock_instant {
    use std::time::{Duration, Instant};

    #[derive(Clone, Copy)]
    pub struct At(Instant);

    impl At {
        pub fn now() -> At {
            At(Instant::now())
        }

        /// How long a freeze between these two is still to last; zero outside of it.
        pub fn left_of_freeze(&mut self, from_ms: u64, to_ms: u64) -> Duration {
            let since = self.0.elapsed();
            let (from, to) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
            if since >= from && since < to { to - since } else { Duration::ZERO }
        }
    }
}

#[test]
fn a_refused_connection_is_a_transport_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seen = run(plan(address, Arrivals::Poisson, 300.0, 200));
    assert!(seen.ledger.planned > 20);
    assert_eq!(seen.ledger.transport_error, seen.ledger.planned);
    assert_eq!(seen.cause(Cause::ConnectRefused), seen.ledger.planned);
    assert_eq!(seen.sent, 0);
    assert!(seen.response.is_empty());
}

#[test]
fn an_answer_that_breaks_off_is_a_transport_error() {
    let address = serve(|stream, _, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort");
        false
    });
    let seen = run(plan(address, Arrivals::Constant, 200.0, 200));
    assert_eq!(seen.ledger.transport_error, 40);
    assert_eq!(seen.cause(Cause::ClosedEarly) + seen.cause(Cause::Reset), 40);
    assert_eq!(seen.sent, 40);
}

#[test]
fn what_is_not_http_and_what_is_an_error_status_are_told_apart() {
    let address = serve(|stream, connection, _| match connection % 2 {
        0 => stream.write_all(b"SSH-2.0-test\r\n\r\n").is_ok(),
        _ => stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_ok(),
    });
    let seen = run(plan(address, Arrivals::Constant, 200.0, 200));
    assert!(seen.cause(Cause::BadResponse) > 0);
    assert_eq!(seen.ledger.http_error, seen.cause(Cause::Status(503)));
    assert_eq!(seen.ledger.http_error + seen.ledger.transport_error, 40);
    assert!(seen.response.is_empty());
}

#[test]
fn silence_is_a_timeout_from_due_or_unfinished_at_the_end() {
    let address = serve(|_, _, _| true);
    let mut load = plan(address, Arrivals::Constant, 200.0, 500);
    load.timeout = Nanos::from_millis(150);
    load.connections_max = 8;
    let seen = run(load);
    assert_eq!(seen.ledger.planned, 100);
    assert!(seen.ledger.timeout >= 95, "{:?}", seen.ledger);
    assert!(seen.cause(Cause::TimeoutResponse) > 0);
    let waited = seen.connection_wait.max().unwrap();
    assert!(waited > Nanos::from_millis(90), "eight connections do not suffice: {waited}");
    assert!(seen.response.min().unwrap() >= Nanos::from_millis(140));
    assert!(seen.response.max().unwrap() <= Nanos::from_millis(250));
}

#[test]
fn stopping_closes_the_ledger() {
    for arrivals in [
        Arrivals::Constant,
        Arrivals::Poisson,
        Arrivals::Closed { connections: 16, think: Nanos::ZERO },
    ] {
        let address = serve(|_, _, _| true);
        let mut load = plan(address, arrivals, 400.0, 60_000);
        load.timeout = Nanos::from_secs(30);
        load.connections_max = 16;
        let seen = run_until(load, 2, Some(Duration::from_millis(200)));
        assert_eq!(seen.ledger.unfinished, 16, "{:?}", seen.ledger);
        assert_eq!(seen.ledger.unfinished + seen.ledger.never_sent, seen.ledger.planned);
        if !matches!(arrivals, Arrivals::Closed { .. }) {
            assert!((40..140).contains(&seen.ledger.planned), "{:?}", seen.ledger);
            assert_eq!(seen.cause(Cause::Stopped), seen.ledger.never_sent);
        }
    }
}

#[test]
fn a_load_stopped_before_it_began_planned_nothing() {
    let (sink, snapshots) = std::sync::mpsc::channel();
    let load = plan(always_ok(), Arrivals::Constant, 100.0, 1000);
    let generator = start(load, 1, &[], clock::now() + Nanos::from_secs(60), sink).unwrap();
    generator.stop();
    generator.join().unwrap();
    let all: Vec<Snapshot> = snapshots.into_iter().collect();
    assert!(all.iter().all(|s| s.cells.is_empty()));
    assert!(all.last().unwrap().is_last);
}

#[test]
fn what_does_not_fit_the_queue_is_never_sent() {
    let address = serve(|_, _, _| true);
    let mut load = plan(address, Arrivals::Constant, 400.0, 200);
    load.connections_max = 2;
    load.waiting_max = 6;
    let seen = run(load);
    assert_eq!(seen.cause(Cause::QueueFull), 80 - 8);
    assert_eq!(seen.ledger.never_sent, 72);
}

#[test]
fn a_stale_connection_is_replaced_once() {
    // Every connection serves one request, promises to stay, and goes.
    let address = serve(|stream, _, _| {
        let _ = stream.write_all(OK);
        false
    });
    let mut load = plan(address, Arrivals::Closed { connections: 4, think: Nanos::ZERO }, 0.0, 300);
    load.timeout = Nanos::from_secs(2);
    let seen = run(load);
    assert!(seen.ledger.ok > 20, "{:?}", seen.ledger);
    assert_eq!(seen.ledger.transport_error, 0, "{:?}", seen.causes);
}

#[test]
fn a_closed_loop_keeps_to_its_connections_and_its_number() {
    let mut load =
        plan(always_ok(), Arrivals::Closed { connections: 5, think: Nanos::ZERO }, 0.0, 60_000);
    load.connections_max = 5;
    load.requests_max = Some(777);
    let seen = run_until(load, 1, None);
    assert_eq!(seen.ledger.planned, 777);
    assert_eq!(seen.ledger.ok, 777);
    assert_eq!(seen.connections, 5);
}

#[test]
fn an_open_load_ends_after_its_number() {
    for arrivals in [Arrivals::Poisson, Arrivals::Constant] {
        let mut load = plan(always_ok(), arrivals, 1000.0, 60_000);
        load.requests_max = Some(123);
        assert_eq!(run(load).ledger.ok, 123);
    }
}

#[test]
fn connections_are_not_reused_without_keep_alive() {
    let accepted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = accepted.clone();
    let address = serve(move |stream, _, head| {
        assert!(head.contains("Connection: close\r\n"));
        counted.fetch_add(1, Ordering::Relaxed);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
        false
    });
    let mut load = plan(address, Arrivals::Constant, 100.0, 200);
    load.keep_alive = false;
    let seen = run(load);
    assert_eq!(seen.ledger.ok, 20);
    assert_eq!(accepted.load(Ordering::Relaxed), 20);
}

#[test]
fn checked_requests_leave_their_operations() {
    let address = serve(|stream, _, _| stream.write_all(OK).is_ok());
    let mut load = plan(address, Arrivals::Constant, 200.0, 200);
    load.values = vec![
        ValuePlan { name: "video".into(), kind: ValueKind::Zipf { n: 10, exponent: 1.0 } },
        ValuePlan { name: "id".into(), kind: ValueKind::WriteId },
    ];
    let read = &mut load.requests[0];
    read.path = "/videos/{video}".into();
    read.check = Some(Check::Read);
    let mut write = read.clone();
    write.name = "like".into();
    write.method = "POST".into();
    write.headers = vec![("Idempotency-Key".into(), "{id}".into())];
    write.check = Some(Check::Write);
    load.requests.push(write);
    let seen = run(load);
    assert_eq!(seen.ledger.ok, 40);
    assert_eq!(seen.operations.len(), 40);
    for operation in &seen.operations {
        assert!((1..=10).contains(&operation.key));
        assert_eq!(operation.version, 7);
        assert_eq!(operation.id == 0, operation.kind == OperationKind::Read);
        assert!(operation.started <= operation.ended);
    }
}

#[test]
fn the_number_of_workers_changes_no_phase() {
    let by_workers = |workers| {
        let mut load = plan(always_ok(), Arrivals::Poisson, 400.0, 150);
        let mut second = load.phases[0].clone();
        second.start = second.end;
        second.end = Nanos::from_millis(300);
        second.rate_to = 900.0;
        load.phases.push(second);
        run_until(load, workers, None).phases
    };
    let one = by_workers(1);
    assert_eq!(one.len(), 2);
    assert_eq!(by_workers(2), one);
    assert_eq!(by_workers(4), one);
}

#[test]
fn a_directory_leads_to_the_nearest_healthy_edge() {
    let (near, far) = (serve(|_, _, _| false), always_ok());
    let ask = serve(|stream, _, head| {
        assert!(head.starts_with("GET /edges?region=here "), "{head}");
        let body = r#"{"edges":[{"name":"cdn-2","region":"far"}],"ttl_ms":1000}"#;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        write!(stream, "{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).is_ok()
    });
    let mut load = plan(near, Arrivals::Constant, 100.0, 600);
    let edges = vec![("cdn-1".into(), near), ("cdn-2".into(), far)];
    load.regions[0].routes = vec![RoutePlan::Directory { ask, edges }];
    let seen = run(load);
    assert!(seen.ledger.ok >= 40, "{:?}", seen.ledger);
}

#[test]
fn a_server_on_ipv6_is_reached() {
    // A machine without IPv6 has nothing to test here.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                answer(stream, 0, &|stream, _, _| stream.write_all(OK).is_ok());
            });
        }
    });
    assert_eq!(run(plan(address, Arrivals::Constant, 100.0, 100)).ledger.ok, 10);
}

#[test]
fn a_recorded_run_reads_back_what_the_snapshots_said() {
    let folder = tempfile::tempdir().unwrap();
    let load = plan(always_ok(), Arrivals::Poisson, 300.0, 1300);
    let manifest = crate::record::tests::manifest_of(load.clone(), 2);
    let mut recorder = crate::record::Recorder::create(folder.path(), &manifest).unwrap();
    let (sink, snapshots) = std::sync::mpsc::channel();
    let generator = start(load, 2, &[], soon(), sink).unwrap();
    let mut seen = Seen::default();
    for snapshot in snapshots {
        recorder.snapshot(&snapshot).unwrap();
        seen.add(snapshot);
    }
    generator.join().unwrap();
    recorder.seal(Nanos::from_millis(1300)).unwrap();
    let record = crate::record::Record::open(folder.path()).unwrap();
    let mut ledger = Ledger::default();
    record.series.iter().for_each(|row| ledger.add(&row.ledger()));
    assert_eq!(ledger, seen.ledger);
    assert!(ledger.is_closed() && ledger.planned > 300);
    let response = &record.latency[&Tag::Response { request: 0, phase: 0 }];
    assert_eq!(response.hdr(), seen.response.hdr());
    assert_eq!(record.latency[&Tag::StartLag].hdr(), seen.start_lag.hdr());
}

/// A server that does everything wrong, by turns.
fn misbehave(seed: u64) -> SocketAddr {
    serve(move |stream, connection, head| {
        let turn = crate::base::random::mix(seed ^ connection << 8 ^ head.len() as u64);
        let ok = || OK.to_vec();
        let (text, stays): (Vec<u8>, bool) = match turn % 9 {
            0 => (Vec::new(), true),
            1 => (Vec::new(), false),
            2 => (ok()[..20].to_vec(), false),
            3 => (b"nonsense\r\n\r\n".to_vec(), true),
            4 => (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), true),
            5 => ([OK, OK].concat(), true),
            6 => (ok(), false),
            _ => (ok(), true),
        };
        stream.write_all(&text).is_ok() && stays
    })
}

#[test]
fn the_ledger_closes_whatever_the_server_does() {
    for seed in 0..4 {
        for arrivals in [Arrivals::Poisson, Arrivals::Closed { connections: 8, think: Nanos(7) }] {
            for stop in [None, Some(Duration::from_millis(120))] {
                let mut load = plan(misbehave(seed), arrivals, 500.0, 250);
                load.seed = seed;
                load.connections_max = 8;
                load.waiting_max = 20;
                load.timeout = Nanos::from_millis(60);
                load.values =
                    vec![ValuePlan { name: "v".into(), kind: ValueKind::Uniform { n: 1 << 40 } }];
                load.requests[0].path = "/{v}".into();
                let mut write = load.requests[0].clone();
                write.method = "POST".into();
                load.requests.push(write);
                // Of every other seed the visitors are stubborn.
                let after = Nanos::from_millis(seed);
                load.retry = (seed % 2 == 1).then_some(RetryPlan { attempts: 3, after });
                let seen = run_until(load, 2, stop);
                assert!(seen.ledger.planned > 5 && seen.ledger.ok > 0, "{:?}", seen.ledger);
            }
        }
    }
}

#[test]
fn visitors_who_ask_again_add_to_the_load_and_do_not_move_it() {
    let busy = serve(|stream, _, _| {
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let mut load = plan(busy, Arrivals::Constant, 500.0, 400);
    load.retry = Some(RetryPlan { attempts: 3, after: Nanos::from_millis(20) });
    let seen = run(load.clone());
    let first = seen.ledger.planned - seen.repeated;
    assert_eq!(first, 200, "the schedule is what it was");
    // Those of the last 40 ms have no time left for it.
    assert!((300..=400).contains(&seen.repeated), "{}", seen.repeated);
    assert_eq!(seen.ledger.http_error, seen.ledger.planned);
    load.phases[0] = PhasePlan::level("main", Nanos::ZERO, Nanos::from_millis(100), 0.0);
    assert_eq!(run(load).ledger.planned, 0);
    let mut calm = plan(always_ok(), Arrivals::Constant, 500.0, 200);
    calm.retry = Some(RetryPlan { attempts: 3, after: Nanos::ZERO });
    assert_eq!(run(calm).repeated, 0);
}

#[test]
fn a_connection_that_went_stale_is_counted_as_a_retry() {
    // Each connection answers one request, and ends when the second one comes.
    let address = {
        let served = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
        serve(move |stream, connection, _| {
            let is_first = served.lock().unwrap().insert(connection);
            is_first && stream.write_all(OK).is_ok()
        })
    };
    let mut load = plan(address, Arrivals::Closed { connections: 2, think: Nanos::ZERO }, 0.0, 200);
    load.requests_max = Some(20);
    let seen = run_until(load.clone(), 1, None);
    assert_eq!(seen.ledger.ok, 20, "{:?}", seen.causes);
    assert!(seen.retried >= 8, "{}", seen.retried);
    load.requests[0].method = "POST".into();
    let seen = run_until(load, 1, None);
    assert_eq!(seen.retried, 0, "a request that may have been done is not sent again");
    assert!(seen.ledger.transport_error >= 8, "{:?}", seen.ledger);
}
