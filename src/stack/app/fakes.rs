//! What the app's tests talk to instead of a real cache and a real database.

use crate::plan::{NodePlan, Peer};
use crate::stack::node::Node;
use crate::target::{Role, Settings};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub fn plan(peers: Vec<Peer>) -> NodePlan {
    NodePlan {
        start: crate::plan::StartPlan::Bundled,
        name: "app-2".to_string(),
        role: Role::App,
        server: "app-2".to_string(),
        region: "eu".to_string(),
        listen: "127.0.0.1:0".parse().unwrap(),
        admin: "127.0.0.1:0".parse().unwrap(),
        peers,
        data_folder: None,
        threads: 1,
        iterations_per_ms: 1.0,
        seed: 1,
        settings: Settings::default(),
    }
}

pub fn node(peers: Vec<Peer>) -> Node {
    Node::new(plan(peers))
}

pub fn peer(name: &str, role: Role, dial: SocketAddr, dial_admin: SocketAddr) -> Peer {
    Peer { name: name.to_string(), role, region: "eu".to_string(), dial, dial_admin }
}

/// Waits until it is so, at most five seconds.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < end, "not within 5 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Versions by video, shared by the nodes of one fake database.
#[derive(Default)]
pub struct Data {
    pub versions: HashMap<u64, u64>,
    pub ids: HashMap<String, u64>,
}

/// One node of a fake database: as much of the protocol as the tests need.
pub struct FakeDatabase {
    pub name: String,
    pub data: Arc<Mutex<Data>>,
    /// Who leads, as far as this node knows.
    pub leader: Mutex<Option<String>>,
    /// Accepts and does not answer.
    pub is_frozen: AtomicBool,
    /// Commits the next write and answers 504.
    pub loses_answer: AtomicBool,
    /// Answers reads with what it has seen when this was set.
    pub lagging: Mutex<Option<u64>>,
    pub delay: Mutex<Duration>,
    pub reads: AtomicU32,
    pub failures: AtomicU32,
    pub service: SocketAddr,
    pub admin: SocketAddr,
}

impl FakeDatabase {
    pub async fn start(name: &str, leader: Option<&str>, data: &Arc<Mutex<Data>>) -> Arc<Self> {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Arc::new(FakeDatabase {
            name: name.to_string(),
            data: data.clone(),
            leader: Mutex::new(leader.map(str::to_string)),
            is_frozen: AtomicBool::new(false),
            loses_answer: AtomicBool::new(false),
            lagging: Mutex::new(None),
            delay: Mutex::new(Duration::ZERO),
            reads: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            service: service.local_addr().unwrap(),
            admin: admin.local_addr().unwrap(),
        });
        for (listener, is_admin) in [(service, false), (admin, true)] {
            let fake = fake.clone();
            tokio::spawn(crate::stack::http::serve(listener, move |request| {
                let fake = fake.clone();
                async move {
                    match fake.is_frozen.load(SeqCst) {
                        true => std::future::pending().await,
                        false if is_admin => fake.role(),
                        false => fake.answer(request).await,
                    }
                }
            }));
        }
        fake
    }

    pub fn peer(&self) -> Peer {
        peer(&self.name, Role::Database, self.service, self.admin)
    }

    pub fn follow(&self, leader: Option<&str>) {
        *self.leader.lock().unwrap() = leader.map(str::to_string);
    }

    fn role(&self) -> Response<Full<Bytes>> {
        let leader = self.leader.lock().unwrap().clone();
        let role = if leader.as_ref() == Some(&self.name) { "leader" } else { "replica" };
        reply(200, serde_json::json!({"role": role, "leader": leader, "term": 1, "applied": 0}))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let delay = *self.delay.lock().unwrap();
        let leads = self.leader.lock().unwrap().as_ref() == Some(&self.name);
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or("").to_string();
        let needs_leader = head.method == http::Method::POST || query.contains("at=leader");
        if needs_leader && !leads {
            return reply(421, serde_json::json!({"leader": *self.leader.lock().unwrap()}));
        }
        if head.method == http::Method::POST {
            let body = body.collect().await.unwrap().to_bytes();
            return self.write(&serde_json::from_slice(&body).unwrap());
        }
        self.reads.fetch_add(1, SeqCst);
        let failing = self.failures.load(SeqCst);
        if failing > 0 {
            tokio::time::sleep(delay).await;
            self.failures.store(failing - 1, SeqCst);
            return reply(503, serde_json::json!({}));
        }
        let answer = self.read(head.uri.path(), needs_leader);
        tokio::time::sleep(delay).await;
        answer
    }

    fn write(&self, write: &serde_json::Value) -> Response<Full<Bytes>> {
        let mut data = self.data.lock().unwrap();
        let id = write["id"].as_str().unwrap().to_string();
        let video = write["video"].as_u64().unwrap();
        let known = data.ids.get(&id).copied();
        let version = known.unwrap_or_else(|| {
            let version = data.versions.entry(video).or_default();
            *version += 1;
            *version
        });
        data.ids.insert(id, version);
        match self.loses_answer.swap(false, SeqCst) {
            true => reply(504, serde_json::json!({})),
            false => {
                reply(200, serde_json::json!({"version": version, "duplicate": known.is_some()}))
            }
        }
    }

    fn read(&self, path: &str, is_exact: bool) -> Response<Full<Bytes>> {
        if path == "/videos" {
            let videos: Vec<_> = (1..=20).map(|id| video(id, 0)).collect();
            return reply(200, serde_json::json!({ "videos": videos }));
        }
        if path == "/feed" {
            return reply(200, serde_json::json!({"page": 1, "videos": []}));
        }
        let id: u64 = path.strip_prefix("/videos/").unwrap().parse().unwrap();
        let current = self.data.lock().unwrap().versions.get(&id).copied().unwrap_or(0);
        let version = match *self.lagging.lock().unwrap() {
            Some(seen) if !is_exact => seen,
            _ => current,
        };
        reply(200, video(id, version))
    }
}

fn video(id: u64, version: u64) -> serde_json::Value {
    serde_json::json!({"id": id, "title": "t", "likes": version, "comments": 0, "version": version})
}

fn reply(status: u16, value: serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(value.to_string().into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A cache that speaks as much RESP2 as the app needs.
pub struct FakeCache {
    pub entries: Mutex<HashMap<String, (Vec<u8>, Instant)>>,
    pub is_frozen: AtomicBool,
    pub address: SocketAddr,
}

impl FakeCache {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Arc::new(FakeCache {
            entries: Mutex::default(),
            is_frozen: AtomicBool::new(false),
            address: listener.local_addr().unwrap(),
        });
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().converse(stream));
            }
        });
        fake
    }

    pub fn peer(&self) -> Peer {
        peer("cache-1", Role::Cache, self.address, self.address)
    }

    /// What the key holds now, as text.
    pub fn value(&self, key: &str) -> Option<String> {
        let entries = self.entries.lock().unwrap();
        let (value, until) = entries.get(key)?;
        (*until > Instant::now()).then(|| String::from_utf8(value.clone()).unwrap())
    }

    async fn converse(self: Arc<Self>, mut stream: TcpStream) {
        let (from, mut to) = stream.split();
        let mut from = BufReader::new(from);
        while let Some(words) = command(&mut from).await {
            while self.is_frozen.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let answer = self.execute(&words);
            if to.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    fn execute(&self, words: &[Vec<u8>]) -> Vec<u8> {
        let word = |i: usize| String::from_utf8_lossy(&words[i]).to_string();
        match word(0).as_str() {
            "PING" => b"+PONG\r\n".to_vec(),
            "GET" => match self.value(&word(1)) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()).into_bytes(),
                None => b"$-1\r\n".to_vec(),
            },
            "SET" => {
                let options: Vec<String> = (3..words.len()).map(word).collect();
                let is_fill = options.contains(&"NX".to_string());
                if is_fill && self.value(&word(1)).is_some() {
                    return b"$-1\r\n".to_vec();
                }
                let at = options.iter().position(|o| o == "PX").unwrap();
                let life = Duration::from_millis(options[at + 1].parse().unwrap());
                let entry = (words[2].clone(), Instant::now() + life);
                self.entries.lock().unwrap().insert(word(1), entry);
                b"+OK\r\n".to_vec()
            }
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }
}

/// One RESP array of bulk strings.
async fn command(from: &mut BufReader<tokio::net::tcp::ReadHalf<'_>>) -> Option<Vec<Vec<u8>>> {
    let n = length(from, '*').await?;
    let mut words = Vec::new();
    for _ in 0..n {
        let mut word = vec![0; length(from, '$').await? + 2];
        from.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}

async fn length(from: &mut BufReader<tokio::net::tcp::ReadHalf<'_>>, sign: char) -> Option<usize> {
    let mut line = String::new();
    from.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}
