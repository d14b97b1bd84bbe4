//! The database's admin pages: `/role` for people, `/raft/…` for the other database nodes.

use super::disk::Disk;
use super::election::{self, Question};
use super::log::Log;
use super::network::{SENT_HEADER, SnapshotAnswer, split_data};
use super::raft::{Raft, Types};
use super::standing::{Standing, index_of};
use crate::base::{Nanos, clock};
use crate::stack::http::read_body;
use crate::stack::node::{AdminPages, Node, json as json_answer, text};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use openraft::error::RaftError;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;

/// What the admin pages see.
pub struct Admin {
    pub node: Node,
    pub raft: Raft,
    pub log: Log,
    pub disk: Disk,
    pub standing: Arc<Standing>,
}

type Answered = Result<Response<Full<Bytes>>, StatusCode>;

/// The pages, for `serve_admin`.
pub fn pages(admin: Admin) -> AdminPages {
    let admin = Arc::new(admin);
    Arc::new(move |request| {
        let admin = admin.clone();
        Box::pin(async move { admin.answer(request).await })
    })
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let path = request.uri().path().to_string();
        let answered = match path.as_str() {
            "/role" => self.role(),
            "/raft/append" => self.append(request).await,
            "/raft/vote" => self.vote(request).await,
            "/raft/snapshot" => self.snapshot(request).await,
            "/raft/ask" => self.ask(request).await,
            _ => return None,
        };
        Some(answered.unwrap_or_else(|status| text(status, "not understood, or stopped\n")))
    }

    fn role(&self) -> Answered {
        let applied = *self.disk.applied.borrow();
        election::note_lag(&self.node, &self.standing, applied, self.log.last_id());
        let role = if self.standing.is_leader() { "leader" } else { "replica" };
        encode(&json!({
            "role": role, "leader": self.standing.leader_name(), "term": self.standing.term(),
            "applied": applied, "last_log": self.log.last_index(),
            "lag": self.node.counter("replication_lag").get(),
        }))
    }

    async fn append(&self, request: Request<Incoming>) -> Answered {
        let sent = request.headers().get(SENT_HEADER).and_then(|v| v.to_str().ok()?.parse().ok());
        let sent = Nanos(sent.unwrap_or(0)).min(clock::now());
        let message: AppendEntriesRequest<Types> = decode(request).await?;
        let commit = index_of(message.leader_commit);
        let answer = self.raft.append_entries(message).await.map_err(stopped)?;
        let applied = *self.disk.applied.borrow();
        match &answer {
            AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
                self.standing.heard(sent, Some(commit), applied);
            }
            AppendEntriesResponse::Conflict => self.standing.heard(sent, None, applied),
            AppendEntriesResponse::HigherVote(_) => {}
        }
        election::note_lag(&self.node, &self.standing, applied, self.log.last_id());
        encode(&answer)
    }

    async fn vote(&self, request: Request<Incoming>) -> Answered {
        let message: VoteRequest<u64> = decode(request).await?;
        encode(&self.raft.vote(message).await.map_err(stopped)?)
    }

    async fn snapshot(&self, request: Request<Incoming>) -> Answered {
        let body = read_body(request.into_body()).await.map_err(|_| StatusCode::BAD_REQUEST)?;
        let (head, data) = split_data(&body).ok_or(StatusCode::BAD_REQUEST)?;
        let mut message: InstallSnapshotRequest<Types> =
            serde_json::from_slice(head).map_err(|_| StatusCode::BAD_REQUEST)?;
        message.data = data.to_vec();
        let answer = match self.raft.install_snapshot(message).await {
            Ok(response) => SnapshotAnswer::Taken(response.vote),
            Err(RaftError::APIError(e)) => SnapshotAnswer::Refused(e),
            Err(e) => return Err(stopped(e)),
        };
        // Chunks are a leader's sign of life as much as entries are.
        if let SnapshotAnswer::Taken(_) = &answer {
            self.standing.heard(Nanos::ZERO, None, 0);
        }
        encode(&answer)
    }

    async fn ask(&self, request: Request<Incoming>) -> Answered {
        let question: Question = decode(request).await?;
        let lease = election::lease(&self.node);
        encode(&election::opinion(&question, &self.standing, &self.log, lease))
    }
}

async fn decode<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, StatusCode> {
    let body = read_body(request.into_body()).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)
}

fn encode<T: Serialize>(value: &T) -> Answered {
    let bytes = serde_json::to_vec(value).expect("answers are plain data");
    Ok(json_answer(StatusCode::OK, bytes.into()))
}

fn stopped<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}
