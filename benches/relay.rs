//! What the proxy costs without a fault: the same exchange direct and through it, side by side, in
//! turns, so that what else the machine does hits both.
//!
//! `cargo bench --bench relay` prints, per kind of traffic, the medians over the rounds, the ratio of
//! the two in the same round, and the CPU time of the proxy by the kernel's count.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const MESSAGE: usize = 64;
const EXCHANGES: usize = 2_000;
const CONNECTIONS: usize = 64;
const TURNS: usize = 100;
const CONNECTS: usize = 200;
const BULK: usize = 256 * 1024 * 1024;

/// What a service does with a connection is told by its first byte.
const ECHO: u8 = b'e';
const SINK: u8 = b's';

/// Ends with the benchmark.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Relay {
    fn start(dial: SocketAddr, service: SocketAddr) -> Relay {
        let link = serde_json::json!({
            "from": "a", "to": "b", "dial": dial, "service": service, "round_trip": 0,
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_brunt"))
            .args(["serve", "relay"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let told = serde_json::json!({ "links": [link] }).to_string();
        child.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
        let relay = Relay(child);
        let began = Instant::now();
        while TcpStream::connect(dial).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the relay does not come up");
            std::thread::sleep(Duration::from_millis(1));
        }
        relay
    }

    /// CPU time of its only thread.
    fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.0.id());
        let text = std::fs::read_to_string(path).expect("a kernel with CONFIG_SCHED_INFO");
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }
}

/// Echoes, or swallows and says so at the end, on one thread.
fn serve(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(stream));
        }
    });
}

async fn converse(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.set_nodelay(true)?;
    let is_echo = stream.read_u8().await? == ECHO;
    stream.write_u8(ECHO).await?;
    let mut room = vec![0; 256 * 1024];
    loop {
        let n = stream.read(&mut room).await?;
        if n == 0 {
            return stream.write_u8(SINK).await;
        }
        if is_echo {
            stream.write_all(&room[..n]).await?;
        }
    }
}

/// A connection on which the service has answered.
fn connect(address: SocketAddr, kind: u8) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&[kind]).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// The median of many single exchanges.
fn exchange(address: SocketAddr) -> Duration {
    let mut stream = connect(address, ECHO);
    let mut room = [1; MESSAGE];
    let mut all: Vec<Duration> = (0..EXCHANGES)
        .map(|_| {
            let began = Instant::now();
            stream.write_all(&room).unwrap();
            stream.read_exact(&mut room).unwrap();
            began.elapsed()
        })
        .collect();
    median(&mut all)
}

/// One exchange, while as many others are under way.
fn crowd(address: SocketAddr) -> Duration {
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(address, ECHO)).collect();
    let mut room = [1; MESSAGE];
    let began = Instant::now();
    for _ in 0..TURNS {
        streams.iter_mut().for_each(|s| s.write_all(&room).unwrap());
        streams.iter_mut().for_each(|s| s.read_exact(&mut room).unwrap());
    }
    began.elapsed() / (TURNS * CONNECTIONS) as u32
}

/// A connection, its first exchange and its end.
fn connects(address: SocketAddr) -> Duration {
    let began = Instant::now();
    (0..CONNECTS).for_each(|_| drop(connect(address, ECHO)));
    began.elapsed() / CONNECTS as u32
}

/// A mebibyte of many.
fn bulk(address: SocketAddr) -> Duration {
    let mut stream = connect(address, SINK);
    let piece = vec![1; 256 * 1024];
    let began = Instant::now();
    (0..BULK / piece.len()).for_each(|_| stream.write_all(&piece).unwrap());
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    began.elapsed() / (BULK / (1024 * 1024)) as u32
}

fn median<T: PartialOrd + Copy>(all: &mut [T]) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).expect("no figure is not a number"));
    all[all.len() / 2]
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = listener.local_addr().unwrap();
    std::thread::spawn(|| serve(listener));
    let dial = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::start(dial, service);
    println!("medians of {ROUNDS} rounds, in µs; direct and through the relay in turns");
    println!(
        "{:<38} {:>8} {:>8} {:>8} {:>7} {:>10}",
        "", "direct", "through", "added", "ratio", "relay CPU"
    );
    type Kind = (&'static str, fn(SocketAddr) -> Duration, usize);
    let kinds: [Kind; 4] = [
        ("exchange of 64 bytes, one connection", exchange, EXCHANGES),
        ("the same, 64 connections at once", crowd, TURNS * CONNECTIONS),
        ("connect, one exchange, close", connects, CONNECTS),
        ("one MiB of 256, one connection", bulk, BULK / (1024 * 1024)),
    ];
    for (name, run, times) in kinds {
        let (mut direct, mut through, mut added, mut ratio, mut cpu) =
            (vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let micros = |d: Duration| d.as_secs_f64() * 1e6;
            let alone = micros(run(service));
            let before = relay.cpu();
            let relayed = micros(run(dial));
            cpu.push(micros(relay.cpu() - before) / times as f64);
            direct.push(alone);
            through.push(relayed);
            added.push(relayed - alone);
            ratio.push(relayed / alone);
        }
        println!(
            "{name:<38} {:>8.1} {:>8.1} {:>8.1} {:>7.2} {:>10.1}",
            median(&mut direct),
            median(&mut through),
            median(&mut added),
            median(&mut ratio),
            median(&mut cpu)
        );
    }
}
