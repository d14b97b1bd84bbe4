//! The balancer's control side: takes heartbeats, finds silence at the instant it is due, shows
//! the members. On a thread of its own, so that a busy service does not declare others dead.

use super::table::Table;
use crate::base::clock;
use crate::stack::http::read_body;
use crate::stack::node::{AdminPages, Node, NodeError, json, serve_admin, text};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Debug, Deserialize)]
struct Heartbeat {
    name: String,
    #[serde(default)]
    in_flight: u32,
    #[serde(default)]
    draining: bool,
}

/// # Errors
/// When the admin address cannot be listened on.
pub async fn run(node: Node, table: Arc<Table>) -> Result<(), NodeError> {
    tokio::spawn(watch(table.clone()));
    let pages: AdminPages = Arc::new(move |request| {
        let table = table.clone();
        Box::pin(async move { page(&table, request).await })
    });
    serve_admin(node, pages).await
}

/// Sleeps until the next member would be silent (or its ejection over), then looks.
async fn watch(table: Arc<Table>) {
    loop {
        let Some(planned) = table.next_deadline() else {
            table.timer.notified().await;
            continue;
        };
        let left = planned.saturating_sub(clock::now()).duration();
        tokio::select! {
            () = tokio::time::sleep(left) => table.tick(planned),
            () = table.timer.notified() => {}
        }
    }
}

async fn page(table: &Table, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/heartbeat") => Some(heartbeat(table, request.into_body()).await),
        (&Method::GET, "/members") => Some(json(StatusCode::OK, table.view().into())),
        _ => None,
    }
}

async fn heartbeat(table: &Table, body: Incoming) -> Response<Full<Bytes>> {
    let Ok(body) = read_body(body).await else {
        return text(StatusCode::BAD_REQUEST, "the heartbeat broke off\n");
    };
    let Ok(beat) = serde_json::from_slice::<Heartbeat>(&body) else {
        return text(
            StatusCode::BAD_REQUEST,
            "a heartbeat is {\"name\",\"in_flight\",\"draining\"}\n",
        );
    };
    match table.heartbeat(&beat.name, beat.in_flight, beat.draining) {
        true => text(StatusCode::NO_CONTENT, ""),
        false => text(StatusCode::NOT_FOUND, "the plan has no app of this name\n"),
    }
}
