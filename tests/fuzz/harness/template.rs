//! Templates: whatever a profile says, what is sent is one HTTP request with exactly the header
//! fields that were asked for, or the template is refused; in one text and in parts alike.

use super::Input;
use brunt::generator::template::{Parts, Template};
use brunt::plan::{RequestPlan, ValueKind, ValuePlan};
use brunt::workload::{Draws, Feeder, RowOrder, Value, Values, Zipf};

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "DELETE", "get", "PATCH", "OPTIONS"];
const NAMES: [&str; 5] = ["a", "b", "id", "Host", "content-length"];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let keep_alive = input.byte() & 1 == 0;
    let Some((plans, values)) = values(&mut input) else { return };
    let request = request(&mut input);
    let draws = Draws::new(input.word(), u32::from(input.byte()), input.word() >> 24);
    let Ok(template) = Template::new(&request, &plans, &values, keep_alive) else { return };
    let mut out = b"what was there before".to_vec();
    template.render(&values, &draws, &mut out);
    let mut parts = Parts { path: b"/before".to_vec(), ..Parts::default() };
    template.render_parts(&values, &draws, &mut parts);
    one_request(&request, keep_alive, &out, &parts);
    assert_eq!(template.has_body(), request.body.is_some() || request.body_base64.is_some());
    assert!(template.fixed().is_none_or(|fixed| fixed == out), "the fixed text is another");
    let first = (out.clone(), parts.clone());
    template.render(&values, &draws, &mut out);
    template.render_parts(&values, &draws, &mut parts);
    assert_eq!(first.0, out, "the same draws are the same request");
    assert_eq!(first.1.headers, parts.headers, "the same draws are the same parts");
}

/// `None` when a column is not there, which has to be seen.
fn values(input: &mut Input<'_>) -> Option<(Vec<ValuePlan>, Values)> {
    let n = usize::from(input.byte() % 5);
    let mut feeders = Vec::new();
    let (mut plans, mut values) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for name in &NAMES[..n] {
        let (kind, value) = match input.byte() % 7 {
            6 => {
                let (feeder, column) = column(input, &mut feeders);
                is_whole &= column < feeders[feeder].n_columns();
                (ValueKind::Column { feeder, column }, Value::Column { feeder, column })
            }
            kind => value(kind, input),
        };
        plans.push(ValuePlan { name: (*name).into(), kind });
        values.push(value);
    }
    let values = Values::with_feeders(values, feeders);
    assert_eq!(values.is_some(), is_whole, "a column that is not there");
    values.map(|values| (plans, values))
}

fn value(kind: u8, input: &mut Input<'_>) -> (ValueKind, Value) {
    match kind {
        0 => (ValueKind::WriteId, Value::WriteId),
        1 => {
            let n = input.word();
            (ValueKind::Uniform { n }, Value::Uniform(n))
        }
        2 => {
            let n = 1 + u64::from(input.byte());
            (ValueKind::Zipf { n, exponent: 1.0 }, Value::Zipf(Zipf::new(n, 1.0)))
        }
        3 => {
            let n = input.byte() % 4;
            let of: Vec<String> = (0..n).map(|_| input.text()).collect();
            (ValueKind::Choice { of: of.clone() }, Value::Choice(of))
        }
        4 => {
            let (from, slots) = (input.word(), 1 + u64::from(input.byte()));
            (ValueKind::Sequence { from }, Value::Sequence { from, slots })
        }
        _ => (ValueKind::Uuid, Value::Uuid),
    }
}

/// A column, perhaps one too far, of the last feeder or of a new one.
fn column(input: &mut Input<'_>, feeders: &mut Vec<Feeder>) -> (usize, usize) {
    let how = input.byte();
    if feeders.is_empty() || how & 1 == 0 {
        let n_columns = 1 + usize::from(how >> 1 & 1);
        let n_rows = 1 + (how >> 2 & 1);
        let order = match how >> 3 & 1 {
            0 => RowOrder::Random,
            _ => RowOrder::Sequential { slots: 1 + u64::from(input.byte()) },
        };
        let rows: Vec<Vec<String>> =
            (0..n_rows).map(|_| (0..n_columns).map(|_| input.text()).collect()).collect();
        feeders.push(Feeder::new(&rows, n_columns, order).expect("a small table"));
    }
    (feeders.len() - 1, usize::from(how >> 4) % 3)
}

fn request(input: &mut Input<'_>) -> RequestPlan {
    let method = match input.byte() {
        n if n < 200 => METHODS[usize::from(n) % METHODS.len()].to_string(),
        _ => input.text(),
    };
    let path = format!("/{}", input.text());
    let n_headers = input.byte() % 4;
    let headers = (0..n_headers).map(|_| (input.text(), input.text())).collect();
    let (body, body_base64) = match input.byte() % 4 {
        0 => (None, None),
        2 => (None, Some(input.text())),
        _ => (Some(input.text()), None),
    };
    let get = RequestPlan::get("fuzzed", &input.text(), &path);
    RequestPlan { method, headers, body, body_base64, ..get }
}

fn one_request(plan: &RequestPlan, keep_alive: bool, out: &[u8], parts: &Parts) {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(out);
    let shown = || out.escape_ascii().to_string();
    let Ok(httparse::Status::Complete(used)) = parsed else {
        panic!("{parsed:?}: not a request: {}", shown());
    };
    assert_eq!(request.method, Some(plan.method.as_str()), "{}", shown());
    assert_eq!(request.version, Some(1), "{}", shown());
    let names: Vec<String> = request.headers.iter().map(|h| h.name.to_ascii_lowercase()).collect();
    let asked = asked_for(plan, keep_alive);
    let asked_names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, asked_names, "{}", shown());
    for ((name, value), sent) in asked.iter().zip(&*request.headers) {
        let value = value.as_deref().filter(|v| is_literal(v));
        assert!(value.is_none_or(|v| trimmed(v.as_bytes()) == sent.value), "{name}: {}", shown());
    }
    let length = request.headers.iter().find(|h| h.name == "Content-Length");
    let length = length.map(|h| {
        let text = std::str::from_utf8(h.value).expect("digits");
        text.trim().parse::<usize>().expect("a number")
    });
    assert_eq!(length.unwrap_or(0), out.len() - used, "{}", shown());
    assert_eq!(length.is_some(), asked_names.contains(&"content-length"), "{}", shown());
    same_parts(plan, &request, &out[used..], parts);
}

/// What HTTP/2 would send apart is what HTTP/1.1 sends in one text.
fn same_parts(plan: &RequestPlan, request: &httparse::Request<'_, '_>, body: &[u8], parts: &Parts) {
    let path = request.path.expect("a complete head has a path");
    assert!(!is_literal(&plan.path) || path == plan.path, "{path}");
    assert_eq!(path.as_bytes(), parts.path, "{path}");
    assert_eq!(body, parts.body, "{path}");
    if let Some(text) = plan.body.as_deref().filter(|text| is_literal(text)) {
        assert_eq!(body, text.as_bytes(), "{path}");
    }
    assert_eq!(request.headers[0].value, trimmed(&parts.authority), "{path}");
    let sent = request.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value));
    let sent: Vec<_> = sent.filter(|(name, _)| !OF_HTTP1.contains(&name.as_str())).collect();
    let apart = parts.headers.iter().map(|(name, value)| (name.to_string(), trimmed(value)));
    assert_eq!(sent, apart.collect::<Vec<_>>(), "{path}");
}

/// Header fields that only HTTP/1.1 has (RFC 9113, 8.2.2), or that HTTP/2 says in other ways.
const OF_HTTP1: [&str; 7] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Whether nothing in it can be a placeholder.
fn is_literal(text: &str) -> bool {
    !text.contains(['{', '$'])
}

/// A field's value without the white space around it, which is not a part of it.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().take_while(|b| is_space(b)).count();
    let end = value.iter().rev().take_while(|b| is_space(b)).count();
    value.get(start..value.len() - end).unwrap_or_default()
}

/// The header fields in their order, by their names in lower case, with what the plan gives them.
fn asked_for(plan: &RequestPlan, keep_alive: bool) -> Vec<(String, Option<String>)> {
    let given = |name: &str| {
        plan.headers.iter().rfind(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
    };
    let mut fields = vec![("host".into(), Some(given("host").unwrap_or(plan.host.clone())))];
    fields.extend(given("user-agent").is_none().then(|| ("user-agent".into(), None)));
    let own = plan.headers.iter().map(|(name, v)| (name.to_ascii_lowercase(), Some(v.clone())));
    fields.extend(own.filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length")));
    let closes = !keep_alive && given("connection").is_none();
    fields.extend(closes.then(|| ("connection".into(), Some("close".into()))));
    let sends = plan.body.is_some()
        || plan.body_base64.is_some()
        || matches!(plan.method.as_str(), "POST" | "PUT" | "PATCH");
    fields.extend(sends.then(|| ("content-length".into(), None)));
    fields
}
