//! Templates: whatever a profile says, what is sent is one HTTP request with exactly the header
//! fields that were asked for, or the template is refused.

use super::Input;
use brunt::generator::template::Template;
use brunt::plan::{RequestPlan, ValueKind, ValuePlan};
use brunt::workload::{Draws, Value, Values, Zipf};

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "DELETE", "get", "PATCH", "OPTIONS"];
const NAMES: [&str; 5] = ["a", "b", "id", "Host", "content-length"];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let keep_alive = input.byte() & 1 == 0;
    let (plans, values) = values(&mut input);
    let request = request(&mut input);
    let draws = Draws::new(input.word(), u32::from(input.byte()), input.word() >> 24);
    let Ok(template) = Template::new(&request, &plans, &Values::new(values.clone()), keep_alive)
    else {
        return;
    };
    let values = Values::new(values);
    let mut out = b"what was there before".to_vec();
    template.render(&values, &draws, &mut out);
    one_request(&request, keep_alive, &out);
    let first = out.clone();
    template.render(&values, &draws, &mut out);
    assert_eq!(first, out, "the same draws are the same request");
}

fn values(input: &mut Input<'_>) -> (Vec<ValuePlan>, Vec<Value>) {
    let n = usize::from(input.byte() % 5);
    (0..n)
        .map(|i| {
            let (kind, value) = value(input);
            (ValuePlan { name: NAMES[i].into(), kind }, value)
        })
        .unzip()
}

fn value(input: &mut Input<'_>) -> (ValueKind, Value) {
    match input.byte() % 4 {
        0 => (ValueKind::WriteId, Value::WriteId),
        1 => {
            let n = input.word();
            (ValueKind::Uniform { n }, Value::Uniform(n))
        }
        2 => {
            let n = 1 + u64::from(input.byte());
            (ValueKind::Zipf { n, exponent: 1.0 }, Value::Zipf(Zipf::new(n, 1.0)))
        }
        _ => {
            let n = input.byte() % 4;
            let of: Vec<String> = (0..n).map(|_| input.text()).collect();
            (ValueKind::Choice { of: of.clone() }, Value::Choice(of))
        }
    }
}

fn request(input: &mut Input<'_>) -> RequestPlan {
    let method = match input.byte() {
        n if n < 200 => METHODS[usize::from(n) % METHODS.len()].to_string(),
        _ => input.text(),
    };
    let path = format!("/{}", input.text());
    let n_headers = input.byte() % 4;
    let headers = (0..n_headers).map(|_| (input.text(), input.text())).collect();
    let body = (input.byte() & 1 == 1).then(|| input.text());
    let mut request = RequestPlan::get("fuzzed", &input.text(), &path);
    RequestPlan {
        method,
        headers,
        body,
        ..std::mem::replace(&mut request, RequestPlan::get("", "", "/"))
    }
}

fn one_request(plan: &RequestPlan, keep_alive: bool, out: &[u8]) {
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
    assert_eq!(names, asked_for(plan, keep_alive), "{}", shown());
    let length = request.headers.iter().find(|h| h.name == "Content-Length");
    let length = length.map(|h| {
        let text = std::str::from_utf8(h.value).expect("digits");
        text.trim().parse::<usize>().expect("a number")
    });
    assert_eq!(length.unwrap_or(0), out.len() - used, "{}", shown());
    assert_eq!(length.is_some(), asked_for(plan, true).contains(&"content-length".into()));
}

/// The names of the header fields, in their order.
fn asked_for(plan: &RequestPlan, keep_alive: bool) -> Vec<String> {
    let has = |name: &str| plan.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut names: Vec<String> = Vec::new();
    names.extend((!has("host")).then(|| "host".into()));
    names.extend((!has("user-agent")).then(|| "user-agent".into()));
    let own = plan.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    names.extend(own.filter(|name| name != "content-length"));
    names.extend((!keep_alive && !has("connection")).then(|| "connection".into()));
    let sends = plan.body.is_some() || matches!(plan.method.as_str(), "POST" | "PUT" | "PATCH");
    names.extend(sends.then(|| "content-length".into()));
    names
}
