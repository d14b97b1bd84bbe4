//! `/faults` on an admin side: what is held there, by the id of the hold. `PUT /faults/ID` puts a
//! rule on, `DELETE /faults/ID` takes it off and says what it did, `GET /faults` lists them.

use super::node::json;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;

/// Who keeps rules. Errors are sentences that say what to write.
pub trait Held {
    /// # Errors
    /// When the body is no rule, or none that can be put on here.
    fn put(&self, hold: &str, body: &[u8]) -> Result<String, String>;
    /// What it did; empty when it was not there.
    fn delete(&self, hold: &str) -> String;
    /// The ids and rules in force.
    fn list(&self) -> serde_json::Value;
}

/// Answers one request whose path begins with `/faults`.
pub async fn answer(held: &impl Held, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_string();
    let Some(hold) = path.strip_prefix("/faults/").filter(|id| !id.is_empty()) else {
        return match request.method() {
            &Method::GET => said(StatusCode::OK, &held.list()),
            _ => refused("put a rule under an id: PUT /faults/ID"),
        };
    };
    let Some(hold) = decoded(hold) else { return refused("the id is not percent-encoded UTF-8") };
    match *request.method() {
        Method::PUT => {
            let Ok(body) = super::http::read_body(request.into_body()).await else {
                return refused("the body was broken off");
            };
            match held.put(&hold, &body) {
                Ok(proof) => said(StatusCode::OK, &json!({ "proof": proof })),
                Err(why) => refused(&why),
            }
        }
        Method::DELETE => said(StatusCode::OK, &json!({ "proof": held.delete(&hold) })),
        _ => refused("PUT puts a rule on, DELETE takes it off"),
    }
}

fn said(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    json(status, Bytes::from(value.to_string()))
}

fn refused(why: &str) -> Response<Full<Bytes>> {
    said(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

/// Undoes percent-encoding (RFC 3986 §2.1).
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match first {
            b'%' => {
                let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn an_id_comes_back_as_it_was_encoded() {
        assert_eq!(decoded("slow%40a-1-%3Eb%3A1").as_deref(), Some("slow@a-1->b:1"));
        for wrong in ["%4", "%zz", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
