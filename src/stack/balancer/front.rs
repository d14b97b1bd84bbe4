//! The public side of one service thread: accepts connections and hands each request on.

use super::proxy;
use super::shard::{IDLE_MAX, Shard, follow, sweep};
use crate::base::clock;
use crate::stack::node::{Node, NodeError};
use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_local;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Open connections of clients on one thread; those beyond are closed at once and counted.
const CONNECTIONS_MAX: usize = 16_384;
/// Largest head of a request, and how much of a body is read at once.
const BUFFER_MAX: usize = 64 * 1024;

/// Listens; several threads may listen on one address and the kernel deals connections out.
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn listen(node: &Node) -> Result<TcpListener, NodeError> {
    let plan = node.plan();
    let address = plan.listen;
    let wrap = |cause| NodeError::Listen { node: plan.name.clone(), address, cause };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(wrap)?;
    socket.set_reuseaddr(true).map_err(wrap)?;
    socket.set_reuseport(plan.threads > 1).map_err(wrap)?;
    socket.bind(address).map_err(wrap)?;
    socket.listen(BACKLOG).map_err(wrap)
}

/// Serves until the process ends. Call within a `LocalSet`.
pub async fn run(listener: TcpListener, shard: Rc<Shard>) {
    spawn_local(sweep(shard.clone()));
    spawn_local(follow(shard.clone()));
    loop {
        match listener.accept().await {
            Ok((stream, client)) => admit(&shard, stream, client),
            // Out of descriptors, or the peer gave up: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

fn admit(shard: &Rc<Shard>, stream: TcpStream, client: SocketAddr) {
    if shard.seats.len() >= CONNECTIONS_MAX {
        shard.counters.connections_refused.add(1);
        return;
    }
    shard.counters.connections.add(1);
    spawn_local(connection(shard.clone(), stream, client));
}

async fn connection(shard: Rc<Shard>, stream: TcpStream, client: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let client = HeaderValue::from_str(&client.ip().to_string())
        .expect("an address is a valid header value");
    let seat = shard.seats.take(clock::now() + IDLE_MAX);
    let service =
        service_fn(|request| proxy::handle(shard.clone(), seat.clone(), client.clone(), request));
    let mut http = http1::Builder::new();
    // Heads and most bodies are small: one buffer is cheaper to write than two.
    http.half_close(false).max_buf_size(BUFFER_MAX).writev(false);
    {
        let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
        poll_fn(|cx| {
            seat.attend(cx);
            match serving.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                // Idle for too long, or a client that does not read its answer.
                Poll::Pending if seat.interrupted().is_some() => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
    shard.seats.give_back(&seat);
    shard.counters.connections.subtract(1);
}
