//! Requests rendered once into text with holes, so that sending one is copying text and filling
//! the holes.

use super::GeneratorError;
use crate::plan::{Check, Expect, RequestPlan, ValuePlan};
use crate::workload::{Draws, Values};

/// Room for the number in `Content-Length` where the body's length is drawn; padded on the left
/// with spaces, which RFC 9110 allows before a field's value.
const LENGTH_DIGITS: usize = 12;

/// One kind of request, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    /// The parts from here on are the body, when its length has to be filled in.
    body_from: usize,
    pub is_head: bool,
    /// Sent again on a fresh connection when a pooled one has gone stale (RFC 9110, 9.2.2).
    pub is_idempotent: bool,
    pub check: Option<Check>,
    /// Whether a check needs the answer's body.
    pub wants_body: bool,
    /// The placeholder that is the key of a checked request.
    key: Option<usize>,
    has_write_id: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Vec<u8>),
    Value(usize),
    BodyLength,
}

impl Template {
    /// # Errors
    /// When the request cannot be written as HTTP, or needs an environment variable that is not set.
    pub fn new(
        request: &RequestPlan,
        names: &[ValuePlan],
        values: &Values,
        keep_alive: bool,
    ) -> Result<Template, GeneratorError> {
        let mut draft = Draft { request: &request.name, names, parts: Vec::new() };
        draft.request_line(request)?;
        draft.headers(request, keep_alive)?;
        let body_from = draft.body(request)?;
        let used: Vec<usize> = draft
            .parts
            .iter()
            .filter_map(|p| if let Part::Value(index) = p { Some(*index) } else { None })
            .collect();
        let method = request.method.to_ascii_uppercase();
        Ok(Template {
            body_from,
            is_head: method == "HEAD",
            is_idempotent: matches!(
                method.as_str(),
                "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
            ),
            check: request.check,
            wants_body: request
                .expects
                .iter()
                .any(|e| matches!(e, Expect::BodyContains { .. } | Expect::Json { .. })),
            key: used.iter().copied().find(|index| values.is_key(*index)),
            has_write_id: used.iter().any(|index| values.is_write_id(*index)),
            parts: draft.parts,
        })
    }

    /// Writes the request that `draws` describe into `out`, which is cleared first.
    #[inline]
    pub fn render(&self, values: &Values, draws: &Draws, out: &mut Vec<u8>) {
        out.clear();
        let mut length_at = 0;
        let mut body_at = 0;
        for (i, part) in self.parts.iter().enumerate() {
            if i == self.body_from {
                body_at = out.len();
            }
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value(index) => values.render(*index, draws, out),
                Part::BodyLength => {
                    length_at = out.len();
                    out.extend_from_slice(&[b' '; LENGTH_DIGITS]);
                }
            }
        }
        if length_at > 0 {
            fill_number(out.len() - body_at, &mut out[length_at..length_at + LENGTH_DIGITS]);
        }
    }

    /// The key of a checked request.
    pub fn key(&self, values: &Values, draws: &Draws) -> u64 {
        self.key.map_or(0, |index| values.number(index, draws))
    }

    /// The write's id; 0 when the request carries none.
    pub fn write_id(&self, draws: &Draws) -> u64 {
        if self.has_write_id { draws.id() } else { 0 }
    }
}

/// Writes a number into the right end of a field of spaces.
fn fill_number(number: usize, field: &mut [u8]) {
    let mut left = number;
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
}

/// A template being built.
struct Draft<'a> {
    request: &'a str,
    names: &'a [ValuePlan],
    parts: Vec<Part>,
}

impl Draft<'_> {
    fn request_line(&mut self, request: &RequestPlan) -> Result<(), GeneratorError> {
        let token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !token(&request.method) {
            return Err(self.refuse(format!("`{}` is not a method", request.method)));
        }
        if !request.path.starts_with('/') || !token(&request.path) {
            let why = format!("the path `{}` must begin with / and have no spaces", request.path);
            return Err(self.refuse(why));
        }
        self.text(request.method.as_bytes());
        self.text(b" ");
        self.filled(&request.path)?;
        self.text(b" HTTP/1.1\r\n");
        Ok(())
    }

    fn headers(&mut self, request: &RequestPlan, keep_alive: bool) -> Result<(), GeneratorError> {
        let has = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            self.header("Host", &request.host)?;
        }
        if !has("user-agent") {
            self.header("User-Agent", concat!("brunt/", env!("CARGO_PKG_VERSION")))?;
        }
        for (name, value) in &request.headers {
            // The length is brunt's own business: a wrong one would hang every request.
            if !name.eq_ignore_ascii_case("content-length") {
                self.header(name, value)?;
            }
        }
        if !keep_alive && !has("connection") {
            self.header("Connection", "close")?;
        }
        Ok(())
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), GeneratorError> {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_name || value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(self.refuse(format!("the header `{name}` cannot be written as HTTP")));
        }
        self.text(name.as_bytes());
        self.text(b": ");
        self.filled(value)?;
        self.text(b"\r\n");
        Ok(())
    }

    /// Ends the head and adds the body; says which part is the body's first.
    fn body(&mut self, request: &RequestPlan) -> Result<usize, GeneratorError> {
        let Some(body) = &request.body else {
            if matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
                self.text(b"Content-Length: 0\r\n");
            }
            self.text(b"\r\n");
            return Ok(usize::MAX);
        };
        let mut draft = Draft { request: self.request, names: self.names, parts: Vec::new() };
        draft.filled(body)?;
        let lengths: Option<usize> = draft
            .parts
            .iter()
            .map(|part| if let Part::Text(text) = part { Some(text.len()) } else { None })
            .sum();
        self.text(b"Content-Length: ");
        match lengths {
            Some(length) => self.text(length.to_string().as_bytes()),
            None => self.parts.push(Part::BodyLength),
        }
        // A part of its own, so that the body begins at a part.
        self.parts.push(Part::Text(b"\r\n\r\n".to_vec()));
        let body_from = self.parts.len();
        self.parts.append(&mut draft.parts);
        if lengths.is_some() {
            self.join();
            return Ok(usize::MAX);
        }
        Ok(body_from)
    }

    /// Adjacent texts become one.
    fn join(&mut self) {
        for part in std::mem::take(&mut self.parts) {
            match part {
                Part::Text(text) => self.text(&text),
                other => self.parts.push(other),
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        if let Some(Part::Text(last)) = self.parts.last_mut() {
            last.extend_from_slice(text);
        } else {
            self.parts.push(Part::Text(text.to_vec()));
        }
    }

    /// Text with `{value}` placeholders; braces around anything else are text. `${env:NAME}` is
    /// the environment variable, looked up here and kept nowhere else.
    fn filled(&mut self, text: &str) -> Result<(), GeneratorError> {
        let mut rest = text;
        while let Some(open) = rest.find(['{', '$']) {
            self.text(&rest.as_bytes()[..open]);
            rest = &rest[open..];
            if let Some((name, after)) =
                rest.strip_prefix("${env:").and_then(|tail| tail.split_once('}'))
            {
                let value = std::env::var(name)
                    .map_err(|_| self.refuse(format!("the environment has no `{name}`")))?;
                if value.bytes().any(|b| b.is_ascii_control()) {
                    return Err(self.refuse(format!("`{name}` holds a control character")));
                }
                self.text(value.as_bytes());
                rest = after;
                continue;
            }
            let placeholder = rest.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let known = placeholder.and_then(|(name, after)| {
                self.names.iter().position(|v| v.name == name).map(|index| (index, after))
            });
            match known {
                Some((index, after)) => {
                    self.parts.push(Part::Value(index));
                    rest = after;
                }
                None => {
                    self.text(&rest.as_bytes()[..1]);
                    rest = &rest[1..];
                }
            }
        }
        self.text(rest.as_bytes());
        Ok(())
    }

    fn refuse(&self, why: String) -> GeneratorError {
        GeneratorError::Request { request: self.request.to_string(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ValueKind;
    use crate::workload::{Value, Zipf};

    fn request(method: &str, path: &str, body: Option<&str>) -> RequestPlan {
        RequestPlan {
            name: "like".into(),
            weight: 1.0,
            method: method.into(),
            path: path.into(),
            host: "shop.test".into(),
            headers: vec![("Idempotency-Key".into(), "{id}".into())],
            body: body.map(Into::into),
            route: 0,
            check: None,
            expects: Vec::new(),
        }
    }

    fn values() -> (Vec<ValuePlan>, Values) {
        let plans = vec![
            ValuePlan { name: "video".into(), kind: ValueKind::Zipf { n: 99, exponent: 1.0 } },
            ValuePlan { name: "id".into(), kind: ValueKind::WriteId },
        ];
        (plans, Values::new(vec![Value::Zipf(Zipf::new(99, 1.0)), Value::WriteId]))
    }

    fn rendered(request: &RequestPlan, keep_alive: bool) -> Result<String, GeneratorError> {
        let (plans, values) = values();
        let template = Template::new(request, &plans, &values, keep_alive)?;
        let mut out = Vec::new();
        template.render(&values, &Draws::new(1, 0, 5), &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn placeholders_are_filled_and_the_length_is_right() {
        let plan =
            request("POST", "/v/{video}/likes?x={other}", Some(r#"{"v":{video},"id":"{id}"}"#));
        let text = rendered(&plan, true).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let draws = Draws::new(1, 0, 5);
        let video = Zipf::new(99, 1.0);
        let _ = video;
        let id = format!("{:016x}", draws.id());
        let key: u64 =
            head.strip_prefix("POST /v/").unwrap().split_once('/').unwrap().0.parse().unwrap();
        assert!(head.contains("?x={other} HTTP/1.1\r\nHost: shop.test\r\n"), "{head}");
        assert!(head.contains(&format!("Idempotency-Key: {id}\r\n")), "{head}");
        assert_eq!(body, format!(r#"{{"v":{key},"id":"{id}"}}"#));
        let length = head.split_once("Content-Length:").unwrap().1;
        assert_eq!(length.trim().parse::<usize>().unwrap(), body.len());
    }

    #[test]
    fn a_fixed_request_is_one_text() {
        let mut plan = request("POST", "/a", Some("ok"));
        plan.headers.clear();
        let (plans, values) = values();
        let template = Template::new(&plan, &plans, &values, true).unwrap();
        assert_eq!(template.parts.len(), 1);
        assert!(rendered(&plan, true).unwrap().ends_with("Content-Length: 2\r\n\r\nok"));
        assert!(rendered(&plan, false).unwrap().contains("Connection: close\r\n"));
    }

    #[test]
    fn what_cannot_be_http_is_refused() {
        for (method, path) in [("GE T", "/"), ("GET", "feed"), ("GET", "/a b"), ("GET", "/\r\n")] {
            assert!(rendered(&request(method, path, None), true).is_err(), "{method} {path}");
        }
        let mut plan = request("GET", "/", None);
        plan.headers = vec![("A".into(), "b\r\nC: d".into())];
        assert!(rendered(&plan, true).is_err());
        plan.headers = vec![("A".into(), "${env:BRUNT_TEST_UNSET_VARIABLE}".into())];
        let error = rendered(&plan, true).unwrap_err().to_string();
        assert!(error.contains("BRUNT_TEST_UNSET_VARIABLE"), "{error}");
    }
}
