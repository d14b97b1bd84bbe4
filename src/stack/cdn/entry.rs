//! A stored response: how long it is fresh, and for how long it may be used when it is not.
//!
//! RFC 9111 is left to `http-cache-semantics`; RFC 5861 (`stale-while-revalidate`,
//! `stale-if-error`) is here, since that crate does not know it. Heuristic freshness is off: what
//! does not say how long it is fresh is not stored. Time is passed in.

use crate::base::Nanos;
use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, DATE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, RANGE,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// After a failed revalidation the origin is left alone for so long, as far as staleness allows.
const BACK_OFF: Nanos = Nanos::from_millis(500);
/// Headers and bookkeeping of one entry, roughly.
const OVERHEAD_BYTES: usize = 1024;

const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const HOP_BY_HOP_NAMES: [&str; 4] =
    ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"];

pub struct Entry {
    policy: CachePolicy,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    fresh_until: Nanos,
    while_revalidate: Nanos,
    if_error: Nanos,
    left_alone_until: AtomicU64,
}

/// What an entry is worth to a request.
#[derive(Debug, PartialEq)]
pub enum View {
    Fresh,
    /// For so long already.
    Stale(Nanos),
    /// Fresh, but the request insists on asking the origin.
    Forced,
    /// For another variant of the same address.
    OtherVariant,
}

impl Entry {
    /// `None` when it must not be stored, or says nothing that would make it reusable.
    pub fn new(request: &Request<()>, response: Response<Bytes>, now: Nanos) -> Option<Self> {
        let options = CacheOptions { shared: true, cache_heuristic: 0.0, ..Default::default() };
        let policy = CachePolicy::new_options(request, &response, instant(now), options);
        let is_reusable = policy.is_storable() && !policy.is_stale(instant(now));
        if !is_reusable || response.headers().contains_key(SET_COOKIE) {
            return None;
        }
        let (head, body) = response.into_parts();
        Some(Entry::with(policy, head.status, head.headers, body, now))
    }

    fn with(
        policy: CachePolicy,
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        now: Nanos,
    ) -> Self {
        remove_hop_by_hop(&mut headers);
        headers.remove(AGE);
        headers.remove("server-timing");
        let may_be_stale = !["must-revalidate", "proxy-revalidate", "no-cache"]
            .iter()
            .any(|name| directive(&headers, name).is_some());
        let window = |name| {
            let seconds = directive(&headers, name).flatten().filter(|_| may_be_stale);
            // A year is as good as for ever, and cannot overflow.
            Nanos::from_secs(seconds.unwrap_or(0).min(31_536_000))
        };
        Entry {
            status,
            fresh_until: now + Nanos::from(policy.time_to_live(instant(now))),
            while_revalidate: window("stale-while-revalidate"),
            if_error: window("stale-if-error"),
            policy,
            headers,
            body,
            left_alone_until: AtomicU64::new(0),
        }
    }

    pub fn view(&self, request: &Request<()>, now: Nanos) -> View {
        match self.policy.before_request(request, instant(now)) {
            BeforeRequest::Fresh(_) => View::Fresh,
            BeforeRequest::Stale { matches: false, .. } => View::OtherVariant,
            BeforeRequest::Stale { .. } if now < self.fresh_until => View::Forced,
            BeforeRequest::Stale { .. } => View::Stale(self.stale_for(now)),
        }
    }

    /// May be served now and be renewed behind the client's back.
    pub fn may_serve_while_revalidating(&self, stale: Nanos) -> bool {
        stale < self.while_revalidate
    }

    /// May be served since the origin has failed.
    pub fn may_serve_on_error(&self, stale: Nanos) -> bool {
        stale < self.if_error
    }

    /// The origin has failed a moment ago: no use in asking again for this entry.
    pub fn is_left_alone(&self, now: Nanos) -> bool {
        self.left_alone_until.load(Ordering::Relaxed) > now.0
    }

    pub fn leave_alone(&self, now: Nanos) {
        self.left_alone_until.store((now + BACK_OFF).0, Ordering::Relaxed);
    }

    /// The request that asks the origin whether this entry is still right.
    pub fn revalidation(&self, request: &Request<()>, now: Nanos) -> Request<()> {
        match self.policy.before_request(request, instant(now)) {
            BeforeRequest::Stale { request, .. } => Request::from_parts(request, ()),
            // It became fresh in the meantime; an unconditional fetch is right, too.
            BeforeRequest::Fresh(_) => request.clone(),
        }
    }

    /// The same body with a 304's headers and a new life; `None` when the 304 is about another one.
    pub fn renewed(
        &self,
        request: &Request<()>,
        response: &Response<Bytes>,
        now: Nanos,
    ) -> Option<Self> {
        match self.policy.after_response(request, response, instant(now)) {
            AfterResponse::NotModified(policy, head) => {
                let mut headers = head.headers;
                // The crate writes a date of its own, in the form of e-mail.
                headers.remove(DATE);
                headers.extend(response.headers().get(DATE).map(|d| (DATE, d.clone())));
                Some(Entry::with(policy, self.status, headers, self.body.clone(), now))
            }
            AfterResponse::Modified(..) => None,
        }
    }

    /// The response as it is sent, with its `Age`.
    pub fn response(&self, now: Nanos) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        let age = self.policy.age(instant(now)).as_secs();
        response.headers_mut().insert(AGE, HeaderValue::from(age));
        response
    }

    /// Zero while fresh.
    pub fn stale_for(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.fresh_until)
    }

    /// Seconds of freshness left, negative when stale: the `ttl` of RFC 9211.
    pub fn ttl_s(&self, now: Nanos) -> i64 {
        let seconds = |n: Nanos| (n.0 / 1_000_000_000) as i64;
        match now <= self.fresh_until {
            true => seconds(self.fresh_until.saturating_sub(now)),
            false => -seconds(now.saturating_sub(self.fresh_until)),
        }
    }

    pub fn size_bytes(&self) -> u32 {
        u32::try_from(self.body.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
    }
}

/// Whether requests like this one may be answered from the store at all.
pub fn is_cacheable(request: &http::request::Parts) -> bool {
    let private = ["authorization", "cookie", "range"];
    request.method == Method::GET && !private.iter().any(|name| request.headers.contains_key(*name))
}

/// The request as the store sees it: without what belongs to one connection or one client's copy.
pub fn normalised(request: &http::request::Parts) -> Request<()> {
    let mut headers = request.headers.clone();
    remove_hop_by_hop(&mut headers);
    for name in [HOST, RANGE] {
        headers.remove(name);
    }
    for name in
        ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"]
    {
        headers.remove(name);
    }
    let mut normalised = Request::new(());
    *normalised.uri_mut() = address(request).parse().expect("it was part of a valid URI");
    *normalised.headers_mut() = headers;
    normalised
}

/// Path and query: what the store's key is, and what the origin is asked for.
pub fn address(request: &http::request::Parts) -> &str {
    request.uri.path_and_query().map_or("/", |p| p.as_str())
}

pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(',').map(|name| name.trim().to_string()))
        .collect();
    named.iter().for_each(|name| drop(headers.remove(name.as_str())));
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    HOP_BY_HOP_NAMES.iter().for_each(|name| drop(headers.remove(*name)));
}

/// 304 when the client has just what would be sent.
pub fn not_modified(client: &HeaderMap, response: &Response<Bytes>) -> bool {
    let (Some(tags), Some(etag)) =
        (client.get(http::header::IF_NONE_MATCH), response.headers().get(ETAG))
    else {
        return false;
    };
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    response.status() == StatusCode::OK
        && tags.split(',').any(|tag| tag.trim() == "*" || plain(tag) == plain(etag))
}

/// Whether `Cache-Control` has this directive, and its number.
fn directive(headers: &HeaderMap, name: &str) -> Option<Option<u64>> {
    let parts = headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok());
    parts.flat_map(|v| v.split(',')).find_map(|part| {
        let (key, value) = part.split_once('=').map_or((part, None), |(k, v)| (k, Some(v)));
        let value = value.and_then(|v| v.trim().trim_matches('"').parse().ok());
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

fn instant(now: Nanos) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(now.0)
}
