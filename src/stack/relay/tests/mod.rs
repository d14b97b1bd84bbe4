//! The proxy as it is seen from outside, over real sockets.

mod admin;
mod distance;
mod faults;
mod partition;
mod shares;

use super::door::{self, Door};
use super::link::{Link, Port};
use super::serve;
use crate::base::{Nanos, clock};
use crate::fault::{Direction, LinkEffect, LinkRule};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for what is said to come, were it to come.
const WINDOW: Duration = Duration::from_millis(100);
const BOUND: Duration = Duration::from_secs(10);
const SEED: u64 = 7;

/// A link through a relay.
struct Scene {
    link: Arc<Link>,
    dial: SocketAddr,
}

impl Scene {
    fn to(service: SocketAddr, round_trip: Nanos) -> Scene {
        let listener = door::listen(any()).unwrap();
        let dial = listener.local_addr().unwrap();
        let link = Arc::new(Link::new("a", "b", SEED));
        let port = Port::new(link.clone(), 0);
        tokio::spawn(Door { listener, service, round_trip, port }.keep());
        Scene { link, dial }
    }

    /// To a service that sends back what it gets.
    async fn echo() -> Scene {
        Scene::to(echo().await, Nanos::ZERO)
    }

    /// To a service that the test plays itself.
    async fn played() -> (Scene, TcpListener) {
        let service = TcpListener::bind(any()).await.unwrap();
        (Scene::to(service.local_addr().unwrap(), Nanos::ZERO), service)
    }

    /// Made by the kernel before the relay, which is on this thread too, sees it.
    fn client(&self) -> TcpStream {
        let stream = std::net::TcpStream::connect_timeout(&self.dial, BOUND).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    }

    /// A connection that is known to be carried.
    async fn warm(&self) -> TcpStream {
        let mut stream = self.client();
        ping(&mut stream).await.unwrap();
        stream
    }

    fn put(&self, hold: &str, direction: Direction, effect: LinkEffect) -> String {
        self.link.put(hold, LinkRule { direction, share: 1.0, effect })
    }

    fn put_on(&self, share: f64, hold: &str, effect: LinkEffect) -> String {
        self.link.put(hold, LinkRule { direction: Direction::Both, share, effect })
    }

    fn delete(&self, hold: &str) -> String {
        self.link.delete(hold).unwrap()
    }
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A service that sends back what it gets, and ends when its client does.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

/// How long an echo takes.
async fn ping(stream: &mut TcpStream) -> std::io::Result<Nanos> {
    let began = clock::now();
    stream.write_all(b"ping").await?;
    bounded(stream.read_exact(&mut [0u8; 4])).await?;
    Ok(clock::now() - began)
}

/// Fails rather than waits without end.
async fn bounded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.expect("it takes longer than 10 s")
}

/// Nothing comes, not even an end.
async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(WINDOW, stream.read(&mut [0u8; 1])).await.is_err()
}

/// What came before a reset.
async fn until_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let failed = bounded(stream.read_to_end(&mut received)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    received
}

/// Of one that has been told of the other's end before: only a write tells that there was a reset.
async fn until_refused(stream: &mut TcpStream) {
    let failed = bounded(async {
        loop {
            if let Err(failed) = stream.write_all(b"late").await {
                return failed.kind();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(matches!(failed, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{failed}");
}
