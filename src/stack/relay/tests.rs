use super::*;
use crate::base::clock;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROUND_TRIP: Nanos = Nanos::from_millis(20);

/// A relay to this service, and its dial address.
async fn relay_to(service: SocketAddr, round_trip: Nanos) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = listener.local_addr().unwrap();
    let link = Arc::new(Link::new("a", "b", 1));
    tokio::spawn(accept(listener, service, round_trip, link));
    dial
}

/// A service that sends back what it gets, and ends when its client does.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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

#[tokio::test]
async fn an_answer_takes_the_round_trip_and_little_more() {
    let dial = relay_to(echo().await, ROUND_TRIP).await;
    let mut client = TcpStream::connect(dial).await.unwrap();
    client.set_nodelay(true).unwrap();
    let mut extra = Vec::new();
    for _ in 0..15 {
        let began = clock::now();
        client.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        let took = clock::now() - began;
        assert_eq!(&answer, b"ping");
        assert!(took >= ROUND_TRIP, "{took} is faster than {ROUND_TRIP}");
        extra.push(took - ROUND_TRIP);
    }
    extra.sort();
    // The median, since a busy machine delays some of them.
    assert!(extra[7] < Nanos::from_millis(5), "{extra:?}");
    if std::env::var_os("BRUNT_PRINT").is_some() {
        eprintln!("extra delay of the relay: {extra:?}");
    }
}

#[tokio::test]
async fn order_is_kept_and_throughput_is_not_cut_to_one_piece_a_round_trip() {
    let dial = relay_to(echo().await, ROUND_TRIP).await;
    let client = TcpStream::connect(dial).await.unwrap();
    let (mut from, mut to) = client.into_split();
    let sent: Vec<u8> = (0..4_000_000u32).map(|i| (i % 251) as u8).collect();
    let expected = sent.clone();
    let began = clock::now();
    let writing = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    from.read_to_end(&mut received).await.unwrap();
    writing.await.unwrap();
    assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    // One 32 KiB piece a round trip would take 2.4 s.
    let took = clock::now() - began;
    assert!(took < Nanos::from_millis(1500), "{took}");
}

#[tokio::test]
async fn a_refusing_service_resets_the_client_after_the_round_trip() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let dial = relay_to(address, ROUND_TRIP).await;
    let began = clock::now();
    let mut client = TcpStream::connect(dial).await.unwrap();
    let failed = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    assert!(clock::now() - began >= ROUND_TRIP);
}

#[tokio::test]
async fn a_reset_of_the_service_is_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = relay_to(listener.local_addr().unwrap(), ROUND_TRIP).await;
    let mut client = TcpStream::connect(dial).await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    service.read_exact(&mut [0; 1]).await.unwrap();
    service.set_zero_linger().unwrap();
    drop(service);
    let failed = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn wrong_input_is_named() {
    let error = serve(&b"{}"[..]).unwrap_err();
    assert!(error.to_string().contains("links"), "{error}");
}
