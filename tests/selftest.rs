//! The known server, as a process.

use brunt::stack::known::{Counters, Ready, read_arrivals};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Known {
    child: Child,
    address: SocketAddr,
}

impl Known {
    fn start(flags: &[&str]) -> Known {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brunt"))
            .args(["serve", "known", "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Ready = serde_json::from_str(&line).unwrap();
        Known { child, address: ready.address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// The body of one of the server's own pages.
    fn page(&self, path: &str) -> Vec<u8> {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let head = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        all.split_off(head + 4)
    }

    fn counters(&self) -> Counters {
        serde_json::from_slice(&self.page("/counters")).unwrap()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request with this number and reads until the answer ends with `end`; what was read.
fn ask(stream: &mut TcpStream, id: u64, end: &str) -> String {
    write!(stream, "GET /{id:016x} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let mut piece = [0; 512];
    while !all.ends_with(end.as_bytes()) {
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => all.extend_from_slice(&piece[..n]),
            _ => break,
        }
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn answers_come_when_the_law_says_and_are_counted() {
    let known = Known::start(&["--service", "fixed:20ms", "--workers", "1"]);
    let (mut a, mut b) = (known.connect(), known.connect());
    let began = Instant::now();
    write!(b, "GET /{:016x} HTTP/1.1\r\n\r\n", 2).unwrap();
    assert!(ask(&mut a, 1, "ok").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(&mut a, 3, "ok").ends_with("ok"));
    // Two services at least: the second connection's request shares the one worker.
    assert!(began.elapsed() >= Duration::from_millis(40), "{:?}", began.elapsed());
    let counters = known.counters();
    assert_eq!((counters.requests, counters.answered), (3, 3));
    let mut ids: Vec<u64> = read_arrivals(&known.page("/arrivals")).iter().map(|a| a.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn closing_failing_and_dribbling_are_as_asked() {
    let dropping = Known::start(&["--drop", "1"]);
    assert_eq!(ask(&mut dropping.connect(), 1, "ok"), "");
    assert_eq!(dropping.counters().dropped, 1);
    let failing = Known::start(&["--error", "1"]);
    assert!(ask(&mut failing.connect(), 1, "no").starts_with("HTTP/1.1 500 "));
    assert_eq!(failing.counters().errors, 1);
    let slow = Known::start(&["--slow", "1:3x30ms", "--service", "fixed:1ms"]);
    let began = Instant::now();
    assert!(ask(&mut slow.connect(), 1, "...").contains("Content-Length: 3\r\n"));
    assert!(began.elapsed() >= Duration::from_millis(61), "{:?}", began.elapsed());
    assert_eq!((slow.counters().slowed, slow.counters().answered), (1, 1));
}

#[test]
fn a_stall_holds_answers_back() {
    let known = Known::start(&["--service", "fixed:1ms", "--stall", "150ms@0s"]);
    let began = Instant::now();
    ask(&mut known.connect(), 1, "ok");
    assert!(began.elapsed() >= Duration::from_millis(151), "{:?}", began.elapsed());
}
