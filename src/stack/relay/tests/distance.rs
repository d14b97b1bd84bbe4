//! Without rules: a distance, and nothing else.

use super::*;

const ROUND_TRIP: Nanos = Nanos::from_millis(20);

#[tokio::test]
async fn an_answer_takes_the_round_trip_and_little_more() {
    let scene = Scene::to(echo().await, ROUND_TRIP);
    let mut client = scene.client();
    let mut extra = Vec::new();
    for _ in 0..15 {
        let took = ping(&mut client).await.unwrap();
        assert!(took >= ROUND_TRIP, "{took} is faster than {ROUND_TRIP}");
        extra.push(took - ROUND_TRIP);
    }
    extra.sort();
    eprintln!("extra delay of the relay: {extra:?}");
}

#[tokio::test]
async fn order_is_kept_and_throughput_is_not_cut_to_one_piece_a_round_trip() {
    for round_trip in [Nanos::ZERO, ROUND_TRIP] {
        let scene = Scene::to(echo().await, round_trip);
        let (mut from, mut to) = scene.client().into_split();
        let sent: Vec<u8> = (0..4_000_000u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let began = clock::now();
        let writing = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        bounded(from.read_to_end(&mut received)).await.unwrap();
        writing.await.unwrap();
        assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
        eprintln!("4 MB at {round_trip}: {}", clock::now() - began);
        let counts = &scene.link.counts;
        assert_eq!((counts.bytes_there.get(), counts.bytes_back.get()), (4_000_000, 4_000_000));
        assert_eq!((counts.connects.get(), counts.resets.get()), (1, 0));
    }
}

#[tokio::test]
async fn a_refusing_service_resets_the_client_after_the_round_trip() {
    let gone = TcpListener::bind(any()).await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let scene = Scene::to(address, ROUND_TRIP);
    let began = clock::now();
    let mut client = scene.client();
    until_reset(&mut client).await;
    assert!(clock::now() - began >= ROUND_TRIP);
    assert_eq!(scene.link.counts.refused.get(), 1);
}

#[tokio::test]
async fn a_reset_of_the_service_is_passed_on() {
    let (scene, service) = Scene::played().await;
    let mut client = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    until_reset(&mut client).await;
}

/// The client's kernel answers the late bytes by a reset; the service has to see one too.
#[tokio::test]
async fn a_client_that_has_gone_is_a_reset_for_the_service_that_goes_on_sending() {
    let (scene, service) = Scene::played().await;
    let client = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    drop(client);
    assert_eq!(bounded(server.read(&mut [0u8; 1])).await.unwrap(), 0);
    until_refused(&mut server).await;
}

#[test]
fn wrong_input_is_named() {
    let error = serve(&b"{}"[..]).unwrap_err();
    assert!(error.to_string().contains("links"), "{error}");
}
