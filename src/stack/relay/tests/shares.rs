//! Which connections a share of them are.

use super::super::link::draw;
use super::*;

#[tokio::test]
async fn a_share_hits_the_connections_that_the_seed_says_and_no_other() {
    const CONNECTIONS: u64 = 200;
    let is_hit = |index| draw(SEED, "a", "b", 0, index) < 0.5;
    let scene = Scene::echo().await;
    let mut clients = Vec::new();
    // Half of them are there before.
    for _ in 0..CONNECTIONS / 2 {
        clients.push(scene.warm().await);
    }
    let before = (0..CONNECTIONS / 2).filter(|index| is_hit(*index)).count();
    let said = scene.put_on(0.5, "flaky", LinkEffect::Reset);
    assert_eq!(said, format!("in force on {before} of 100 open connections"));
    for _ in 0..CONNECTIONS / 2 {
        clients.push(scene.client());
    }
    let mut hits = 0;
    for (index, client) in clients.iter_mut().enumerate() {
        let was_hit = ping(client).await.is_err();
        assert_eq!(was_hit, is_hit(index as u64), "connection {index}");
        hits += u64::from(was_hit);
    }
    assert!((70..130).contains(&hits), "{hits}");
    assert_eq!(scene.delete("flaky"), format!("{hits} connections reset"));
}

#[tokio::test]
async fn a_share_of_zero_touches_nothing() {
    let scene = Scene::echo().await;
    let mut client = scene.warm().await;
    let delay = Nanos::from_secs(60);
    let all = [
        LinkEffect::Latency { delay, jitter: Nanos::ZERO },
        LinkEffect::Bandwidth { rate: crate::base::Bytes(1) },
        LinkEffect::Stall,
        LinkEffect::Reset,
        LinkEffect::SlowClose { delay },
        LinkEffect::Cut { after: crate::base::Bytes(1) },
        LinkEffect::Partition,
    ];
    for (hold, effect) in ["1", "2", "3", "4", "5", "6", "7"].into_iter().zip(all) {
        scene.put_on(0.0, hold, effect);
        ping(&mut client).await.unwrap();
        scene.warm().await;
        assert_eq!(scene.delete(hold), "no effect: no connection met it");
    }
}

#[tokio::test]
async fn a_parted_share_never_reaches_the_service_and_the_rest_does() {
    let (scene, service) = Scene::played().await;
    scene.put_on(0.5, "p", LinkEffect::Partition);
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(scene.client());
    }
    let free = (0..20).filter(|index| draw(SEED, "a", "b", 0, *index) >= 0.5).count();
    for _ in 0..free {
        bounded(service.accept()).await.unwrap();
    }
    assert!(tokio::time::timeout(WINDOW, service.accept()).await.is_err());
    scene.delete("p");
    for _ in free..20 {
        bounded(service.accept()).await.unwrap();
    }
}

#[test]
fn a_draw_depends_on_all_that_names_a_connection() {
    let first = draw(1, "a", "b", 0, 0);
    assert_eq!(first, draw(1, "a", "b", 0, 0));
    for other in [
        draw(2, "a", "b", 0, 0),
        draw(1, "b", "a", 0, 0),
        draw(1, "a", "b", 1, 0),
        draw(1, "a", "b", 0, 1),
    ] {
        assert_ne!(first, other);
    }
}
