//! The database's service: reads from the state here, writes through the log.

use super::catalogue;
use super::disk::Disk;
use super::raft::{Kind, Write};
use super::reads::Permission;
use super::standing::Standing;
use super::state;
use super::writer::{Answer, Pending};
use crate::base::{Nanos, clock};
use crate::stack::faults::Promised;
use crate::stack::http::read_body;
use crate::stack::node::{Counter, Node, json as json_answer};
use crate::target::{DatabaseSettings, Durability, Reads};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Longest text of a comment, in bytes.
const TEXT_MAX: usize = 4096;
/// Videos in one answer at most.
const RANGE_MAX: u64 = 500;

/// What the service side shares with the control side.
pub struct Service {
    pub node: Node,
    pub disk: Disk,
    pub standing: Arc<Standing>,
    pub writes: mpsc::Sender<Pending>,
    pub confirmations: mpsc::Sender<Permission>,
    requests: Counter,
    reads: Counter,
    writes_done: Counter,
    refused: Counter,
}

type Answered = (StatusCode, Value);

impl Service {
    pub fn new(
        node: Node,
        disk: Disk,
        standing: Arc<Standing>,
        writes: mpsc::Sender<Pending>,
        confirmations: mpsc::Sender<Permission>,
    ) -> Service {
        Service {
            requests: node.counter("requests"),
            reads: node.counter("reads"),
            writes_done: node.counter("writes"),
            refused: node.counter("refused"),
            node,
            disk,
            standing,
            writes,
            confirmations,
        }
    }

    fn settings(&self) -> &DatabaseSettings {
        &self.node.plan().settings.database
    }

    /// Longest wait for a write or a confirmation.
    fn deadline(&self) -> Duration {
        self.settings().peer_deadline.duration() * 3 / 2
    }

    /// Answers one request.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Response<Promised<Full<Bytes>>> {
        self.requests.add(1);
        let asked = request.method().clone();
        self.node.faults().around(&asked, self.work(request)).await
    }

    async fn work(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let begin = clock::now();
        let path = request.uri().path().to_string();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (status, body) = match (request.method(), parts.as_slice()) {
            (&Method::GET, ["feed"]) => self.read(&request, Read::Feed).await,
            (&Method::GET, ["videos"]) => match self.range(&request) {
                Some((from, to)) => self.read(&request, Read::Range(from, to)).await,
                None => no_such_range(),
            },
            (&Method::GET, ["videos", id]) => match self.video_id(id) {
                Some(id) => self.read(&request, Read::Video(id)).await,
                None => no_such_video(id),
            },
            (&Method::GET, ["videos", id, "writes"]) => match self.video_id(id) {
                Some(id) => self.read(&request, Read::Writes(id)).await,
                None => no_such_video(id),
            },
            (&Method::POST, ["writes"]) => self.write(request).await,
            _ => (StatusCode::NOT_FOUND, json!({ "error": format!("no such page: {path}") })),
        };
        if status.is_client_error() || status.is_server_error() {
            self.refused.add(1);
        }
        respond(status, &body, (clock::now() - begin).as_millis_f64())
    }

    fn range(&self, request: &Request<Incoming>) -> Option<(u64, u64)> {
        let query = request.uri().query().unwrap_or_default();
        let end = |name| self.video_id(value_of(query, name)?);
        let (from, to) = (end("from")?, end("to")?);
        (from <= to && to - from < RANGE_MAX).then_some((from, to))
    }

    fn video_id(&self, text: &str) -> Option<u64> {
        let id = text.parse().ok()?;
        (1..=u64::from(self.settings().videos)).contains(&id).then_some(id)
    }

    async fn read(&self, request: &Request<Incoming>, what: Read) -> Answered {
        let query = request.uri().query().unwrap_or_default();
        let must_lead = value_of(query, "at") == Some("leader")
            || matches!(what, Read::Writes(_))
            || self.settings().reads == Reads::Leader;
        let may = match must_lead {
            true => self.standing.is_leader(),
            false => {
                let applied = *self.disk.applied.borrow();
                self.standing.is_fresh(applied, self.settings().staleness_max)
            }
        };
        if !may {
            return self.elsewhere();
        }
        let handling = self.settings().handling;
        let cost = match what {
            Read::Feed => self.settings().cost.feed,
            Read::Video(_) => self.settings().cost.video,
            // For the data check and the prefill: not what visitors do.
            Read::Writes(_) | Read::Range(..) => Nanos::ZERO,
        };
        self.node.burn(cost, handling);
        if must_lead && let Err(refusal) = self.confirm().await {
            return refusal;
        }
        self.reads.add(1);
        let page = value_of(query, "page").and_then(|p| p.parse().ok()).unwrap_or(1);
        match self.look_up(what, page) {
            Ok(body) => (StatusCode::OK, body),
            Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": e.to_string() })),
        }
    }

    fn look_up(&self, what: Read, page: u64) -> std::io::Result<Value> {
        let database = &self.disk.database;
        Ok(match what {
            Read::Feed => catalogue::feed(page, u64::from(self.settings().videos)),
            Read::Video(id) => video(database, id)?,
            Read::Range(from, to) => {
                let all = (from..=to).map(|id| video(database, id)).collect::<Result<Vec<_>, _>>();
                json!({ "videos": all? })
            }
            Read::Writes(id) => {
                let ids = state::writes_of(database, id)?;
                let ids: Vec<String> = ids.iter().map(|id| format!("{id:016x}")).collect();
                json!({ "video": id, "applied": ids.len(), "ids": ids })
            }
        })
    }

    /// Waits until the control side has confirmed that this node leads.
    async fn confirm(&self) -> Result<(), Answered> {
        let (permission, answer) = oneshot::channel();
        if self.confirmations.try_send(permission).is_err() {
            return Err(busy());
        }
        match tokio::time::timeout(self.deadline(), answer).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(self.elsewhere()),
        }
    }

    async fn write(&self, request: Request<Incoming>) -> Answered {
        let wrong = |what: String| (StatusCode::BAD_REQUEST, json!({ "error": what }));
        let body = match read_body(request.into_body()).await {
            Ok(body) => body,
            Err(e) => return wrong(e.to_string()),
        };
        let write = match parse_write(&body) {
            Ok(write) => write,
            Err(e) => return wrong(e),
        };
        if self.video_id(&write.video.to_string()).is_none() {
            return no_such_video(&write.video.to_string());
        }
        if !self.standing.is_leader() {
            return self.elsewhere();
        }
        let cost = match write.kind {
            Kind::Like => self.settings().cost.like,
            Kind::Comment => self.settings().cost.comment,
        };
        self.node.burn(cost, self.settings().write_handling);
        let (answer, done) = oneshot::channel();
        if self.writes.try_send(Pending { write, answer }).is_err() {
            return busy();
        }
        match tokio::time::timeout(self.deadline(), done).await {
            Ok(Ok(answer)) => self.written(answer),
            _ => unknown(),
        }
    }

    fn written(&self, answer: Answer) -> Answered {
        match answer {
            Answer::Done { outcome, durability } => {
                self.writes_done.add(1);
                let mut body =
                    json!({ "version": outcome.version, "duplicate": outcome.duplicate });
                if durability == Durability::Leader {
                    body["durability"] = json!("leader");
                }
                (StatusCode::OK, body)
            }
            Answer::NotLeader => self.elsewhere(),
            Answer::Unknown => unknown(),
        }
    }

    /// Not here, and nothing was done. A leader that cannot confirm itself does not name itself.
    fn elsewhere(&self) -> Answered {
        let own = self.standing.name_of(self.standing.own());
        let leader = self.standing.leader_name().filter(|name| Some(*name) != own);
        (StatusCode::MISDIRECTED_REQUEST, json!({ "leader": leader }))
    }
}

#[derive(Clone, Copy)]
enum Read {
    Feed,
    Video(u64),
    Writes(u64),
    /// Both ends included.
    Range(u64, u64),
}

fn video(database: &redb::Database, id: u64) -> std::io::Result<Value> {
    let counts = state::counts(database, id)?;
    Ok(json!({ "id": id, "title": catalogue::title(id), "likes": counts.likes,
        "comments": counts.comments, "version": counts.version() }))
}

fn no_such_range() -> Answered {
    let error = format!("say which, like /videos?from=1&to=200, at most {RANGE_MAX}");
    (StatusCode::BAD_REQUEST, json!({ "error": error }))
}

fn no_such_video(id: &str) -> Answered {
    (StatusCode::NOT_FOUND, json!({ "error": format!("there is no video {id}") }))
}

fn busy() -> Answered {
    (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "too many requests are waiting" }))
}

fn unknown() -> Answered {
    let error = "not known to be committed in time; it may or may not be done";
    (StatusCode::GATEWAY_TIMEOUT, json!({ "error": error }))
}

fn respond(status: StatusCode, body: &Value, ms: f64) -> Response<Full<Bytes>> {
    let bytes = serde_json::to_vec(body).expect("an answer is plain data");
    let mut response = json_answer(status, bytes.into());
    let timing = HeaderValue::from_str(&format!("database;dur={ms:.3}"))
        .expect("a number makes a header value");
    response.headers_mut().insert("server-timing", timing);
    if let Some(version) = body.get("version").and_then(Value::as_u64) {
        response.headers_mut().insert("x-version", version.into());
    }
    response
}

/// The value of a name in a query.
pub fn value_of<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).map(|p| p.1)
}

#[derive(Deserialize)]
struct WriteBody {
    id: String,
    kind: Kind,
    video: u64,
    #[serde(default)]
    text: String,
}

fn parse_write(body: &[u8]) -> Result<Write, String> {
    let body: WriteBody = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let is_id = body.id.len() == 16 && body.id.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u64::from_str_radix(&body.id, 16).ok().filter(|_| is_id);
    let id = id.ok_or_else(|| format!("the id is `{}`, not 16 hexadecimal digits", body.id))?;
    if body.text.len() > TEXT_MAX {
        return Err(format!("the text has {} bytes, more than {TEXT_MAX}", body.text.len()));
    }
    Ok(Write { id, kind: body.kind, video: body.video, text: body.text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_checked_before_it_is_proposed() {
        let ok = br#"{"id":"00000000000000ff","kind":"comment","video":3,"text":"hi"}"#;
        let write = parse_write(ok).unwrap();
        assert_eq!((write.id, write.video, write.kind), (255, 3, Kind::Comment));
        let short = br#"{"id":"ff","kind":"like","video":3}"#;
        assert!(parse_write(short).unwrap_err().contains("16 hexadecimal"));
        let sign = br#"{"id":"+00000000000000f","kind":"like","video":3}"#;
        assert!(parse_write(sign).is_err());
        assert!(parse_write(br#"{"id":"00000000000000ff","kind":"view","video":3}"#).is_err());
    }

    #[test]
    fn queries_are_read_by_name() {
        assert_eq!(value_of("page=3&at=leader", "at"), Some("leader"));
        assert_eq!(value_of("page=3", "at"), None);
        assert_eq!(value_of("", "at"), None);
    }
}
