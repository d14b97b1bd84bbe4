//! The whole role in this process, between plain sockets: clients and members are written by hand.

use crate::base::Nanos;
use crate::plan::{NodePlan, Peer};
use crate::stack::node::Node;
use crate::target::{Algorithm, BalancerSettings, Role, Settings};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// A gate that members can be made to wait at.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let is_open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(is_open, PATIENCE, |open| !*open).unwrap());
    }
}

/// What a member does with a request it has read.
#[derive(Clone)]
enum Does {
    Answers(&'static str),
    AnswersAfter(Gate, &'static str),
    AnswersAndCloses(&'static str),
    BreaksOff,
    Echoes,
}

const OK: Does = Does::Answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

struct FakeMember {
    address: SocketAddr,
    served: Arc<AtomicU32>,
    closed: Arc<AtomicU32>,
}

fn member(does: Does) -> FakeMember {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let fake = FakeMember { address, served: Arc::default(), closed: Arc::default() };
    let (served, closed) = (fake.served.clone(), fake.closed.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (does, served, closed) = (does.clone(), served.clone(), closed.clone());
            std::thread::spawn(move || {
                serve_connection(stream, &does, &served);
                closed.fetch_add(1, SeqCst);
            });
        }
    });
    fake
}

/// An address where nobody listens.
fn nobody() -> FakeMember {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    FakeMember { address, served: Arc::default(), closed: Arc::default() }
}

fn serve_connection(stream: TcpStream, does: &Does, served: &AtomicU32) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((head, body)) = read_message(&mut reader, false) {
        served.fetch_add(1, SeqCst);
        let answer = match does {
            Does::Answers(text) => text.to_string(),
            Does::AnswersAfter(gate, text) => {
                gate.wait();
                text.to_string()
            }
            Does::AnswersAndCloses(text) => {
                let _ = writer.write_all(text.as_bytes());
                return;
            }
            Does::BreaksOff => return,
            Does::Echoes => {
                let all = format!("{head}{}", String::from_utf8(body).unwrap());
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{all}", all.len())
            }
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Head and body of a message by `Content-Length`, chunked coding, or up to the end.
fn read_message(reader: &mut impl BufRead, to_the_end: bool) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut body = Vec::new();
    let lower = head.to_lowercase();
    if to_the_end {
        reader.read_to_end(&mut body).ok()?;
    } else if let Some(length) = lower.split("content-length: ").nth(1) {
        body.resize(length.split("\r\n").next()?.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some((head, body))
}

struct Stand {
    service: SocketAddr,
    admin: SocketAddr,
    beating: Vec<Arc<AtomicBool>>,
}

/// A balancer in front of these members, which beat five times as often as they must.
fn stand(members: &[&FakeMember], tweak: impl FnOnce(&mut BalancerSettings, &mut u32)) -> Stand {
    let stand = stand_without_beats(members, tweak);
    for (index, is_beating) in stand.beating.iter().enumerate() {
        let (admin, is_beating) = (stand.admin, is_beating.clone());
        assert_eq!(beat(admin, index, false), 204);
        std::thread::spawn(move || {
            while is_beating.load(SeqCst) {
                beat(admin, index, false);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }
    stand
}

fn stand_without_beats(
    members: &[&FakeMember],
    tweak: impl FnOnce(&mut BalancerSettings, &mut u32),
) -> Stand {
    static STANDS: AtomicU32 = AtomicU32::new(1);
    let (process, stand) = (std::process::id(), STANDS.fetch_add(1, SeqCst));
    let host = format!("127.{}.{}.{stand}", 64 + process / 256 % 128, process % 256);
    let (service, admin) =
        (format!("{host}:8080").parse().unwrap(), format!("{host}:8081").parse().unwrap());
    let mut threads = 1;
    let mut settings = Settings::default();
    settings.balancer.algorithm = Algorithm::RoundRobin;
    settings.balancer.heartbeat = Nanos::from_millis(100);
    tweak(&mut settings.balancer, &mut threads);
    let node = Node::new(plan(service, admin, members, threads, settings));
    std::thread::spawn(move || super::serve(node).unwrap());
    until("the balancer listens", || {
        TcpStream::connect(service).is_ok() && TcpStream::connect(admin).is_ok()
    });
    let beating = members.iter().map(|_| Arc::new(AtomicBool::new(true))).collect();
    Stand { service, admin, beating }
}

fn plan(
    listen: SocketAddr,
    admin: SocketAddr,
    members: &[&FakeMember],
    threads: u32,
    settings: Settings,
) -> NodePlan {
    let peer = |(index, member): (usize, &&FakeMember)| Peer {
        name: format!("app-{index}"),
        role: Role::App,
        region: String::new(),
        dial: member.address,
        dial_admin: member.address,
    };
    NodePlan {
        start: crate::plan::StartPlan::Bundled,
        name: "balancer-1".into(),
        role: Role::Balancer,
        server: "balancer".into(),
        region: String::new(),
        listen,
        admin,
        peers: members.iter().enumerate().map(peer).collect(),
        data_folder: None,
        threads,
        iterations_per_ms: 1.0,
        seed: 1,
        settings,
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.beating.iter().for_each(|b| b.store(false, SeqCst));
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An answer: status, head, body.
struct Got {
    status: u16,
    head: String,
    body: String,
    took: Duration,
}

fn send(address: SocketAddr, request: &str) -> Got {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (head, body) =
        read_message(&mut BufReader::new(stream), true).expect("an answer with a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Got { status, head, body: String::from_utf8(body).unwrap(), took: started.elapsed() }
}

fn get(address: SocketAddr, path: &str) -> Got {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"))
}

fn post(address: SocketAddr, path: &str, body: &str) -> Got {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n");
    send(address, &format!("{head}Content-Length: {length}\r\n\r\n{body}"))
}

fn get_later(address: SocketAddr) -> JoinHandle<Got> {
    std::thread::spawn(move || get(address, "/"))
}

fn beat(admin: SocketAddr, index: usize, draining: bool) -> u16 {
    let body = format!(r#"{{"name":"app-{index}","in_flight":0,"draining":{draining}}}"#);
    post(admin, "/heartbeat", &body).status
}

fn counter(stand: &Stand, name: &str) -> u64 {
    let all: serde_json::Value = serde_json::from_str(&get(stand.admin, "/counters").body).unwrap();
    all[name].as_u64().unwrap()
}

fn state(stand: &Stand, index: usize) -> String {
    let all: serde_json::Value = serde_json::from_str(&get(stand.admin, "/members").body).unwrap();
    all[index]["state"].as_str().unwrap().to_string()
}

fn is_refusal(got: &Got) -> bool {
    got.status == 503 && got.head.to_lowercase().contains("retry-after: 1")
}

#[test]
fn nobody_gets_a_request_before_the_first_heartbeat() {
    let app = member(OK);
    let stand = stand_without_beats(&[&app], |_, _| ());
    assert!(is_refusal(&get(stand.service, "/")));
    assert_eq!(app.served.load(SeqCst), 0);
    assert_eq!(beat(stand.admin, 7, false), 404);
    assert_eq!(beat(stand.admin, 0, false), 204);
    assert_eq!(get(stand.service, "/").status, 200);
}

#[test]
fn a_refused_connection_is_retried_elsewhere_and_the_member_ejected() {
    let (dead, alive) = (nobody(), member(OK));
    let stand = stand(&[&dead, &alive], |_, _| ());
    for _ in 0..6 {
        assert_eq!(get(stand.service, "/").status, 200);
        assert_eq!(post(stand.service, "/", "x").status, 200);
    }
    assert_eq!(state(&stand, 0), "ejected");
    assert_eq!(counter(&stand, "retries"), 5);
    assert_eq!(counter(&stand, "ejections"), 1);
    assert_eq!(state(&stand, 1), "up");
}

#[test]
fn what_was_sent_is_retried_only_when_it_is_idempotent() {
    let (breaks, alive) = (member(Does::BreaksOff), member(OK));
    let stand = stand(&[&breaks, &alive], |s, _| s.failures = 100);
    let statuses: Vec<_> = (0..4).map(|_| post(stand.service, "/", "x").status).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
    assert_eq!((breaks.served.load(SeqCst), alive.served.load(SeqCst)), (2, 2));
    assert_eq!(counter(&stand, "retries"), 0);
    for _ in 0..4 {
        assert_eq!(get(stand.service, "/").status, 200);
    }
    // A retry takes the other's turn, so each of the four meets the broken one first.
    assert_eq!((breaks.served.load(SeqCst), alive.served.load(SeqCst)), (6, 6));
    assert_eq!(counter(&stand, "retries"), 4);
}

#[test]
fn a_full_queue_refuses_and_a_place_in_it_is_kept() {
    let gate = Gate::default();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let app = member(Does::AnswersAfter(gate.clone(), answer));
    let stand = stand(&[&app], |s, _| {
        (s.max_in_flight, s.queue) = (1, 1);
        s.queue_timeout = Nanos::from_secs(4);
    });
    let first = get_later(stand.service);
    until("the first is under way", || app.served.load(SeqCst) == 1);
    let second = get_later(stand.service);
    until("the second waits", || counter(&stand, "queued") == 1);
    assert!(is_refusal(&get(stand.service, "/")));
    assert_eq!(counter(&stand, "queue_full"), 1);
    gate.open();
    assert_eq!((first.join().unwrap().status, second.join().unwrap().status), (200, 200));
}

#[test]
fn waiting_in_the_queue_has_an_end() {
    let gate = Gate::default();
    let app = member(Does::AnswersAfter(gate.clone(), "HTTP/1.1 204 No\r\n\r\n"));
    let stand = stand(&[&app], |s, _| {
        s.max_in_flight = 1;
        s.queue_timeout = Nanos::from_millis(60);
    });
    let first = get_later(stand.service);
    until("the first is under way", || app.served.load(SeqCst) == 1);
    let second = get(stand.service, "/");
    assert!(is_refusal(&second));
    assert!(second.took >= Duration::from_millis(60), "{:?}", second.took);
    assert_eq!(counter(&stand, "queue_timeouts"), 1);
    gate.open();
    assert_eq!(first.join().unwrap().status, 204);
}

#[test]
fn a_draining_member_finishes_and_gets_nothing_new() {
    let gate = Gate::default();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (leaving, staying) = (member(Does::AnswersAfter(gate.clone(), answer)), member(OK));
    let stand = stand(&[&leaving, &staying], |_, _| ());
    let held = get_later(stand.service);
    until("it is under way", || leaving.served.load(SeqCst) == 1);
    stand.beating[0].store(false, SeqCst);
    until("it drains", || {
        beat(stand.admin, 0, true);
        state(&stand, 0) == "draining"
    });
    for _ in 0..4 {
        assert_eq!(get(stand.service, "/").status, 200);
    }
    assert_eq!((leaving.served.load(SeqCst), staying.served.load(SeqCst)), (1, 4));
    gate.open();
    assert_eq!(held.join().unwrap().body, "ok");
}

#[test]
fn requests_at_a_member_that_falls_silent_do_not_hang() {
    let (frozen, alive) = (member(Does::AnswersAfter(Gate::default(), "")), member(OK));
    let stand = stand(&[&frozen, &alive], |_, _| ());
    let reads: Vec<_> = (0..6).map(|_| get_later(stand.service)).collect();
    until("half of them are at the frozen one", || {
        frozen.served.load(SeqCst) == 3 && alive.served.load(SeqCst) == 3
    });
    let (address, writes) = (stand.service, 2);
    let writes: Vec<_> =
        (0..writes).map(|_| std::thread::spawn(move || post(address, "/", "x").status)).collect();
    until("one write is, too", || frozen.served.load(SeqCst) == 4);
    stand.beating[0].store(false, SeqCst);
    for read in reads {
        let got = read.join().unwrap();
        assert_eq!(got.status, 200);
        // Missed three times 100 ms; far below the response timeout of 5 s.
        assert!(got.took < Duration::from_millis(2500), "{:?}", got.took);
    }
    let mut statuses: Vec<_> = writes.into_iter().map(|w| w.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
    assert_eq!(state(&stand, 0), "silent");
    assert_eq!(counter(&stand, "lost_by_silence"), 4);
}

#[test]
fn a_member_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let slow = member(Does::AnswersAfter(Gate::default(), ""));
    let stand = stand(&[&slow], |s, _| s.response_timeout = Nanos::from_millis(80));
    assert_eq!(get(stand.service, "/").status, 504);
}

#[test]
fn requests_and_answers_pass_with_the_headers_of_a_proxy() {
    let app = member(Does::Echoes);
    let stand = stand(&[&app], |_, threads| *threads = 2);
    let body = "x".repeat(1_000_000);
    let got = post(stand.service, "/a?b=c", &body);
    assert_eq!(got.status, 200);
    let (head, echoed) = got.body.split_once("\r\n\r\n").unwrap();
    assert_eq!(echoed, body);
    assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    for field in ["host: b", "x-forwarded-for: 127.", "via: 1.1 brunt", "content-length: 1000000"] {
        assert!(head.contains(field), "{field} is not in {head}");
    }
    assert!(!head.contains("connection:"), "{head}");
    assert!(got.head.to_lowercase().contains("server-timing: balancer;dur="), "{}", got.head);
}

#[test]
fn chunked_answers_and_heads_pass() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let stand_chunked = stand(&[&member(Does::Answers(chunked))], |_, _| ());
    let got = get(stand_chunked.service, "/");
    assert!(got.head.to_lowercase().contains("transfer-encoding: chunked"), "{}", got.head);
    assert!(got.body.ends_with("0\r\n\r\n") && got.body.contains("abc"), "{}", got.body);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let stand_head = stand(&[&member(Does::Answers(head))], |_, _| ());
    let request = "HEAD / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let got = send(stand_head.service, request);
    assert!(got.head.to_lowercase().contains("content-length: 5"), "{}", got.head);
    assert_eq!(got.body, "");
}

#[test]
fn errors_eject_but_overload_does_not() {
    let overloaded = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let broken = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";
    let members = [member(Does::Answers(overloaded)), member(Does::Answers(broken)), member(OK)];
    let stand = stand(&members.each_ref(), |_, _| ());
    for _ in 0..15 {
        get(stand.service, "/");
    }
    let states: Vec<_> = (0..3).map(|index| state(&stand, index)).collect();
    assert_eq!(states, ["up", "ejected", "up"]);
}

#[test]
fn an_answer_cut_short_is_not_passed_off_as_whole() {
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let stand = stand(&[&member(Does::AnswersAndCloses(cut))], |_, _| ());
    let mut stream = TcpStream::connect(stand.service).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    let mut got = Vec::new();
    // The connection ends, in order or by a reset, without the last chunk.
    let _ = stream.read_to_end(&mut got);
    assert!(!String::from_utf8(got).unwrap().ends_with("0\r\n\r\n"));
}

#[test]
fn many_requests_at_once_on_one_connection_are_all_answered() {
    let stand = stand(&[&member(OK), &member(OK)], |_, _| ());
    let one = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(stand.service).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{}{last}", one.repeat(199)).as_bytes()).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 200);
}

#[test]
fn an_old_link_that_its_member_closed_is_replaced_unseen() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let app = member(Does::AnswersAndCloses(closing));
    let stand = stand(&[&app], |_, _| ());
    for served in 1..=20 {
        assert_eq!(post(stand.service, "/", "x").status, 200);
        until("the member closed it", || app.closed.load(SeqCst) == served);
    }
    assert_eq!(counter(&stand, "retries"), 0);
}
