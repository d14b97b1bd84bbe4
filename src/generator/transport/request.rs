//! A rendered HTTP/1.1 request as one of HTTP/2: pseudo-fields instead of a request line, lower-case
//! names, nothing that only concerns an HTTP/1.1 connection (RFC 9113, 8.2 and 8.3).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};

/// Most fields of a request.
const FIELDS_MAX: usize = 128;

/// The requests of one kind. What was parsed for the last one is used again as far as the text is
/// the same, which is all of it but the path for most.
#[derive(Debug, Default)]
pub(in crate::generator) struct Prototype {
    line: Vec<u8>,
    fields: Vec<u8>,
    request: Request<()>,
}

impl Prototype {
    /// `None` when the text is no request that HTTP/2 can carry.
    pub fn request(&mut self, text: &[u8], scheme: &Scheme) -> Option<(Request<()>, Bytes)> {
        let line_end = memchr::memmem::find(text, b"\r\n")?;
        let head_end = line_end + memchr::memmem::find(&text[line_end..], b"\r\n\r\n")? + 4;
        let (line, fields) = (&text[..line_end], &text[line_end..head_end]);
        if self.fields != fields {
            self.parse_fields(&text[..head_end], scheme)?;
            self.fields = fields.to_vec();
            self.line.clear();
        }
        if self.line != line {
            self.parse_line(line)?;
            self.line.clear();
            self.line.extend_from_slice(line);
        }
        Some((self.request.clone(), Bytes::copy_from_slice(&text[head_end..])))
    }

    fn parse_line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line.split(|b| *b == b' ');
        *self.request.method_mut() = Method::from_bytes(words.next()?).ok()?;
        let path = PathAndQuery::try_from(words.next()?).ok()?;
        let mut parts = std::mem::take(self.request.uri_mut()).into_parts();
        parts.path_and_query = Some(path);
        *self.request.uri_mut() = Uri::from_parts(parts).ok()?;
        Some(())
    }

    fn parse_fields(&mut self, head: &[u8], scheme: &Scheme) -> Option<()> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(head).ok()?;
        let mut headers = HeaderMap::new();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        for field in parsed.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            if name == header::HOST {
                parts.authority = Some(Authority::try_from(field.value).ok()?);
            } else if !is_of_connection(&name, field.value) {
                headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
            }
        }
        *self.request.uri_mut() = Uri::from_parts(parts).ok()?;
        *self.request.headers_mut() = headers;
        *self.request.version_mut() = http::Version::HTTP_2;
        Some(())
    }
}

fn is_of_connection(name: &HeaderName, value: &[u8]) -> bool {
    matches!(*name, header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE)
        || name == "keep-alive"
        || name == "proxy-connection"
        || (*name == header::TE && value != b"trailers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_what_is_its_own_and_loses_what_is_the_connections() {
        let mut prototype = Prototype::default();
        let text = b"POST /a?b=1 HTTP/1.1\r\nHost: example.org:81\r\nX-Two: 2\r\n\
            Connection: close\r\nContent-Length:    2\r\n\r\nok";
        let (request, body) = prototype.request(text, &Scheme::HTTPS).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://example.org:81/a?b=1");
        assert_eq!(request.headers()["x-two"], "2");
        assert_eq!(request.headers()["content-length"], "2");
        assert_eq!(request.headers().len(), 2);
        assert_eq!(body, "ok");
    }

    #[test]
    fn another_path_or_field_is_noticed() {
        let mut prototype = Prototype::default();
        let mut uri = |text: &[u8]| {
            let (request, _) = prototype.request(text, &Scheme::HTTP).unwrap();
            format!("{} {}", request.uri(), request.headers().len())
        };
        assert_eq!(uri(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"), "http://a/1 0");
        assert_eq!(uri(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"), "http://a/2 0");
        assert_eq!(uri(b"GET /2 HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n"), "http://b/2 1");
        assert_eq!(uri(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"), "http://a/2 0");
        assert!(prototype.request(b"GET", &Scheme::HTTP).is_none());
    }
}
