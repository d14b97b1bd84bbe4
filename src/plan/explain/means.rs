//! How a plan's connections are made, which tables it draws from and what its answers must be, in
//! words.

use crate::base::units::duration_text;
use crate::plan::{
    Check, Expect, FeederOrder, FeederPlan, LoadPlan, Protocol, RequestPlan, TlsPlan,
};

/// Local addresses that are named; more are counted.
const SOURCES: usize = 4;
/// Characters of a text or value that are shown.
const SHOWN: usize = 40;

/// What is spoken, over what, on how many connections and for how long each.
pub(super) fn transport(load: &LoadPlan) -> Vec<String> {
    let t = &load.transport;
    let spoken = match t.protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
        Protocol::Negotiated if t.tls.is_some() => {
            "HTTP/2 where the server takes it, else HTTP/1.1"
        }
        Protocol::Negotiated => "HTTP/1.1",
    };
    let over = t.tls.as_ref().map_or("over plain TCP".to_string(), tls);
    let may_multiplex = spoken != "HTTP/1.1";
    let mut connections = format!("at most {} connections", load.connections_max);
    if may_multiplex {
        connections
            .push_str(&format!(", at most {} requests at once on each", t.http2.streams_max));
    }
    connections.push_str(&match (load.keep_alive, t.requests_per_connection) {
        (false, _) | (true, Some(1)) => ", a new one for every request".into(),
        (true, Some(n)) => format!(", each closed after {n} requests"),
        (true, None) => ", kept open".into(),
    });
    let mut lines = vec![format!("{spoken} {over}"), connections];
    if let Some(limit) = t.connect_timeout {
        lines.push(format!("a connection must be there within {}", duration_text(limit)));
    }
    let named = t.sources.iter().take(SOURCES).map(ToString::to_string).collect::<Vec<_>>();
    lines.extend(match t.sources.len() {
        0 => None,
        n if n > SOURCES => {
            Some(format!("connected from {n} local addresses, {} and on", named[0]))
        }
        _ => Some(format!("connected from {}", named.join(", "))),
    });
    lines
}

fn tls(tls: &TlsPlan) -> String {
    let mut text = format!("over TLS to {}", tls.server_name);
    text.push_str(match (tls.verifies, &tls.authorities) {
        (false, _) => ", any certificate is taken",
        (true, Some(_)) => ", its certificate checked against the given authorities",
        (true, None) => ", its certificate checked",
    });
    if tls.client_certificate.is_some() {
        text.push_str(", with a client certificate");
    }
    if tls.resumption {
        text.push_str(", sessions are resumed");
    }
    text
}

/// A table, and in which order its rows are taken.
pub(super) fn feeder(feeder: &FeederPlan) -> String {
    let order = match feeder.order {
        FeederOrder::Random => "a random one for each request",
        FeederOrder::Sequential => "one after the other, and from the first again",
    };
    let (name, rows, columns) = (&feeder.name, feeder.n_rows, feeder.columns.join(", "));
    format!("values of {name} ({columns}) from {rows} rows, {order}")
}

/// What an answer must be to be ok, and what else is looked at; a line each.
pub(super) fn checks(request: &RequestPlan) -> Vec<String> {
    let mut lines: Vec<String> = request.expects.iter().map(expect).collect();
    lines.extend(request.check.map(|check| match check {
        Check::Read => "its answers are checked against the writes".to_string(),
        Check::Write => "its writes are read back".to_string(),
    }));
    lines
}

fn expect(expect: &Expect) -> String {
    match expect {
        Expect::Status { of } => format!("its status must be {}", ranges(of)),
        Expect::BodyContains { text } => format!("its body must have `{}` in it", shown(text)),
        Expect::Json { pointer, equals: None } => format!("its JSON must have {pointer}"),
        Expect::Json { pointer, equals: Some(value) } => {
            format!("its JSON must have {} at {pointer}", shown(&value.to_string()))
        }
    }
}

/// `200 to 299 or 304`.
fn ranges(statuses: &[u16]) -> String {
    let mut all = statuses.to_vec();
    all.sort_unstable();
    all.dedup();
    let parts: Vec<String> = all
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| Some((run.first()?, run.last()?)))
        .map(|(from, to)| match to - from {
            0 => from.to_string(),
            1 => format!("{from} or {to}"),
            _ => format!("{from} to {to}"),
        })
        .collect();
    parts.join(" or ")
}

fn shown(text: &str) -> String {
    match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN).chain(['…']).collect(),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Nanos;
    use crate::plan::{Arrivals, PhasePlan, RoutePlan, TransportPlan};

    fn load() -> LoadPlan {
        let arrivals = Arrivals::Closed { connections: 8, think: Nanos::ZERO };
        let phase = PhasePlan::level("load", Nanos::ZERO, Nanos::SECOND, 0.0);
        let route = RoutePlan::Fixed(([127, 0, 0, 1], 80).into());
        LoadPlan::new(arrivals, vec![phase], vec![RequestPlan::get("a", "b", "/")], vec![route])
    }

    #[test]
    fn plain_is_said_in_two_lines() {
        assert_eq!(
            transport(&load()),
            ["HTTP/1.1 over plain TCP", "at most 8 connections, kept open"]
        );
    }

    #[test]
    fn everything_that_is_not_plain_is_said() {
        let tls = TlsPlan { server_name: "shop.test".into(), ..TlsPlan::default() };
        let load = LoadPlan {
            transport: TransportPlan {
                protocol: Protocol::Http2,
                tls: Some(tls.clone()),
                connect_timeout: Some(Nanos::from_secs(2)),
                requests_per_connection: Some(100),
                sources: (1..=9).map(|n| [127, 0, 0, n].into()).collect(),
                ..TransportPlan::default()
            },
            ..load()
        };
        assert_eq!(
            transport(&load),
            [
                "HTTP/2 over TLS to shop.test, any certificate is taken",
                "at most 8 connections, at most 100 requests at once on each, each closed after \
                 100 requests",
                "a connection must be there within 2s",
                "connected from 9 local addresses, 127.0.0.1 and on",
            ]
        );
        let safe = TlsPlan { verifies: true, resumption: true, ..tls };
        let text = super::tls(&safe);
        assert_eq!(text, "over TLS to shop.test, its certificate checked, sessions are resumed");
    }

    #[test]
    fn checks_and_tables_have_words() {
        let mut request = RequestPlan::get("a", "b", "/");
        assert!(checks(&request).is_empty());
        request.expects = vec![
            Expect::Status { of: (200..300).chain([304]).collect() },
            Expect::BodyContains { text: "x".repeat(50) },
            Expect::Json { pointer: "/id".into(), equals: Some(7.into()) },
        ];
        request.check = Some(Check::Write);
        let said = checks(&request);
        assert_eq!(said[0], "its status must be 200 to 299 or 304");
        assert!(said[1].ends_with("x…` in it"), "{}", said[1]);
        assert_eq!(said[2], "its JSON must have 7 at /id");
        assert_eq!(said[3], "its writes are read back");
        let users = FeederPlan {
            name: "users".into(),
            columns: vec!["name".into(), "mail".into()],
            rows: Vec::new(),
            n_rows: 12,
            hash: String::new(),
            order: FeederOrder::Random,
        };
        let text = feeder(&users);
        assert_eq!(
            text,
            "values of users (name, mail) from 12 rows, a random one for each request"
        );
    }
}
