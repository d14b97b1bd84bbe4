//! Requests rendered once into text with holes, so that sending one is copying text and filling
//! the holes.
//!
//! What fills a hole cannot break out of its place: a text in a path is percent-encoded where that
//! is needed, and one with a control character is refused in a header before anything is sent.

mod pieces;
mod text;

pub use pieces::Parts;

use super::GeneratorError;
use super::checks::Checks;
use crate::plan::{Check, RequestPlan, ValuePlan};
use crate::workload::{Draws, Values};
use pieces::Pieces;
use text::{Names, Part, push_all, push_text};

/// Room for the number in `Content-Length` where the body's length is drawn; padded on the left
/// with spaces, which RFC 9110 allows before a field's value.
const LENGTH_DIGITS: usize = 12;

/// One kind of request, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Template {
    /// The whole request as HTTP/1.1 writes it.
    parts: Vec<Part>,
    /// The parts from here on are the body, when its length has to be filled in.
    body_from: usize,
    pieces: Pieces,
    pub is_head: bool,
    /// Sent again on a fresh connection when a pooled one has gone stale (RFC 9110, 9.2.2).
    pub is_idempotent: bool,
    pub check: Option<Check>,
    /// What an answer must be to be ok.
    pub checks: Checks,
    /// Whether the checks look at the answer's body.
    pub wants_body: bool,
    /// The placeholder that is the key of a checked request.
    key: Option<usize>,
    has_write_id: bool,
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
        let refuse = |why: String| GeneratorError::Request { request: request.name.clone(), why };
        if names.len() != values.len() {
            return Err(refuse("its values and their names are not as many".into()));
        }
        let pieces = Pieces::new(request, Names { names, values }).map_err(refuse)?;
        let method = request.method.to_ascii_uppercase();
        let is_head = method == "HEAD";
        let checks = Checks::new(&request.expects);
        if is_head && checks.want_body() {
            return Err(refuse("the answer to HEAD has no body that could be checked".into()));
        }
        let (parts, body_from) = as_http1(&pieces, keep_alive);
        let key = pieces.values().find(|index| values.is_key(*index));
        let has_write_id = pieces.values().any(|index| values.is_write_id(index));
        Ok(Template {
            parts,
            body_from,
            is_head,
            is_idempotent: matches!(
                method.as_str(),
                "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
            ),
            check: request.check,
            wants_body: checks.want_body(),
            checks,
            key,
            has_write_id,
            pieces,
        })
    }

    /// Writes the request that `draws` describe into `out`, which is cleared first.
    #[inline]
    pub fn render(&self, values: &Values, draws: &Draws, out: &mut Vec<u8>) {
        out.clear();
        if self.body_from == usize::MAX {
            return text::render(&self.parts, values, draws, out);
        }
        let (head, body) = self.parts.split_at(self.body_from);
        let length_part = head.iter().position(|p| *p == Part::BodyLength).unwrap_or(head.len());
        text::render(&head[..length_part], values, draws, out);
        let length_at = out.len();
        out.extend_from_slice(&[b' '; LENGTH_DIGITS]);
        text::render(&head[length_part..], values, draws, out);
        let body_at = out.len();
        text::render(body, values, draws, out);
        fill_number(out.len() - body_at, &mut out[length_at..length_at + LENGTH_DIGITS]);
    }

    /// The whole HTTP/1.1 text of a request that is always the same.
    #[inline]
    pub fn fixed(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn method(&self) -> &http::Method {
        &self.pieces.method
    }

    /// Whether it has a body, if perhaps an empty one.
    pub fn has_body(&self) -> bool {
        self.pieces.body.is_some()
    }

    /// Writes the request that `draws` describe in its parts, for a protocol that sends them apart.
    /// They are always the same when [`Template::fixed`] is there.
    pub fn render_parts(&self, values: &Values, draws: &Draws, into: &mut Parts) {
        self.pieces.render(values, draws, into);
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

/// The request as HTTP/1.1 writes it, and which part is the body's first when its length has to be
/// filled in.
fn as_http1(pieces: &Pieces, keep_alive: bool) -> (Vec<Part>, usize) {
    let mut parts = Vec::new();
    push_text(&mut parts, pieces.method.as_str().as_bytes());
    push_text(&mut parts, b" ");
    push_all(&mut parts, &pieces.path);
    push_text(&mut parts, b" HTTP/1.1\r\nHost: ");
    push_all(&mut parts, &pieces.authority);
    push_text(&mut parts, b"\r\n");
    for (name, _, value) in &pieces.headers {
        push_text(&mut parts, name.as_bytes());
        push_text(&mut parts, b": ");
        push_all(&mut parts, value);
        push_text(&mut parts, b"\r\n");
    }
    if !keep_alive && !pieces.headers.iter().any(|(_, name, _)| name == http::header::CONNECTION) {
        push_text(&mut parts, b"Connection: close\r\n");
    }
    let body_from = add_body(&mut parts, pieces);
    (parts, body_from)
}

/// Ends the head and adds the body.
fn add_body(parts: &mut Vec<Part>, pieces: &Pieces) -> usize {
    let Some(body) = &pieces.body else {
        if matches!(pieces.method.as_str(), "POST" | "PUT" | "PATCH") {
            push_text(parts, b"Content-Length: 0\r\n");
        }
        push_text(parts, b"\r\n");
        return usize::MAX;
    };
    push_text(parts, b"Content-Length: ");
    if let Some(length) = text::fixed_length(body) {
        push_text(parts, length.to_string().as_bytes());
        push_text(parts, b"\r\n\r\n");
        push_all(parts, body);
        return usize::MAX;
    }
    parts.push(Part::BodyLength);
    push_text(parts, b"\r\n\r\n");
    let body_from = parts.len();
    parts.extend_from_slice(body);
    body_from
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ValueKind;
    use crate::workload::{Feeder, RowOrder, Value, Zipf};

    fn request(method: &str, path: &str, body: Option<&str>) -> RequestPlan {
        RequestPlan {
            name: "like".into(),
            weight: 1.0,
            method: method.into(),
            path: path.into(),
            host: "shop.test".into(),
            headers: vec![("Idempotency-Key".into(), "{id}".into())],
            body: body.map(Into::into),
            ..RequestPlan::get("", "", "/")
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
        assert_eq!(template.fixed(), Some(rendered(&plan, true).unwrap().as_bytes()));
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

    fn fed(texts: &[&str]) -> (Vec<ValuePlan>, Values) {
        let rows: Vec<Vec<String>> = texts.iter().map(|t| vec![(*t).to_string()]).collect();
        let feeder = Feeder::new(&rows, 1, RowOrder::Random).unwrap();
        let kind = ValueKind::Column { feeder: 0, column: 0 };
        let plans = vec![ValuePlan { name: "users.name".into(), kind }];
        let values = vec![Value::Column { feeder: 0, column: 0 }];
        (plans, Values::with_feeders(values, vec![feeder]).unwrap())
    }

    #[test]
    fn a_value_cannot_break_out_of_its_place() {
        let (plans, values) = fed(&["x y\r\nX-Evil: 1\r\n\r\nGET /"]);
        let mut out = Vec::new();
        let mut plan = RequestPlan::get("a", "h", "/u/{users.name}?q={users.name}");
        let template = Template::new(&plan, &plans, &values, true).unwrap();
        template.render(&values, &Draws::new(1, 0, 0), &mut out);
        let head = String::from_utf8(out).unwrap();
        let line = head.lines().next().unwrap();
        assert_eq!(line.split(' ').count(), 3, "{line}");
        assert!(line.starts_with("GET /u/x%20y%0D%0AX-Evil:%201%0D%0A"), "{line}");
        assert!(!head.contains("\nX-Evil"), "{head}");
        plan.path = "/".into();
        plan.headers = vec![("X-Name".into(), "{users.name}".into())];
        let error = Template::new(&plan, &plans, &values, true).unwrap_err().to_string();
        assert!(error.contains("users.name") && error.contains("control character"), "{error}");
    }

    #[test]
    fn the_parts_are_those_of_the_whole() {
        let (plans, values) = values();
        let mut plan = request("POST", "/v/{video}", Some("{id}"));
        plan.headers.push(("Connection".into(), "close".into()));
        plan.headers.push(("HOST".into(), "other.test".into()));
        let template = Template::new(&plan, &plans, &values, true).unwrap();
        let (mut parts, mut whole) = (Parts::default(), Vec::new());
        parts.headers.push((http::header::ACCEPT, b"left over".to_vec()));
        let draws = Draws::new(1, 0, 5);
        template.render_parts(&values, &draws, &mut parts);
        template.render(&values, &draws, &mut whole);
        let whole = String::from_utf8(whole).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(whole.starts_with(&format!("POST {} HTTP/1.1\r\n", text(&parts.path))), "{whole}");
        assert_eq!(text(&parts.authority), "other.test");
        assert_eq!(whole.matches("other.test").count(), 1);
        assert_eq!(text(&parts.body), format!("{:016x}", draws.id()));
        let names: Vec<&str> = parts.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["user-agent", "idempotency-key"]);
        assert!(template.fixed().is_none());
    }

    #[test]
    fn a_body_of_bytes_is_sent_as_it_is() {
        let (plans, values) = values();
        let mut plan = request("PUT", "/", None);
        plan.headers.clear();
        plan.body_base64 = Some("AP97aWR9".into());
        let template = Template::new(&plan, &plans, &values, true).unwrap();
        assert!(template.fixed().unwrap().ends_with(b"Content-Length: 6\r\n\r\n\0\xff{id}"));
        plan.body = Some("x".into());
        assert!(Template::new(&plan, &plans, &values, true).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_or_break_the_head(
            path in ".*", name in ".*", value in ".*", body in ".*", fed_with in ".*",
        ) {
            let (plans, values) = fed(&[&fed_with]);
            let path = format!("/{path}{{users.name}}");
            let mut plan = request("POST", &path, Some(&body));
            plan.headers = vec![(name, value)];
            if let Ok(template) = Template::new(&plan, &plans, &values, true) {
                let (mut out, mut parts) = (Vec::new(), Parts::default());
                template.render(&values, &Draws::new(1, 0, 0), &mut out);
                template.render_parts(&values, &Draws::new(1, 0, 0), &mut parts);
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let mut parsed = httparse::Request::new(&mut fields);
                let end = parsed.parse(&out).unwrap().unwrap();
                proptest::prop_assert_eq!(&out[end..], &parts.body);
                proptest::prop_assert_eq!(parsed.path.unwrap().as_bytes(), &parts.path);
            }
        }
    }
}
