//! What the hot path records, how fast it ends, and how small it is.

use super::*;
use crate::generator::connections::Connections;
use crate::generator::gauges::{Gauges, Share};
use crate::generator::load::Load;
use crate::generator::requests::Requests;
use crate::generator::worker::{Assignment, Worker};
use rustix::event::EventfdFlags;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

#[test]
fn gaps_are_recorded_as_planned_and_as_achieved() {
    let seen = run_until(plan(always_ok(), Arrivals::Constant, 500.0, 400), 1, None);
    assert_eq!(seen.planned_gap.count(), 199, "one fewer than the requests of one worker");
    let planned = |q| seen.planned_gap.hdr().value_at_quantile(q);
    assert!((1_998_000..=2_002_000).contains(&planned(0.0)), "{}", planned(0.0));
    assert!((1_998_000..=2_002_000).contains(&planned(1.0)), "{}", planned(1.0));
    // Whoever notices late notices the next one sooner: the sum is that of the planned ones.
    let (mean, wanted) = (seen.due_gap.hdr().mean(), seen.planned_gap.hdr().mean());
    let slack = seen.start_lag.max().unwrap().0 as f64 / 199.0 + 0.002 * wanted;
    assert!((mean - wanted).abs() <= slack, "{mean} {wanted} {slack}");
}

#[test]
fn a_closed_loop_has_no_gaps() {
    let mut load =
        plan(always_ok(), Arrivals::Closed { connections: 3, think: Nanos::ZERO }, 0.0, 60_000);
    load.requests_max = Some(50);
    assert!(run_until(load, 1, None).planned_gap.is_empty());
}

#[test]
fn a_request_that_waited_in_vain_counts_as_connection_wait() {
    // All are due at once, two are sent, and all have the same deadline.
    let users = Arrivals::Closed { connections: 30, think: Nanos::ZERO };
    let mut load = plan(serve(|_, _, _| true), users, 0.0, 60_000);
    load.timeout = Nanos::from_millis(150);
    load.connections_max = 2;
    load.requests_max = Some(30);
    let seen = run_until(load, 1, None);
    let in_vain = seen.cause(Cause::TimeoutWaiting);
    assert!(in_vain >= 20, "{:?}", seen.causes);
    let waits = seen.connection_wait.hdr();
    let lowest = waits.lowest_equivalent(150_000_000);
    let long = waits.iter_recorded().filter(|v| v.value_iterated_to() >= lowest);
    let n: u64 = long.map(|v| v.count_since_last_iteration()).sum();
    assert!(n >= in_vain, "{n} of {in_vain} have waited for the whole time-out");
}

#[test]
fn an_absurd_rate_ends_soon_and_is_counted_to_the_last_request() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let mut load = plan(serve(|_, _, _| true), arrivals, 20_000_000.0, 100);
        load.timeout = Nanos::from_millis(50);
        load.waiting_max = 100;
        load.phases[0].end = Nanos::from_millis(60);
        let mut second = load.phases[0].clone();
        (second.start, second.end) = (second.end, Nanos::from_millis(100));
        load.phases.push(second);
        let mut other = load.requests[0].clone();
        other.name = "other".into();
        load.requests.push(other);
        let begun = Instant::now();
        let seen = run_until(load, 1, None);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "a debug build under load, too: {took:?}");
        assert!(seen.cause(Cause::Stopped) > 0, "{:?}", seen.causes);
        match arrivals {
            Arrivals::Constant => {
                assert_eq!(seen.ledger.planned, 2_000_000);
                assert_eq!(seen.phases, [(0, 1_200_000), (1, 800_000)].into());
            }
            _ => {
                assert!((1_993_000..2_007_000).contains(&seen.ledger.planned), "{:?}", seen.ledger);
            }
        }
    }
}

#[test]
fn what_is_cut_in_bulk_is_recorded_as_one_by_one() {
    // Stopped after everything was due and nothing looked at: the lags are known exactly.
    let mut load = plan(serve(|_, _, _| true), Arrivals::Constant, 1000.0, 500);
    load.connections_max = 4;
    load.waiting_max = 4;
    let ready = Arc::new(Load::new(&load).unwrap());
    let (parcels, received) = std::sync::mpsc::channel();
    let worker = Worker::new(Assignment {
        id: 0,
        load: ready,
        agenda: crate::generator::load::agendas(&load, 1, &[0]).unwrap().remove(0),
        connections_max: 4,
        waiting_max: 4,
        sources: Vec::new(),
        share: Share::new(Arc::new(Gauges::new().unwrap())),
        is_stopped: Arc::new(AtomicBool::new(true)),
        wake: rustix::event::eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
        parcels,
    });
    let epoch = clock::now().saturating_sub(Nanos::from_secs(2));
    worker.unwrap().run(epoch).unwrap();
    let mut parcel = received.recv().unwrap();
    let mut snapshot = Snapshot::default();
    parcel.tally.pour(&mut snapshot);
    let mut seen = Seen::default();
    seen.add(snapshot);
    assert_eq!((seen.ledger.planned, seen.ledger.never_sent), (500, 500));
    assert_eq!(seen.causes, [(Outcome::NeverSent, Cause::Stopped, 500)]);
    let lags = seen.start_lag.hdr();
    assert_eq!(seen.response.hdr(), lags);
    // Intended every millisecond from 1 ms to 499 ms and 1 ns before 500 ms, cut at one instant.
    let spread = lags.max() - lags.min();
    assert!((498_000_000..=501_000_000).contains(&spread), "{spread}");
    let middle = lags.value_at_quantile(0.5) - lags.min();
    assert!((248_000_000..=252_000_000).contains(&middle), "{middle}");
}

#[test]
fn a_connection_and_its_request_take_little_memory() {
    // A virtual user: a connection, its request, its next start, and their places in the lists.
    let agenda_entry = size_of::<(Nanos, u32, u64)>();
    let lists = 2 * size_of::<u32>();
    let all = Connections::BYTES_EACH + Requests::BYTES_EACH + agenda_entry + lists;
    assert!(all <= 400, "{all} bytes a connection");
}

#[test]
fn an_answer_of_any_size_is_read_to_its_end() {
    // Exactly one buffer, one byte more and less, and more pieces than are read in one turn.
    for total in [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 << 20] {
        let head =
            |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length:08}\r\n\r\n");
        let body = total - head(0).len();
        let answer = [head(body).into_bytes(), vec![b'x'; body]].concat();
        let address = serve(move |stream, _, _| stream.write_all(&answer).is_ok());
        let users = Arrivals::Closed { connections: 2, think: Nanos::ZERO };
        let mut load = plan(address, users, 0.0, 60_000);
        load.timeout = Nanos::from_secs(10);
        load.requests_max = Some(20);
        let seen = run_until(load, 1, None);
        assert_eq!((seen.ledger.ok, seen.connections), (20, 2), "{total}: {:?}", seen.causes);
    }
}

#[test]
fn a_request_larger_than_the_socket_takes_is_sent_to_its_end() {
    const BODY: usize = 6 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut piece, mut bodies) = (vec![0; 100_000], 0);
        // Only the body has this byte.
        while let Ok(n @ 1..) = stream.read(&mut piece) {
            bodies += piece[..n].iter().filter(|byte| **byte == b'~').count();
            if bodies == BODY {
                bodies = 0;
                stream.write_all(OK).unwrap();
            }
        }
    });
    let users = Arrivals::Closed { connections: 1, think: Nanos::ZERO };
    let mut load = plan(address, users, 0.0, 60_000);
    load.timeout = Nanos::from_secs(20);
    load.requests_max = Some(3);
    load.requests[0].method = "PUT".into();
    load.requests[0].body = Some("~".repeat(BODY));
    let seen = run_until(load, 1, None);
    assert_eq!(seen.ledger.ok, 3, "{:?}", seen.causes);
}
