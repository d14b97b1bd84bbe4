//! Faults inside the bundled nodes, as they are seen from outside: real processes, real sockets.

mod stack_nodes;

use brunt::plan::{NodePlan, Peer};
use brunt::stack::faults::{MISSING_BYTES, rule::is_for};
use brunt::target::{Role, Settings};
use serde_json::{Value, json};
use stack_nodes::{Process, call, plans, wait_for};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(15);
const DELAY: Duration = Duration::from_millis(50);
const HOLD: &str = "gray@x-1>y:1";
const HOLD_IN_PATH: &str = "gray%40x-1%3Ey%3A1";

/// An answer as it came in: how many bytes were promised, which came, and whether the end did.
#[derive(Debug)]
struct Seen {
    status: u16,
    promised: u64,
    body: Vec<u8>,
    has_ended: bool,
    took: Duration,
}

/// One request on a connection that is to be kept.
fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> Seen {
    let began = Instant::now();
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "no head: {head}");
    }
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1).expect("a length");
    let promised = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = Vec::new();
    reader.by_ref().take(promised).read_to_end(&mut body).unwrap();
    Seen {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        promised,
        // A kept promise ends with its last byte, a broken one with the connection.
        has_ended: (body.len() as u64) < promised,
        body,
        took: began.elapsed(),
    }
}

/// A node under test and what to ask it for.
struct Subject {
    node: Process,
    others: Vec<Process>,
    path: &'static str,
    _folder: tempfile::TempDir,
}

impl Subject {
    fn start(role: Role) -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let plan = |role| plan(role, folder.path());
        let mut own = plan(role);
        let (path, neighbour) = match role {
            Role::App => ("/static/app.js", None),
            Role::Directory => ("/edges?region=eu", None),
            Role::Database => ("/videos/1", None),
            Role::Balancer | Role::Cdn => ("/static/app.js", Some(plan(Role::App))),
            Role::Cache => ("", None),
            Role::Service(name) => unreachable!("{name:?} is not a role of the bundled stack"),
        };
        let mut others = Vec::new();
        if let Some(mut app) = neighbour {
            own.peers = vec![peer(&app)];
            if role == Role::Balancer {
                app.peers = vec![peer(&own)];
            }
            others.push(Process::start(&app));
        }
        let node = Process::start(&own);
        let subject = Subject { node, others, path, _folder: folder };
        wait_for("the admin side", LONG, || subject.is_healthy().then_some(()));
        if role == Role::Cache {
            wait_for("the cache", LONG, || TcpStream::connect(subject.node.plan.listen).ok());
        } else {
            wait_for("a good answer", LONG, || {
                let (status, _) = call(subject.node.plan.listen, "GET", path, "")?;
                (status == 200).then_some(())
            });
        }
        subject
    }

    fn ask(&self) -> Seen {
        ask(self.node.plan.listen, "GET", self.path, "")
    }

    fn put_as(&self, hold: &str, rule: &Value) -> (u16, Value) {
        let path = format!("/faults/{hold}");
        call(self.node.plan.admin, "PUT", &path, &rule.to_string()).unwrap()
    }

    fn put(&self, rule: Value) {
        assert_eq!(self.put_as(HOLD_IN_PATH, &rule).0, 200, "{rule}");
        let listed = self.admin("GET", "/faults");
        assert_eq!((&listed[0]["hold"], &listed[0]["rule"]), (&json!(HOLD), &rule));
    }

    /// Takes the rule off, and what it did.
    fn delete(&self) -> String {
        let proof = self.delete_as(HOLD_IN_PATH);
        assert_eq!(self.admin("GET", "/faults"), json!([]));
        assert_eq!(self.delete_as(HOLD_IN_PATH), "", "it is not there any more");
        proof
    }

    fn delete_as(&self, hold: &str) -> String {
        let answer = self.admin("DELETE", &format!("/faults/{hold}"));
        answer["proof"].as_str().unwrap().to_string()
    }

    fn admin(&self, method: &str, path: &str) -> Value {
        let (status, body) = call(self.node.plan.admin, method, path, "").unwrap();
        assert_eq!(status, 200, "{path}");
        body
    }

    fn is_healthy(&self) -> bool {
        call(self.node.plan.admin, "GET", "/healthz", "").is_some_and(|(status, _)| status == 200)
    }

    /// How many of the first `n` a rule of this share is for.
    fn expected(&self, hold: &str, n: u64, share: f64) -> u64 {
        let (seed, name) = (self.node.plan.seed, &self.node.plan.name);
        (0..n).filter(|i| is_for(seed, name, hold, *i, share)).count() as u64
    }
}

fn plan(role: Role, folder: &Path) -> NodePlan {
    let mut plan = plans(role, 1, folder, &Settings::default()).remove(0);
    // As measured on some machine: the work that a request costs is not what is looked at here.
    plan.iterations_per_ms = 1.0;
    plan
}

fn peer(plan: &NodePlan) -> Peer {
    Peer {
        name: plan.name.clone(),
        role: plan.role,
        region: plan.region.clone(),
        dial: plan.listen,
        dial_admin: plan.admin,
    }
}

const HTTP_ROLES: [Role; 5] =
    [Role::App, Role::Balancer, Role::Cdn, Role::Directory, Role::Database];

fn each(check: impl Fn(Role, &Subject)) {
    for role in HTTP_ROLES {
        check(role, &Subject::start(role));
    }
}

/// Each fault at one role, one after the other: there with its rule, gone without it.
#[test]
fn every_role_fails_late_and_short_while_it_looks_well() {
    each(|role, subject| {
        let good = subject.ask();
        assert_eq!((good.status, good.has_ended), (200, false), "{role:?}");

        subject.put(json!({"rule":"errors","share":1.0,"status":500}));
        for _ in 0..5 {
            assert_eq!(subject.ask().status, 500, "{role:?}");
        }
        assert!(subject.is_healthy(), "{role:?}");
        assert_eq!(subject.delete(), "answered 5 of 5 requests with 500", "{role:?}");
        assert_eq!(subject.ask().status, 200, "{role:?}");

        let delay = DELAY.as_nanos() as u64;
        subject.put(json!({"rule":"delay","share":1.0,"delay":delay,"jitter":0}));
        for _ in 0..3 {
            let seen = subject.ask();
            assert_eq!(seen.status, 200, "{role:?}");
            assert!(seen.took >= DELAY, "{role:?}: {:?}", seen.took);
        }
        assert!(subject.is_healthy(), "{role:?}");
        assert_eq!(subject.delete(), "delayed 3 of 3 answers by 50ms", "{role:?}");
        let after = subject.ask();
        eprintln!(
            "{role:?}: {:?} before, {:?} after the delay was taken off",
            good.took, after.took
        );

        subject.put(json!({"rule":"wrong-length","share":1.0}));
        for _ in 0..3 {
            let seen = subject.ask();
            assert!(seen.has_ended, "{role:?}: {seen:?}");
            assert_eq!(seen.promised, seen.body.len() as u64 + MISSING_BYTES, "{role:?}");
            assert!(seen.body.len() > 1, "{role:?}: something came");
        }
        assert!(subject.is_healthy(), "{role:?}");
        let proof = subject.delete();
        assert_eq!(proof, "3 of 3 answers promised 64 bytes that did not come", "{role:?}");
        assert!(!subject.ask().has_ended, "{role:?}");
        assert!(subject.others.iter().all(|o| call(o.plan.admin, "GET", "/healthz", "").is_some()));
    });
}

#[test]
fn a_share_is_drawn_from_the_seed_and_exact() {
    const N: u64 = 200;
    let subject = Subject::start(Role::Directory);
    let expected = subject.expected(HOLD, N, 0.5);
    assert!((60..140).contains(&expected), "{expected}: no share of a half");
    for rule in [
        json!({"rule":"errors","share":0.5,"status":503}),
        json!({"rule":"delay","share":0.5,"delay":1_000_000,"jitter":500_000}),
        json!({"rule":"wrong-length","share":0.5}),
    ] {
        subject.put(rule.clone());
        // Four at once: who comes first does not change how many are hit.
        let hit: u64 = std::thread::scope(|scope| {
            let some = || (0..N / 4).filter(|_| is_hit(&subject.ask())).count() as u64;
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let proof = subject.delete();
        assert!(proof.contains(&format!("{expected} of {N} ")), "{rule}: {proof}");
        if rule["rule"] != "delay" {
            assert_eq!(hit, expected, "{rule}");
        }
    }
}

fn is_hit(seen: &Seen) -> bool {
    seen.status != 200 || seen.has_ended
}

#[test]
fn several_rules_compose_and_are_undone_independently() {
    let subject = Subject::start(Role::App);
    let ms = |n: u64| n * 1_000_000;
    let put = |hold: &str, rule: Value| assert_eq!(subject.put_as(hold, &rule).0, 200);
    put("a", json!({"rule":"delay","share":1.0,"delay":ms(50),"jitter":0}));
    put("b", json!({"rule":"delay","share":1.0,"delay":ms(70),"jitter":0}));
    put("c", json!({"rule":"errors","share":0.5,"status":500}));
    put("d", json!({"rule":"errors","share":1.0,"status":503}));
    put("e", json!({"rule":"wrong-length","share":1.0}));
    let all: Vec<Seen> = (0..8).map(|_| subject.ask()).collect();
    let of_c = subject.expected("c", 8, 0.5) as usize;
    assert_eq!(all.iter().filter(|s| s.status == 500).count(), of_c);
    assert_eq!(all.iter().filter(|s| s.status == 503).count(), 8 - of_c, "any draw is an error");
    assert!(all.iter().all(|s| s.took >= Duration::from_millis(120)), "delays add up");
    assert!(all.iter().all(|s| s.has_ended), "an error is an answer with a length");

    // The same rule again changes nothing; another one in its place begins anew.
    let again = subject.put_as("c", &json!({"rule":"errors","share":0.5,"status":500}));
    assert_eq!(again.1["proof"], "in force already");
    assert_eq!(subject.delete_as("c"), format!("answered {of_c} of 8 requests with 500"));
    assert_eq!(subject.delete_as("a"), "delayed 8 of 8 answers by 50ms");
    let seen = subject.ask();
    assert_eq!((seen.status, seen.has_ended), (503, true));
    assert!(seen.took >= Duration::from_millis(70), "{:?}", seen.took);
    let of_d = 9 - of_c;
    assert_eq!(subject.delete_as("d"), format!("answered {of_d} of 9 requests with 503"));
    let seen = subject.ask();
    assert_eq!((seen.status, seen.has_ended), (200, true));
    assert!(subject.delete_as("e").starts_with("10 of 10 answers"));
    assert_eq!(subject.ask().body, seen.body, "the whole body came with the broken promise");
    assert!(subject.delete_as("b").starts_with("delayed 11 of 11 "));
    assert_eq!(subject.admin("GET", "/faults"), json!([]));
}

#[test]
fn what_waits_is_let_go_when_its_rule_is_taken_off() {
    const HOUR: u64 = 3_600_000_000_000;
    for role in [Role::App, Role::Balancer] {
        let subject = Subject::start(role);
        subject.put(json!({"rule":"delay","share":1.0,"delay":HOUR,"jitter":0}));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| subject.ask());
            wait_for("the answer to wait", LONG, || {
                let did = subject.admin("GET", "/faults")[0]["did"].to_string();
                did.contains("delayed 1 of 1").then_some(())
            });
            assert!(subject.is_healthy());
            assert_eq!(subject.delete(), "delayed 1 of 1 answers by 3600s");
            assert_eq!(waiting.join().unwrap().status, 200, "{role:?}");
        });
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_write() {
    let subject = Subject::start(Role::App);
    let refused = |body: &str| {
        let (status, said) = call(subject.node.plan.admin, "PUT", "/faults/x", body).unwrap();
        assert_eq!(status, 400, "{body}: {said}");
        said["error"].as_str().unwrap().to_string()
    };
    let error = refused(r#"{"rule":"errors","share":1.0}"#);
    assert!(error.contains("missing field `status`"), "{error}");
    assert!(error.contains(r#"write {"rule":"errors","share":0.5,"status":503}"#), "{error}");
    let error = refused(r#"{"rule":"slow-sync","delay":20000000}"#);
    assert!(error.contains("app-1 keeps nothing on disk"), "{error}");
    let (status, said) = call(subject.node.plan.admin, "PUT", "/faults", "{}").unwrap();
    assert_eq!(
        (status, said["error"].as_str()),
        (400, Some("put a rule under an id: PUT /faults/ID"))
    );
    assert_eq!(subject.admin("GET", "/faults"), json!([]));
    assert_eq!(subject.ask().status, 200);
}

#[test]
fn a_slow_sync_is_added_to_each_write_and_only_to_writes() {
    let subject = Subject::start(Role::Database);
    let to = subject.node.plan.listen;
    let write = |id: u64| {
        let body = json!({"id":format!("{id:016x}"),"kind":"like","video":1,"text":""});
        ask(to, "POST", "/writes", &body.to_string())
    };
    wait_for("a leader", LONG, || (write(1).status == 200).then_some(()));
    let counter = |name| subject.admin("GET", "/counters")[name].as_u64().unwrap();
    assert_eq!(counter("fsync_added_ms"), 0);

    subject.put(json!({"rule":"slow-sync","delay":DELAY.as_nanos() as u64}));
    for id in 2..7 {
        let seen = write(id);
        assert_eq!(seen.status, 200);
        assert!(seen.took >= DELAY, "{:?}", seen.took);
    }
    assert_eq!(subject.ask().status, 200);
    assert!(subject.is_healthy());
    let proof = subject.delete();
    let syncs: u64 = proof.split(' ').next().unwrap().parse().expect("a number of syncs");
    assert!(syncs >= 5 && proof.ends_with("syncs to disk took 50ms longer"), "{proof}");
    let added = counter("fsync_added_ms");
    assert!(added >= 50 * 5, "{added}");
    assert_eq!(write(7).status, 200);
    assert_eq!(counter("fsync_added_ms"), added, "gone with its rule");

    // An hour of sleep ends with its rule.
    subject.put(json!({"rule":"slow-sync","delay":3_600_000_000_000u64}));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let seen = write(8);
            is_over.store(true, Ordering::SeqCst);
            seen
        });
        wait_for("the sync to wait", LONG, || {
            let did = subject.admin("GET", "/faults")[0]["did"].to_string();
            did.contains("1 syncs").then_some(())
        });
        assert!(!is_over.load(Ordering::SeqCst));
        subject.delete();
        waiting.join().unwrap();
    });
    wait_for("a write as before", LONG, || (write(9).status == 200).then_some(()));
}

/// A connection to the cache, by hand.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn connect(subject: &Subject) -> Redis {
        let stream = TcpStream::connect(subject.node.plan.listen).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Redis(BufReader::new(stream))
    }

    fn send(&mut self, commands: &str) {
        self.0.get_mut().write_all(commands.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n"));
        self.line()
    }
}

#[test]
fn a_cache_answers_with_errors_late_and_short() {
    let subject = Subject::start(Role::Cache);
    let mut redis = Redis::connect(&subject);
    assert_eq!(redis.ask("SET k value"), "+OK");

    subject.put(json!({"rule":"errors","share":0.5,"status":503}));
    let answers: Vec<String> = (0..100).map(|i| redis.ask(&format!("SET n {i}"))).collect();
    let errors = answers.iter().filter(|a| a.starts_with("-ERR a fault asked")).count() as u64;
    assert_eq!(errors, subject.expected(HOLD, 100, 0.5));
    assert_eq!(answers.iter().filter(|a| *a == "+OK").count() as u64, 100 - errors);
    assert!(subject.is_healthy());
    assert_eq!(subject.delete(), format!("answered {errors} of 100 requests with 503"));
    let done = answers.iter().rposition(|a| a == "+OK").unwrap();
    assert_eq!(redis.ask("GET n"), format!("${}", done.to_string().len()));
    assert_eq!(redis.line(), done.to_string(), "what got an error was not done");

    subject.put(json!({"rule":"delay","share":1.0,"delay":DELAY.as_nanos() as u64,"jitter":0}));
    let began = Instant::now();
    assert_eq!(redis.ask("PING"), "+PONG");
    assert!(began.elapsed() >= DELAY, "{:?}", began.elapsed());
    // Each of a pipeline waits by itself, and they keep their order.
    let began = Instant::now();
    redis.send(&(0..100).map(|i| format!("ECHO {i}\r\n")).collect::<String>());
    for i in 0..100 {
        assert_eq!(
            (redis.line(), redis.line()),
            (format!("${}", i.to_string().len()), i.to_string())
        );
    }
    let took = began.elapsed();
    assert!(took >= DELAY, "{took:?}");
    eprintln!("100 commands of one pipeline, each {DELAY:?} later: {took:?}");
    assert_eq!(subject.delete(), "delayed 101 of 101 answers by 50ms");
    assert_eq!(redis.ask("PING"), "+PONG");

    subject.put(json!({"rule":"wrong-length","share":1.0}));
    assert_eq!(redis.ask("SET k value"), "+OK", "it promises no length");
    redis.send("GET k\r\n");
    let mut rest = Vec::new();
    redis.0.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"$69\r\nvalue", "64 bytes too many, then the end");
    assert!(subject.is_healthy());
    assert!(subject.delete().starts_with("1 of 1 answers"));
    let mut redis = Redis::connect(&subject);
    assert_eq!((redis.ask("GET k"), redis.line()), ("$5".into(), "value".into()));
}

/// What is put behind a gray app: heartbeats go on, so only its answers can tell.
#[test]
fn a_balancer_sees_a_gray_member_by_its_answers_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut balancer = plan(Role::Balancer, folder.path());
    // Long enough to look at it.
    balancer.settings.balancer.ejection = brunt::base::Nanos::from_secs(3);
    let mut apps = plans(Role::App, 2, folder.path(), &Settings::default());
    balancer.peers = apps.iter().map(peer).collect();
    for app in &mut apps {
        app.iterations_per_ms = 1.0;
        app.peers = vec![peer(&balancer)];
    }
    let failures = u64::from(balancer.settings.balancer.failures);
    let _apps: Vec<Process> = apps.iter().map(Process::start).collect();
    let front = Process::start(&balancer);
    let members = || call(balancer.admin, "GET", "/members", "").unwrap_or((0, Value::Null)).1;
    let state = |i: usize| members()[i]["state"].as_str().unwrap_or("").to_string();
    wait_for("two members", LONG, || (state(0) == "up" && state(1) == "up").then_some(()));

    let rule = json!({"rule":"errors","share":1.0,"status":500}).to_string();
    assert_eq!(call(apps[0].admin, "PUT", "/faults/gray", &rule).unwrap().0, 200);
    let status = || ask(balancer.listen, "GET", "/static/app.js", "").status;
    let mut failed = 0;
    for _ in 0..40 {
        failed += u64::from(status() == 500);
        if failed == failures {
            break;
        }
    }
    assert_eq!(failed, failures, "it had its turns");
    wait_for("the ejection", LONG, || {
        (front.saw("member_down").is_some() || state(0) == "ejected").then_some(())
    });
    // Who is still ejected after an answer was so before it.
    let mut in_its_place = 0;
    for _ in 0..10 {
        let status = status();
        if state(0) != "ejected" {
            break;
        }
        assert_eq!(status, 200, "{}", members());
        in_its_place += 1;
    }
    eprintln!("{in_its_place} of 10 requests were answered before the ejection was over");
    assert_eq!(call(apps[0].admin, "GET", "/healthz", "").unwrap().0, 200);
    call(apps[0].admin, "DELETE", "/faults/gray", "").unwrap();
    wait_for("the member to be back", LONG, || (state(0) == "up").then_some(()));
}
