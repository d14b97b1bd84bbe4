//! Heartbeats over HTTP, as apps send them to balancers and edges to their directory.

use super::http::Client;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Posts what `message` gives to `/heartbeat`, the first one at once, without end. A heartbeat that
/// is not answered before the next is due is given up: the next one says the same.
pub async fn send(address: SocketAddr, every: Duration, message: impl Fn() -> Bytes) {
    let client = Client::new();
    let every = every.max(Duration::from_millis(1));
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let request = Request::builder()
            .method(Method::POST)
            .uri("/heartbeat")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(message()))
            .expect("a constant request is valid");
        // Whoever listens notices the silence; there is nothing to do about it here.
        let _ = client.call(address, request, every).await;
    }
}
