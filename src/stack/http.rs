//! HTTP/1.1 between nodes, on hyper: a server loop and a pooled client with a deadline per call.

use super::node::{Node, NodeError};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Idle connections kept per address.
const IDLE_MAX: usize = 64;
/// Largest body a node accepts from another one.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// Listens with address reuse (a restarted node takes its address again at once).
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn listen(node: &Node, address: SocketAddr) -> Result<TcpListener, NodeError> {
    let wrap = |cause| NodeError::Listen { node: node.plan().name.clone(), address, cause };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(wrap)?;
    socket.set_reuseaddr(true).map_err(wrap)?;
    socket.bind(address).map_err(wrap)?;
    socket.listen(BACKLOG).map_err(wrap)
}

/// Accepts and serves until the process ends; one task a connection.
pub async fn serve<H, F, B>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, or the peer gave up: neither ends a server.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .half_close(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Reads a whole body, up to 8 MiB.
///
/// # Errors
/// When the peer breaks off or sends more.
pub async fn read_body(body: Incoming) -> Result<Bytes, CallError> {
    http_body_util::Limited::new(body, BODY_MAX)
        .collect()
        .await
        .map(|b| b.to_bytes())
        .map_err(|e| CallError::Broken(e.to_string()))
}

/// Why a call between two nodes gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent: the peer did not take the connection.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// Sent, at least in part; whether it was done is unknown.
    #[error("broken off: {0}")]
    Broken(String),
    /// Sent or not, no answer came in time; whether it was done is unknown.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
}

/// A pooled HTTP/1.1 client; cheap to clone. Every call has a deadline: a frozen peer still
/// accepts connections and acknowledges data.
#[derive(Clone, Default)]
pub struct Client {
    idle: Arc<Mutex<HashMap<SocketAddr, Vec<Sender>>>>,
}

type Sender = SendRequest<Full<Bytes>>;

impl Client {
    pub fn new() -> Self {
        Self::default()
    }

    /// One request, one answer with its whole body. `Host` is set when missing.
    ///
    /// # Errors
    /// See [`CallError`]; an answer of any status is `Ok`.
    pub async fn call(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, CallError> {
        tokio::time::timeout(deadline, self.exchange(address, request))
            .await
            .unwrap_or(Err(CallError::Deadline(deadline)))
    }

    async fn exchange(
        &self,
        address: SocketAddr,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, CallError> {
        if !request.headers().contains_key(http::header::HOST) {
            let host = http::HeaderValue::from_str(&address.to_string())
                .expect("an address is a valid header value");
            request.headers_mut().insert(http::header::HOST, host);
        }
        loop {
            let (mut sender, is_reused) = match self.take_idle(address).await {
                Some(sender) => (sender, true),
                None => (connect(address).await?, false),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let body = read_body(body).await?;
                    self.give_back(address, sender);
                    return Ok(Response::from_parts(head, body));
                }
                Err(mut failed) => match failed.take_message() {
                    // hyper hands the request back when not one byte of it was written.
                    Some(unsent) if is_reused => request = unsent,
                    _ => return Err(CallError::Broken(failed.into_error().to_string())),
                },
            }
        }
    }

    /// A pooled connection that is still open. One whose last answer was only just read needs a
    /// moment to become ready, so it is waited for rather than thrown away.
    async fn take_idle(&self, address: SocketAddr) -> Option<Sender> {
        loop {
            let popped = {
                let mut idle = self.idle.lock().expect("no panic while holding the pool");
                idle.get_mut(&address)?.pop()?
            };
            let mut sender = popped;
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn give_back(&self, address: SocketAddr, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().expect("no panic while holding the pool");
        let pool = idle.entry(address).or_default();
        if pool.len() < IDLE_MAX {
            pool.push(sender);
        }
    }
}

async fn connect(address: SocketAddr) -> Result<Sender, CallError> {
    let stream = TcpStream::connect(address).await.map_err(CallError::Connect)?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| CallError::Broken(e.to_string()))?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
