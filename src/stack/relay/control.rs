//! The relay's admin side: rules on its links, and counters.

use super::link::Link;
use crate::fault::LinkRule;
use crate::stack::held::{self, Held};
use crate::stack::{http, node};
use ::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Clone)]
pub struct Control {
    pub links: Arc<Vec<Arc<Link>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    from: String,
    to: String,
    rule: LinkRule,
}

impl Held for Control {
    fn put(&self, hold: &str, body: &[u8]) -> Result<String, String> {
        let body: Body = serde_json::from_slice(body).map_err(|e| {
            format!("{e}; write {{\"from\":\"app-1\",\"to\":\"database-1\",\"rule\":{{…}}}}")
        })?;
        let link = self.links.iter().find(|l| l.from == body.from && l.to == body.to);
        let link = link.ok_or_else(|| {
            let all: Vec<String> =
                self.links.iter().map(|l| format!("{}->{}", l.from, l.to)).collect();
            format!("there is no link {}->{}; there are {}", body.from, body.to, all.join(", "))
        })?;
        Ok(link.put(hold, body.rule))
    }

    fn delete(&self, hold: &str) -> String {
        let all: Vec<String> = self.links.iter().filter_map(|l| l.delete(hold)).collect();
        all.join(", ")
    }

    fn list(&self) -> serde_json::Value {
        let of = |link: &Arc<Link>| {
            let one = |r: &super::link::Rule| json!({ "hold": r.hold, "from": link.from, "to": link.to, "rule": r.rule });
            link.rules().iter().map(one).collect::<Vec<_>>()
        };
        self.links.iter().flat_map(of).collect()
    }
}

impl Control {
    fn counters(&self) -> serde_json::Value {
        let of = |link: &Arc<Link>| {
            let (connections, open) = link.counts();
            json!({ "from": link.from, "to": link.to, "connections": connections, "open": open })
        };
        self.links.iter().map(of).collect()
    }

    pub async fn serve(self, listener: TcpListener) {
        http::serve(listener, move |request| {
            let own = self.clone();
            async move {
                match request.uri().path() {
                    "/healthz" => node::text(StatusCode::OK, "ok\n"),
                    "/counters" => node::json(StatusCode::OK, own.counters().to_string().into()),
                    path if path.starts_with("/faults") => held::answer(&own, request).await,
                    _ => node::text(StatusCode::NOT_FOUND, "no such admin page\n"),
                }
            }
        })
        .await;
    }
}
