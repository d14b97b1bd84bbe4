use super::*;
use crate::plan::{NodePlan, Peer};
use crate::stack::http::Client;
use crate::target::Settings;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What the origin does next, and what it has been asked.
struct Origin {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    delay: Duration,
    is_frozen: bool,
    asked: Vec<(Method, String, HeaderMap)>,
}

/// An edge in front of a fake origin, with a clock that stands unless it is moved.
struct Setting {
    node: Node,
    origin: Arc<Mutex<Origin>>,
    now: Arc<AtomicU64>,
    edge: SocketAddr,
    client: Client,
}

const CACHING: &str = "public, max-age=2, stale-while-revalidate=30, stale-if-error=60";

async fn setting(headers: &[(&'static str, &'static str)]) -> Setting {
    let state = Origin {
        status: 200,
        headers: headers.to_vec(),
        delay: Duration::ZERO,
        is_frozen: false,
        asked: Vec::new(),
    };
    let origin = Arc::new(Mutex::new(state));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = origin.clone();
    tokio::spawn(crate::stack::http::serve(listener, move |request| {
        let origin = serving.clone();
        async move { answer(&origin, request).await }
    }));
    let node = Node::new(plan(address));
    let now = Arc::new(AtomicU64::new(1_000_000 * Nanos::SECOND.0));
    let reading = now.clone();
    let edge = Edge::new(&node, Arc::new(move || Nanos(reading.load(SeqCst))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::stack::http::serve(listener, move |r| edge.clone().handle(r)));
    Setting { node, origin, now, edge: address, client: Client::new() }
}

async fn answer(
    origin: &Mutex<Origin>,
    request: Request<hyper::body::Incoming>,
) -> Response<Full<Bytes>> {
    let (delay, is_frozen) = {
        let mut origin = origin.lock().unwrap();
        let headers = request.headers().clone();
        origin.asked.push((request.method().clone(), request.uri().to_string(), headers));
        (origin.delay, origin.is_frozen)
    };
    if is_frozen {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(delay).await;
    let origin = origin.lock().unwrap();
    let mut response =
        Response::new(Full::new(Bytes::from(format!("body {}", origin.asked.len()))));
    let etag = origin.headers.iter().find(|(name, _)| *name == "etag").map(|(_, etag)| *etag);
    let asked_etag = request.headers().get("if-none-match").and_then(|v| v.to_str().ok());
    let is_known = origin.status == 200 && etag.is_some() && asked_etag == etag;
    *response.status_mut() = StatusCode::from_u16(origin.status).unwrap();
    if is_known {
        response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    for (name, value) in &origin.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn plan(origin: SocketAddr) -> NodePlan {
    let mut settings = Settings::default();
    settings.cdn.origin_deadline = Nanos::from_millis(300);
    settings.cdn.max_bytes = 64 * 1024;
    let address = "127.0.0.1:0".parse().unwrap();
    NodePlan {
        start: crate::plan::StartPlan::Bundled,
        name: "cdn-1".to_string(),
        role: Role::Cdn,
        server: "cdn-1".to_string(),
        region: "eu".to_string(),
        listen: address,
        admin: address,
        peers: vec![Peer {
            name: "app-1".to_string(),
            role: Role::App,
            region: "eu".to_string(),
            dial: origin,
            dial_admin: origin,
        }],
        data_folder: None,
        threads: 1,
        iterations_per_ms: 1.0,
        seed: 1,
        settings,
    }
}

impl Setting {
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        self.client.call(self.edge, request, Duration::from_secs(5)).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Method::GET, path, &[]).await
    }

    fn pass_seconds(&self, seconds: u64) {
        self.now.fetch_add(Nanos::from_secs(seconds).0, SeqCst);
    }

    fn asked(&self) -> usize {
        self.origin.lock().unwrap().asked.len()
    }

    fn change(&self, change: impl FnOnce(&mut Origin)) {
        change(&mut self.origin.lock().unwrap());
    }

    fn counts(&self) -> HashMap<&'static str, u64> {
        let names = ["cache_hits", "cache_misses", "revalidated", "stale_served", "collapsed"];
        names.into_iter().map(|name| (name, self.node.counter(name).get())).collect()
    }

    async fn until_asked(&self, n: usize) {
        self.until(|s| s.asked() >= n).await;
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !is_so(self) {
            assert!(Instant::now() < end, "{:?}", self.counts());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test]
async fn a_miss_is_stored_and_the_next_is_a_hit_with_its_age() {
    let s = setting(&[("cache-control", CACHING), ("etag", "\"a\"")]).await;
    let miss = s.get("/static/a").await;
    assert_eq!((miss.status(), header(&miss, "age")), (StatusCode::OK, "0"));
    assert_eq!(header(&miss, "cache-status"), "cdn-1; fwd=uri-miss; stored; ttl=2");
    s.pass_seconds(1);
    let hit = s.get("/static/a").await;
    assert_eq!((header(&hit, "age"), hit.body()), ("1", miss.body()));
    assert_eq!(header(&hit, "cache-status"), "cdn-1; hit; ttl=1");
    assert!(header(&hit, "server-timing").starts_with("cdn;dur="));
    let known = s.send(Method::GET, "/static/a", &[("if-none-match", "\"b\", W/\"a\"")]).await;
    assert_eq!((known.status(), known.body().len()), (StatusCode::NOT_MODIFIED, 0));
    let head = s.send(Method::HEAD, "/static/a", &[]).await;
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "6"));
    assert_eq!(s.asked(), 1);
    s.get("/static/a?v=2").await;
    assert_eq!(s.asked(), 2);
}

#[tokio::test]
async fn stale_while_revalidate_serves_at_once_and_renews_behind() {
    let s = setting(&[("cache-control", CACHING), ("etag", "\"a\"")]).await;
    s.get("/static/a").await;
    s.pass_seconds(10);
    let stale = s.get("/static/a").await;
    assert_eq!(header(&stale, "cache-status"), "cdn-1; hit; ttl=-8");
    s.until(|s| s.counts()["revalidated"] == 1).await;
    let asked = s.origin.lock().unwrap().asked[1].2.clone();
    assert_eq!(asked["if-none-match"], "\"a\"");
    let fresh = s.get("/static/a").await;
    assert_eq!(header(&fresh, "cache-status"), "cdn-1; hit; ttl=2");
    assert_eq!((fresh.body(), header(&fresh, "age")), (stale.body(), "0"));
    // Beyond the window the client waits for the origin.
    s.pass_seconds(33);
    let waited = s.get("/static/a").await;
    assert_eq!(header(&waited, "cache-status"), "cdn-1; fwd=stale; stored; ttl=2");
    assert_eq!((s.asked(), s.counts()["stale_served"]), (3, 1));
}

#[tokio::test]
async fn stale_if_error_bridges_a_failing_origin_and_ends() {
    let s = setting(&[("cache-control", CACHING), ("etag", "\"a\"")]).await;
    let body = s.get("/static/a").await.into_body();
    s.change(|origin| origin.status = 503);
    s.pass_seconds(50);
    let bridged = s.get("/static/a").await;
    assert_eq!((bridged.status(), bridged.body()), (StatusCode::OK, &body));
    let status = header(&bridged, "cache-status");
    assert!(status.contains("fwd-status=503; detail=stale-if-error"), "{status}");
    // The origin has just failed: it is left alone for a moment.
    assert_eq!(s.get("/static/a").await.status(), StatusCode::OK);
    assert_eq!(s.asked(), 2);
    s.pass_seconds(20);
    assert_eq!(s.get("/static/a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    s.change(|origin| origin.is_frozen = true);
    assert_eq!(s.get("/static/a").await.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn misses_at_once_become_one_fetch() {
    let s = Arc::new(setting(&[("cache-control", CACHING)]).await);
    s.change(|origin| origin.delay = Duration::from_millis(150));
    let spawn = || {
        let s = s.clone();
        tokio::spawn(async move { s.get("/static/a").await })
    };
    let first = spawn();
    s.until_asked(1).await;
    let others: Vec<_> = (0..9).map(|_| spawn()).collect();
    s.until(|s| s.counts()["collapsed"] == 9).await;
    // Who began the fetch hangs up; the others get it all the same.
    first.abort();
    for other in others {
        let other = other.await.unwrap();
        assert_eq!(header(&other, "cache-status"), "cdn-1; fwd=uri-miss; stored; collapsed; ttl=2");
    }
    assert_eq!(s.asked(), 1);
}

#[tokio::test]
async fn what_is_private_is_never_stored() {
    let caching = ("cache-control", CACHING);
    for (answer, request) in [
        (vec![caching], vec![("cookie", "a=b")]),
        (vec![caching], vec![("authorization", "x")]),
        (vec![caching, ("set-cookie", "a=b")], vec![]),
        (vec![("cache-control", "no-store")], vec![]),
        (vec![("cache-control", "private, max-age=9")], vec![]),
        (vec![], vec![]),
    ] {
        let s = setting(&answer).await;
        for n in 1..=3 {
            let response = s.send(Method::GET, "/api/feed", &request).await;
            assert_eq!(response.body(), &format!("body {n}"), "{answer:?} {request:?}");
            assert_eq!(response.headers().get("age"), None);
        }
    }
}

#[tokio::test]
async fn clients_can_insist_and_writes_drop_what_they_change() {
    let s = setting(&[("cache-control", CACHING), ("vary", "accept-encoding")]).await;
    s.get("/a").await;
    let forced = s.send(Method::GET, "/a", &[("cache-control", "no-cache")]).await;
    assert!(header(&forced, "cache-status").contains("fwd=request; stored"));
    let other = s.send(Method::GET, "/a", &[("accept-encoding", "br")]).await;
    assert!(header(&other, "cache-status").contains("fwd=vary-miss; stored"));
    let write = s.send(Method::POST, "/a", &[("cookie", "a=b")]).await;
    assert_eq!(header(&write, "cache-status"), "cdn-1; fwd=method; fwd-status=200");
    let again = s.send(Method::GET, "/a", &[("accept-encoding", "br")]).await;
    assert!(header(&again, "cache-status").contains("fwd=uri-miss"));
    assert_eq!(s.asked(), 5);
}

#[tokio::test]
async fn a_silent_origin_costs_its_deadline_and_a_missing_one_nothing() {
    let s = setting(&[("cache-control", CACHING)]).await;
    s.change(|origin| origin.is_frozen = true);
    let began = clock::now();
    assert_eq!(s.get("/a").await.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(clock::now() - began < Nanos::SECOND);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let edge = Edge::new(&Node::new(plan(gone)), steady_wall_clock());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::stack::http::serve(listener, move |r| edge.clone().handle(r)));
    let request = Request::builder().uri("/a").body(Full::default()).unwrap();
    let answer = s.client.call(address, request, Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The roles as processes run them: both announce themselves, and the directory names the edge.
#[tokio::test]
async fn an_edge_that_starts_is_named_by_the_directory() {
    let mut of_directory = plan(free_address());
    of_directory.role = Role::Directory;
    of_directory.name = "directory-1".to_string();
    (of_directory.listen, of_directory.admin) = (free_address(), free_address());
    let mut of_edge = plan(free_address());
    (of_edge.listen, of_edge.admin) = (free_address(), free_address());
    of_edge.peers.push(Peer {
        name: "directory-1".to_string(),
        role: Role::Directory,
        region: "eu".to_string(),
        dial: of_directory.listen,
        dial_admin: of_directory.admin,
    });
    let (directory, edge_admin) = (of_directory.listen, of_edge.admin);
    for plan in [of_directory, of_edge] {
        std::thread::spawn(move || crate::stack::serve(plan));
    }
    let client = Client::new();
    let ask = async |address: SocketAddr, path: &str| {
        let request = Request::builder().uri(path).body(Full::default()).unwrap();
        client.call(address, request, Duration::from_secs(1)).await.ok()
    };
    let expected = r#"{"edges":[{"name":"cdn-1","region":"eu"}],"ttl_ms":1000}"#;
    let end = Instant::now() + Duration::from_secs(5);
    while ask(directory, "/edges?region=eu").await.is_none_or(|a| a.body() != expected) {
        assert!(Instant::now() < end, "the directory does not name the edge");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(edge_admin, "/healthz").await.unwrap().status(), StatusCode::OK);
}
