//! What an answer must be to be ok.

use crate::plan::Expect;
use crate::record::Cause;
use memchr::memmem::Finder;
use serde_json::Value;

/// The longest body that is looked at; a longer one fails its check.
pub const BODY_MAX: usize = 1 << 20;

/// The expectations of one kind of request, made ready.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// `None`: 200–399.
    statuses: Option<Vec<u16>>,
    texts: Vec<Finder<'static>>,
    json: Vec<(String, Option<Value>)>,
}

impl Checks {
    pub fn new(expects: &[Expect]) -> Checks {
        let mut checks = Checks::default();
        for expect in expects {
            match expect {
                Expect::Status { of } => checks.statuses.get_or_insert_default().extend(of),
                Expect::BodyContains { text } => {
                    checks.texts.push(Finder::new(text.as_bytes()).into_owned());
                }
                Expect::Json { pointer, equals } => {
                    checks.json.push((pointer.clone(), equals.clone()));
                }
            }
        }
        checks
    }

    /// Whether the body must be collected, up to [`BODY_MAX`] and a byte.
    pub fn want_body(&self) -> bool {
        !self.texts.is_empty() || !self.json.is_empty()
    }

    /// What is wrong with an answer; `None` when it is ok.
    #[inline]
    pub fn failure(&self, status: u16, body: &[u8]) -> Option<Cause> {
        let is_usual = (200..400).contains(&status);
        match &self.statuses {
            Some(of) if !of.contains(&status) => {
                // The status says more, unless it is one that is good elsewhere.
                return Some(if is_usual { Cause::CheckFailed } else { Cause::Status(status) });
            }
            None if !is_usual => return Some(Cause::Status(status)),
            _ => {}
        }
        (self.want_body() && !self.body_holds(body)).then_some(Cause::CheckFailed)
    }

    fn body_holds(&self, body: &[u8]) -> bool {
        if body.len() > BODY_MAX || self.texts.iter().any(|text| text.find(body).is_none()) {
            return false;
        }
        if self.json.is_empty() {
            return true;
        }
        let Ok(document) = serde_json::from_slice::<Value>(body) else { return false };
        self.json.iter().all(|(pointer, expected)| {
            let seen = document.pointer(pointer);
            seen.is_some_and(|seen| expected.as_ref().is_none_or(|expected| equal(seen, expected)))
        })
    }
}

/// 1 and 1.0 are the same number to whoever wrote the profile.
fn equal(seen: &Value, expected: &Value) -> bool {
    match (seen.as_f64(), expected.as_f64()) {
        (Some(a), Some(b)) if seen.is_f64() || expected.is_f64() => a == b,
        _ => seen == expected,
    }
}

/// Keeps a part of a body, as far as it is looked at.
#[inline]
pub fn collect(body: &mut Vec<u8>, part: &[u8]) {
    let room = (BODY_MAX + 1).saturating_sub(body.len());
    body.extend_from_slice(&part[..part.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json(pointer: &str, equals: Option<Value>) -> Expect {
        Expect::Json { pointer: pointer.into(), equals }
    }

    #[test]
    fn a_list_of_statuses_replaces_the_usual_ones() {
        let usual = Checks::new(&[]);
        assert_eq!([usual.failure(200, b""), usual.failure(399, b"")], [None, None]);
        assert_eq!(usual.failure(404, b""), Some(Cause::Status(404)));
        let listed = Checks::new(&[Expect::Status { of: vec![201, 404] }]);
        assert_eq!([listed.failure(201, b""), listed.failure(404, b"")], [None, None]);
        assert_eq!(listed.failure(200, b""), Some(Cause::CheckFailed));
        assert_eq!(listed.failure(503, b""), Some(Cause::Status(503)));
        assert!(!usual.want_body() && !listed.want_body());
    }

    #[test]
    fn bodies_are_looked_at() {
        let failed = Some(Cause::CheckFailed);
        let text = Checks::new(&[Expect::BodyContains { text: "wor".into() }]);
        assert_eq!(text.failure(200, b"hello world"), None);
        assert_eq!(text.failure(200, b"hello"), failed);
        assert_eq!(text.failure(500, b"hello world"), Some(Cause::Status(500)));
        let body = br#"{"ok":true,"n":1.0,"list":[{"a/b":"x"}],"none":null}"#;
        for (expect, holds) in [
            (json("/ok", Some(json!(true))), true),
            (json("/ok", Some(json!(false))), false),
            (json("/n", Some(json!(1))), true),
            (json("/list/0/a~1b", Some(json!("x"))), true),
            (json("/none", None), true),
            (json("/nothing", None), false),
            (json("", None), true),
        ] {
            let checks = Checks::new(std::slice::from_ref(&expect));
            assert_eq!(checks.failure(200, body).is_none(), holds, "{expect:?}");
            assert_eq!(checks.failure(200, b"not json"), failed);
        }
    }

    #[test]
    fn a_body_beyond_the_bound_fails() {
        let checks = Checks::new(&[Expect::BodyContains { text: "a".into() }]);
        let mut body = Vec::new();
        collect(&mut body, &vec![b'a'; BODY_MAX]);
        assert_eq!(checks.failure(200, &body), None);
        collect(&mut body, b"aaaa");
        assert_eq!(body.len(), BODY_MAX + 1);
        assert_eq!(checks.failure(200, &body), Some(Cause::CheckFailed));
    }
}
