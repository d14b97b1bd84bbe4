//! The in-path TCP proxy. Carries the links that have a distance or may get a fault: every byte
//! arrives half a round trip later than it was sent, in both directions, and as the rules on its
//! link want it. One process per run, on brunt's own cores, on one thread.
//!
//! It is in the path of such a link from the start, so its cost is in every measurement alike.
//! Without rules it adds time and nothing else: order is kept, throughput is not throttled below the
//! bound in `line`, half-closes and resets are passed on. Rules reach connections that exist; bytes
//! that are inside when a rule begins obey it, and those held when it ends are passed on, in order.
//!
//! What of a real network is not here:
//! - A TCP handshake through a relay costs no round trip: the kernel completes it here. So a stalled
//!   link still takes connections, and a reset one resets them after they were made.
//! - A service that refuses is seen as a reset after the connection was accepted, not as a refusal.
//! - A partition of all connections leaves each SYN unanswered (`deaf`). One of a share cannot know
//!   whose SYN it is, so those connections are made, and nothing of them reaches the service.
//! - The kernel acknowledges what is sent into a stall or a partition until a window is full, so the
//!   sender sees no retransmission and no timeout of its own TCP.
//! - Packets are not lost or reordered; that is done at packet level, where there are packets.

mod bucket;
mod connection;
mod control;
mod deaf;
mod door;
mod line;
mod link;
mod pipe;
mod rule;
mod timer;
mod way;

use super::node::EventPipe;
use crate::host::descriptors;
use crate::plan::LinkPlan;
use crate::record::NodeEventKind;
use control::Control;
use door::Door;
use link::{Link, Port};
use serde::Deserialize;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("relay: cannot read its links: {0}; expected {{\"links\":[…]}} on stdin")]
    Input(serde_json::Error),
    #[error("relay: cannot start its event loop: {0}")]
    Runtime(std::io::Error),
    #[error("relay: cannot listen on {address} for {link}: {cause}; is it in use?")]
    Listen { link: String, address: SocketAddr, cause: std::io::Error },
}

#[derive(Deserialize)]
struct Input {
    links: Vec<LinkPlan>,
    /// Where rules are put on and counters are asked for.
    #[serde(default)]
    admin: Option<SocketAddr>,
    /// Which connections a share of them are.
    #[serde(default)]
    seed: u64,
}

/// Relays until the process is killed. Says that it is ready on the event pipe, where one was
/// handed over.
///
/// # Errors
/// When the input is not what it should be or an address cannot be listened on.
pub fn serve(input: impl Read) -> Result<(), RelayError> {
    let input: Input = serde_json::from_reader(input).map_err(RelayError::Input)?;
    // Each connection needs two sockets, and a timer when it waits.
    descriptors::raise_own();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RelayError::Runtime)?;
    runtime.block_on(run(input))
}

async fn run(input: Input) -> Result<(), RelayError> {
    let mut links: Vec<Arc<Link>> = Vec::new();
    for (at, plan) in input.links.iter().enumerate() {
        let known = links.iter().find(|l| l.from == plan.from && l.to == plan.to).cloned();
        let link = known.unwrap_or_else(|| {
            let link = Arc::new(Link::new(&plan.from, &plan.to, input.seed));
            links.push(link.clone());
            link
        });
        let before = &input.links[..at];
        let index = before.iter().filter(|l| l.from == plan.from && l.to == plan.to).count();
        let name = format!("{} → {}", plan.from, plan.to);
        let listener = listen(plan.dial, &name)?;
        let port = Port::new(link, index as u16);
        let (service, round_trip) = (plan.service, plan.round_trip);
        tokio::spawn(Door { listener, service, round_trip, port }.keep());
    }
    let admin = input.admin.map(|admin| listen(admin, "its admin side")).transpose()?;
    let events = EventPipe::inherited();
    if let Some(events) = &events {
        events.emit(NodeEventKind::Ready);
    }
    match admin {
        Some(listener) => Control::new(links).serve(listener).await,
        None => std::future::pending().await,
    }
    Ok(())
}

fn listen(address: SocketAddr, link: &str) -> Result<TcpListener, RelayError> {
    door::listen(address).map_err(|cause| RelayError::Listen { link: link.into(), address, cause })
}

#[cfg(test)]
mod tests;
