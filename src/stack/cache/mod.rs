//! The cache role: in memory, RESP2, so that ordinary Redis clients talk to it. Nothing is kept over
//! a restart.

mod commands;
mod late;
mod store;

use super::faults::Faults;
use super::node::{Counter, Node, NodeError, no_pages, run_sides, serve_admin};
use crate::record::NodeEventKind;
use crate::wire::resp::{Value, take_command};
use bytes::BytesMut;
use commands::{Commands, Then};
use late::Late;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once; a further one waits in the backlog.
const CONNECTIONS_MAX: usize = 1024;
/// Answers of a pipeline are sent when they are so large, and when no command is left to read.
const SEND_BYTES: usize = 64 * 1024;
/// A buffer larger than this is given back once it is empty.
const KEEP_BYTES: usize = 256 * 1024;
/// How often entries whose time is over are thrown away.
const TIDY: Duration = Duration::from_millis(500);

/// Runs this node until the process ends.
///
/// # Errors
/// When it cannot start.
pub fn serve(node: Node) -> Result<(), NodeError> {
    let commands = Arc::new(open(&node));
    node.set_healthy(false);
    let service = run_service(node.clone(), commands.clone());
    let control = run_control(node.clone(), commands);
    run_sides(&node, service, control)
}

fn open(node: &Node) -> Commands {
    let max_bytes = node.plan().settings.cache.max_bytes;
    Commands {
        store: Store::new(max_bytes, node.counter("evictions")),
        hits: node.counter("cache_hits"),
        misses: node.counter("cache_misses"),
        requests: node.counter("requests"),
        entries: node.counter("entries"),
    }
}

async fn run_control(node: Node, commands: Arc<Commands>) -> Result<(), NodeError> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(TIDY).await;
            commands.tidy();
        }
    });
    serve_admin(node, no_pages()).await
}

async fn run_service(node: Node, commands: Arc<Commands>) -> Result<(), NodeError> {
    let listener = super::http::listen(&node, node.plan().listen)?;
    node.set_healthy(true);
    node.emit(NodeEventKind::Ready);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = node.counter("connections");
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the slots are never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let commands = commands.clone();
                let (node, connections) = (node.clone(), connections.clone());
                tokio::spawn(async move { hold(stream, commands, node, connections, slot).await });
            }
            // Out of descriptors, or the peer gave up: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn hold(
    stream: TcpStream,
    commands: Arc<Commands>,
    node: Node,
    connections: Counter,
    _slot: OwnedSemaphorePermit,
) {
    connections.add(1);
    // A connection that breaks off is its client's affair.
    let _ = talk(stream, &commands, node.faults()).await;
    connections.subtract(1);
}

/// Answers commands in order until the client leaves or cannot be understood.
async fn talk(mut stream: TcpStream, commands: &Commands, faults: &Faults) -> std::io::Result<()> {
    let mut input = BytesMut::with_capacity(4096);
    let mut output = BytesMut::with_capacity(4096);
    let mut late = Late::default();
    let mut has_left = false;
    loop {
        while late.has_room() {
            match take_command(&mut input) {
                Ok(Some(parts)) if faults.is_none() && late.is_empty() => {
                    if commands.execute(&parts, &mut output) == Then::Close {
                        return stream.write_all(&output).await;
                    }
                }
                Ok(Some(parts)) => late.execute(commands, faults, &parts),
                Ok(None) => break,
                Err(e) => {
                    let mut error = BytesMut::new();
                    Value::Error(format!("ERR Protocol error: {e}")).encode(&mut error);
                    late.end_with(error.freeze());
                }
            }
            if output.len() >= SEND_BYTES {
                send(&mut stream, &mut output).await?;
            }
        }
        send(&mut stream, &mut output).await?;
        if input.is_empty() && input.capacity() > KEEP_BYTES {
            input = BytesMut::with_capacity(4096);
        }
        if late.is_empty() {
            if has_left || stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            continue;
        }
        tokio::select! {
            (answer, then) = late.next() => {
                stream.write_all(&answer).await?;
                if then == Then::Close {
                    return Ok(());
                }
            }
            read = stream.read_buf(&mut input), if late.has_room() && !has_left => {
                has_left = read? == 0;
            }
        }
    }
}

async fn send(stream: &mut TcpStream, output: &mut BytesMut) -> std::io::Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    stream.write_all(output).await?;
    if output.capacity() > KEEP_BYTES {
        *output = BytesMut::with_capacity(4096);
    }
    output.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodePlan;
    use crate::target::{Role, Settings};
    use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
    use redis::{Client, RedisResult, cmd, pipe};

    fn node(max_bytes: u64) -> Node {
        let mut settings = Settings::default();
        settings.cache.max_bytes = max_bytes;
        let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Node::new(NodePlan {
            start: crate::plan::StartPlan::Bundled,
            name: "cache-1".into(),
            role: Role::Cache,
            server: "cache-1".into(),
            region: "eu".into(),
            listen: free,
            admin: free,
            peers: vec![],
            data_folder: None,
            threads: 1,
            iterations_per_ms: 0.0,
            seed: 1,
            settings,
        })
    }

    async fn start(max_bytes: u64) -> (Node, Client) {
        let node = node(max_bytes);
        let commands = Arc::new(open(&node));
        let listener = super::super::http::listen(&node, node.plan().listen).unwrap();
        let client = Client::open(format!("redis://{}", listener.local_addr().unwrap())).unwrap();
        let serving = node.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (commands, node) = (commands.clone(), serving.clone());
                tokio::spawn(async move { talk(stream, &commands, node.faults()).await });
            }
        });
        (node, client)
    }

    async fn connect(client: &Client) -> MultiplexedConnection {
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// A command out of its words.
    fn ask(text: &str) -> redis::Cmd {
        let mut words = text.split(' ');
        let mut request = cmd(words.next().unwrap());
        for word in words {
            request.arg(word);
        }
        request
    }

    #[tokio::test]
    async fn the_redis_crate_talks_to_it_unchanged() {
        let (node, client) = start(1 << 20).await;
        let config = ConnectionManagerConfig::new();
        let mut c = ConnectionManager::new_with_config(client, config).await.unwrap();
        let set: String =
            cmd("SET").arg("a").arg("1").arg("PX").arg(60_000).query_async(&mut c).await.unwrap();
        assert_eq!(set, "OK");
        let (a, none, left): (String, Option<String>, i64) = pipe()
            .cmd("GET")
            .arg("a")
            .cmd("GET")
            .arg("b")
            .cmd("PTTL")
            .arg("a")
            .query_async(&mut c)
            .await
            .unwrap();
        assert_eq!((a.as_str(), none), ("1", None));
        assert!((1..=60_000).contains(&left), "{left}");
        let all: Vec<Option<String>> =
            cmd("MGET").arg("a").arg("b").query_async(&mut c).await.unwrap();
        assert_eq!(all, [Some("1".into()), None]);
        let n: i64 = cmd("INCR").arg("a").query_async(&mut c).await.unwrap();
        assert_eq!(n, 2);
        assert_eq!(node.counter("cache_hits").get(), 2);
        assert_eq!(node.counter("cache_misses").get(), 2);
    }

    #[tokio::test]
    async fn the_answers_are_those_of_redis() {
        let (_, client) = start(1 << 20).await;
        let mut c = connect(&client).await;
        for (command, answer) in [
            ("PING", "simple-string(\"PONG\")"),
            ("SET k v NX", "ok"),
            ("SET k w NX", "nil"),
            ("SET k w XX KEEPTTL", "ok"),
            ("SET none w XX", "nil"),
            ("TTL k", "int(-1)"),
            ("TTL none", "int(-2)"),
            ("EXPIRE k 10", "int(1)"),
            ("TTL k", "int(10)"),
            ("SET k x KEEPTTL", "ok"),
            ("TTL k", "int(10)"),
            ("SETEX k 3 y", "ok"),
            ("TTL k", "int(3)"),
            ("PEXPIRE none 10", "int(0)"),
            ("EXISTS k none", "int(1)"),
            ("MSET a 1 b 2", "ok"),
            ("DBSIZE", "int(3)"),
            ("DEL a k none", "int(2)"),
            ("FLUSHALL", "ok"),
            ("DBSIZE", "int(0)"),
            ("SELECT 0", "ok"),
            ("COMMAND DOCS", "array([])"),
        ] {
            let value: redis::Value = ask(command).query_async(&mut c).await.unwrap();
            assert_eq!(format!("{value:?}"), answer, "{command}");
        }
        for wrong in ["NONSENSE", "GET", "SELECT 1", "SET k v EX 0", "SET k v GET", "HELLO 3"] {
            let answer: RedisResult<redis::Value> = ask(wrong).query_async(&mut c).await;
            assert!(answer.is_err(), "{wrong}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_marker_stands_until_it_ends_and_a_fill_comes_after() {
        let (_, client) = start(1 << 20).await;
        let mut c = connect(&client).await;
        let set: Option<String> = ask("SET v old PX 60000").query_async(&mut c).await.unwrap();
        assert!(set.is_some());
        let set: Option<String> = ask("SET v !n PX 60").query_async(&mut c).await.unwrap();
        assert!(set.is_some());
        let fill: Option<String> = ask("SET v new NX PX 9000").query_async(&mut c).await.unwrap();
        let value: String = ask("GET v").query_async(&mut c).await.unwrap();
        assert_eq!((fill, value.as_str()), (None, "!n"));
        let end = std::time::Instant::now() + Duration::from_secs(5);
        loop {
            let fill: Option<String> =
                ask("SET v new NX PX 9000").query_async(&mut c).await.unwrap();
            if fill.is_some() {
                break;
            }
            assert!(std::time::Instant::now() < end, "the marker does not end");
        }
        let value: String = ask("GET v").query_async(&mut c).await.unwrap();
        assert_eq!(value, "new");
    }

    #[test]
    fn of_many_at_once_one_sets() {
        let commands = Arc::new(open(&node(1 << 20)));
        for round in 0..200 {
            let key = format!("k{round}");
            let wins: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|t| {
                        let (commands, key) = (commands.clone(), key.clone());
                        scope.spawn(move || {
                            let mut out = BytesMut::new();
                            let parts = ["SET".to_string(), key, t.to_string(), "NX".into()];
                            commands.execute(&parts.map(Into::into), &mut out);
                            usize::from(&out[..] == b"+OK\r\n")
                        })
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).sum()
            });
            assert_eq!(wins, 1);
        }
    }

    #[test]
    fn it_stays_within_its_bytes_and_never_refuses_a_marker() {
        let node = node(256 * 1024);
        let commands = open(&node);
        let mut out = BytesMut::new();
        let mut run = |text: String| {
            let parts: Vec<_> =
                text.split(' ').map(|w| bytes::Bytes::from(w.to_string())).collect();
            out.clear();
            commands.execute(&parts, &mut out);
            out.to_vec()
        };
        let value = "x".repeat(1000);
        for i in 0..1000 {
            run(format!("SET fill:{i} {value}"));
            run(format!("GET fill:{}", i % 50));
        }
        commands.tidy();
        assert!(commands.store.bytes() <= 256 * 1024, "{}", commands.store.bytes());
        assert!(node.counter("evictions").get() > 500);
        for i in 0..100 {
            run(format!("SET mark:{i} !n PX 2000"));
        }
        commands.tidy();
        for i in 0..100 {
            assert_eq!(run(format!("GET mark:{i}")), b"$2\r\n!n\r\n", "mark {i}");
        }
    }
}
