//! Carries the links that have a distance or may get a fault: every byte arrives half a round trip
//! later than it was sent, in both directions, and as the rules on its link want it. One process per
//! run, on brunt's own cores, on one thread.
//!
//! Without rules it adds time and nothing else: order is kept, throughput is not throttled below the
//! bound in `pipe`, half-closes and resets are passed on. Rules reach connections that exist; bytes
//! that are inside when a rule begins obey it, and those held when it ends are passed on, in order.
//! Two things of a real distance are not here: a TCP handshake through a relay costs no round trip,
//! and a service that refuses is seen as a reset after the connection was accepted, not as a
//! refusal. Likewise a partitioned link's handshakes are done by the kernel until its backlog is
//! full; such a connection then hears nothing.

mod control;
mod link;
mod pipe;
mod timer;

use crate::base::Nanos;
use crate::fault::Direction;
use crate::plan::LinkPlan;
use control::Control;
use link::{Connection, Link};
use serde::Deserialize;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once on one link; one more is reset.
const CONNECTIONS_MAX: usize = 4096;
const BACKLOG: u32 = 4096;
/// Longest wait for the service to take a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

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

/// Relays until the process is killed. Prints nothing.
///
/// # Errors
/// When the input is not what it should be or an address cannot be listened on.
pub fn serve(input: impl Read) -> Result<(), RelayError> {
    let input: Input = serde_json::from_reader(input).map_err(RelayError::Input)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RelayError::Runtime)?;
    runtime.block_on(run(input))
}

async fn run(input: Input) -> Result<(), RelayError> {
    let mut links: Vec<Arc<Link>> = Vec::new();
    for plan in &input.links {
        let known = links.iter().find(|l| l.from == plan.from && l.to == plan.to).cloned();
        let link = known.unwrap_or_else(|| {
            let link = Arc::new(Link::new(&plan.from, &plan.to, input.seed));
            links.push(link.clone());
            link
        });
        let name = || format!("{} → {}", plan.from, plan.to);
        let listener = listen(plan.dial, name)?;
        tokio::spawn(accept(listener, plan.service, plan.round_trip, link));
    }
    match input.admin {
        Some(admin) => {
            let listener = listen(admin, || "its admin side".into())?;
            Control { links: Arc::new(links) }.serve(listener).await;
        }
        None => std::future::pending().await,
    }
    Ok(())
}

fn listen(address: SocketAddr, name: impl Fn() -> String) -> Result<TcpListener, RelayError> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|cause| RelayError::Listen { link: name(), address, cause })
}

async fn accept(listener: TcpListener, service: SocketAddr, round_trip: Nanos, link: Arc<Link>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = listener.accept().await;
        link.is_reachable().await;
        let Ok((client, _)) = accepted else {
            // Out of descriptors, or the client gave up: neither ends a relay.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        match free.clone().try_acquire_owned() {
            Ok(permit) => {
                let connection = link.connect();
                tokio::spawn(async move {
                    carry(client, service, round_trip, connection).await;
                    drop(permit);
                });
            }
            Err(_) => reset(&client),
        }
    }
}

/// One connection, from its first byte to its last.
async fn carry(client: TcpStream, service: SocketAddr, round_trip: Nanos, connection: Connection) {
    let (there, back) = (connection.way(Direction::There), connection.way(Direction::Back));
    if there.is_reset() || back.is_reset() {
        return reset(&client);
    }
    let connected = tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(service)).await;
    let Ok(Ok(backend)) = connected else {
        // The refusal travels there and back.
        tokio::time::sleep(round_trip.duration()).await;
        return reset(&client);
    };
    let _ = client.set_nodelay(true);
    let _ = backend.set_nodelay(true);
    let delay = Nanos(round_trip.0 / 2);
    let there = pipe::carry(&client, &backend, delay, there);
    let back = pipe::carry(&backend, &client, delay, back);
    let both = tokio::try_join!(there, back);
    if both.is_err() {
        reset(&client);
        reset(&backend);
    }
}

/// Makes the drop of this socket a RST instead of a FIN.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod tests;
