//! How connections are made and what is spoken on them.

use crate::base::Nanos;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The transport of a load; the default is plain HTTP/1.1 from any local address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransportPlan {
    pub protocol: Protocol,
    /// `None`: plain TCP.
    pub tls: Option<TlsPlan>,
    /// A connection that is not there by then fails its request; `None`: only the time-out counts.
    pub connect_timeout: Option<Nanos>,
    /// A connection is closed after so many requests; `None`: as many as it carries.
    pub requests_per_connection: Option<u64>,
    pub http2: Http2Plan,
    /// Local addresses to connect from, in turn; empty: the kernel's choice.
    pub sources: Vec<IpAddr>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    #[default]
    Http1,
    /// Over TLS by ALPN, without TLS by prior knowledge.
    Http2,
    /// HTTP/2 where the server's ALPN takes it, else HTTP/1.1; plain TCP is HTTP/1.1.
    Negotiated,
}

/// TLS by rustls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsPlan {
    /// Server name indication, and what the certificate must be for.
    pub server_name: String,
    /// `false`: any certificate is taken (`-k`).
    pub verifies: bool,
    /// PEM of the authorities to trust instead of the system's.
    pub authorities: Option<String>,
    /// PEM of a client certificate.
    pub client_certificate: Option<String>,
    /// PEM of its key; never in a record.
    pub client_key: Option<String>,
    /// Whether later handshakes may resume earlier sessions: cheaper than what a new visitor costs,
    /// so off unless asked for.
    pub resumption: bool,
}

/// HTTP/2's own settings (RFC 9113).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http2Plan {
    /// Requests at once on a connection, at most; the server may allow fewer.
    pub streams_max: u32,
    /// Flow-control windows of a stream and of a connection, bytes.
    pub stream_window: u32,
    pub connection_window: u32,
}

impl Default for Http2Plan {
    fn default() -> Self {
        Http2Plan { streams_max: 100, stream_window: 1 << 20, connection_window: 1 << 24 }
    }
}
