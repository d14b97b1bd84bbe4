//! `[transport]`: how connections are made and what is spoken on them.

use super::file::some_duration;
use crate::base::Nanos;
use crate::base::units::{duration, size};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TransportSpec {
    pub protocol: ProtocolName,
    /// Whether a connection is used for more than one request.
    pub keep_alive: bool,
    pub requests_per_connection: Option<u64>,
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub connect_timeout: Option<Nanos>,
    /// Local addresses to connect from, in turn.
    pub sources: Vec<IpAddr>,
    /// Any certificate is taken.
    pub insecure: bool,
    /// Later handshakes may resume earlier sessions.
    pub resumption: bool,
    /// PEM files, relative to the profile's file; their text once they have been read.
    pub authorities: Option<String>,
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    pub http2: Http2Spec,
}

impl Default for TransportSpec {
    fn default() -> Self {
        TransportSpec {
            protocol: ProtocolName::default(),
            keep_alive: true,
            requests_per_connection: None,
            connect_timeout: None,
            sources: Vec::new(),
            insecure: false,
            resumption: false,
            authorities: None,
            client_certificate: None,
            client_key: None,
            http2: Http2Spec::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolName {
    #[default]
    Http1,
    Http2,
    Negotiated,
}

/// `[transport.http2]`: without a number, the plan's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http2Spec {
    /// Requests at once on a connection.
    pub streams: Option<u32>,
    #[serde(deserialize_with = "some_size")]
    #[schemars(with = "Option<size>")]
    pub stream_window: Option<u32>,
    #[serde(deserialize_with = "some_size")]
    #[schemars(with = "Option<size>")]
    pub connection_window: Option<u32>,
}

/// Flow-control windows are numbers of 31 bits (RFC 9113, 6.9.1).
const WINDOW_MAX: u64 = (1 << 31) - 1;
/// The window that HTTP/2 begins with; a smaller connection window cannot be asked for.
const WINDOW_MIN: u32 = 65_535;

impl TransportSpec {
    /// # Errors
    /// The key below `transport`, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.requests_per_connection == Some(0) {
            return Err(("requests_per_connection", "must be above 0"));
        }
        if self.requests_per_connection.is_some() && !self.keep_alive {
            return Err(("requests_per_connection", "is 1 without `keep_alive`; leave it out"));
        }
        if self.connect_timeout == Some(Nanos::ZERO) {
            return Err(("connect_timeout", "must be above 0"));
        }
        if self.client_certificate.is_some() != self.client_key.is_some() {
            return Err(("client_certificate", "needs its `client_key`, and that needs it"));
        }
        let http2 = self.http2;
        if self.protocol == ProtocolName::Http1 && http2 != Http2Spec::default() {
            return Err(("http2", "is for `protocol = \"http2\"` or \"negotiated\""));
        }
        if http2.streams == Some(0) {
            return Err(("http2.streams", "must be above 0"));
        }
        if http2.stream_window == Some(0) {
            return Err(("http2.stream_window", "must be above 0"));
        }
        if http2.connection_window.is_some_and(|w| w < WINDOW_MIN) {
            return Err(("http2.connection_window", "cannot be below 65535B"));
        }
        Ok(())
    }

    /// The first key that only TLS gives a meaning.
    pub fn tls_key(&self) -> Option<&'static str> {
        [
            ("insecure", self.insecure),
            ("resumption", self.resumption),
            ("authorities", self.authorities.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
        ]
        .into_iter()
        .find_map(|(key, is_set)| is_set.then_some(key))
    }
}

fn some_size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(d)?;
    parse_size(&text).map(Some).map_err(D::Error::custom)
}

fn parse_size(text: &str) -> Result<u32, String> {
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &trimmed[digits.len()..] {
        "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    scale
        .and_then(|scale| digits.trim().parse::<u64>().ok()?.checked_mul(scale))
        .filter(|size| *size <= WINDOW_MAX)
        .map(|size| size as u32)
        .ok_or_else(|| {
            format!("`{text}` is not a window; write it like 64KiB or 1MiB, below 2048MiB")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TransportSpec, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn every_key_is_read() {
        let spec = read(
            "protocol = 'http2'\nrequests_per_connection = 100\nconnect_timeout = '1s'\n\
             sources = ['127.0.0.2']\ninsecure = true\n[http2]\nstreams = 10\n\
             stream_window = '64KiB'\nconnection_window = '1MiB'",
        )
        .unwrap();
        assert_eq!(spec.connect_timeout, Some(Nanos::SECOND));
        assert_eq!(spec.http2.stream_window, Some(65_536));
        assert_eq!(spec.tls_key(), Some("insecure"));
        assert!(spec.keep_alive && spec.check().is_ok());
        assert_eq!(read("").unwrap(), TransportSpec::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        for (text, key) in [
            ("requests_per_connection = 0", "requests_per_connection"),
            ("keep_alive = false\nrequests_per_connection = 5", "requests_per_connection"),
            ("connect_timeout = '0s'", "connect_timeout"),
            ("client_key = 'a'", "client_certificate"),
            ("[http2]\nstreams = 3", "http2"),
            ("protocol = 'http2'\n[http2]\nstreams = 0", "http2.streams"),
            ("protocol = 'http2'\n[http2]\nconnection_window = '1KiB'", "http2.connection_window"),
        ] {
            assert_eq!(read(text).unwrap().check().unwrap_err().0, key, "{text}");
        }
        for text in ["[http2]\nstream_window = '2048MiB'", "[http2]\nstream_window = '5'"] {
            assert!(read(text).unwrap_err().message().contains("64KiB"), "{text}");
        }
    }
}
