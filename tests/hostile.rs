//! The generator against servers that do everything wrong: it neither crashes nor hangs, its ledger
//! closes, what happened is called by its name, and wrong bytes are never an answer.

mod support;

use brunt::base::Nanos;
use brunt::base::random::stream;
use brunt::plan::Arrivals;
use brunt::record::{Cause, Outcome};
use rand_xoshiro::rand_core::Rng;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Seen, plan, run};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: 7\r\n\r\nok";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nT: u\r\n\r\n";
const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end";
/// A server gives up on a connection after this; every test is over by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of a case; each is answered by one behaviour.
const REQUESTS: u64 = 24;

/// What a server does with one request, step by step; then it waits for the next one.
#[derive(Clone, Debug)]
enum Act {
    Send(Vec<u8>),
    /// One byte at a time, so long apart.
    Drip(Vec<u8>, Duration),
    /// Again and again, until the other side has had enough.
    Endless(Vec<u8>),
    Close,
    /// Closes with a reset.
    Reset,
    Wait(Duration),
}

fn send(bytes: &[u8]) -> Act {
    Act::Send(bytes.to_vec())
}

/// A server whose n-th request, over all connections, is answered by `acts(n)`. `greets`: before
/// it has read anything.
fn serve(greets: bool, acts: impl Fn(u64) -> Vec<Act> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (acts, count) = (Arc::new(acts), Arc::new(AtomicU64::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let (acts, count) = (acts.clone(), count.clone());
            std::thread::spawn(move || {
                let next = || acts(count.fetch_add(1, Ordering::Relaxed));
                // The other side is expected to go away at any time.
                let _ = attend(stream, greets, next);
            });
        }
    });
    address
}

fn attend(mut stream: TcpStream, greets: bool, next: impl Fn() -> Vec<Act>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    if greets && !perform(&mut stream, &next())? {
        return Ok(());
    }
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        while let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            text.drain(..end + 4);
            if !greets && !perform(&mut stream, &next())? {
                return Ok(());
            }
        }
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            n => text.extend_from_slice(&piece[..n]),
        }
    }
}

/// Whether the connection stays open.
fn perform(stream: &mut TcpStream, acts: &[Act]) -> std::io::Result<bool> {
    for act in acts {
        match act {
            Act::Send(bytes) => stream.write_all(bytes)?,
            Act::Drip(bytes, apart) => {
                for byte in bytes.chunks(1) {
                    stream.write_all(byte)?;
                    std::thread::sleep(*apart);
                }
            }
            Act::Endless(bytes) => {
                let many = bytes.repeat(1 + 4096 / bytes.len());
                loop {
                    stream.write_all(&many)?;
                }
            }
            Act::Close => {
                stream.shutdown(Shutdown::Both)?;
                return Ok(false);
            }
            Act::Reset => {
                rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))?;
                return Ok(false);
            }
            Act::Wait(pause) => std::thread::sleep(*pause),
        }
    }
    Ok(true)
}

/// Longer than any correct answer takes, even here.
const LONG: Nanos = Nanos::from_secs(10);
/// For what never ends.
const SHORT: Nanos = Nanos::from_millis(300);

const CLOSED: Arrivals = Arrivals::Closed { connections: 4, think: Nanos::ZERO };

fn load(address: SocketAddr, arrivals: Arrivals, timeout: Nanos, requests: u64) -> Seen {
    let mut load = plan(address, arrivals, 400.0, Nanos::from_secs(30));
    load.timeout = timeout;
    load.in_time = timeout;
    load.connections_max = 32;
    load.requests_max = Some(requests);
    run(load, 2)
}

/// Every request, open and closed, must end like this.
fn each_ends_as(name: &str, outcome: Outcome, causes: &[Cause], timeout: Nanos, acts: Vec<Act>) {
    for arrivals in [Arrivals::Constant, CLOSED] {
        let acts = acts.clone();
        let seen = load(serve(false, move |_| acts.clone()), arrivals, timeout, REQUESTS);
        let told = format!("{name}, {arrivals:?}: {:?} {:?}", seen.ledger, seen.causes);
        assert_eq!(seen.ledger.planned, REQUESTS, "{told}");
        assert_eq!(seen.ledger.get(outcome), REQUESTS, "{told}");
        let known: u64 = causes.iter().map(|cause| seen.cause(*cause)).sum();
        assert_eq!(known, if causes.is_empty() { 0 } else { REQUESTS }, "{told}");
    }
}

fn not_http(name: &str, acts: Vec<Act>) {
    each_ends_as(name, Outcome::TransportError, &[Cause::BadResponse], LONG, acts);
}

fn broken_off(name: &str, acts: Vec<Act>) {
    let causes = [Cause::ClosedEarly, Cause::Reset];
    each_ends_as(name, Outcome::TransportError, &causes, LONG, acts);
}

/// Nobody was answered. A worker that the machine let wait looks up when all is over already: what
/// it had not given up by then is unfinished or was never sent, instead of timed out.
fn times_out(name: &str, acts: Vec<Act>) {
    for arrivals in [Arrivals::Constant, CLOSED] {
        let acts = acts.clone();
        let seen = load(serve(false, move |_| acts.clone()), arrivals, SHORT, REQUESTS);
        let l = &seen.ledger;
        let told = format!("{name}, {arrivals:?}: {l:?} {:?}", seen.causes);
        assert_eq!(l.planned, REQUESTS, "{told}");
        assert_eq!(l.timeout + l.unfinished + l.never_sent, REQUESTS, "{told}");
        let known = [Cause::TimeoutResponse, Cause::TimeoutWaiting, Cause::TimeoutConnecting];
        assert_eq!(known.map(|cause| seen.cause(cause)).iter().sum::<u64>(), l.timeout, "{told}");
    }
}

fn is_ok(name: &str, acts: Vec<Act>) {
    each_ends_as(name, Outcome::Ok, &[], LONG, acts);
}

/// One request for each offset into an answer, at which the server ends it.
fn at_every_offset(answer: &'static [u8], end: &Act) -> Seen {
    let end = end.clone();
    let n = answer.len() as u64;
    let address = serve(false, move |i| {
        let bytes = answer[..(i % n) as usize].to_vec();
        vec![Act::Send(bytes), end.clone()]
    });
    let seen = load(address, CLOSED, LONG, n);
    assert_eq!(seen.ledger.planned, n);
    assert_eq!(seen.retried, 0, "no connection had carried an answer before");
    seen
}

#[test]
fn an_answer_cut_off_anywhere_is_an_error() {
    for answer in [OK, CHUNKED] {
        for end in [Act::Close, Act::Reset] {
            let seen = at_every_offset(answer, &end);
            let told = format!("{end:?}: {:?} {:?}", seen.ledger, seen.causes);
            assert_eq!(seen.ledger.transport_error, answer.len() as u64, "{told}");
            let known = seen.cause(Cause::ClosedEarly) + seen.cause(Cause::Reset);
            assert_eq!(known, answer.len() as u64, "{told}");
        }
    }
}

#[test]
fn an_answer_that_ends_with_the_connection_has_no_other_end() {
    let head = TO_THE_END.windows(4).position(|w| w == b"\r\n\r\n").unwrap() as u64 + 4;
    let seen = at_every_offset(TO_THE_END, &Act::Close);
    assert_eq!(seen.ledger.transport_error, head, "{:?}", seen.ledger);
    assert_eq!(seen.ledger.ok, TO_THE_END.len() as u64 - head);
    // A reset is no end: not one of them is ok.
    let seen = at_every_offset(TO_THE_END, &Act::Reset);
    assert_eq!(seen.ledger.transport_error, TO_THE_END.len() as u64, "{:?}", seen.causes);
}

#[test]
fn lies_about_length_are_errors_or_time_out() {
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort";
    broken_off("too long, then closed", vec![send(long), Act::Close]);
    broken_off("too long, then reset", vec![send(long), Act::Reset]);
    times_out("too long, then silent", vec![send(long)]);
    not_http(
        "two lengths",
        vec![send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")],
    );
    for length in ["-1", "2x", "0x2", "+2", "18446744073709551616", "2 2", ""] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok");
        not_http(&text, vec![Act::Send(text.clone().into_bytes()), Act::Close]);
    }
    let chunked_wins =
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    is_ok("chunked is stronger than a length", vec![send(chunked_wins)]);
}

#[test]
fn what_comes_after_an_answer_is_never_the_next_one() {
    // Both in one write: they arrive together, and the second belongs to nobody.
    let more = [OK, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"].concat();
    is_ok("two answers to one request", vec![Act::Send(more)]);
    is_ok("more body than was said", vec![Act::Send([OK, b"and more"].concat())]);
    is_ok("an answer, then a close", vec![send(OK), Act::Close]);
}

#[test]
fn lies_in_chunks_are_errors() {
    let head =
        |rest: &[u8]| [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", rest].concat();
    for wrong in [
        "x\r\n",
        "-1\r\n",
        "\r\n",
        "2\nok",
        "2\r\nokay\r\n",
        "10000000000000000\r\n",
        "2\r\nok0\r\n\r\n",
    ] {
        not_http(wrong, vec![Act::Send(head(wrong.as_bytes()))]);
    }
    times_out("a chunk of 2^64 - 1 bytes", vec![Act::Send(head(b"ffffffffffffffff\r\nok"))]);
    broken_off("the last chunk is missing", vec![Act::Send(head(b"2\r\nok\r\n")), Act::Close]);
    not_http("an endless extension", vec![Act::Send(head(b"2;")), Act::Endless(b"a".to_vec())]);
    not_http(
        "endless trailers",
        vec![Act::Send(head(b"0\r\n")), Act::Endless(b"A: b\r\n".to_vec())],
    );
}

#[test]
fn what_never_ends_is_ended() {
    let start = || send(b"HTTP/1.1 200 OK\r\n");
    not_http("endless header fields", vec![start(), Act::Endless(b"A: b\r\n".to_vec())]);
    not_http("an endless field", vec![start(), send(b"A: "), Act::Endless(b"b".to_vec())]);
    not_http(
        "endless interim answers",
        vec![Act::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
    );
    let chunked = send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    times_out("endless chunks", vec![chunked, Act::Endless(b"2\r\nok\r\n".to_vec())]);
    let length = send(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n");
    times_out("an endless body", vec![length, Act::Endless(b"x".to_vec())]);
    times_out("silence", vec![]);
    times_out("silence after a head", vec![start()]);
    times_out("a byte now and then", vec![Act::Drip(OK.to_vec(), Duration::from_millis(50))]);
}

#[test]
fn a_byte_at_a_time_is_an_answer() {
    for answer in [OK, CHUNKED] {
        is_ok("byte by byte", vec![Act::Drip(answer.to_vec(), Duration::ZERO)]);
    }
    let interim = [b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n".repeat(16).as_slice(), OK].concat();
    is_ok("sixteen interim answers", vec![Act::Send(interim)]);
}

#[test]
fn what_is_not_http_is_called_so() {
    for garbage in [
        "SSH-2.0-test\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "\0\0\0\0",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n : b\r\n\r\n",
    ] {
        not_http(garbage, vec![Act::Send(garbage.as_bytes().to_vec())]);
    }
    broken_off("nothing", vec![Act::Close]);
    broken_off("a reset", vec![Act::Reset]);
}

#[test]
fn a_server_that_closes_or_speaks_at_accept_changes_nothing_but_outcomes() {
    for arrivals in [Arrivals::Constant, CLOSED] {
        let seen = load(serve(true, |_| vec![Act::Close]), arrivals, LONG, REQUESTS);
        assert_eq!(seen.ledger.transport_error, REQUESTS, "{:?}", seen.causes);
        let seen = load(serve(true, |_| vec![Act::Reset]), arrivals, LONG, REQUESTS);
        assert_eq!(seen.ledger.transport_error, REQUESTS, "{:?}", seen.causes);
        // Garbage before the request is not its answer, however early it came.
        let seen = load(serve(true, |_| vec![send(b"\0garbage")]), arrivals, LONG, REQUESTS);
        assert_eq!(seen.ledger.transport_error, REQUESTS, "{:?}", seen.causes);
        assert_eq!(seen.cause(Cause::BadResponse), REQUESTS, "{:?}", seen.causes);
    }
}

/// Any of it, by a seed; a third of the answers are right.
fn something(seed: u64, index: u64) -> Vec<Act> {
    let mut random = stream(seed, "hostile", index);
    let mut below = |n: u64| random.next_u64() % n;
    let answer = [OK, CHUNKED, TO_THE_END][below(3) as usize];
    let part = answer[..below(answer.len() as u64) as usize].to_vec();
    match below(9) {
        0..=2 => vec![send(OK)],
        3 => vec![Act::Send(part), Act::Close],
        4 => vec![Act::Send(part), Act::Reset],
        5 => vec![Act::Send(part)],
        6 => vec![Act::Endless(b"A: b\r\n".to_vec())],
        7 => vec![Act::Send([OK, &part].concat())],
        _ => vec![Act::Wait(Duration::from_millis(below(40))), send(answer), Act::Close],
    }
}

#[test]
fn everything_at_once_leaves_a_closed_ledger() {
    const MANY: u64 = 300;
    for seed in 1..=2 {
        for arrivals in [Arrivals::Poisson, CLOSED] {
            let address = serve(false, move |i| something(seed, i));
            let seen = load(address, arrivals, SHORT, MANY);
            let told = format!("seed {seed}, {arrivals:?}: {:?} {:?}", seen.ledger, seen.causes);
            assert_eq!(seen.ledger.planned, MANY, "{told}");
            assert_eq!(seen.ledger.http_error, 0, "no server said so: {told}");
            assert!(seen.ledger.ok > 0 && seen.ledger.transport_error > 0, "{told}");
        }
    }
}
