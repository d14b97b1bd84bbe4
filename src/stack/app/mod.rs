//! The app role: a small video-sharing service in front of cache and database.
//!
//! `route` says what is asked for, `service` answers it, `store` reads and writes through `cache`
//! and `database`, `asset` is the origin of images and scripts, `prefill` warms the cache.
//! Heartbeats go out from the control side.

mod asset;
mod cache;
mod database;
#[cfg(test)]
mod fakes;
mod prefill;
mod route;
mod service;
mod store;
#[cfg(test)]
mod tests;

use super::node::{Counter, Node, NodeError};
use crate::plan::Peer;
use crate::record::NodeEventKind;
use crate::target::Role;
use asset::Assets;
use cache::{CacheLink, CacheTimes};
use database::Database;
use service::Service;
use std::sync::Arc;
use store::{Store, StoreCounters};
use tokio::sync::watch;

/// Runs this node until the process ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve(node: Node) -> Result<(), NodeError> {
    node.set_healthy(false);
    let (ready, is_ready) = watch::channel(false);
    let service = run_service(node.clone(), ready);
    let control = run_control(node.clone(), is_ready);
    super::node::run_sides(&node, service, control)
}

async fn run_service(node: Node, ready: watch::Sender<bool>) -> Result<(), NodeError> {
    let listener = super::http::listen(&node, node.plan().listen)?;
    let service = build(&node);
    node.set_healthy(true);
    node.emit(NodeEventKind::Ready);
    ready.send_replace(true);
    if prefill::is_first(&node.plan().name) {
        tokio::spawn(warm(node.clone(), service.store.clone()));
    }
    super::http::serve(listener, move |request| {
        let service = service.clone();
        async move { service.handle(request).await }
    })
    .await;
    Ok(())
}

/// Needs the service's runtime: the line to the cache lives there.
fn build(node: &Node) -> Arc<Service> {
    let plan = node.plan();
    let settings = plan.settings.app.clone();
    let times = CacheTimes {
        deadline: settings.cache_deadline,
        marker_ttl: settings.marker_ttl,
        entry_ttl: settings.cache_ttl,
    };
    let caches = plan.peers_of(Role::Cache);
    let caches = caches.map(|peer| CacheLink::open(peer, times, plan.seed)).collect();
    let database = Database::new(
        plan.peers_of(Role::Database).cloned(),
        settings.database_deadline,
        settings.database_in_flight,
        node.counter("database_calls"),
    );
    let reads = plan.settings.database.reads;
    Arc::new(Service {
        node: node.clone(),
        store: Store::new(caches, database, settings, reads, counters(node)),
        assets: Assets::generate(),
        requests: node.counter("requests"),
        rejected: node.counter("rejected"),
        in_flight: node.counter("in_flight"),
    })
}

fn counters(node: &Node) -> StoreCounters {
    StoreCounters {
        cache_hits: node.counter("cache_hits"),
        cache_misses: node.counter("cache_misses"),
        collapsed: node.counter("collapsed"),
        invalidations: node.counter("invalidations"),
        invalidation_failed: node.counter("invalidation_failed"),
    }
}

async fn warm(node: Node, store: Arc<Store>) {
    let filled = prefill::prefill(&store, node.plan().settings.database.videos).await;
    if filled > 0 {
        node.emit(NodeEventKind::Note { text: format!("prefilled {filled} cache entries") });
    }
}

async fn run_control(node: Node, mut is_ready: watch::Receiver<bool>) -> Result<(), NodeError> {
    let beating = node.clone();
    tokio::spawn(async move {
        if is_ready.wait_for(|ready| *ready).await.is_ok() {
            start_heartbeats(&beating);
        }
    });
    super::node::serve_admin(node, super::node::no_pages()).await
}

/// One task a balancer, so that one that hangs does not delay the others' heartbeats.
fn start_heartbeats(node: &Node) {
    let in_flight = node.counter("in_flight");
    for balancer in node.plan().peers_of(Role::Balancer).cloned() {
        tokio::spawn(beat(node.clone(), balancer, in_flight.clone()));
    }
}

async fn beat(node: Node, balancer: Peer, in_flight: Counter) {
    #[derive(serde::Serialize)]
    struct Heartbeat<'a> {
        name: &'a str,
        in_flight: u64,
        draining: bool,
    }
    let message = || {
        let name = node.plan().name.as_str();
        let beat = Heartbeat { name, in_flight: in_flight.get(), draining: false };
        serde_json::to_vec(&beat).expect("a heartbeat is plain data").into()
    };
    let every = node.plan().settings.app.heartbeat;
    super::heartbeat::send(balancer.dial_admin, every.duration(), message).await;
}
