//! What is spoken on a connection: TLS below, HTTP/2 above, or neither. Bytes in, bytes out; the
//! sockets, the requests and the ledger are not known here.
//!
//! A plain HTTP/1.1 connection has neither layer and passes none of this code.

pub(super) mod http2;
mod pipe;
pub(super) mod ready;
pub(super) mod request;
pub(super) mod tls;
mod tls_config;
mod verifier;

pub use tls_config::TlsError;

use crate::base::Nanos;
use crate::plan::{Http2Plan, LoadPlan, Protocol};
use std::net::SocketAddr;
use tls_config::TlsClient;

/// The transport of a load made ready; read by every worker.
pub(super) struct Transport {
    pub tls: Option<TlsClient>,
    pub protocol: Protocol,
    pub http2: Http2Plan,
    pub connect_timeout: Option<Nanos>,
    /// Requests that one connection carries.
    pub requests_max: u64,
}

impl Transport {
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new(load: &LoadPlan, addresses: &[SocketAddr]) -> Result<Transport, TlsError> {
        let plan = &load.transport;
        let tls = plan.tls.as_ref();
        let per_connection = plan.requests_per_connection.unwrap_or(u64::MAX).max(1);
        Ok(Transport {
            tls: tls.map(|tls| TlsClient::new(tls, plan.protocol, addresses)).transpose()?,
            protocol: plan.protocol,
            http2: plan.http2,
            connect_timeout: plan.connect_timeout,
            requests_max: if load.keep_alive { per_connection } else { 1 },
        })
    }

    /// Whether a connection may turn out to carry several requests at once.
    pub fn may_multiplex(&self) -> bool {
        match self.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Negotiated => self.tls.is_some(),
        }
    }
}
