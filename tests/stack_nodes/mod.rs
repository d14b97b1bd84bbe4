//! Nodes of the stack as real processes, and a small blocking HTTP client, for tests.
#![allow(dead_code)]

use brunt::plan::{NodePlan, Peer};
use brunt::target::{Role, Settings};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One process of the stack; killed on drop.
pub struct Process {
    pub plan: NodePlan,
    child: Child,
    pidfd: OwnedFd,
    /// Its events, as JSON lines, in order.
    pub events: Arc<Mutex<Vec<Value>>>,
}

impl Process {
    pub fn start(plan: &NodePlan) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brunt"))
            .args(["serve", plan.role.name()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = serde_json::to_vec(plan).unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), events.clone());
        let name = plan.name.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(event) => sink.lock().unwrap().push(event),
                    Err(_) => eprintln!("{name}: {line}"),
                }
            }
        });
        Process { plan: plan.clone(), child, pidfd, events }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn stop(&self) {
        pidfd_send_signal(&self.pidfd, Signal::STOP).unwrap();
    }

    pub fn resume(&self) {
        pidfd_send_signal(&self.pidfd, Signal::CONT).unwrap();
    }

    pub fn saw(&self, event: &str) -> Option<Value> {
        self.events.lock().unwrap().iter().rfind(|e| e["event"] == event).cloned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plans of `count` nodes that know each other, on loopback addresses of their own.
pub fn plans(role: Role, count: u8, folder: &Path, settings: &Settings) -> Vec<NodePlan> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let word = std::process::id().wrapping_mul(37) + NEXT.fetch_add(1, Ordering::Relaxed);
    let (a, b) = (64 + (word >> 8) as u8 % 60, word as u8);
    let address = |n: u8, port| SocketAddr::from(([127, a, b, 10 + n], port));
    let name = |n: u8| format!("{}-{}", role.name(), n + 1);
    (0..count)
        .map(|n| NodePlan {
            start: brunt::plan::StartPlan::Bundled,
            name: name(n),
            role,
            server: name(n),
            region: "eu".into(),
            listen: address(n, 7480),
            admin: address(n, 7481),
            peers: (0..count)
                .filter(|p| *p != n)
                .map(|p| Peer {
                    name: name(p),
                    role,
                    region: "eu".into(),
                    dial: address(p, 7480),
                    dial_admin: address(p, 7481),
                })
                .collect(),
            data_folder: Some(folder.join(name(n))),
            threads: 1,
            iterations_per_ms: 0.0,
            seed: u64::from(word),
            settings: settings.clone(),
        })
        .collect()
}

/// One call on a connection of its own; `None` when there was no complete answer in time.
pub fn call(to: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let wait = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&to, wait).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// Polls until the condition gives a value.
pub fn wait_for<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < end, "not within {bound:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
