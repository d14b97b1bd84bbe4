//! What every node has, whatever its role: its plan, its event pipe, its counters, its admin side.
//!
//! A node has two sides. The *service* side runs on `plan.threads` threads and may be saturated.
//! The *control* side (admin address, heartbeats, elections' timers where a role wants them there)
//! has one thread of its own, so that a busy node is not mistaken for a dead one.

use super::faults::Faults;
use super::held;
use crate::base::{Nanos, clock, work};
use crate::plan::NodePlan;
use crate::record::{NodeEvent, NodeEventKind};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The inherited pipe's number is in this variable; without it events go to stderr.
pub const EVENTS_FD_VARIABLE: &str = "BRUNT_EVENTS_FD";

/// Tasks between two looks at sockets and timers. A request burns a millisecond and more, so
/// tokio's 61 would leave arrivals and deadlines waiting for a tenth of a second.
const EVENT_INTERVAL: u32 = 4;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("node {node} cannot listen on {address}: {cause}; is it in use? (`ss -ltnp` tells)")]
    Listen { node: String, address: SocketAddr, cause: std::io::Error },
    #[error("node {node}: {what}")]
    Role { node: String, what: String },
}

/// Where the keeper hears what happens in a process that it started.
pub struct EventPipe {
    pipe: Mutex<File>,
}

impl EventPipe {
    /// The inherited one, where there is one. Call once per process: it is taken over.
    pub fn inherited() -> Option<EventPipe> {
        let fd = std::env::var(EVENTS_FD_VARIABLE).ok()?.parse::<RawFd>().ok()?;
        // SAFETY: the keeper passed this descriptor for us alone, and this runs once.
        let pipe = (fd > 2).then(|| unsafe { File::from_raw_fd(fd) })?;
        Some(EventPipe { pipe: Mutex::new(pipe) })
    }

    /// Writes an event, stamped now. A closed pipe is not an error: brunt is gone, so is its keeper.
    pub fn emit(&self, what: NodeEventKind) {
        let mut pipe = self.pipe.lock().expect("no panic while writing a line");
        let _ = pipe.write_all(&line_of(what));
    }
}

fn line_of(what: NodeEventKind) -> Vec<u8> {
    let event = NodeEvent { at_ns: clock::now().0, what };
    let mut line = serde_json::to_vec(&event).expect("an event is plain data");
    line.push(b'\n');
    line
}

/// A node's plan, events and counters; cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    plan: NodePlan,
    events: Option<EventPipe>,
    counters: Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>,
    is_healthy: AtomicBool,
    faults: Faults,
}

impl Node {
    /// Takes over the inherited event pipe. Call once per process.
    pub fn new(plan: NodePlan) -> Self {
        Node {
            inner: Arc::new(Inner {
                faults: Faults::new(&plan),
                plan,
                events: EventPipe::inherited(),
                counters: Mutex::new(BTreeMap::new()),
                is_healthy: AtomicBool::new(true),
            }),
        }
    }

    pub fn plan(&self) -> &NodePlan {
        &self.inner.plan
    }

    /// What faults have put on this node.
    #[inline]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Writes an event to the inherited pipe, or to stderr without one.
    pub fn emit(&self, what: NodeEventKind) {
        match &self.inner.events {
            Some(pipe) => pipe.emit(what),
            None => drop(std::io::stderr().write_all(&line_of(what))),
        }
    }

    /// The counter of this name, made on first use; shown under `/counters`.
    pub fn counter(&self, name: &'static str) -> Counter {
        let mut all = self.inner.counters.lock().expect("no panic while looking up a counter");
        Counter(all.entry(name).or_default().clone())
    }

    /// What `/healthz` answers: 200 or 503.
    pub fn set_healthy(&self, is_healthy: bool) {
        self.inner.is_healthy.store(is_healthy, Ordering::Relaxed);
    }

    /// Burns what a request costs besides its handling, as calibrated work on the calling thread.
    pub fn burn(&self, cost: Nanos, handling: Nanos) {
        let work = cost.saturating_sub(handling);
        work::burn((work.as_millis_f64() * self.inner.plan.iterations_per_ms) as u64);
    }

    fn counters_json(&self) -> Bytes {
        let all = self.inner.counters.lock().expect("no panic while looking up a counter");
        let values: BTreeMap<_, _> =
            all.iter().map(|(name, value)| (*name, value.load(Ordering::Relaxed))).collect();
        serde_json::to_vec(&values).expect("counters are plain data").into()
    }
}

/// A number that a node shows; relaxed, for people and samplers.
#[derive(Clone)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// For gauges.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    #[inline]
    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub type AdminFuture = Pin<Box<dyn Future<Output = Option<Response<Full<Bytes>>>> + Send>>;
/// A role's own admin pages; `None` means "not mine".
pub type AdminPages = Arc<dyn Fn(Request<Incoming>) -> AdminFuture + Send + Sync>;

/// No admin pages besides the common ones.
pub fn no_pages() -> AdminPages {
    Arc::new(|_| Box::pin(async { None }))
}

/// Serves the admin address until the process ends: `/healthz`, `/counters`, `/faults` and the
/// role's own pages. Run it on the control side.
///
/// # Errors
/// When the admin address cannot be listened on.
pub async fn serve_admin(node: Node, pages: AdminPages) -> Result<(), NodeError> {
    let address = node.plan().admin;
    let listener = super::http::listen(&node, address)?;
    super::http::serve(listener, move |request| {
        let node = node.clone();
        let pages = pages.clone();
        async move {
            match request.uri().path() {
                "/healthz" => health(&node),
                "/counters" => json(StatusCode::OK, node.counters_json()),
                path if path == "/faults" || path.starts_with("/faults/") => {
                    held::answer(node.faults(), request).await
                }
                _ => match pages(request).await {
                    Some(response) => response,
                    None => text(StatusCode::NOT_FOUND, "no such admin page\n"),
                },
            }
        }
    })
    .await;
    Ok(())
}

/// The answer to `/healthz`.
pub fn health(node: &Node) -> Response<Full<Bytes>> {
    match node.inner.is_healthy.load(Ordering::Relaxed) {
        true => text(StatusCode::OK, "ok\n"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, "not healthy\n"),
    }
}

pub fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}

pub fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// Runs the control future on a thread of its own and the service future on `plan.threads`
/// threads. Returns when either ends; a node's service does not end unless it fails.
///
/// # Errors
/// The first error of the two.
pub fn run_sides<S, C>(node: &Node, service: S, control: C) -> Result<(), NodeError>
where
    S: Future<Output = Result<(), NodeError>> + Send + 'static,
    C: Future<Output = Result<(), NodeError>> + Send + 'static,
{
    let (done, first) = std::sync::mpsc::channel();
    let control_done = done.clone();
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs only an epoll descriptor");
            let _ = control_done.send(runtime.block_on(control));
        })
        .expect("a node may start its control thread");
    let threads = node.plan().threads.max(1) as usize;
    std::thread::Builder::new()
        .name("service".into())
        .spawn(move || {
            let runtime = match threads {
                1 => tokio::runtime::Builder::new_current_thread()
                    .event_interval(EVENT_INTERVAL)
                    .enable_all()
                    .build(),
                n => tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(n)
                    .event_interval(EVENT_INTERVAL)
                    .enable_all()
                    .build(),
            }
            .expect("a runtime needs only an epoll descriptor");
            let _ = done.send(runtime.block_on(service));
        })
        .expect("a node may start its service thread");
    first.recv().expect("both threads send before they end")
}
