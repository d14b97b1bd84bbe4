//! The relay's admin side: rules on its links, and counters.

use super::link::Link;
use super::rule::Rule;
use crate::base::Nanos;
use crate::fault::{LinkEffect, LinkRule};
use crate::stack::held::{self, Held};
use crate::stack::{http, node};
use ::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Longest that a byte may be asked to wait.
const DELAY_MAX: Nanos = Nanos::from_secs(3600);

#[derive(Clone)]
pub struct Control {
    links: Arc<Vec<Arc<Link>>>,
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
        check(&body.rule)?;
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

    fn list(&self) -> Value {
        let of = |link: &Arc<Link>| {
            let (from, to) = (link.from.clone(), link.to.clone());
            let one = |r: &Rule| json!({ "hold": r.hold, "from": from, "to": to, "rule": r.rule });
            link.rules().iter().map(one).collect::<Vec<_>>()
        };
        self.links.iter().flat_map(of).collect()
    }
}

/// Numbers that no fault can have.
fn check(rule: &LinkRule) -> Result<(), String> {
    if !(0.0..=1.0).contains(&rule.share) {
        return Err(format!("`share` is {}; write a number from 0 to 1", rule.share));
    }
    let longest = match rule.effect {
        LinkEffect::Bandwidth { rate } if rate.0 == 0 => {
            return Err("`rate` is 0; write bytes per second, or stall the link".into());
        }
        LinkEffect::Latency { delay, jitter } => delay.max(jitter),
        LinkEffect::SlowClose { delay } => delay,
        _ => Nanos::ZERO,
    };
    match longest > DELAY_MAX {
        true => Err(format!("a delay of {longest} is more than an hour; stall the link instead")),
        false => Ok(()),
    }
}

impl Control {
    pub fn new(links: Vec<Arc<Link>>) -> Control {
        Control { links: Arc::new(links) }
    }

    fn counters(&self) -> Value {
        let of = |link: &Arc<Link>| {
            let counts = &link.counts;
            json!({
                "from": link.from,
                "to": link.to,
                "connects": counts.connects.get(),
                "open": link.connections_open(),
                "bytes_there": counts.bytes_there.get(),
                "bytes_back": counts.bytes_back.get(),
                "resets": counts.resets.get(),
                "refused": counts.refused.get(),
            })
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
                    path if path.starts_with("/faults") => {
                        let answer = held::answer(&own, request).await;
                        // What is answered has happened: the connections go first.
                        tokio::task::yield_now().await;
                        answer
                    }
                    _ => node::text(StatusCode::NOT_FOUND, "no such admin page\n"),
                }
            }
        })
        .await;
    }
}
