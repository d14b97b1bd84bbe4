use super::cache::{Lookup, jittered, may_fill};
use super::database::{DatabaseError, Question};
use super::fakes::{Data, FakeCache, FakeDatabase, eventually, node};
use super::store::{Found, Source, StoreError, Write};
use super::*;
use crate::base::{Nanos, clock};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// An app with its neighbours, without sockets of its own.
struct Setting {
    node: Node,
    service: Arc<Service>,
    cache: Arc<FakeCache>,
    databases: Vec<Arc<FakeDatabase>>,
}

/// `n` database nodes, the first of which leads.
async fn setting(n: usize) -> Setting {
    setting_with(n, |_| ()).await
}

async fn setting_with(n: usize, change: impl Fn(&mut crate::target::AppSettings)) -> Setting {
    let data = Arc::new(Mutex::new(Data::default()));
    let cache = FakeCache::start().await;
    let mut databases = Vec::new();
    for i in 1..=n {
        let name = format!("database-{i}");
        databases.push(FakeDatabase::start(&name, Some("database-1"), &data).await);
    }
    let mut peers: Vec<_> = databases.iter().map(|d| d.peer()).collect();
    peers.push(cache.peer());
    let mut plan = fakes::plan(peers);
    plan.settings.app.database_deadline = Nanos::from_millis(300);
    plan.settings.app.marker_ttl = Nanos::from_millis(400);
    change(&mut plan.settings.app);
    let node = Node::new(plan);
    let service = build(&node);
    let link = service.store.caches[0].clone();
    eventually("the line to the cache", || link.is_up()).await;
    Setting { node, service, cache, databases }
}

impl Setting {
    async fn read(&self, id: u32) -> Result<Found, StoreError> {
        self.service.store.read(&format!("video:{id}"), &format!("/videos/{id}")).await
    }

    async fn like(&self, id: &str, video: u32) -> Result<u64, StoreError> {
        let write = Write { id: id.to_string(), kind: "like", video, text: String::new() };
        self.service.store.write(write).await
    }

    fn count(&self, name: &'static str) -> u64 {
        self.node.counter(name).get()
    }
}

fn version(found: &Found) -> u64 {
    serde_json::from_slice::<serde_json::Value>(&found.body).unwrap()["version"].as_u64().unwrap()
}

#[test]
fn a_fill_is_sent_only_in_the_first_half_of_a_markers_life() {
    let ttl = Nanos::from_millis(400);
    for (began, now, expected) in [(0, 0, true), (0, 199, true), (0, 200, false), (50, 249, true)] {
        let (began, now) = (Nanos::from_millis(began), Nanos::from_millis(now));
        assert_eq!(may_fill(began, now, ttl), expected, "{began} {now}");
    }
    let lives = [0, u64::MAX / 2, u64::MAX].map(|word| jittered(Nanos::from_secs(10), word));
    assert_eq!(lives[0], Nanos::from_secs(9));
    assert!(lives.iter().all(|l| *l <= Nanos::from_secs(11)), "{lives:?}");
}

#[tokio::test]
async fn a_miss_fills_and_the_next_read_hits() {
    let s = setting(3).await;
    assert_eq!(s.read(7).await.unwrap().source, Source::Miss);
    assert!(s.cache.value("video:7").unwrap().starts_with('{'));
    let found = s.read(7).await.unwrap();
    assert_eq!((found.source, version(&found)), (Source::Hit, 0));
    assert_eq!((s.count("cache_misses"), s.count("cache_hits")), (1, 1));
}

#[tokio::test]
async fn a_lagging_replica_cannot_put_the_old_value_back() {
    let s = setting(2).await;
    s.read(7).await.unwrap();
    for database in &s.databases {
        *database.lagging.lock().unwrap() = Some(0);
    }
    assert_eq!(s.like("00000000000000aa", 7).await.unwrap(), 1);
    assert!(s.cache.value("video:7").unwrap().starts_with('!'));
    // While the marker stands the leader is asked, and a fill does not replace it.
    let found = s.read(7).await.unwrap();
    assert_eq!((found.source, version(&found)), (Source::Leader, 1));
    let link = &s.service.store.caches[0];
    link.fill("video:7", b"{old}", Nanos::from_secs(9)).await;
    assert_eq!(link.get("video:7").await, Lookup::Marker);
    assert_eq!((s.count("invalidations"), s.count("invalidation_failed")), (1, 0));
}

#[tokio::test]
async fn a_slow_read_that_began_before_a_write_is_not_filled() {
    let s = setting(2).await;
    for database in &s.databases {
        *database.delay.lock().unwrap() = Duration::from_millis(250);
    }
    let service = s.service.clone();
    let slow = tokio::spawn(async move { service.store.read("video:7", "/videos/7").await });
    eventually("the read is under way", || {
        s.databases.iter().map(|d| d.reads.load(SeqCst)).sum::<u32>() > 0
    })
    .await;
    s.like("00000000000000ab", 7).await.unwrap();
    // The marker vanishes early, as after a restart of the cache: the age alone must prevent the fill.
    s.cache.entries.lock().unwrap().clear();
    assert_eq!(version(&slow.await.unwrap().unwrap()), 0);
    assert_eq!(s.cache.value("video:7"), None);
}

#[tokio::test]
async fn misses_of_one_key_collapse_and_one_retries_when_the_fetch_fails() {
    let s = setting(1).await;
    let database = &s.databases[0];
    *database.delay.lock().unwrap() = Duration::from_millis(150);
    database.failures.store(1, SeqCst);
    let reads: Vec<_> = (0..10)
        .map(|_| {
            let service = s.service.clone();
            tokio::spawn(async move { service.store.read("video:3", "/videos/3").await.is_ok() })
        })
        .collect();
    let mut ok = 0;
    for read in reads {
        ok += u32::from(read.await.unwrap());
    }
    assert_eq!(ok, 9, "the fetcher itself fails, the others get the second fetch");
    assert_eq!(database.reads.load(SeqCst), 2);
    assert!(s.count("collapsed") >= 9);
}

#[tokio::test]
async fn without_stampede_protection_each_miss_is_a_fetch_of_its_own() {
    let s = setting_with(1, |app| app.stampede_protection = false).await;
    let database = &s.databases[0];
    *database.delay.lock().unwrap() = Duration::from_millis(100);
    let reads: Vec<_> = (0..10)
        .map(|_| {
            let service = s.service.clone();
            tokio::spawn(async move { service.store.read("video:3", "/videos/3").await.is_ok() })
        })
        .collect();
    for read in reads {
        assert!(read.await.unwrap());
    }
    assert_eq!((database.reads.load(SeqCst), s.count("collapsed")), (10, 0));
    assert_eq!(s.read(3).await.unwrap().source, Source::Hit, "the cache is filled all the same");
}

#[tokio::test]
async fn a_fetcher_that_hangs_up_leaves_the_fetch_to_a_waiter() {
    let s = setting(1).await;
    *s.databases[0].delay.lock().unwrap() = Duration::from_millis(40);
    let spawn = || {
        let service = s.service.clone();
        tokio::spawn(async move { service.store.read("video:3", "/videos/3").await })
    };
    let first = spawn();
    eventually("the first fetches", || s.databases[0].reads.load(SeqCst) == 1).await;
    let second = spawn();
    eventually("the second waits", || s.count("collapsed") == 1).await;
    first.abort();
    assert_eq!(second.await.unwrap().unwrap().source, Source::Miss);
    assert_eq!(s.databases[0].reads.load(SeqCst), 2);
}

#[tokio::test]
async fn a_frozen_cache_costs_one_deadline_and_owes_its_invalidations() {
    let s = setting(1).await;
    s.read(7).await.unwrap();
    s.cache.is_frozen.store(true, SeqCst);
    let began = clock::now();
    assert_eq!(s.read(7).await.unwrap().source, Source::Bypass);
    let first = clock::now() - began;
    assert!(first < Nanos::from_millis(290), "{first}: cache_deadline is 100 ms");
    let began = clock::now();
    assert_eq!(s.read(7).await.unwrap().source, Source::Bypass);
    assert!(clock::now() - began < Nanos::from_millis(90), "a closed line must not be waited for");
    assert_eq!(s.like("00000000000000ac", 7).await.unwrap(), 1);
    assert_eq!(s.count("invalidation_failed"), 1);
    s.cache.is_frozen.store(false, SeqCst);
    let link = s.service.store.caches[0].clone();
    eventually("the line is mended", || link.is_up()).await;
    assert!(s.cache.value("video:7").unwrap().starts_with('!'), "what was owed has been sent");
    assert_eq!(version(&s.read(7).await.unwrap()), 1);
}

#[tokio::test]
async fn a_write_finds_the_leader_by_roles_and_by_hints() {
    let s = setting(3).await;
    assert_eq!(s.like("00000000000000ad", 1).await.unwrap(), 1);
    // The old leader steps down and names the new one.
    for database in &s.databases {
        database.follow(Some("database-3"));
    }
    let calls = s.count("database_calls");
    assert_eq!(s.like("00000000000000ae", 1).await.unwrap(), 2);
    assert_eq!(s.count("database_calls") - calls, 2, "one redirect, one write");
    // Nobody knows a leader: the write waits for one.
    for database in &s.databases {
        database.follow(None);
    }
    let service = s.service.clone();
    let id = "00000000000000af".to_string();
    let write = Write { id, kind: "like", video: 1, text: String::new() };
    let waiting = tokio::spawn(async move { service.store.write(write).await });
    let seen = s.count("database_calls");
    eventually("the write was refused", || s.count("database_calls") > seen).await;
    s.databases[1].follow(Some("database-2"));
    assert_eq!(waiting.await.unwrap().unwrap(), 3);
}

#[tokio::test]
async fn a_write_outlasts_a_frozen_leader() {
    let s = setting(3).await;
    s.like("00000000000000ba", 1).await.unwrap();
    s.databases[0].is_frozen.store(true, SeqCst);
    // The replicas still name the frozen one until they hold their election.
    let service = s.service.clone();
    let id = "00000000000000bb".to_string();
    let write = Write { id, kind: "like", video: 1, text: String::new() };
    let waiting = tokio::spawn(async move { service.store.write(write).await });
    tokio::time::sleep(Duration::from_millis(350)).await;
    let calls = s.count("database_calls");
    for database in &s.databases[1..] {
        database.follow(Some("database-2"));
    }
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
    assert_eq!(s.count("database_calls") - calls, 1, "the frozen one was not asked again");
    // And reads go round it.
    for id in 20..26 {
        s.read(id).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_applied_once() {
    let s = setting(1).await;
    s.databases[0].loses_answer.store(true, SeqCst);
    assert_eq!(s.like("00000000000000bc", 1).await.unwrap(), 1);
    assert_eq!(s.databases[0].data.lock().unwrap().versions[&1], 1);
}

#[tokio::test]
async fn an_unconfirmed_write_is_unknown_and_a_refused_one_is_not_done() {
    let s = setting(1).await;
    s.databases[0].is_frozen.store(true, SeqCst);
    let unknown = s.like("00000000000000bd", 1).await.unwrap_err();
    assert_eq!(unknown, StoreError::Database(DatabaseError::Unknown));
    assert!(s.cache.value("video:1").unwrap().starts_with('!'), "it may have been committed");
    s.databases[0].is_frozen.store(false, SeqCst);
    s.databases[0].follow(None);
    let refused = s.like("00000000000000be", 2).await.unwrap_err();
    assert!(matches!(refused, StoreError::Database(DatabaseError::NotDone(_))), "{refused}");
    assert_eq!(s.cache.value("video:2"), None);
}

#[tokio::test]
async fn database_calls_at_once_are_bounded() {
    let s = setting_with(1, |app| app.database_in_flight = 1).await;
    s.databases[0].is_frozen.store(true, SeqCst);
    let database = s.service.store.database.clone();
    let until = clock::now() + Nanos::from_millis(900);
    let ask = || {
        let database = database.clone();
        let question = Question::get("/videos/1".to_string());
        tokio::spawn(async move { database.ask_any(&question, until).await })
    };
    let both = [ask(), ask(), ask()];
    let mut errors = Vec::new();
    for one in both {
        errors.push(one.await.unwrap().unwrap_err());
    }
    let crowded = DatabaseError::NotDone("too many database calls at once");
    assert!(errors.contains(&crowded), "{errors:?}");
}

#[tokio::test]
async fn without_a_cache_everything_works_on_one_database() {
    let data = Arc::new(Mutex::new(Data::default()));
    let database = FakeDatabase::start("database-1", Some("database-1"), &data).await;
    let service = build(&node(vec![database.peer()]));
    let write = |id: &str| {
        let id = id.to_string();
        service.store.write(Write { id, kind: "like", video: 5, text: String::new() })
    };
    assert_eq!(write("00000000000000ca").await.unwrap(), 1);
    let found = service.store.read("video:5", "/videos/5").await.unwrap();
    assert_eq!((found.source, version(&found)), (Source::Bypass, 1));
}

#[tokio::test]
async fn prefill_puts_the_hottest_into_the_cache() {
    let s = setting_with(2, |app| app.prefill = 20).await;
    assert_eq!(prefill::prefill(&s.service.store, 100).await, 30);
    assert!(s.cache.value("video:20").unwrap().contains("\"id\":20"));
    assert!(s.cache.value("feed:10").is_some());
    assert_eq!(s.read(20).await.unwrap().source, Source::Hit);
}

#[tokio::test]
async fn over_http_statuses_headers_and_admission() {
    let s = setting_with(1, |app| app.max_in_flight = 1).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = s.service.clone();
    tokio::spawn(crate::stack::http::serve(listener, move |request| {
        let service = service.clone();
        async move { service.handle(request).await }
    }));
    let client = crate::stack::http::Client::new();
    let call = async |method: Method, path: &str, key: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("idempotency-key", key);
        let request = request.body(Full::new(body.to_string().into())).unwrap();
        client.call(address, request, Duration::from_secs(3)).await.unwrap()
    };
    let key = "00000000000000da";
    let (get, post) = (Method::GET, Method::POST);
    let video = call(get.clone(), "/api/videos/9", key, "").await;
    assert_eq!(video.status(), StatusCode::OK);
    assert_eq!(
        (&video.headers()["x-cache"], &video.headers()["x-version"]),
        (&"miss".parse().unwrap(), &"0".parse().unwrap())
    );
    let timing = video.headers()["server-timing"].to_str().unwrap().to_string();
    assert!(timing.contains("app;dur=") && timing.contains("cache;desc=miss, db;dur="), "{timing}");
    let comment = call(post.clone(), "/api/videos/9/comments", key, "{\"text\":\"hi\"}").await;
    assert_eq!(comment.body(), "{\"id\":\"00000000000000da\",\"version\":1}");
    for (method, path, key, body, status) in [
        (&post, "/api/videos/9/likes", "short", "", 400),
        (&post, "/api/videos/9/comments", key, "x", 400),
        (&get, "/api/videos/0", key, "", 400),
        (&get, "/api/videos/10001", key, "", 404),
        (&get, "/api/videos/1/likes", key, "", 405),
        (&get, "/static/style.css", key, "", 200),
        (&get, "/static/none", key, "", 404),
        (&get, "/api/feed?page=2", key, "", 200),
        (&get, "/healthz", key, "", 200),
    ] {
        let answer = call(method.clone(), path, key, body).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
    *s.databases[0].delay.lock().unwrap() = Duration::from_millis(100);
    let (one, other) = tokio::join!(
        call(get.clone(), "/api/videos/11", key, ""),
        call(get.clone(), "/api/videos/12", key, "")
    );
    let rejected = if one.status() == StatusCode::OK { other } else { one };
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejected.headers()["retry-after"], "1");
    assert_eq!((s.count("rejected"), s.count("in_flight")), (1, 0));
}

/// `cargo test --release --lib -- --ignored --nocapture app_overhead`: CPU of the service thread for
/// each request, without the calibrated work.
#[test]
#[ignore = "a measurement"]
fn app_overhead() {
    let neighbours = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (cache, database) = neighbours.block_on(async {
        let data = Arc::new(Mutex::new(Data::default()));
        let database = FakeDatabase::start("database-1", Some("database-1"), &data).await;
        (FakeCache::start().await, database)
    });
    let app = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        app.block_on(async move {
            let service = build(&node(vec![cache.peer(), database.peer()]));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let handle = tokio::runtime::Handle::current();
            tell.send((listener.local_addr().unwrap(), handle)).unwrap();
            crate::stack::http::serve(listener, move |request| {
                let service = service.clone();
                async move { service.handle(request).await }
            })
            .await;
        });
    });
    let (address, handle) = told.recv().unwrap();
    let cpu = || handle.block_on(handle.spawn(async { clock::thread_cpu() })).unwrap();
    let client = crate::stack::http::Client::new();
    for (what, method, path) in [
        ("hit", Method::GET, "/api/videos/1"),
        ("asset", Method::GET, "/static/thumb-1.jpg"),
        ("write", Method::POST, "/api/videos/2/likes"),
    ] {
        const N: u32 = 4000;
        let run = async |n: u32| {
            for i in 0..n {
                let request = Request::builder().method(&method).uri(path);
                let request = request.header("idempotency-key", format!("{i:016x}"));
                let request = request.body(Full::default()).unwrap();
                let answer = client.call(address, request, Duration::from_secs(3)).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
            }
        };
        neighbours.block_on(run(200));
        let before = cpu();
        neighbours.block_on(run(N));
        let each = Nanos((cpu() - before).0 / u64::from(N));
        println!("{what}: {each} of CPU per request");
        assert!(each < Nanos::from_millis(1), "{each}");
    }
    let before = cpu();
    std::thread::sleep(Duration::from_secs(1));
    println!("idle: {} of CPU per second", cpu() - before);
}

/// The role as a process runs it: heartbeats to the balancer from the start, and health.
#[tokio::test]
async fn an_app_that_starts_sends_heartbeats() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let balancer = listener.local_addr().unwrap();
    let beats = Arc::new(Mutex::new(Vec::<String>::new()));
    let heard = beats.clone();
    tokio::spawn(crate::stack::http::serve(listener, move |request: Request<_>| {
        let heard = heard.clone();
        async move {
            let path = request.uri().path().to_string();
            let body = crate::stack::http::read_body(request.into_body()).await.unwrap();
            heard.lock().unwrap().push(format!("{path} {}", String::from_utf8_lossy(&body)));
            crate::stack::node::text(StatusCode::NO_CONTENT, "")
        }
    }));
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut plan = fakes::plan(vec![fakes::peer("balancer-1", Role::Balancer, balancer, balancer)]);
    (plan.listen, plan.admin) = (free(), free());
    plan.settings.app.heartbeat = Nanos::from_millis(20);
    let service = plan.listen;
    std::thread::spawn(move || crate::stack::serve(plan));
    eventually("three heartbeats", || beats.lock().unwrap().len() >= 3).await;
    let expected = r#"/heartbeat {"name":"app-2","in_flight":0,"draining":false}"#;
    assert_eq!(beats.lock().unwrap()[0], expected);
    let request = Request::builder().uri("/healthz").body(Full::default()).unwrap();
    let client = crate::stack::http::Client::new();
    let health = client.call(service, request, Duration::from_secs(1)).await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
}
