//! One request: a member is chosen, the request passed on, at most one retry made elsewhere, the
//! answer passed back.
//!
//! What the balancer answers itself says what is known: 503 means certainly not done (with
//! `Retry-After`), 502 and 504 mean that it was sent and may or may not have been done.

use super::answer::Answer;
use super::headers;
use super::link::{Failure, Link, Upload};
use super::seat::{Interrupt, Seat};
use super::shard::{Admission, Lease, Refusal, Shard, UnderWay};
use crate::base::{Nanos, clock};
use crate::stack::faults::{self, Promised};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::rc::Rc;

/// Why a member gave no answer.
enum Lost {
    /// Certainly not done; here is the request again.
    Unsent(Box<Request<Upload>>),
    /// May or may not have been done.
    Sent { status: StatusCode, why: &'static str, retry: Retry },
}

/// Where an exchange that was lost may be tried again, when it is idempotent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Never,
    Elsewhere,
    /// The link was an old one: where there is no other, the same member may still do.
    Anywhere,
}

/// Answers one request of a client, as the rules of faults on this node will have it.
pub async fn handle(
    shard: Rc<Shard>,
    seat: Rc<Seat>,
    client: HeaderValue,
    request: Request<Incoming>,
) -> Result<Response<Promised<Answer>>, Infallible> {
    let faults = shard.node.faults();
    let started = clock::now();
    let under_way = shard.begin(started);
    let asked = request.method().clone();
    let answer = match faults.error() {
        Some(status) => own(&shard, &seat, started, status, faults::REASON),
        None => pass_on(&shard, &seat, &client, request, started, under_way).await,
    };
    if let Some(delay) = faults.delay() {
        // Nothing that is waited for here can be late.
        seat.arm(Nanos::MAX, None);
        Box::pin(delay.over()).await;
        answer.body().arm(&seat);
    }
    Ok(faults.promise(&asked, answer))
}

async fn pass_on(
    shard: &Rc<Shard>,
    seat: &Rc<Seat>,
    client: &HeaderValue,
    request: Request<Incoming>,
    started: Nanos,
    under_way: UnderWay,
) -> Response<Answer> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return own(shard, seat, started, StatusCode::NOT_IMPLEMENTED, "no tunnels here\n");
    }
    let upload = Upload::of(body);
    headers::to_member(&mut parts.headers, client);
    if std::mem::replace(&mut parts.version, Version::HTTP_11) != Version::HTTP_11 {
        // HTTP/1.0 could do without; HTTP/1.1, which goes on from here, cannot.
        parts.headers.entry(HOST).or_insert(HeaderValue::from_static("brunt"));
    }
    parts.extensions.clear();
    let spare = is_repeatable(&parts, &upload).then(|| copy(&parts));
    let request = Request::from_parts(parts, upload);
    match exchange(shard, seat, request, spare, started).await {
        Ok((lease, link, response)) => {
            let (mut parts, body) = response.into_parts();
            parts.version = Version::HTTP_11;
            let answer = Answer::of(shard, seat, lease, link, body, under_way);
            headers::to_client(&mut parts.headers, clock::now() - started);
            Response::from_parts(parts, answer)
        }
        Err((status, why)) => own(shard, seat, started, status, why),
    }
}

type Exchanged = (Lease, Box<Link>, Response<Incoming>);
/// What the balancer answers itself.
type Verdict = (StatusCode, &'static str);

/// One attempt, and one more where that is safe and the budget allows it. What seldom happens is
/// boxed: hyper moves this future for every request, so it is kept small.
async fn exchange(
    shard: &Rc<Shard>,
    seat: &Rc<Seat>,
    request: Request<Upload>,
    spare: Option<Request<Upload>>,
    now: Nanos,
) -> Result<Exchanged, Verdict> {
    let lease = admit(shard, seat, None).await?;
    let member = lease.member;
    match attempt(shard, seat, lease, request, now).await {
        Ok(exchanged) => Ok(exchanged),
        Err(lost) => Box::pin(retry(shard, seat, member, lost, spare)).await,
    }
}

/// The second and last attempt.
async fn retry(
    shard: &Rc<Shard>,
    seat: &Rc<Seat>,
    member: usize,
    lost: Lost,
    spare: Option<Request<Upload>>,
) -> Result<Exchanged, Verdict> {
    let (again, may_stay, verdict) = match lost {
        Lost::Unsent(request) => (Some(*request), false, UNREACHABLE),
        Lost::Sent { status, why, retry } => {
            let again = spare.filter(|_| retry != Retry::Never);
            (again, retry == Retry::Anywhere, (status, why))
        }
    };
    let Some(again) = again else { return Err(verdict) };
    let avoid = match has_other(shard, member) {
        true => Some(member),
        false if may_stay => None,
        false => return Err(verdict),
    };
    if !shard.may_retry(clock::now()) {
        return Err(verdict);
    }
    let lease = admit(shard, seat, avoid).await.map_err(|_| verdict)?;
    match attempt(shard, seat, lease, again, clock::now()).await {
        Ok(exchanged) => Ok(exchanged),
        Err(Lost::Sent { status, why, .. }) => Err((status, why)),
        Err(Lost::Unsent(_)) => Err(verdict),
    }
}

async fn admit(shard: &Rc<Shard>, seat: &Rc<Seat>, avoid: Option<usize>) -> Result<Lease, Verdict> {
    let admitted = match shard.admit_at_once(avoid) {
        Admission::Granted(lease) => return Ok(lease),
        Admission::Nobody => Err(Refusal::NoMember),
        Admission::Full => Box::pin(shard.admit_in_turn(seat, avoid)).await,
    };
    admitted.map_err(|refusal| refused(shard, refusal))
}

const UNREACHABLE: Verdict =
    (StatusCode::SERVICE_UNAVAILABLE, "no member could be reached; nothing was sent\n");

fn has_other(shard: &Shard, member: usize) -> bool {
    (0..shard.table.count()).any(|other| other != member && shard.table.is_eligible(other))
}

/// Passes the request to the member of this lease. An old link that turns out to be closed before
/// anything was sent is no failure of the member, and the next link is tried.
async fn attempt(
    shard: &Rc<Shard>,
    seat: &Rc<Seat>,
    lease: Lease,
    mut request: Request<Upload>,
    mut now: Nanos,
) -> Result<Exchanged, Lost> {
    loop {
        let mut link = match shard.take_link(lease.member) {
            Some(link) => link,
            None => match Box::pin(connect(shard, seat, lease.member, now)).await {
                Some(link) => {
                    now = clock::now();
                    link
                }
                None => return Err(Lost::Unsent(Box::new(request))),
            },
        };
        seat.arm(now + shard.settings.response_timeout, Some(lease.member));
        match link.send(seat, request).await {
            Ok(response) => {
                judge(shard, lease.member, response.status(), response.headers());
                return Ok((lease, link, response));
            }
            Err(Failure::Unsent(unsent)) if link.is_reused => request = *unsent,
            Err(failure) => return Err(lost(shard, lease.member, link.is_reused, failure)),
        }
    }
}

async fn connect(shard: &Shard, seat: &Seat, member: usize, now: Nanos) -> Option<Box<Link>> {
    seat.arm(now + shard.settings.connect_timeout, Some(member));
    shard.counters.links_opened.add(1);
    match Link::connect(shard.table.dial(member), seat).await {
        Ok(link) => Some(link),
        Err(Some(Interrupt::Silence)) => None,
        Err(_) => {
            shard.table.failed(member);
            None
        }
    }
}

/// Counts a failure against the member where it is the member's, and says what is known.
fn lost(shard: &Shard, member: usize, is_old: bool, failure: Failure) -> Lost {
    let sent = |status, why, retry| Lost::Sent { status, why, retry };
    let (bad, late) = (StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT);
    let lost = match failure {
        Failure::Unsent(request) => Lost::Unsent(request),
        Failure::Broken => {
            let retry = if is_old { Retry::Anywhere } else { Retry::Elsewhere };
            sent(bad, "the member broke off; it may have been done\n", retry)
        }
        Failure::Interrupted(Interrupt::Deadline) => {
            // Slow is not dead: a retry would add to the load that made it slow.
            sent(late, "the member did not answer in time; it may have been done\n", Retry::Never)
        }
        Failure::Interrupted(Interrupt::Silence) => {
            let why = "the member fell silent; it may have been done\n";
            return sent(late, why, Retry::Elsewhere);
        }
        Failure::ClientGone => {
            let why = "the request's body broke off\n";
            return sent(StatusCode::BAD_REQUEST, why, Retry::Never);
        }
    };
    shard.table.failed(member);
    lost
}

/// What an answer says about the health of its member. 503 with `Retry-After` is overload and 504
/// is trouble behind the member: neither a failure of its own nor a proof of health.
fn judge(shard: &Shard, member: usize, status: StatusCode, headers: &HeaderMap) {
    match status {
        StatusCode::GATEWAY_TIMEOUT => {}
        StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(RETRY_AFTER) => {}
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE => shard.table.failed(member),
        _ => shard.table.succeeded(member),
    }
}

/// Safe methods without a body: the only ones kept for a second attempt after they were sent.
fn is_repeatable(parts: &Parts, upload: &Upload) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) && upload.is_empty()
}

fn copy(parts: &Parts) -> Request<Upload> {
    let mut request = Request::new(Upload::Empty);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request
}

fn refused(shard: &Shard, refusal: Refusal) -> Verdict {
    let counters = &shard.counters;
    let (counter, why) = match refusal {
        Refusal::NoMember => (&counters.no_member, "no member is eligible\n"),
        Refusal::QueueFull => (&counters.queue_full, "every member and the queue are full\n"),
        Refusal::QueueTimeout => (&counters.queue_timeouts, "no member had room in time\n"),
    };
    counter.add(1);
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

/// An answer of the balancer's own.
fn own(
    shard: &Shard,
    seat: &Seat,
    started: Nanos,
    status: StatusCode,
    why: &'static str,
) -> Response<Answer> {
    let now = clock::now();
    seat.arm(now + super::shard::IDLE_MAX, None);
    shard.counters.own_answers.add(1);
    let mut response = Response::new(Answer::Whole(Bytes::from_static(why.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    headers::to_client(headers, now - started);
    response
}
