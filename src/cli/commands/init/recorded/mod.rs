//! Requests that were recorded elsewhere: a `curl` command line, a browser's HAR file. What of them a
//! profile keeps is decided here, the same for both.

mod curl;
mod har;

pub use curl::curl;
pub use har::har;

use super::write::{one_line, quoted, slug};
use crate::plan::is_secret_header;
use crate::target::LoadUrl;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Made by the connection, by a cache or by how a browser came there, and not by what is asked.
const NOT_KEPT: [&str; 18] = [
    "host",
    // The page before, with all that stood in its query.
    "referer",
    "connection",
    "proxy-connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "expect",
    "if-none-match",
    "if-modified-since",
    "cache-control",
    "pragma",
    "dnt",
    "priority",
    "upgrade-insecure-requests",
    "range",
];
/// Longest name of a request.
const NAME_MAX: usize = 40;
/// A value that is nothing but a brace, for bodies that have a placeholder's form in them.
const BRACE: &str = "brace";

/// One request as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub method: String,
    pub url: LoadUrl,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// How often it was seen.
    pub times: u32,
}

/// Requests to one origin.
#[derive(Debug, PartialEq)]
pub struct Recording {
    pub requests: Vec<Recorded>,
    /// Lines of the profile's `[transport]`.
    pub transport: Vec<&'static str>,
    /// What was left out, in sentences.
    pub left_out: Vec<String>,
}

/// A part of a profile, and what it takes from the environment.
#[derive(Debug, Default, PartialEq)]
pub struct Part {
    pub text: String,
    /// By their names; what was recorded is only to tell them apart.
    recorded: BTreeMap<String, String>,
}

impl Part {
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.recorded.keys().map(String::as_str)
    }

    /// One that can be set: `X_API_KEY`; another one for another value.
    fn variable(&mut self, header: &str, value: String) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let mut name: String = header.chars().map(plain).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        let numbered = |n: u32| if n == 1 { name.clone() } else { format!("{name}_{n}") };
        let is_free = |name: &String| self.recorded.get(name).is_none_or(|seen| *seen == value);
        let name = (1..).map(numbered).find(is_free).expect("numbers do not end");
        self.recorded.insert(name.clone(), value);
        name
    }
}

impl Recording {
    /// `http://127.0.0.1:8080/`, which all of them go to.
    pub fn origin(&self) -> String {
        origin(&self.requests[0].url)
    }

    pub fn part(&self) -> Part {
        let mut part = Part::default();
        let mut names = BTreeMap::new();
        for request in &self.requests {
            push_request(&mut part, request, &unique(name(request), &mut names));
        }
        if part.text.contains(&format!("{{{BRACE}}}")) {
            let _ = write!(
                part.text,
                "\n# A brace that is meant as it is, and begins no placeholder.\n[value.{BRACE}]\nchoice = {{ of = [\"{{\"] }}\n"
            );
        }
        if !self.transport.is_empty() {
            let _ = write!(part.text, "\n[transport]\n{}\n", self.transport.join("\n"));
        }
        part
    }
}

fn push_request(part: &mut Part, request: &Recorded, name: &str) {
    let out = &mut part.text;
    let _ = writeln!(out, "\n[[request]]\nname = {}", quoted(name));
    let _ = writeln!(out, "weight = {}", request.times);
    if request.method != "GET" {
        let _ = writeln!(out, "method = {}", quoted(&request.method));
    }
    let _ = writeln!(out, "path = {}", one_line(&literal_path(&request.url.path)));
    if let Some(body) = &request.body {
        let _ = writeln!(out, "body = {}", one_line(&literal(body)));
    }
    let kept = merged(&request.headers);
    if kept.is_empty() {
        return;
    }
    let _ = writeln!(out, "[request.headers]");
    for (name, value) in kept {
        let value = match is_secret(&name, &value) {
            false => literal(&value),
            true => format!("${{env:{}}}", part.variable(&name, value)),
        };
        let _ = writeln!(part.text, "{} = {}", quoted(&name), one_line(&value));
    }
}

/// Those that are kept, each name once: a table has no key twice, and HTTP joins such values too.
fn merged(headers: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_kept(name)) {
        let between = if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " };
        match all.iter_mut().find(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
            Some((_, seen)) => seen.push_str(&format!("{between}{value}")),
            None => all.push((name.clone(), value.clone())),
        }
    }
    all
}

/// Rather one too many: a reference can be replaced by its value.
fn is_secret(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let names = [
        "auth", "token", "key", "secret", "session", "cookie", "jwt", "csrf", "xsrf", "passw",
        "sid", "sign",
    ];
    // A scheme of Authorization, or a JSON Web Token.
    let values = ["Bearer ", "Basic ", "Digest ", "eyJ"];
    is_secret_header(name)
        || names.iter().any(|part| lower.contains(part))
        || values.iter().any(|part| value.starts_with(part))
}

fn is_kept(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with(':') && !name.starts_with("sec-") && !NOT_KEPT.contains(&name.as_str())
}

/// What is in braces in a path is a placeholder; this path is meant as it is written.
pub fn literal_path(path: &str) -> String {
    path.replace('{', "%7B").replace('}', "%7D")
}

/// With a value in place of each brace that begins what has a placeholder's form.
fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let after = &rest[at + 1..];
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
        };
        let is_placeholder = after.find('}').is_some_and(|end| is_name(&after[..end]));
        out.push_str(&rest[..at]);
        match is_placeholder {
            true => out.push_str(&format!("{{{BRACE}}}")),
            false => out.push('{'),
        }
        rest = after;
    }
    out + rest
}

/// `home`, `search`, `post-cart-items`.
fn name(request: &Recorded) -> String {
    let path = request.url.path.split(['?', '#']).next().unwrap_or_default();
    let slug = slug(path);
    let slug = if slug.is_empty() { "home".to_string() } else { slug };
    let name = match request.method.as_str() {
        "GET" => slug,
        other => format!("{}-{slug}", other.to_ascii_lowercase()),
    };
    // The end of a path tells more of it than its beginning.
    let skip = name.chars().count().saturating_sub(NAME_MAX);
    name.chars().skip(skip).collect::<String>().trim_matches('-').to_string()
}

fn unique(name: String, seen: &mut BTreeMap<String, u32>) -> String {
    let n = seen.entry(name.clone()).or_insert(0);
    *n += 1;
    match *n {
        1 => name,
        n => unique(format!("{name}-{n}"), seen),
    }
}

fn origin(url: &LoadUrl) -> String {
    format!("{}://{}/", if url.is_tls { "https" } else { "http" }, url.authority)
}

fn parsed(url: &str) -> Result<LoadUrl> {
    LoadUrl::parse(url).map_err(|problem| anyhow!("{url}: {problem}"))
}

/// What HTTP has a method for, and brunt sends.
fn checked_method(method: &str) -> Result<String> {
    let method = method.to_ascii_uppercase();
    match method.as_str() {
        "CONNECT" | "TRACE" => bail!("a request with the method {method} cannot be repeated"),
        _ => Ok(method),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(method: &str, url: &str) -> Recorded {
        Recorded {
            method: method.into(),
            url: parsed(url).unwrap(),
            headers: vec![],
            body: None,
            times: 1,
        }
    }

    fn part(requests: Vec<Recorded>) -> Part {
        Recording { requests, transport: vec![], left_out: vec![] }.part()
    }

    #[test]
    fn a_name_says_what_is_asked_and_each_is_there_once() {
        let names: Vec<String> = [
            ("GET", "http://x/"),
            ("GET", "http://x/a/B_c.html?q=1"),
            ("POST", "http://x/cart/items"),
        ]
        .map(|(method, url)| name(&recorded(method, url)))
        .into();
        assert_eq!(names, ["home", "a-b-c-html", "post-cart-items"]);
        let long = format!("http://x/{}/end", "very/".repeat(20));
        assert!(name(&recorded("GET", &long)).ends_with("very-end"));
        let mut seen = BTreeMap::new();
        let all = ["a", "a-2", "a", "a"].map(|name| unique(name.into(), &mut seen));
        assert_eq!(all, ["a", "a-2", "a-2-2", "a-3"]);
    }

    #[test]
    fn credentials_come_from_the_environment_and_what_a_connection_makes_is_left_out() {
        let headers = [
            ("Cookie", "session=1"),
            ("apikey", "abc"),
            ("Host", "x"),
            ("sec-fetch-mode", "cors"),
            ("Accept", "text/html"),
        ];
        let headers = headers.map(|(k, v)| (k.to_string(), v.to_string())).into();
        let part = part(vec![Recorded { headers, ..recorded("GET", "http://x/") }]);
        assert_eq!(part.variables().collect::<Vec<_>>(), ["APIKEY", "COOKIE"]);
        let text = part.text;
        assert!(text.contains("\"Cookie\" = \"${env:COOKIE}\""), "{text}");
        assert!(!text.contains("session=1") && !text.contains("abc"), "{text}");
        assert!(!text.contains("Host") && !text.contains("sec-fetch"), "{text}");
        assert!(text.contains("\"Accept\" = \"text/html\""), "{text}");
    }

    #[test]
    fn a_name_is_there_once_and_each_secret_has_a_variable_that_can_be_set() {
        let of = |headers: &[(&str, &str)]| Recorded {
            headers: headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            ..recorded("GET", "http://x/")
        };
        let first = of(&[("cookie", "a=1"), ("Cookie", "b=2"), ("X", "1"), ("x", "2")]);
        let second = of(&[("cookie", "c=3"), ("X.Id", "Bearer e"), ("Referer", "http://x/?t=1")]);
        let part = part(vec![first, second]);
        assert_eq!(part.variables().collect::<Vec<_>>(), ["COOKIE", "COOKIE_2", "X_ID"]);
        assert!(part.text.contains("\"X\" = \"1, 2\""), "{}", part.text);
        assert!(!part.text.contains("Referer") && !part.text.contains("b=2"), "{}", part.text);
        assert!(part.text.parse::<toml::Table>().is_ok(), "{}", part.text);
    }

    #[test]
    fn a_body_is_sent_as_it_was_also_where_it_looks_like_a_placeholder() {
        assert_eq!(literal(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(literal("hello {user.name}, {x y} {"), "hello {brace}user.name}, {x y} {");
        assert_eq!(literal("${env:HOME}"), "${brace}env:HOME}");
        let body = Some("{id}".to_string());
        let text = part(vec![Recorded { body, ..recorded("POST", "http://x/") }]).text;
        assert!(text.contains("body = \"{brace}id}\"") && text.contains("[value.brace]"), "{text}");
    }
}
