//! Requests in, answers out: admission, the calibrated work, and what HTTP wants to be told.

use super::asset::Assets;
use super::database::DatabaseError;
use super::route::{Route, Wrong, route};
use super::store::{Found, Source, Store, StoreError, Write};
use crate::base::{Nanos, clock};
use crate::stack::faults::Promised;
use crate::stack::http::read_body;
use crate::stack::node::{self, Counter, Node};
use crate::target::Costs;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Arc;

/// Longest comment, in bytes.
const COMMENT_MAX: usize = 4096;

const VERSION: HeaderName = HeaderName::from_static("x-version");
const CACHE: HeaderName = HeaderName::from_static("x-cache");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

type Answer = Response<Full<Bytes>>;

pub struct Service {
    pub node: Node,
    pub store: Arc<Store>,
    pub assets: Assets,
    pub requests: Counter,
    pub rejected: Counter,
    pub in_flight: Counter,
}

/// One request's place among those admitted; given back when the request ends, however it ends.
struct Admission<'a>(&'a Counter);

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

impl Service {
    pub async fn handle(&self, request: Request<Incoming>) -> Response<Promised<Full<Bytes>>> {
        let began = clock::now();
        let (head, body) = request.into_parts();
        let videos = self.node.plan().settings.database.videos;
        let route = match route(&head.method, head.uri.path(), head.uri.query(), videos) {
            Ok(Route::Health) => return node::health(&self.node).map(Promised::kept),
            Ok(route) => route,
            Err(wrong) => return refuse(wrong).map(Promised::kept),
        };
        self.requests.add(1);
        let Some(_admission) = self.admit() else {
            self.rejected.add(1);
            return busy("too many requests at once\n").map(Promised::kept);
        };
        self.node.faults().around(&head.method, self.work(route, &head, body, began)).await
    }

    async fn work(&self, route: Route<'_>, head: &Parts, body: Incoming, began: Nanos) -> Answer {
        let mut timing = Timing::default();
        let mut answer = match route {
            Route::Feed { page } => self.feed(page, &mut timing).await,
            Route::Video { id } => self.video(id, &mut timing).await,
            Route::Like { id } => self.write("like", id, &head.headers, String::new()).await,
            Route::Comment { id } => self.comment(id, &head.headers, body).await,
            Route::Writes { id } => self.writes(id).await,
            Route::Asset { name } => self.asset(name, &head.headers),
            Route::Health => unreachable!("answered above"),
        };
        let headers = answer.headers_mut();
        headers.insert(SERVER_TIMING, timing.header(clock::now() - began));
        // The CDN keeps what says that it may be kept; answers of the API do not.
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        answer
    }

    fn admit(&self) -> Option<Admission<'_>> {
        let limit = u64::from(self.node.plan().settings.app.max_in_flight);
        self.in_flight.add(1);
        let admission = Admission(&self.in_flight);
        (self.in_flight.get() <= limit).then_some(admission)
    }

    /// The calibrated work of a request.
    fn burn(&self, cost: impl Fn(&Costs) -> Nanos) {
        let settings = &self.node.plan().settings.app;
        self.node.burn(cost(&settings.cost), settings.handling);
    }

    async fn feed(&self, page: u32, timing: &mut Timing) -> Answer {
        let read = self.store.read(&format!("feed:{page}"), &format!("/feed?page={page}")).await;
        self.burn(|cost| cost.feed);
        match read {
            Ok(found) => shown(found, None, timing),
            Err(error) => failed(&error),
        }
    }

    async fn video(&self, id: u32, timing: &mut Timing) -> Answer {
        let read = self.store.read(&format!("video:{id}"), &format!("/videos/{id}")).await;
        self.burn(|cost| cost.video);
        let found = match read {
            Ok(found) => found,
            Err(error) => return failed(&error),
        };
        match serde_json::from_slice::<Versioned>(&found.body) {
            Ok(video) => shown(found, Some(video.version), timing),
            Err(_) => node::text(StatusCode::BAD_GATEWAY, "the stored video cannot be read\n"),
        }
    }

    async fn comment(&self, id: u32, headers: &HeaderMap, body: Incoming) -> Answer {
        let Ok(body) = read_body(body).await else {
            return node::text(StatusCode::BAD_REQUEST, "the body broke off or is too long\n");
        };
        match serde_json::from_slice::<Comment>(&body) {
            Ok(comment) if comment.text.len() <= COMMENT_MAX => {
                self.write("comment", id, headers, comment.text).await
            }
            _ => node::text(
                StatusCode::BAD_REQUEST,
                "expected {\"text\":\"…\"} of at most 4096 bytes\n",
            ),
        }
    }

    async fn write(
        &self,
        kind: &'static str,
        video: u32,
        headers: &HeaderMap,
        text: String,
    ) -> Answer {
        let Some(id) = headers.get(IDEMPOTENCY_KEY).and_then(|v| v.to_str().ok()).filter(is_id)
        else {
            let what = "expected Idempotency-Key with 16 hex digits\n";
            return node::text(StatusCode::BAD_REQUEST, what);
        };
        self.burn(|cost| if kind == "like" { cost.like } else { cost.comment });
        let write = Write { id: id.to_ascii_lowercase(), kind, video, text };
        let (store, id) = (self.store.clone(), write.id.clone());
        // A task of its own: who hangs up must not come between the commit and the invalidation.
        let outcome = tokio::spawn(async move { store.write(write).await }).await;
        match outcome {
            Ok(Ok(version)) => {
                let body = serde_json::to_vec(&Written { id: &id, version });
                let body = body.expect("a version is plain data").into();
                let mut answer = node::json(StatusCode::OK, body);
                answer.headers_mut().insert(VERSION, version.into());
                answer
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => node::text(StatusCode::INTERNAL_SERVER_ERROR, "the write's task broke\n"),
        }
    }

    async fn writes(&self, id: u32) -> Answer {
        match self.store.read_exact(&format!("/videos/{id}/writes")).await {
            Ok(body) => node::json(StatusCode::OK, body),
            Err(error) => failed(&error),
        }
    }

    fn asset(&self, name: &str, headers: &HeaderMap) -> Answer {
        let Some(answer) = self.assets.answer(name, headers) else {
            return refuse(Wrong::NotFound);
        };
        self.burn(|cost| cost.asset);
        answer
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
struct Comment {
    text: String,
}

#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    version: u64,
}

/// What `Server-Timing` tells.
#[derive(Default)]
struct Timing {
    source: Option<Source>,
    database: Nanos,
}

impl Timing {
    fn header(&self, whole: Nanos) -> HeaderValue {
        let mut text = format!("app;dur={:.3}", whole.as_millis_f64());
        if let Some(source) = self.source {
            let _ = write!(text, ", cache;desc={}", source.name());
        }
        if self.database > Nanos::ZERO {
            let _ = write!(text, ", db;dur={:.3}", self.database.as_millis_f64());
        }
        HeaderValue::from_str(&text).expect("numbers and plain words")
    }
}

fn shown(found: Found, version: Option<u64>, timing: &mut Timing) -> Answer {
    timing.source = Some(found.source);
    timing.database = found.database;
    let mut answer = node::json(StatusCode::OK, found.body);
    let headers = answer.headers_mut();
    headers.insert(CACHE, HeaderValue::from_static(found.source.name()));
    if let Some(version) = version {
        headers.insert(VERSION, version.into());
    }
    answer
}

fn failed(error: &StoreError) -> Answer {
    match error {
        StoreError::NotFound => refuse(Wrong::NotFound),
        StoreError::Refused(status) if status.is_client_error() => {
            node::text(*status, "the database refused the request\n")
        }
        StoreError::Refused(_) => {
            node::text(StatusCode::BAD_GATEWAY, "the database answered in a way unknown here\n")
        }
        StoreError::Database(DatabaseError::NotDone(_)) => busy("the database did not do it\n"),
        StoreError::Database(DatabaseError::Unknown) => {
            node::text(StatusCode::GATEWAY_TIMEOUT, "it may or may not have been done\n")
        }
    }
}

fn refuse(wrong: Wrong) -> Answer {
    match wrong {
        Wrong::NotFound => node::text(StatusCode::NOT_FOUND, "there is no such thing\n"),
        Wrong::BadNumber => node::text(StatusCode::BAD_REQUEST, "expected a number from 1 on\n"),
        Wrong::Method(allowed) => {
            let mut answer = node::text(StatusCode::METHOD_NOT_ALLOWED, "not this method\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            answer
        }
    }
}

/// Certainly not done, and worth another try.
fn busy(what: &'static str) -> Answer {
    let mut answer = node::text(StatusCode::SERVICE_UNAVAILABLE, what);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn is_id(text: &&str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
