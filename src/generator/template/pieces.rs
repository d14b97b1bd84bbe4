//! A request taken apart into what HTTP/2 sends apart, and HTTP/1.1 writes one after the other.

use super::text::{self, Names, Part, Place};
use crate::plan::RequestPlan;
use crate::workload::{Draws, Values};
use base64::Engine;
use http::{HeaderName, Method};

/// A request's parts for one request; its buffers are kept from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Path and query.
    pub path: Vec<u8>,
    pub authority: Vec<u8>,
    /// Without `Host`, `Content-Length` and what only concerns an HTTP/1.1 connection.
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// Empty also when there is none.
    pub body: Vec<u8>,
}

/// The parts of a request with their placeholders.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    pub method: Method,
    pub path: Vec<Part>,
    pub authority: Vec<Part>,
    /// As written, with the names' own case; `Host` and `Content-Length` are not among them.
    pub headers: Vec<(String, HeaderName, Vec<Part>)>,
    pub body: Option<Vec<Part>>,
}

impl Pieces {
    pub fn new(request: &RequestPlan, names: Names<'_>) -> Result<Pieces, String> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| format!("`{}` is not a method", request.method))?;
        let is_path =
            |text: &str| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_path(&request.path) {
            return Err(format!(
                "the path `{}` must begin with / and have no spaces",
                request.path
            ));
        }
        let path = names.parts(&request.path, Place::Path)?;
        let mut authority = header_value("Host", &request.host, names)?;
        let mut headers = Vec::new();
        let agent = ("User-Agent", concat!("brunt/", env!("CARGO_PKG_VERSION")));
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(agent.0)) {
            headers.push(header(agent.0, agent.1, names)?);
        }
        for (name, value) in &request.headers {
            // The length is brunt's own business: a wrong one would hang every request.
            match () {
                () if name.eq_ignore_ascii_case("content-length") => {}
                () if name.eq_ignore_ascii_case("host") => {
                    authority = header_value(name, value, names)?;
                }
                () => headers.push(header(name, value, names)?),
            }
        }
        Ok(Pieces { method, path, authority, headers, body: body(request, names)? })
    }

    /// Every value that the request uses.
    pub fn values(&self) -> impl Iterator<Item = usize> {
        let headers = self.headers.iter().flat_map(|(_, _, value)| value);
        let parts = self.path.iter().chain(&self.authority).chain(headers);
        parts.chain(self.body.iter().flatten()).filter_map(|part| match part {
            Part::Value(index) | Part::PathValue(index) => Some(*index),
            Part::Text(_) | Part::BodyLength => None,
        })
    }

    pub fn render(&self, values: &Values, draws: &Draws, into: &mut Parts) {
        let fill = |parts: &[Part], out: &mut Vec<u8>| {
            out.clear();
            text::render(parts, values, draws, out);
        };
        fill(&self.path, &mut into.path);
        fill(&self.authority, &mut into.authority);
        fill(self.body.as_deref().unwrap_or_default(), &mut into.body);
        let mut n = 0;
        for (_, name, value) in self.headers.iter().filter(|(_, name, _)| !is_of_connection(name)) {
            match into.headers.get_mut(n) {
                Some((kept, text)) => {
                    kept.clone_from(name);
                    fill(value, text);
                }
                None => {
                    let mut text = Vec::new();
                    fill(value, &mut text);
                    into.headers.push((name.clone(), text));
                }
            }
            n += 1;
        }
        into.headers.truncate(n);
    }
}

/// Header fields that HTTP/2 forbids (RFC 9113, 8.2.2).
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}

fn header(
    name: &str,
    value: &str,
    names: Names<'_>,
) -> Result<(String, HeaderName, Vec<Part>), String> {
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is not the name of a header"))?;
    Ok((name.to_string(), known, header_value(name, value, names)?))
}

fn header_value(name: &str, value: &str, names: Names<'_>) -> Result<Vec<Part>, String> {
    if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err(format!("the header `{name}` holds a control character"));
    }
    names.parts(value, Place::Header)
}

fn body(request: &RequestPlan, names: Names<'_>) -> Result<Option<Vec<Part>>, String> {
    match (&request.body, &request.body_base64) {
        (Some(_), Some(_)) => Err("it has a body of text and one of bytes; it can have one".into()),
        (Some(text), None) => names.parts(text, Place::Body).map(Some),
        (None, Some(encoded)) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map_err(|e| format!("its binary body is not base64: {e}"))?;
            Ok(Some(vec![Part::Text(bytes)]))
        }
        (None, None) => Ok(None),
    }
}
