//! What a proxy changes in headers: hop-by-hop fields go (RFC 9110, 7.6.1), `X-Forwarded-For` and
//! `Via` come, the balancer's own time joins the answer's `Server-Timing`.

use crate::base::Nanos;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const VIA: HeaderValue = HeaderValue::from_static("1.1 brunt");

/// Fields that concern one connection only. `Expect` too: whoever reads the body has answered it.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Makes a client's header fields those of the request to a member.
pub fn to_member(headers: &mut HeaderMap, client: &HeaderValue) {
    drop_hop_by_hop(headers);
    let forwarded = match headers.get(FORWARDED_FOR) {
        None => client.clone(),
        Some(earlier) => joined(earlier, client),
    };
    headers.insert(FORWARDED_FOR, forwarded);
    headers.append(header::VIA, VIA);
}

/// Makes a member's header fields those of the answer to the client.
pub fn to_client(headers: &mut HeaderMap, took: Nanos) {
    drop_hop_by_hop(headers);
    headers.append(SERVER_TIMING, timing(took));
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Fields that `Connection` names, but never those a request cannot do without.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let names = values.flat_map(|v| v.split(',')).filter_map(|name| name.trim().parse().ok());
    names.filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH).collect()
}

fn joined(earlier: &HeaderValue, client: &HeaderValue) -> HeaderValue {
    let both = [earlier.as_bytes(), b", ", client.as_bytes()].concat();
    HeaderValue::from_bytes(&both).expect("two valid values and a comma")
}

/// `balancer;dur=1.234`: milliseconds from the request's head to the answer's, queue and member
/// included. Written by hand: this runs once a request.
fn timing(took: Nanos) -> HeaderValue {
    const NAME: &[u8] = b"balancer;dur=";
    let mut text = [0u8; 40];
    let mut at = text.len();
    let mut micros = took.0 / 1_000;
    for place in 0.. {
        if place == 3 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (micros % 10) as u8;
        micros /= 10;
        if micros == 0 && place >= 3 {
            break;
        }
    }
    at -= NAME.len();
    text[at..at + NAME.len()].copy_from_slice(NAME);
    HeaderValue::from_bytes(&text[at..]).expect("digits and a dot")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_and_those_they_name_are_dropped() {
        let mut headers = map(&[
            ("host", "brunt"),
            ("connection", "keep-alive, X-Private, host"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("x-kept", "1"),
        ]);
        to_member(&mut headers, &HeaderValue::from_static("127.0.0.9"));
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "via", "x-forwarded-for", "x-kept"]);
    }

    #[test]
    fn an_earlier_forwarder_is_kept() {
        let mut headers = map(&[("x-forwarded-for", "10.0.0.1"), ("via", "1.1 edge")]);
        to_member(&mut headers, &HeaderValue::from_static("127.0.0.9"));
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 127.0.0.9");
        assert_eq!(headers.get_all("via").iter().count(), 2);
    }

    #[test]
    fn own_time_joins_the_members() {
        let mut headers =
            map(&[("server-timing", "app;dur=1.5"), ("transfer-encoding", "chunked")]);
        to_client(&mut headers, Nanos(1_234_567));
        let timings: Vec<_> = headers.get_all("server-timing").iter().collect();
        assert_eq!(timings, ["app;dur=1.5", "balancer;dur=1.234"]);
        assert!(!headers.contains_key("transfer-encoding"));
    }

    #[test]
    fn times_of_any_size_are_written() {
        for (ns, text) in [
            (0, "balancer;dur=0.000"),
            (999, "balancer;dur=0.000"),
            (45_000, "balancer;dur=0.045"),
            (10_000_000_000, "balancer;dur=10000.000"),
            (u64::MAX, "balancer;dur=18446744073709.551"),
        ] {
            assert_eq!(timing(Nanos(ns)), text);
        }
    }
}
