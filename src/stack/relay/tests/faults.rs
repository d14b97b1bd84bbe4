//! Each effect, and that it is gone afterwards.

use super::*;
use crate::base::Bytes;

fn latency(ms: u64) -> LinkEffect {
    LinkEffect::Latency { delay: Nanos::from_millis(ms), jitter: Nanos::ZERO }
}

#[tokio::test]
async fn a_delay_adds_at_least_itself_on_a_connection_that_exists_and_goes_away() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    assert_eq!(
        scene.put("slow", Direction::Both, latency(50)),
        "in force on 1 of 1 open connection"
    );
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(100));
    // Two add up, and each is undone by itself.
    scene.put("slower", Direction::Back, latency(30));
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(130));
    // Two echoes of four bytes, both ways.
    assert_eq!(scene.delete("slow"), "16B 50ms later on 1 connection");
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(30));
    assert_eq!(scene.delete("slower"), "8B 30ms later on 1 connection");
    assert!(scene.link.rules().is_empty());
    ping(&mut client).await.unwrap();
    assert_eq!(scene.link.delete("slower"), None);
}

#[tokio::test]
async fn a_delay_comes_on_top_of_the_distance() {
    let scene = Scene::to(echo().await, Nanos::from_millis(20));
    let mut client = scene.warm().await;
    scene.put("slow", Direction::There, latency(50));
    assert!(ping(&mut client).await.unwrap() >= Nanos::from_millis(70));
}

#[tokio::test]
async fn bytes_that_are_inside_obey_a_delay_that_begins_and_one_that_ends() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    scene.put("long", Direction::There, latency(60_000));
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    // Held until much later: it comes at once when the rule goes.
    scene.put("short", Direction::There, latency(1));
    scene.delete("long");
    bounded(client.read_exact(&mut [0u8; 4])).await.unwrap();
}

#[tokio::test]
async fn jitter_keeps_the_order_and_stays_in_its_bounds() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    let (delay, jitter) = (Nanos::from_millis(10), Nanos::from_millis(8));
    scene.put("jitter", Direction::There, LinkEffect::Latency { delay, jitter });
    for byte in 0..40u8 {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut seen = [0u8; 40];
    bounded(client.read_exact(&mut seen)).await.unwrap();
    assert_eq!(seen.to_vec(), (0..40).collect::<Vec<u8>>());
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(ping(&mut client).await.unwrap());
    }
    assert!(all.iter().all(|took| *took >= Nanos::from_millis(2)), "{all:?}");
    eprintln!("10 ± 8 ms: {all:?}");
    assert_eq!(scene.delete("jitter"), "120B 10ms ± 8ms later on 1 connection");
}

/// Not only the median: at no time has more come than the rate and its bucket allow.
#[tokio::test]
async fn a_bandwidth_is_not_exceeded_at_any_time() {
    const RATE: u64 = 400_000;
    let (scene, service) = Scene::played().await;
    let mut client = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    let began = clock::now();
    scene.put("narrow", Direction::There, LinkEffect::Bandwidth { rate: Bytes(RATE) });
    scene.put("wider", Direction::There, LinkEffect::Bandwidth { rate: Bytes(10 * RATE) });
    let sending = tokio::spawn(async move {
        client.write_all(&[1u8; 100_000]).await.unwrap();
        client
    });
    let mut total = 0;
    let mut room = [0u8; 8192];
    while total < 100_000 {
        total += bounded(server.read(&mut room)).await.unwrap() as u64;
        let most = (clock::now() - began).as_secs_f64() * RATE as f64 + RATE as f64 / 100.0;
        assert!(total as f64 <= most + 1.0, "{total} of at most {most}");
    }
    // The other direction is free.
    let mut client = sending.await.unwrap();
    server.write_all(&[2u8; 50_000]).await.unwrap();
    bounded(client.read_exact(&mut [0u8; 50_000])).await.unwrap();
    let proof = scene.delete("narrow");
    assert!(proof.starts_with("100000B on 1 connection at 400000B/s each, had to wait"), "{proof}");
    assert!(scene.delete("wider").starts_with("no effect"));
}

#[tokio::test]
async fn a_stall_is_silence_on_open_connections_and_delivers_in_the_end() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    scene.put("stall", Direction::Both, LinkEffect::Stall);
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    let mut newcomer = scene.client();
    newcomer.write_all(b"also").await.unwrap();
    assert!(is_silent(&mut newcomer).await);
    assert_eq!(scene.delete("stall"), "2 connections silent, 8B held");
    for (stream, expected) in [(&mut client, b"held"), (&mut newcomer, b"also")] {
        let mut answer = [0u8; 4];
        bounded(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, expected);
    }
}

/// A receiver that does not read leaves bytes inside in the middle of a piece.
#[tokio::test]
async fn a_stall_stops_bytes_that_wait_for_their_receiver() {
    let (scene, service) = Scene::played().await;
    let (mut from, mut to) = scene.client().into_split();
    let (mut server, _) = service.accept().await.unwrap();
    let sent: Vec<u8> = (0..24_000_000u32).map(|i| (i % 251) as u8).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move { to.write_all(&sent).await.map(|()| to) });
    let passed = || scene.link.counts.bytes_there.get();
    bounded(async {
        let mut before = u64::MAX;
        while passed() == 0 || passed() != before {
            before = passed();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    scene.put("stall", Direction::There, LinkEffect::Stall);
    tokio::task::yield_now().await;
    let before = passed();
    let mut received = vec![0u8; before as usize];
    bounded(server.read_exact(&mut received)).await.unwrap();
    assert!(is_silent(&mut server).await);
    assert_eq!(passed(), before);
    scene.delete("stall");
    let mut rest = vec![0u8; expected.len() - received.len()];
    bounded(server.read_exact(&mut rest)).await.unwrap();
    received.extend(rest);
    assert!(received == expected);
    let _open = sending.await.unwrap().unwrap();
    // The other direction was never touched.
    server.write_all(b"x").await.unwrap();
    bounded(from.read_exact(&mut [0u8; 1])).await.unwrap();
}

#[tokio::test]
async fn a_reset_reaches_both_ends_of_connections_that_exist_and_those_that_come() {
    let (scene, service) = Scene::played().await;
    let mut client = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0u8; 1]).await.unwrap();
    scene.put("reset", Direction::Both, LinkEffect::Reset);
    until_reset(&mut client).await;
    until_reset(&mut server).await;
    until_reset(&mut scene.client()).await;
    assert_eq!(scene.delete("reset"), "2 connections reset");
    let mut client = scene.client();
    let (mut server, _) = bounded(service.accept()).await.unwrap();
    client.write_all(b"y").await.unwrap();
    bounded(server.read_exact(&mut [0u8; 1])).await.unwrap();
    assert_eq!(scene.link.counts.resets.get(), 2);
}

/// Nothing flows there any more, and its receiver reads nothing: the reset has to come all the same.
#[tokio::test]
async fn a_reset_of_one_direction_reaches_a_half_closed_and_a_jammed_connection() {
    let (scene, service) = Scene::played().await;
    let mut half_closed = scene.client();
    let (mut server, _) = service.accept().await.unwrap();
    half_closed.shutdown().await.unwrap();
    assert_eq!(bounded(server.read(&mut [0u8; 1])).await.unwrap(), 0);
    let jammed = scene.client();
    let _deaf = service.accept().await.unwrap();
    while let Ok(Ok(_)) = tokio::time::timeout(WINDOW, jammed.writable()).await {
        let _ = jammed.try_write(&[0u8; 65_536]);
    }
    scene.put("reset", Direction::There, LinkEffect::Reset);
    until_reset(&mut half_closed).await;
    until_refused(&mut server).await;
    bounded(async {
        while jammed.try_read(&mut [0u8; 1]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
            jammed.readable().await.unwrap();
        }
    })
    .await;
    assert_eq!(scene.delete("reset"), "2 connections reset");
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_so_many_bytes_of_a_direction() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    let mut other = scene.warm().await;
    scene.put("cut", Direction::Back, LinkEffect::Cut { after: Bytes(10) });
    ping(&mut client).await.unwrap();
    ping(&mut other).await.unwrap();
    client.write_all(&[1u8; 20]).await.unwrap();
    assert_eq!(until_reset(&mut client).await.len(), 6);
    assert_eq!(scene.delete("cut"), "1 connection cut after 10B");
    // The other one has used up four of its ten, and is not cut any more.
    for _ in 0..3 {
        ping(&mut other).await.unwrap();
    }
}

#[tokio::test]
async fn an_end_is_passed_on_later_and_bytes_are_not() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    scene.put("late", Direction::There, LinkEffect::SlowClose { delay: Nanos::from_secs(60) });
    ping(&mut client).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(is_silent(&mut client).await);
    assert_eq!(scene.delete("late"), "no effect: no stream of 1 connection ended");
    assert_eq!(bounded(client.read(&mut [0u8; 1])).await.unwrap(), 0);

    let mut client = scene.warm().await;
    let delay = Nanos::from_millis(60);
    scene.put("late", Direction::There, LinkEffect::SlowClose { delay });
    let began = clock::now();
    client.shutdown().await.unwrap();
    assert_eq!(bounded(client.read(&mut [0u8; 1])).await.unwrap(), 0);
    assert!(clock::now() - began >= delay);
    assert_eq!(scene.delete("late"), "1 end 60ms later on 1 connection");
}

#[tokio::test]
async fn a_hold_that_is_put_on_again_counts_from_the_start_and_the_same_one_goes_on() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    scene.put("slow", Direction::There, latency(1));
    ping(&mut client).await.unwrap();
    scene.put("slow", Direction::There, latency(1));
    ping(&mut client).await.unwrap();
    assert_eq!(scene.delete("slow"), "8B 1ms later on 1 connection");
    scene.put("slow", Direction::There, latency(1));
    tokio::task::yield_now().await;
    ping(&mut client).await.unwrap();
    assert_eq!(scene.delete("slow"), "4B 1ms later on 1 connection");
}
