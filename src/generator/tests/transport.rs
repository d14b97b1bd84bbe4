//! TLS, HTTP/2 and the making of connections, against servers in this process.

use super::*;
use crate::plan::{Expect, Http2Plan, Protocol, TlsPlan, TransportPlan};
use bytes::Bytes;
use h2::server::SendResponse;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Self-signed for `localhost` and 127.0.0.1, until 2126.
const CERTIFICATE: &str = include_str!("../testdata/localhost.crt");
const KEY: &str = include_str!("../testdata/localhost.key");

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

fn server_config(alpn: &[&str]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// As `serve`, over TLS.
fn serve_tls<F>(behave: F) -> SocketAddr
where
    F: Fn(&mut TlsStream, u64) -> bool + Send + Sync + Clone + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = server_config(&["http/1.1"]);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let session = ServerConnection::new(config.clone()).unwrap();
            let behave = behave.clone();
            std::thread::spawn(move || answer_tls(StreamOwned::new(session, stream), &behave));
        }
    });
    address
}

fn answer_tls(mut stream: TlsStream, behave: &dyn Fn(&mut TlsStream, u64) -> bool) {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    let mut n_requests = 0;
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        text.extend_from_slice(&piece[..n]);
        while let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            text.drain(..end + 4);
            if !behave(&mut stream, n_requests) {
                return;
            }
            n_requests += 1;
        }
    }
}

fn trusting() -> TlsPlan {
    TlsPlan {
        server_name: "localhost".into(),
        verifies: true,
        authorities: Some(CERTIFICATE.into()),
        ..TlsPlan::default()
    }
}

fn with(transport: TransportPlan, address: SocketAddr, users: u32, requests: u64) -> LoadPlan {
    let arrivals = Arrivals::Closed { connections: users, think: Nanos::ZERO };
    LoadPlan {
        requests_max: Some(requests),
        timeout: Nanos::from_secs(5),
        transport,
        ..plan(address, arrivals, 0.0, 20_000)
    }
}

fn tls() -> TransportPlan {
    TransportPlan { tls: Some(trusting()), ..TransportPlan::default() }
}

fn http2() -> TransportPlan {
    TransportPlan { protocol: Protocol::Http2, ..TransportPlan::default() }
}

fn one(load: LoadPlan) -> Seen {
    run_until(load, 1, None)
}

#[test]
fn a_plain_connection_stays_small() {
    let size = std::mem::size_of::<super::super::connections::Connection>();
    assert!(size <= 224, "{size} bytes");
}

#[test]
fn requests_go_over_tls_and_keep_their_connections() {
    let address = serve_tls(|stream, _| stream.write_all(OK).is_ok());
    let seen = one(with(tls(), address, 4, 400));
    assert_eq!((seen.ledger.ok, seen.retried), (400, 0), "{:?}", seen.causes);
    assert!(seen.connections <= 4);
}

#[test]
fn a_record_in_pieces_and_a_long_body_arrive_whole_over_tls() {
    let body = vec![b'x'; 300_000];
    let address = serve_tls(move |stream, _| {
        stream.conn.set_buffer_limit(None);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 3);
        stream.write_all(head.as_bytes()).is_ok()
            && stream.write_all(&body).is_ok()
            && stream.write_all(b"end").is_ok()
    });
    let mut load = with(tls(), address, 2, 20);
    load.requests[0].expects = vec![Expect::BodyContains { text: "xend".into() }];
    let seen = one(load);
    assert_eq!(seen.ledger.ok, 20, "{:?}", seen.causes);
}

#[test]
fn a_server_that_ends_tls_ends_a_body_and_one_that_vanishes_does_not() {
    let until_close = b"HTTP/1.1 200 OK\r\n\r\nbody";
    let polite = serve_tls(move |stream, _| {
        stream.write_all(until_close).unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
        false
    });
    assert_eq!(one(with(tls(), polite, 2, 10)).ledger.ok, 10);
    let rude = serve_tls(move |stream, _| {
        stream.write_all(until_close).unwrap();
        false
    });
    let seen = one(with(tls(), rude, 2, 10));
    assert_eq!((seen.ledger.ok, seen.cause(Cause::ClosedEarly)), (0, 10), "{:?}", seen.causes);
}

#[test]
fn a_tls_connection_closed_between_requests_is_replaced() {
    let address = serve_tls(|stream, n| stream.write_all(OK).is_ok() && n < 2);
    let seen = one(with(tls(), address, 2, 60));
    assert_eq!(seen.ledger.ok, 60, "{:?}", seen.causes);
}

#[test]
fn a_certificate_is_refused_unless_it_fits_or_any_will_do() {
    let address = serve_tls(|stream, _| stream.write_all(OK).is_ok());
    let mut load = with(tls(), address, 1, 3);
    let name = |load: &mut LoadPlan, name: &str, verifies| {
        let tls = load.transport.tls.as_mut().unwrap();
        tls.server_name = name.into();
        tls.verifies = verifies;
    };
    name(&mut load, "elsewhere.example", true);
    let seen = one(load.clone());
    assert_eq!(seen.cause(Cause::CertificateRefused), 3, "{:?}", seen.causes);
    name(&mut load, "elsewhere.example", false);
    assert_eq!(one(load.clone()).ledger.ok, 3);
    // Without a name the address counts, and the certificate is for that too.
    name(&mut load, "", true);
    assert_eq!(one(load).ledger.ok, 3);
}

#[test]
fn what_is_not_tls_fails_as_tls() {
    let address = serve(|stream, _, _| stream.write_all(OK).is_ok());
    // The server reads a client hello as a request head only if it ends; it closes instead.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_address = mute.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in mute.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let seen = one(with(tls(), mute_address, 1, 2));
    assert_eq!(seen.cause(Cause::TlsFailed), 2, "{:?}", seen.causes);
    let mut plain = with(TransportPlan::default(), address, 1, 2);
    plain.timeout = Nanos::from_secs(2);
    assert_eq!(one(plain).ledger.ok, 2);
}

/// Accepts and says nothing.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_slow_handshake_runs_into_the_connect_timeout() {
    let (_listener, address) = silent();
    let mut load = with(tls(), address, 2, 6);
    load.transport.connect_timeout = Some(Nanos::from_millis(30));
    let seen = one(load);
    assert_eq!(seen.cause(Cause::ConnectTimeout), 6, "{:?}", seen.causes);
    assert_eq!((seen.sent, seen.ledger.transport_error), (0, 6));
}

#[test]
fn without_a_connect_timeout_the_request_times_out_connecting_or_waiting() {
    let (_listener, address) = silent();
    let mut load = with(tls(), address, 3, 3);
    load.timeout = Nanos::from_millis(50);
    load.connections_max = 1;
    let seen = one(load);
    // One makes the connection and gives up; the next in the queue takes its place.
    let of = |cause| seen.cause(cause);
    assert!(of(Cause::TimeoutConnecting) >= 1, "{:?}", seen.causes);
    assert_eq!(of(Cause::TimeoutConnecting) + of(Cause::TimeoutWaiting), 3, "{:?}", seen.causes);
}

#[test]
fn a_connection_carries_so_many_requests_and_no_more() {
    let address = always_ok();
    let opened = Arc::new(AtomicU64::new(0));
    let count = opened.clone();
    let counting = serve(move |stream, connection, _| {
        count.fetch_max(connection + 1, Ordering::Relaxed);
        stream.write_all(OK).is_ok()
    });
    let mut load = with(TransportPlan::default(), counting, 1, 12);
    load.transport.requests_per_connection = Some(4);
    assert_eq!(one(load).ledger.ok, 12);
    assert_eq!(opened.load(Ordering::Relaxed), 3);
    let mut load = with(TransportPlan::default(), address, 1, 5);
    load.keep_alive = false;
    assert_eq!(one(load).ledger.ok, 5);
}

#[test]
fn source_addresses_are_taken_in_turn() {
    let seen_from = Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::new()));
    let shared = seen_from.clone();
    let address = serve(move |stream, _, _| {
        let from = stream.peer_addr().unwrap().ip().to_string();
        *shared.lock().unwrap().entry(from).or_insert(0) += 1;
        stream.write_all(OK).is_ok()
    });
    let mut load = with(TransportPlan::default(), address, 1, 6);
    load.transport.requests_per_connection = Some(1);
    load.transport.sources = ["127.7.0.1", "127.7.0.2"].map(|a| a.parse().unwrap()).to_vec();
    assert_eq!(one(load.clone()).ledger.ok, 6);
    let seen: Vec<(String, i32)> = seen_from.lock().unwrap().clone().into_iter().collect();
    assert_eq!(seen, [("127.7.0.1".to_string(), 3), ("127.7.0.2".to_string(), 3)]);
    load.transport.sources = vec!["192.0.2.1".parse().unwrap()];
    assert_eq!(one(load).cause(Cause::NoSuchSource), 6);
}

#[test]
fn what_the_kernel_lacks_is_named() {
    use super::super::connections::connect_cause;
    assert_eq!(connect_cause(Errno::MFILE), Cause::OutOfDescriptors);
    assert_eq!(connect_cause(Errno::ADDRNOTAVAIL), Cause::OutOfPorts);
    assert!(Cause::OutOfDescriptors.to_string().contains("ulimit -n"));
    assert!(Cause::OutOfPorts.to_string().contains("source"));
}

/// What a server of HTTP/2 does with a request.
#[derive(Clone, Copy)]
enum Deed {
    Answer(usize),
    /// The head and no end.
    Begin,
    Nothing,
    Reset(h2::Reason),
    /// The connection goes without a word.
    Drop,
    /// No more streams than those begun; this one is answered.
    GoAway,
}

/// An HTTP/2 server that does to (connection, request of it) what `decide` says.
fn serve_http2<F>(max_streams: u32, is_tls: bool, decide: F) -> SocketAddr
where
    F: Fn(u64, u64) -> Deed + Send + Clone + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        let acceptor = tokio_rustls::TlsAcceptor::from(server_config(&["h2"]));
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (decide, acceptor) = (decide.clone(), acceptor.clone());
                tokio::task::spawn_local(async move {
                    let decide = move |request| decide(connection, request);
                    if !is_tls {
                        return answer_http2(stream, max_streams, decide).await;
                    }
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer_http2(stream, max_streams, decide).await;
                    }
                });
            }
        });
    });
    address
}

async fn answer_http2<S, F>(stream: S, max_streams: u32, decide: F)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    F: Fn(u64) -> Deed,
{
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(max_streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let mut kept = Vec::new();
    for n in 0.. {
        let Some(Ok((request, respond))) = connection.accept().await else { return };
        let deed = decide(n);
        match deed {
            Deed::Drop => return,
            Deed::GoAway => connection.graceful_shutdown(),
            _ => {}
        }
        kept.extend(do_to(request.into_body(), respond, deed));
    }
}

/// Does it; what must not be dropped yet is returned.
fn do_to(
    mut body: h2::RecvStream,
    mut respond: SendResponse<Bytes>,
    deed: Deed,
) -> Option<(SendResponse<Bytes>, Option<h2::SendStream<Bytes>>)> {
    let head = || http::Response::builder().header("x-version", 7).body(()).unwrap();
    match deed {
        Deed::Answer(_) | Deed::GoAway => {
            let n = if let Deed::Answer(n) = deed { n } else { 2 };
            tokio::task::spawn_local(async move {
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                }
                if let Ok(mut stream) = respond.send_response(head(), n == 0) {
                    let _ = stream.send_data(Bytes::from(vec![b'o'; n]), true);
                }
            });
            None
        }
        Deed::Begin => respond.send_response(head(), false).ok().map(|s| (respond, Some(s))),
        Deed::Nothing => Some((respond, None)),
        Deed::Reset(reason) => {
            respond.send_reset(reason);
            None
        }
        Deed::Drop => None,
    }
}

#[test]
fn many_requests_share_a_connection_of_http2() {
    for is_tls in [false, true] {
        let address = serve_http2(100, is_tls, |_, n| Deed::Answer(n as usize % 3));
        let mut load = with(http2(), address, 16, 500);
        load.transport.tls = is_tls.then(trusting);
        load.requests[0].check = Some(Check::Read);
        let seen = one(load);
        assert_eq!((seen.ledger.ok, seen.retried), (500, 0), "{:?}", seen.causes);
        assert_eq!(seen.connections, 1);
        assert_eq!(seen.operations.len(), 500);
        assert!(seen.operations.iter().all(|o| o.version == 7));
    }
}

#[test]
fn streams_are_as_many_as_both_sides_allow() {
    for (ours, theirs) in [(4, 100), (100, 4)] {
        let address = serve_http2(theirs, false, |_, _| Deed::Answer(2));
        let mut load = with(http2(), address, 40, 400);
        load.transport.http2.streams_max = ours;
        load.connections_max = 3;
        let seen = one(load);
        // Those beyond what the server had not yet said are refused, and sent again.
        assert_eq!(seen.ledger.ok, 400, "{:?}", seen.causes);
        assert!(seen.connections <= 3);
    }
}

#[test]
fn connections_are_made_for_as_many_streams_as_wait() {
    let address = serve_http2(100, false, |_, _| Deed::Answer(2));
    let mut load = with(http2(), address, 32, 640);
    load.transport.http2.streams_max = 8;
    load.connections_max = 64;
    let seen = one(load);
    assert_eq!((seen.ledger.ok, seen.connections), (640, 4), "{:?}", seen.causes);
}

#[test]
fn a_negotiated_protocol_is_what_the_server_takes() {
    let h1 = serve_tls(|stream, _| stream.write_all(OK).is_ok());
    let h2 = serve_http2(100, true, |_, _| Deed::Answer(2));
    let mut transport = tls();
    transport.protocol = Protocol::Negotiated;
    assert_eq!(one(with(transport.clone(), h1, 4, 40)).ledger.ok, 40);
    let seen = one(with(transport.clone(), h2, 4, 40));
    assert_eq!((seen.ledger.ok, seen.connections), (40, 1), "{:?}", seen.causes);
    transport.protocol = Protocol::Http2;
    assert_eq!(one(with(transport, h1, 1, 3)).cause(Cause::NoHttp2), 3);
}

#[test]
fn bodies_larger_than_the_windows_go_both_ways() {
    let address = serve_http2(100, false, |_, _| Deed::Answer(400_000));
    let mut load = with(http2(), address, 4, 12);
    load.transport.http2 =
        Http2Plan { stream_window: 70_000, connection_window: 100_000, ..Http2Plan::default() };
    load.requests[0].method = "POST".into();
    load.requests[0].body = Some("b".repeat(300_000));
    let seen = one(load);
    assert_eq!(seen.ledger.ok, 12, "{:?}", seen.causes);
}

#[test]
fn a_refused_stream_is_sent_again_once() {
    let refuse_first = |_, n| match n {
        0..3 => Deed::Reset(h2::Reason::REFUSED_STREAM),
        _ => Deed::Answer(2),
    };
    let mut load = with(http2(), serve_http2(100, false, refuse_first), 3, 30);
    load.requests[0].method = "POST".into();
    let seen = one(load);
    assert_eq!((seen.ledger.ok, seen.retried, seen.sent), (30, 3, 30), "{:?}", seen.causes);
    let always = |_, _| Deed::Reset(h2::Reason::REFUSED_STREAM);
    let seen = one(with(http2(), serve_http2(100, false, always), 2, 6));
    assert_eq!((seen.cause(Cause::StreamReset), seen.retried), (6, 6), "{:?}", seen.causes);
}

#[test]
fn a_reset_stream_fails_alone() {
    let odd = |_, n| match n % 2 {
        0 => Deed::Reset(h2::Reason::INTERNAL_ERROR),
        _ => Deed::Answer(2),
    };
    let seen = one(with(http2(), serve_http2(100, false, odd), 2, 40));
    assert_eq!((seen.ledger.ok, seen.cause(Cause::StreamReset)), (20, 20), "{:?}", seen.causes);
    assert_eq!(seen.connections, 1);
}

#[test]
fn a_server_that_goes_away_is_followed_by_a_new_connection() {
    let polite = |_, n| if n == 9 { Deed::GoAway } else { Deed::Answer(2) };
    let seen = one(with(http2(), serve_http2(100, false, polite), 4, 200));
    assert_eq!(seen.ledger.ok, 200, "{:?}", seen.causes);
}

#[test]
fn a_connection_that_drops_takes_its_streams_along() {
    let address = serve_http2(100, false, |_, n| if n == 3 { Deed::Drop } else { Deed::Nothing });
    let mut load = with(http2(), address, 4, 4);
    load.requests[0].method = "POST".into();
    let seen = one(load);
    let lost = seen.cause(Cause::ClosedEarly) + seen.cause(Cause::Reset);
    assert_eq!((lost, seen.retried), (4, 0), "{:?}", seen.causes);
}

#[test]
fn a_timeout_ends_its_stream_and_not_the_connection() {
    for slow in [Deed::Nothing, Deed::Begin] {
        let decide = move |_, n| if n % 4 == 0 { slow } else { Deed::Answer(2) };
        let mut load = with(http2(), serve_http2(100, false, decide), 4, 40);
        load.timeout = Nanos::from_millis(250);
        let seen = one(load);
        assert_eq!(seen.cause(Cause::TimeoutResponse), 10, "{:?}", seen.causes);
        assert_eq!((seen.ledger.ok, seen.connections), (30, 1));
    }
}

#[test]
fn a_stopped_http2_load_closes_its_ledger() {
    let address =
        serve_http2(100, false, |_, n| if n > 50 { Deed::Nothing } else { Deed::Answer(2) });
    let mut load = with(http2(), address, 8, 1000);
    load.requests_max = None;
    let seen = run_until(load, 2, Some(Duration::from_millis(100)));
    assert_eq!(seen.ledger.unfinished + seen.ledger.never_sent, 8, "{:?}", seen.ledger);
}

#[test]
fn what_is_not_http2_fails_as_that() {
    let address = serve(|stream, _, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        false
    });
    let seen = one(with(http2(), address, 1, 3));
    assert_eq!(seen.ledger.transport_error, 3, "{:?}", seen.causes);
}
