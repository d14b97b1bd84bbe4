//! One edge: answers from its store what it may, asks the origin for the rest, once per address.
//!
//! Only GET is stored and only without cookies, credentials and ranges; HEAD is answered from a
//! stored GET, else it is passed through like everything else. One variant is kept per address.
//! `only-if-cached` is not looked at.

use super::entry::{self, Entry, View};
use super::origin::{Origin, OriginError};
use crate::base::{Nanos, clock};
use crate::stack::faults::Promised;
use crate::stack::flight::{Flights, Join, Landing};
use crate::stack::http::read_body;
use crate::stack::node::{self, Counter, Node};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use moka::sync::Cache;
use std::sync::Arc;

/// Requests at once; one more gets a 503.
const IN_FLIGHT_MAX: u64 = 4096;
/// Addresses known not to be storable, so that their requests are not made to wait for each other.
const PRIVATE_MAX: u64 = 10_000;
const PRIVATE_FOR: Nanos = Nanos::from_secs(5);
/// A body may take up to this part of the store.
const BODY_SHARE: u64 = 8;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Nanoseconds since the Unix epoch, advancing as the monotonic clock does.
pub type Now = Arc<dyn Fn() -> Nanos + Send + Sync>;

pub struct Edge {
    node: Node,
    name: String,
    store: Cache<String, Arc<Entry>>,
    private: Cache<String, Nanos>,
    flights: Arc<Flights<Flown>>,
    origin: Origin,
    body_max: u64,
    deadline: Nanos,
    now: Now,
    counters: Counters,
}

struct Counters {
    requests: Counter,
    rejected: Counter,
    in_flight: Counter,
    cache_hits: Counter,
    cache_misses: Counter,
    revalidated: Counter,
    stale_served: Counter,
    collapsed: Counter,
}

/// What a shared fetch brought.
#[derive(Clone)]
enum Flown {
    Stored(Arc<Entry>),
    /// For whoever began the fetch and for nobody else.
    Private(Arc<Response<Bytes>>),
    /// With the origin's own answer, if there was one.
    Failed(StatusCode, Option<Arc<Response<Bytes>>>),
}

/// An answer and what `Cache-Status` says of it.
struct Served {
    response: Response<Bytes>,
    status: String,
}

struct InFlight<'a>(&'a Counter);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

impl Edge {
    pub fn new(node: &Node, now: Now) -> Arc<Self> {
        let settings = &node.plan().settings.cdn;
        Arc::new(Edge {
            node: node.clone(),
            name: node.plan().name.clone(),
            store: Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|key: &String, entry: &Arc<Entry>| {
                    entry.size_bytes().saturating_add(key.len() as u32)
                })
                .build(),
            private: Cache::new(PRIVATE_MAX),
            flights: Flights::new(),
            origin: Origin::new(node.plan()),
            body_max: settings.max_bytes / BODY_SHARE,
            deadline: settings.origin_deadline,
            now,
            counters: Counters {
                requests: node.counter("requests"),
                rejected: node.counter("rejected"),
                in_flight: node.counter("in_flight"),
                cache_hits: node.counter("cache_hits"),
                cache_misses: node.counter("cache_misses"),
                revalidated: node.counter("revalidated"),
                stale_served: node.counter("stale_served"),
                collapsed: node.counter("collapsed"),
            },
        })
    }

    pub async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Response<Promised<Full<Bytes>>> {
        let began = clock::now();
        self.counters.requests.add(1);
        self.counters.in_flight.add(1);
        let _in_flight = InFlight(&self.counters.in_flight);
        if self.counters.in_flight.get() > IN_FLIGHT_MAX {
            self.counters.rejected.add(1);
            let mut busy = node::text(StatusCode::SERVICE_UNAVAILABLE, "too many requests\n");
            busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return busy.map(Promised::kept);
        }
        let asked = request.method().clone();
        self.node.faults().around(&asked, self.work(request, began)).await
    }

    async fn work(
        self: &Arc<Self>,
        request: Request<Incoming>,
        began: Nanos,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let served = match self.from_store(&head).await {
            Some(served) => served,
            None => self.pass(head, body).await,
        };
        self.finish(served, clock::now() - began)
    }

    fn finish(&self, served: Served, took: Nanos) -> Response<Full<Bytes>> {
        let mut response = served.response.map(Full::new);
        let status = format!("{}; {}", self.name, served.status);
        let timing = format!("cdn;dur={:.3}", took.as_millis_f64());
        let value = |text: &str| HeaderValue::from_str(text).expect("names and numbers");
        response.headers_mut().append(CACHE_STATUS, value(&status));
        response.headers_mut().append(SERVER_TIMING, value(&timing));
        response
    }

    /// `None` when the request is none that the store may answer.
    async fn from_store(self: &Arc<Self>, head: &Parts) -> Option<Served> {
        let is_head = head.method == Method::HEAD;
        let is_ours = entry::is_cacheable(head) || (is_head && self.has(head));
        if !is_ours {
            return None;
        }
        let mut served = self.look(entry::address(head), entry::normalised(head)).await;
        if entry::not_modified(&head.headers, &served.response) {
            *served.response.status_mut() = StatusCode::NOT_MODIFIED;
            *served.response.body_mut() = Bytes::new();
            served.response.headers_mut().remove(http::header::CONTENT_LENGTH);
        }
        Some(served)
    }

    /// Whether a HEAD may be answered like a GET: nothing private in it, and something stored.
    fn has(&self, head: &Parts) -> bool {
        let mut as_get = head.clone();
        as_get.method = Method::GET;
        entry::is_cacheable(&as_get) && self.store.contains_key(entry::address(head))
    }

    async fn look(self: &Arc<Self>, key: &str, asked: Request<()>) -> Served {
        let now = (self.now)();
        let Some(entry) = self.store.get(key) else {
            return self.fetch_shared(key, asked, None, "uri-miss").await;
        };
        match entry.view(&asked, now) {
            View::Fresh => {
                self.counters.cache_hits.add(1);
                self.stored(&entry, "hit")
            }
            View::OtherVariant => self.fetch_shared(key, asked, None, "vary-miss").await,
            View::Forced => self.fetch_shared(key, asked, Some(entry), "request").await,
            View::Stale(stale) => {
                let is_left_alone = entry.is_left_alone(now);
                if is_left_alone && entry.may_serve_on_error(stale) {
                    return self.stale(&entry);
                }
                if entry.may_serve_while_revalidating(stale) {
                    if !is_left_alone {
                        self.renew_behind(key, asked, &entry, now);
                    }
                    return self.stale(&entry);
                }
                self.fetch_shared(key, asked, Some(entry), "stale").await
            }
        }
    }

    fn stored(&self, entry: &Entry, what: &str) -> Served {
        let now = (self.now)();
        let status = format!("{what}; ttl={}", entry.ttl_s(now));
        Served { response: entry.response(now), status }
    }

    fn stale(&self, entry: &Entry) -> Served {
        self.counters.cache_hits.add(1);
        self.counters.stale_served.add(1);
        self.stored(entry, "hit")
    }

    /// Revalidates without anyone waiting, unless someone does already.
    fn renew_behind(
        self: &Arc<Self>,
        key: &str,
        asked: Request<()>,
        entry: &Arc<Entry>,
        now: Nanos,
    ) {
        if let Join::Fetch(ticket) = self.flights.join(key, now, self.flight_max()) {
            let (edge, key, entry) = (self.clone(), key.to_string(), entry.clone());
            tokio::spawn(async move {
                let flown = edge.fetch(&key, &asked, Some(entry)).await;
                ticket.land(flown);
            });
        }
    }

    /// One fetch for all who need the same address now. It is a task of its own, so that a client
    /// that hangs up does not take the others' fetch with it.
    async fn fetch_shared(
        self: &Arc<Self>,
        key: &str,
        asked: Request<()>,
        entry: Option<Arc<Entry>>,
        why: &str,
    ) -> Served {
        self.counters.cache_misses.add(1);
        let now = (self.now)();
        if self.private.get(key).is_some_and(|until| until > now) {
            return self.fetch_alone(asked, why).await;
        }
        let (waiter, is_own) = match self.flights.join(key, now, self.flight_max()) {
            Join::Wait(waiter) => (waiter, false),
            Join::Fetch(ticket) => {
                let waiter = ticket.waiter();
                let (edge, key) = (self.clone(), key.to_string());
                let (asked, entry) = (asked.clone(), entry.clone());
                tokio::spawn(async move {
                    let flown = edge.fetch(&key, &asked, entry).await;
                    ticket.land(flown);
                });
                (waiter, true)
            }
        };
        if !is_own {
            self.counters.collapsed.add(1);
        }
        let collapsed = if is_own { "" } else { "; collapsed" };
        match waiter.wait(self.flight_max().duration()).await {
            Landing::Landed(Flown::Stored(new)) if self.suits(&new, &asked) => {
                self.stored(&new, &format!("fwd={why}; stored{collapsed}"))
            }
            Landing::Landed(Flown::Private(response)) if is_own => {
                Served { response: (*response).clone(), status: format!("fwd={why}") }
            }
            Landing::Landed(Flown::Stored(_) | Flown::Private(_)) => {
                self.fetch_alone(asked, why).await
            }
            Landing::Landed(Flown::Failed(status, response)) => {
                self.failed(entry.as_deref(), status, response, why)
            }
            Landing::Failed | Landing::TimedOut => {
                self.failed(entry.as_deref(), StatusCode::GATEWAY_TIMEOUT, None, why)
            }
        }
    }

    fn suits(&self, entry: &Entry, asked: &Request<()>) -> bool {
        entry.view(asked, (self.now)()) != View::OtherVariant
    }

    /// The origin has failed: the stale entry while it may be used, else the failure.
    fn failed(
        &self,
        entry: Option<&Entry>,
        status: StatusCode,
        response: Option<Arc<Response<Bytes>>>,
        why: &str,
    ) -> Served {
        let now = (self.now)();
        if let Some(entry) = entry
            && entry.may_serve_on_error(entry.stale_for(now))
        {
            self.counters.stale_served.add(1);
            let why = format!("fwd={why}; fwd-status={}; detail=stale-if-error", status.as_u16());
            return self.stored(entry, &why);
        }
        let response = response.map_or_else(
            || {
                let mut response = Response::new(Bytes::from_static(b"the origin has failed\n"));
                *response.status_mut() = status;
                response
            },
            |response| (*response).clone(),
        );
        Served { response, status: format!("fwd={why}; fwd-status={}", status.as_u16()) }
    }

    /// Fetches or revalidates, and stores what may be stored.
    async fn fetch(&self, key: &str, asked: &Request<()>, entry: Option<Arc<Entry>>) -> Flown {
        let now = (self.now)();
        let asking = entry.as_ref().map_or_else(|| asked.clone(), |e| e.revalidation(asked, now));
        let answer = match self.origin.ask(asking.map(|()| Bytes::new()), true).await {
            Ok(answer) => answer,
            Err(error) => return fail(entry.as_deref(), status_of(&error), None, (self.now)()),
        };
        let now = (self.now)();
        if answer.status().is_server_error() {
            return fail(entry.as_deref(), answer.status(), Some(cleaned(answer)), now);
        }
        if answer.status() == StatusCode::NOT_MODIFIED {
            let renewed = entry.and_then(|entry| entry.renewed(asked, &answer, now));
            let Some(renewed) = renewed else {
                // About something else than what is stored: the next request fetches it whole.
                self.store.invalidate(key);
                return Flown::Failed(StatusCode::BAD_GATEWAY, None);
            };
            self.counters.revalidated.add(1);
            return self.keep(key, renewed);
        }
        let is_small = answer.body().len() as u64 <= self.body_max;
        match Entry::new(asked, answer.clone(), now).filter(|_| is_small) {
            Some(new) => self.keep(key, new),
            None => {
                self.store.invalidate(key);
                self.private.insert(key.to_string(), now + PRIVATE_FOR);
                Flown::Private(Arc::new(cleaned(answer)))
            }
        }
    }

    fn keep(&self, key: &str, entry: Entry) -> Flown {
        let entry = Arc::new(entry);
        self.store.insert(key.to_string(), entry.clone());
        Flown::Stored(entry)
    }

    /// For one client only.
    async fn fetch_alone(&self, asked: Request<()>, why: &str) -> Served {
        match self.origin.ask(asked.map(|()| Bytes::new()), true).await {
            Ok(answer) => {
                let status = format!("fwd={why}; fwd-status={}", answer.status().as_u16());
                Served { response: cleaned(answer), status }
            }
            Err(error) => self.failed(None, status_of(&error), None, why),
        }
    }

    /// Everything that is not for the store. What changes an address drops what is stored for it.
    async fn pass(&self, mut head: Parts, body: Incoming) -> Served {
        let key = entry::address(&head).to_string();
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method);
        let why = if is_safe { "bypass" } else { "method" };
        let Ok(body) = read_body(body).await else {
            return self.failed(None, StatusCode::BAD_REQUEST, None, why);
        };
        entry::remove_hop_by_hop(&mut head.headers);
        head.headers.remove(http::header::HOST);
        head.uri = key.parse().expect("it was part of a valid URI");
        match self.origin.ask(Request::from_parts(head, body), is_safe).await {
            Ok(answer) => {
                if !is_safe && !answer.status().is_server_error() {
                    self.store.invalidate(&key);
                }
                let status = format!("fwd={why}; fwd-status={}", answer.status().as_u16());
                Served { response: cleaned(answer), status }
            }
            Err(error) => self.failed(None, status_of(&error), None, why),
        }
    }

    /// Longest life of a shared fetch: the origin's deadline, and a little for ourselves.
    fn flight_max(&self) -> Nanos {
        self.deadline + Nanos::from_millis(100)
    }
}

fn fail(
    entry: Option<&Entry>,
    status: StatusCode,
    answer: Option<Response<Bytes>>,
    now: Nanos,
) -> Flown {
    if let Some(entry) = entry {
        entry.leave_alone(now);
    }
    Flown::Failed(status, answer.map(Arc::new))
}

fn status_of(error: &OriginError) -> StatusCode {
    match error {
        OriginError::Call(crate::stack::http::CallError::Deadline(_)) => {
            StatusCode::GATEWAY_TIMEOUT
        }
        OriginError::Call(_) | OriginError::Unreachable => StatusCode::BAD_GATEWAY,
    }
}

fn cleaned(mut answer: Response<Bytes>) -> Response<Bytes> {
    entry::remove_hop_by_hop(answer.headers_mut());
    answer
}
