//! The cdn role: an edge that caches what the app serves, near its visitors.
//!
//! `edge` is the flow of a request, `entry` what is stored and for how long it may be used,
//! `origin` the way to the balancer or app. `directory` is a role of its own: it tells clients
//! which edges are there. Distance is not simulated here but on the link.

pub mod directory;
mod edge;
mod entry;
mod origin;
#[cfg(test)]
mod tests;

use super::node::{Node, NodeError};
use crate::base::{Nanos, clock};
use crate::plan::Peer;
use crate::record::NodeEventKind;
use crate::target::Role;
use edge::{Edge, Now};
use std::sync::Arc;
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
    let edge = Edge::new(&node, steady_wall_clock());
    node.set_healthy(true);
    node.emit(NodeEventKind::Ready);
    ready.send_replace(true);
    super::http::serve(listener, move |request| edge.clone().handle(request)).await;
    Ok(())
}

/// HTTP counts in wall-clock time; ours is read once and then advances with the monotonic clock.
fn steady_wall_clock() -> Now {
    let (wall, began) = (clock::wall(), clock::now());
    Arc::new(move || Nanos(wall.0 + (clock::now().0 - began.0)))
}

async fn run_control(node: Node, mut is_ready: watch::Receiver<bool>) -> Result<(), NodeError> {
    let beating = node.clone();
    tokio::spawn(async move {
        if is_ready.wait_for(|ready| *ready).await.is_ok() {
            for directory in beating.plan().peers_of(Role::Directory).cloned() {
                tokio::spawn(beat(beating.clone(), directory));
            }
        }
    });
    super::node::serve_admin(node, super::node::no_pages()).await
}

async fn beat(node: Node, directory: Peer) {
    let beat =
        directory::Beat { name: node.plan().name.clone(), region: node.plan().region.clone() };
    let message = bytes::Bytes::from(serde_json::to_vec(&beat).expect("a heartbeat is plain data"));
    let every = node.plan().settings.cdn.heartbeat.duration();
    super::heartbeat::send(directory.dial_admin, every, || message.clone()).await;
}
