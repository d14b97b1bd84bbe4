//! A cable that is pulled.

use super::*;

/// Whether a connection can be made at all.
async fn connects(scene: &Scene) -> Option<TcpStream> {
    tokio::time::timeout(WINDOW, TcpStream::connect(scene.dial)).await.ok().map(Result::unwrap)
}

#[tokio::test]
async fn one_way_is_cut_and_the_other_flows_and_no_end_is_passed_on() {
    let (scene, service) = Scene::played().await;
    let mut client = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    scene.put("p", Direction::There, LinkEffect::Partition);
    client.write_all(b"lost?").await.unwrap();
    assert!(is_silent(&mut server).await);
    server.write_all(b"back").await.unwrap();
    bounded(client.read_exact(&mut [0u8; 4])).await.unwrap();
    // Neither an end nor the reset that later bytes would meet is passed on.
    drop(client);
    assert!(is_silent(&mut server).await);
    for _ in 0..3 {
        server.write_all(b"more").await.unwrap();
        assert!(is_silent(&mut server).await);
    }
    assert_eq!(scene.delete("p"), "1 connection cut off, 5B held");
    let mut received = Vec::new();
    bounded(server.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"lost?");
    until_refused(&mut server).await;
}

#[tokio::test]
async fn no_new_connection_is_answered_in_either_direction_and_then_it_is() {
    for direction in [Direction::Both, Direction::There, Direction::Back] {
        let (scene, service) = Scene::played().await;
        for _ in 0..3 {
            scene.put("p", direction, LinkEffect::Partition);
            tokio::task::yield_now().await;
            assert!(connects(&scene).await.is_none(), "{direction:?}");
            assert!(tokio::time::timeout(WINDOW, service.accept()).await.is_err());
            assert_eq!(scene.delete("p"), "no connection was open, none could be made");
            // The listener is to hear before it is asked, or the kernel asks again after a second.
            tokio::task::yield_now().await;
            let mut client = bounded(TcpStream::connect(scene.dial)).await.unwrap();
            let (mut server, _) = bounded(service.accept()).await.unwrap();
            client.write_all(b"x").await.unwrap();
            bounded(server.read_exact(&mut [0u8; 1])).await.unwrap();
            drop((client, server));
            bounded(async {
                while scene.link.connections_open() > 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        // Those that filled the queue were nobody's connections.
        assert_eq!(scene.link.counts.connects.get(), 3);
    }
}

/// The kernel sends the first SYN again after a second.
#[tokio::test]
async fn a_connect_that_began_in_a_partition_is_made_after_it() {
    let scene = Scene::echo().await;
    scene.put("p", Direction::Both, LinkEffect::Partition);
    tokio::task::yield_now().await;
    let dial = scene.dial;
    let connecting = tokio::spawn(TcpStream::connect(dial));
    tokio::time::sleep(WINDOW).await;
    assert!(!connecting.is_finished());
    scene.delete("p");
    let mut client = bounded(connecting).await.unwrap().unwrap();
    ping(&mut client).await.unwrap();
}

#[tokio::test]
async fn two_partitions_are_undone_independently() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    scene.put("p", Direction::Both, LinkEffect::Partition);
    scene.put("q", Direction::There, LinkEffect::Partition);
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    scene.delete("p");
    assert!(is_silent(&mut client).await);
    assert!(connects(&scene).await.is_none());
    scene.delete("q");
    tokio::task::yield_now().await;
    bounded(client.read_exact(&mut [0u8; 4])).await.unwrap();
    scene.warm().await;
}

#[tokio::test]
async fn a_refusal_is_not_heard_through_a_stall() {
    let gone = TcpListener::bind(any()).await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let scene = Scene::to(address, Nanos::ZERO);
    scene.put("stall", Direction::Back, LinkEffect::Stall);
    let mut client = scene.client();
    assert!(is_silent(&mut client).await);
    scene.delete("stall");
    until_reset(&mut client).await;
}
