//! The TLS of a load, configured once and shared by all workers: whom to trust, who we are, and
//! which protocols we offer.

use super::verifier::AcceptsAny;
use crate::plan::{Protocol, TlsPlan};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why TLS cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{what} cannot be read as PEM: {why}")]
    Pem { what: &'static str, why: String },
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    #[error(
        "the system has no certificate authorities to trust ({0}); name some, or take any \
         certificate with --insecure"
    )]
    NoRoots(String),
    #[error("a client certificate needs its key, and a key its certificate")]
    HalfIdentity,
    #[error("`{0}` is neither a host name nor an address that a certificate could be for")]
    ServerName(String),
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Makes TLS sessions.
pub(in crate::generator) struct TlsClient {
    pub config: Arc<ClientConfig>,
    /// By address.
    names: Vec<ServerName<'static>>,
}

impl TlsClient {
    pub fn new(
        plan: &TlsPlan,
        protocol: Protocol,
        addresses: &[SocketAddr],
    ) -> Result<TlsClient, TlsError> {
        let name = |address: &SocketAddr| match plan.server_name.as_str() {
            "" => Ok(ServerName::from(address.ip())),
            name => ServerName::try_from(name.to_string())
                .map_err(|_| TlsError::ServerName(name.to_string())),
        };
        let names = addresses.iter().map(name).collect::<Result<_, _>>()?;
        Ok(TlsClient { config: Arc::new(config(plan, protocol)?), names })
    }

    pub fn name(&self, address: u32) -> ServerName<'static> {
        self.names[address as usize].clone()
    }
}

fn config(plan: &TlsPlan, protocol: Protocol) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if plan.verifies {
        builder.with_root_certificates(roots(plan)?)
    } else {
        let verifier = Arc::new(any_certificate(&provider));
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    let mut config = match (&plan.client_certificate, &plan.client_key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("the client certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|e| unreadable("the client key", &e))?;
            builder.with_client_auth_cert(chain, key)?
        }
        _ => return Err(TlsError::HalfIdentity),
    };
    if !plan.resumption {
        config.resumption = Resumption::disabled();
    }
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
        Protocol::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn any_certificate(provider: &CryptoProvider) -> AcceptsAny {
    AcceptsAny { schemes: provider.signature_verification_algorithms.supported_schemes() }
}

fn roots(plan: &TlsPlan) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = &plan.authorities {
        for certificate in certificates("the file of authorities", pem)? {
            store.add(certificate)?;
        }
        return Ok(store);
    }
    // The system's own store rather than a bundled list: what is tested is often signed by an
    // authority that only the system's owner has added.
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or("none found".into(), ToString::to_string);
        return Err(TlsError::NoRoots(why));
    }
    Ok(store)
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unreadable(what, &e))?;
    if all.is_empty() { Err(TlsError::Empty(what)) } else { Ok(all) }
}

fn unreadable(what: &'static str, why: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem { what, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = include_str!("../testdata/localhost.crt");
    const KEY: &str = include_str!("../testdata/localhost.key");

    fn client(change: impl FnOnce(&mut TlsPlan)) -> Result<TlsClient, TlsError> {
        let mut plan = TlsPlan {
            server_name: "localhost".into(),
            verifies: true,
            authorities: Some(CERTIFICATE.into()),
            ..TlsPlan::default()
        };
        change(&mut plan);
        TlsClient::new(&plan, Protocol::Http1, &["127.0.0.1:1".parse().unwrap()])
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert!(client(|_| {}).is_ok());
        let refused = |change: fn(&mut TlsPlan)| client(change).err().unwrap().to_string();
        assert!(refused(|p| p.authorities = Some("none".into())).contains("no certificate"));
        assert!(refused(|p| p.server_name = "a b".into()).contains("`a b`"));
        assert!(refused(|p| p.client_key = Some(KEY.into())).contains("needs its key"));
        let bad = |p: &mut TlsPlan| {
            p.client_certificate = Some(CERTIFICATE.into());
            p.client_key = Some("none".into());
        };
        assert!(client(bad).err().unwrap().to_string().contains("the client key"));
    }

    #[test]
    fn a_server_without_a_name_is_known_by_its_address() {
        let client = client(|p| p.server_name.clear()).unwrap();
        assert_eq!(client.name(0).to_str(), "127.0.0.1");
    }

    #[test]
    fn sessions_are_resumed_only_when_asked_for() {
        let resumption =
            |on| format!("{:?}", client(|p| p.resumption = on).unwrap().config.resumption);
        assert_ne!(resumption(true), resumption(false));
    }
}
