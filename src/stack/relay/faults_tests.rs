//! Each effect as it is seen from outside, and that it is gone afterwards.

use super::link::is_for;
use super::*;
use crate::base::{Bytes, clock};
use crate::fault::{LinkEffect, LinkRule};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Long enough for what is said to come, were it to come.
const WINDOW: Duration = Duration::from_millis(100);
const BOUND: Duration = Duration::from_secs(5);

/// A link to a service that sends back what it gets.
struct Scene {
    link: Arc<Link>,
    dial: SocketAddr,
}

impl Scene {
    async fn new() -> Scene {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = service.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = service.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.shutdown().await;
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dial = listener.local_addr().unwrap();
        let link = Arc::new(Link::new("a", "b", 7));
        tokio::spawn(accept(listener, address, Nanos::ZERO, link.clone()));
        Scene { link, dial }
    }

    async fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(self.dial).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A connection that is known to be carried.
    async fn warm(&self) -> TcpStream {
        let mut stream = self.client().await;
        assert!(ping(&mut stream).await.unwrap() < Nanos::from_secs(1));
        stream
    }

    fn put(&self, hold: &str, direction: Direction, share: f64, effect: LinkEffect) {
        self.link.put(hold, LinkRule { direction, share, effect });
    }
}

/// How long an echo takes.
async fn ping(stream: &mut TcpStream) -> std::io::Result<Nanos> {
    let began = clock::now();
    stream.write_all(b"ping").await?;
    stream.read_exact(&mut [0u8; 4]).await?;
    Ok(clock::now() - began)
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(WINDOW, stream.read(&mut [0u8; 1])).await.is_err()
}

fn latency(ms: u64) -> LinkEffect {
    LinkEffect::Latency { delay: Nanos::from_millis(ms), jitter: Nanos::ZERO }
}

#[tokio::test]
async fn a_delay_adds_at_least_itself_on_a_connection_that_exists_and_goes_away() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    scene.put("slow", Direction::Both, 1.0, latency(50));
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(100));
    // Two add up, and each is undone by itself.
    scene.put("slower", Direction::Back, 1.0, latency(30));
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(130));
    // Two echoes of four bytes, both ways.
    assert_eq!(scene.link.delete("slow").unwrap(), "1 connections: 16B 50ms later");
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(30));
    scene.link.delete("slower").unwrap();
    assert!(scene.link.rules().is_empty());
    ping(&mut client).await.unwrap();
    assert_eq!(scene.link.delete("slower"), None);
}

#[tokio::test]
async fn jitter_keeps_the_order() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    let delay = Nanos::from_millis(10);
    let effect = LinkEffect::Latency { delay, jitter: delay };
    scene.put("jitter", Direction::Both, 1.0, effect);
    for byte in 0..40u8 {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut seen = [0u8; 40];
    client.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen.to_vec(), (0..40).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_bandwidth_is_not_exceeded() {
    let scene = Scene::new().await;
    let client = scene.warm().await;
    scene.put("narrow", Direction::There, 1.0, LinkEffect::Bandwidth { rate: Bytes(200_000) });
    let (mut from, mut to) = client.into_split();
    let began = clock::now();
    let sending = tokio::spawn(async move {
        to.write_all(&vec![1u8; 60_000]).await.unwrap();
        to
    });
    from.read_exact(&mut vec![0u8; 60_000]).await.unwrap();
    // All but the first slice has waited for its turn.
    assert!(clock::now() - began >= Nanos::from_millis(290));
    sending.await.unwrap();
    assert!(scene.link.delete("narrow").unwrap().contains("at 200000B/s"));
}

#[tokio::test]
async fn a_stall_is_silence_on_an_open_connection_and_delivers_in_the_end() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    scene.put("stall", Direction::Both, 1.0, LinkEffect::Stall);
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    let mut newcomer = scene.client().await;
    newcomer.write_all(b"also").await.unwrap();
    assert!(is_silent(&mut newcomer).await);
    assert_eq!(scene.link.delete("stall").unwrap(), "2 connections: silent, 0B passed");
    for stream in [&mut client, &mut newcomer] {
        let mut answer = [0u8; 4];
        tokio::time::timeout(BOUND, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert!(answer == *b"held" || answer == *b"also");
    }
}

#[tokio::test]
async fn a_reset_reaches_connections_that_exist_and_those_that_come() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    scene.put("reset", Direction::Both, 1.0, LinkEffect::Reset);
    let failed = client.read(&mut [0u8; 1]).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    let mut newcomer = scene.client().await;
    let failed = newcomer.read(&mut [0u8; 1]).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    let proof = scene.link.delete("reset").unwrap();
    assert_eq!(proof, "2 connections: 2 reset");
    scene.warm().await;
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes_of_a_direction() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    scene.put("cut", Direction::Back, 1.0, LinkEffect::Cut { after: Bytes(10) });
    ping(&mut client).await.unwrap();
    client.write_all(&[1u8; 20]).await.unwrap();
    let mut received = Vec::new();
    let failed = client.read_to_end(&mut received).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    // A reset may overtake what was received just before it, never the other way round.
    assert!(received.len() <= 6, "{}", received.len());
    assert_eq!(scene.link.delete("cut").unwrap(), "1 connections: 1 cut after 10B in all");
}

#[tokio::test]
async fn an_end_is_passed_on_later() {
    let scene = Scene::new().await;
    let mut client = scene.warm().await;
    let delay = Nanos::from_millis(60);
    scene.put("slow close", Direction::There, 1.0, LinkEffect::SlowClose { delay });
    let began = clock::now();
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0u8; 1]).await.unwrap(), 0);
    assert!(clock::now() - began >= delay);
}

#[tokio::test]
async fn a_partition_of_one_way_lets_the_other_way_flow() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = listener.local_addr().unwrap();
    let link = Arc::new(Link::new("a", "b", 7));
    let address = service.local_addr().unwrap();
    tokio::spawn(accept(listener, address, Nanos::ZERO, link.clone()));
    let mut client = TcpStream::connect(dial).await.unwrap();
    let (mut server, _) = service.accept().await.unwrap();
    let rule = LinkRule { direction: Direction::There, share: 1.0, effect: LinkEffect::Partition };
    link.put("p", rule);
    client.write_all(b"lost?").await.unwrap();
    assert!(is_silent(&mut server).await);
    server.write_all(b"back").await.unwrap();
    client.read_exact(&mut [0u8; 4]).await.unwrap();
    // The kernel takes the connection, and nobody hears of it.
    let mut newcomer = TcpStream::connect(dial).await.unwrap();
    newcomer.write_all(b"x").await.unwrap();
    assert!(tokio::time::timeout(WINDOW, service.accept()).await.is_err());
    // Not even that it has ended is passed on.
    drop(client);
    assert!(is_silent(&mut server).await);
    link.delete("p").unwrap();
    let mut received = Vec::new();
    let end = tokio::time::timeout(BOUND, server.read_to_end(&mut received)).await.unwrap();
    assert!(end.is_err() || received == b"lost?", "{received:?}");
    tokio::time::timeout(BOUND, service.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_share_hits_the_connections_that_the_seed_says_and_no_other() {
    let scene = Scene::new().await;
    scene.put("flaky", Direction::Both, 0.3, LinkEffect::Reset);
    let mut hits = 0;
    for index in 0..100 {
        let mut client = scene.client().await;
        let is_hit = ping(&mut client).await.is_err();
        assert_eq!(is_hit, is_for(7, "flaky", index, 0.3), "connection {index}");
        hits += u32::from(is_hit);
    }
    assert!((15..45).contains(&hits), "{hits}");
    assert!((0..1000).all(|index| !is_for(7, "flaky", index, 0.0)));
}
