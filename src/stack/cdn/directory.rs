//! The directory role: which edges are there, for clients that ask as they would ask a DNS.
//!
//! An edge is named from its first heartbeat on until `missed` heartbeats have been missed in a
//! row. Nothing else is checked. The service answers, the control side listens and watches.

use crate::base::{Nanos, clock};
use crate::record::NodeEventKind;
use crate::stack::http::read_body;
use crate::stack::node::{self, AdminPages, Node, NodeError};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Edges that are remembered; a heartbeat of one more is refused.
const EDGES_MAX: usize = 1024;
/// Longest sleep of the watch; never more than half of the patience, so that being away shows.
const WATCH_MAX: Duration = Duration::from_millis(250);

/// A heartbeat of an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    pub name: String,
    pub region: String,
}

/// What clients are told.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Edges {
    pub edges: Vec<Beat>,
    pub ttl_ms: u64,
}

/// A change of who is named.
#[derive(Debug, PartialEq)]
pub enum Change {
    Up(String),
    Down(String),
}

/// Who was heard when. Time is passed in.
#[derive(Default)]
pub struct Directory {
    heard: BTreeMap<String, Heard>,
    watched_at: Nanos,
}

struct Heard {
    region: String,
    at: Nanos,
    is_up: bool,
}

impl Directory {
    /// `None` when nothing changes, or when there are too many edges already.
    pub fn hear(&mut self, beat: Beat, now: Nanos) -> Option<Change> {
        if !self.heard.contains_key(&beat.name) && self.heard.len() >= EDGES_MAX {
            return None;
        }
        let new = Heard { region: beat.region, at: now, is_up: true };
        let old = self.heard.insert(beat.name.clone(), new);
        let was_up = old.is_some_and(|heard| heard.is_up);
        (!was_up).then_some(Change::Up(beat.name))
    }

    /// Those silent for `patience`; and when to look again. When we were away ourselves for that
    /// long (frozen, starved), silence proves nothing: everyone gets another chance.
    pub fn watch(&mut self, patience: Nanos, now: Nanos) -> (Vec<Change>, Option<Nanos>) {
        let was_away = now.saturating_sub(self.watched_at) >= patience;
        self.watched_at = now;
        let mut down = Vec::new();
        let mut next: Option<Nanos> = None;
        for (name, heard) in self.heard.iter_mut().filter(|(_, heard)| heard.is_up) {
            if was_away {
                heard.at = heard.at.max(now);
            }
            let deadline = heard.at + patience;
            if deadline <= now {
                heard.is_up = false;
                down.push(Change::Down(name.clone()));
            } else {
                next = Some(next.map_or(deadline, |n| n.min(deadline)));
            }
        }
        (down, next)
    }

    /// The edges that are up: those of this region first, then by name.
    pub fn near(&self, region: &str) -> Vec<Beat> {
        let up = self.heard.iter().filter(|(_, heard)| heard.is_up);
        let mut edges: Vec<Beat> = up
            .map(|(name, heard)| Beat { name: name.clone(), region: heard.region.clone() })
            .collect();
        edges.sort_by_key(|edge| edge.region != region);
        edges
    }
}

type Shared = Arc<Mutex<Directory>>;

/// Runs this node until the process ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve(node: Node) -> Result<(), NodeError> {
    node.set_healthy(false);
    let shared = Shared::default();
    let service = run_service(node.clone(), shared.clone());
    let control = run_control(node.clone(), shared);
    node::run_sides(&node, service, control)
}

async fn run_service(node: Node, shared: Shared) -> Result<(), NodeError> {
    let listener = crate::stack::http::listen(&node, node.plan().listen)?;
    node.set_healthy(true);
    node.emit(NodeEventKind::Ready);
    let requests = node.counter("requests");
    crate::stack::http::serve(listener, move |request| {
        requests.add(1);
        let (node, shared) = (node.clone(), shared.clone());
        async move {
            let work = async { answer(&node, &shared, &request) };
            node.faults().around(request.method(), work).await
        }
    })
    .await;
    Ok(())
}

fn answer(node: &Node, shared: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let began = clock::now();
    if request.uri().path() != "/edges" {
        return node::text(StatusCode::NOT_FOUND, "expected /edges?region=NAME\n");
    }
    if request.method() != Method::GET {
        return node::text(StatusCode::METHOD_NOT_ALLOWED, "expected GET\n");
    }
    let pairs = request.uri().query().unwrap_or("").split('&');
    let region = pairs.filter_map(|pair| pair.strip_prefix("region=")).next().unwrap_or("");
    let edges = shared.lock().expect("no panic while holding the directory").near(region);
    let ttl_ms = node.plan().settings.cdn.directory_ttl.0 / 1_000_000;
    let body = serde_json::to_vec(&Edges { edges, ttl_ms }).expect("edges are plain data");
    let mut response = node::json(StatusCode::OK, body.into());
    let timing = format!("directory;dur={:.3}", (clock::now() - began).as_millis_f64());
    let timing = timing.try_into().expect("a name and a number");
    response.headers_mut().insert("server-timing", timing);
    response
}

async fn run_control(node: Node, shared: Shared) -> Result<(), NodeError> {
    tokio::spawn(watch(node.clone(), shared.clone()));
    let pages = pages(node.clone(), shared);
    node::serve_admin(node, pages).await
}

/// Tells who went silent, at the moment when their time is over.
async fn watch(node: Node, shared: Shared) {
    let settings = &node.plan().settings.cdn;
    let patience = Nanos(settings.heartbeat.0 * u64::from(settings.missed.max(1)));
    let pause_max = WATCH_MAX.min(patience.duration() / 2);
    loop {
        let (changes, next) = {
            let mut directory = shared.lock().expect("no panic while holding the directory");
            directory.watch(patience, clock::now())
        };
        changes.into_iter().for_each(|change| tell(&node, change, patience));
        let pause = next.map(|at| at.saturating_sub(clock::now()).duration());
        tokio::time::sleep(pause.unwrap_or(pause_max).min(pause_max)).await;
    }
}

fn tell(node: &Node, change: Change, patience: Nanos) {
    node.emit(match change {
        Change::Up(member) => NodeEventKind::MemberUp { member, why: "heartbeat".to_string() },
        Change::Down(member) => {
            NodeEventKind::MemberDown { member, why: format!("no heartbeat for {patience}") }
        }
    });
}

fn pages(node: Node, shared: Shared) -> AdminPages {
    Arc::new(move |request| {
        let (node, shared) = (node.clone(), shared.clone());
        Box::pin(async move {
            let is_beat = request.method() == Method::POST && request.uri().path() == "/heartbeat";
            match is_beat {
                true => Some(take_beat(&node, &shared, request).await),
                false => None,
            }
        })
    })
}

async fn take_beat(
    node: &Node,
    shared: &Shared,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let body = read_body(request.into_body()).await.unwrap_or_default();
    let Ok(beat) = serde_json::from_slice::<Beat>(&body) else {
        let expected = "expected {\"name\":\"…\",\"region\":\"…\"}\n";
        return node::text(StatusCode::BAD_REQUEST, expected);
    };
    let change = {
        let mut directory = shared.lock().expect("no panic while holding the directory");
        directory.hear(beat, clock::now())
    };
    if let Some(change) = change {
        tell(node, change, Nanos::ZERO);
    }
    node::text(StatusCode::NO_CONTENT, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(name: &str, region: &str) -> Beat {
        Beat { name: name.to_string(), region: region.to_string() }
    }

    #[test]
    fn an_edge_is_named_until_it_has_been_silent_for_too_long() {
        let ms = Nanos::from_millis;
        let patience = ms(750);
        let mut directory = Directory::default();
        directory.watch(patience, ms(10_000));
        assert_eq!(
            directory.hear(beat("cdn-1", "eu"), ms(10_000)),
            Some(Change::Up("cdn-1".into()))
        );
        assert_eq!(
            directory.hear(beat("cdn-2", "us"), ms(10_100)),
            Some(Change::Up("cdn-2".into()))
        );
        assert_eq!(directory.hear(beat("cdn-1", "eu"), ms(10_250)), None);
        assert_eq!(directory.near("us"), [beat("cdn-2", "us"), beat("cdn-1", "eu")]);
        assert_eq!(directory.near("asia"), [beat("cdn-1", "eu"), beat("cdn-2", "us")]);
        assert_eq!(directory.watch(patience, ms(10_700)), (vec![], Some(ms(10_850))));
        let (changes, next) = directory.watch(patience, ms(10_850));
        assert_eq!(changes, [Change::Down("cdn-2".into())]);
        assert_eq!(next, Some(ms(11_000)));
        assert_eq!(directory.near("us"), [beat("cdn-1", "eu")]);
        assert_eq!(
            directory.hear(beat("cdn-2", "us"), ms(10_900)),
            Some(Change::Up("cdn-2".into()))
        );
    }

    #[test]
    fn a_directory_that_was_frozen_does_not_blame_the_edges() {
        let ms = Nanos::from_millis;
        let mut directory = Directory::default();
        directory.watch(ms(750), ms(1_000));
        directory.hear(beat("cdn-1", "eu"), ms(1_000));
        assert_eq!(directory.watch(ms(750), ms(9_000)), (vec![], Some(ms(9_750))));
        assert_eq!(directory.watch(ms(750), ms(9_500)).0, []);
        assert_eq!(directory.watch(ms(750), ms(9_750)).0, [Change::Down("cdn-1".into())]);
    }
}
