//! A command line of curl, as browsers copy it: `brunt init -- curl 'http://…' -H 'accept: …'`.

use super::{Recorded, Recording, checked_method, parsed};
use anyhow::{Result, anyhow, bail};
use base64::Engine;
use clap::Parser;

/// What of curl's options says which request it is; those without a meaning here are taken, too.
#[derive(Debug, Parser)]
#[command(name = "curl", disable_help_flag = true, disable_version_flag = true)]
struct Line {
    url: Option<String>,
    #[arg(long = "url")]
    named_url: Option<String>,
    #[arg(short = 'X', long)]
    request: Option<String>,
    #[arg(short = 'H', long)]
    header: Vec<String>,
    #[arg(short = 'd', long, visible_aliases = ["data-ascii", "data-binary"], allow_hyphen_values = true)]
    data: Vec<String>,
    /// What browsers copy: an `@` means nothing in it.
    #[arg(long, allow_hyphen_values = true)]
    data_raw: Vec<String>,
    #[arg(long, allow_hyphen_values = true)]
    json: Vec<String>,
    #[arg(short = 'G', long)]
    get: bool,
    #[arg(short = 'I', long)]
    head: bool,
    #[arg(short = 'A', long)]
    user_agent: Option<String>,
    #[arg(short = 'e', long)]
    referer: Option<String>,
    #[arg(short = 'b', long)]
    cookie: Option<String>,
    #[arg(short = 'u', long)]
    user: Option<String>,
    #[arg(long)]
    compressed: bool,
    #[arg(short = 'k', long)]
    insecure: bool,
    #[arg(long)]
    http2: bool,
    #[arg(long)]
    http2_prior_knowledge: bool,
    #[command(flatten)]
    _without_effect: WithoutEffect,
}

/// How curl itself behaves, or what it does with the answer.
#[derive(Debug, clap::Args)]
struct WithoutEffect {
    #[arg(short, long)]
    silent: bool,
    #[arg(short = 'S', long)]
    show_error: bool,
    #[arg(short, long)]
    verbose: bool,
    #[arg(short, long)]
    include: bool,
    #[arg(short = 'f', long)]
    fail: bool,
    #[arg(short = 'L', long)]
    location: bool,
    #[arg(short = 'o', long)]
    output: Option<String>,
    #[arg(short = 'w', long)]
    write_out: Option<String>,
    #[arg(long = "http1.1")]
    http1: bool,
    #[arg(long)]
    globoff: bool,
}

/// # Errors
/// When it is no command line of curl, or asks for what a profile cannot say.
pub fn curl(words: &[String]) -> Result<Recording> {
    let line = Line::try_parse_from(words).map_err(|e| {
        let text = e.render().to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        anyhow!("curl: {first}; leave it out, and change the profile afterwards")
    })?;
    let url = line.named_url.as_ref().or(line.url.as_ref());
    let url = url.ok_or_else(|| anyhow!("curl: there is no URL in it"))?;
    let mut url = parsed(&with_scheme(url))?;
    let headers = line.header.iter().map(|h| header(h)).collect::<Result<Vec<_>>>()?;
    let mut headers: Vec<(String, String)> = headers.into_iter().flatten().collect();
    let mut add = |name: &str, value: Option<String>| {
        let is_given = headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if let Some(value) = value.filter(|_| !is_given) {
            headers.push((name.into(), value));
        }
    };
    let data = body(&line)?;
    let is_json = !line.json.is_empty();
    let has_form = data.is_some() && !line.get && !is_json;
    add("Content-Type", is_json.then(|| "application/json".into()));
    add("Accept", is_json.then(|| "application/json".into()));
    add("Content-Type", has_form.then(|| "application/x-www-form-urlencoded".into()));
    add("User-Agent", line.user_agent.clone());
    add("Referer", line.referer.clone());
    add("Cookie", cookie(&line)?);
    add("Accept-Encoding", line.compressed.then(|| "gzip, deflate, br".into()));
    let basic = |user: &String| base64::engine::general_purpose::STANDARD.encode(user);
    add("Authorization", line.user.as_ref().map(|user| format!("Basic {}", basic(user))));
    let usual = match (&data, line.head) {
        (_, true) => "HEAD",
        (Some(_), _) if !line.get => "POST",
        _ => "GET",
    };
    let method = checked_method(line.request.as_deref().unwrap_or(usual))?;
    let body = match line.get {
        false => data,
        true => {
            if let Some(data) = data {
                let and = if url.path.contains('?') { '&' } else { '?' };
                url.path = format!("{}{and}{data}", url.path);
            }
            None
        }
    };
    let transport = [
        line.insecure.then_some("insecure = true                   # any certificate is taken"),
        line.http2_prior_knowledge.then_some("protocol = \"http2\""),
        (line.http2 && !line.http2_prior_knowledge).then_some("protocol = \"negotiated\""),
    ];
    Ok(Recording {
        requests: vec![Recorded { method, url, headers, body, times: 1 }],
        transport: transport.into_iter().flatten().collect(),
        left_out: Vec::new(),
    })
}

/// As curl does with a URL without one.
fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_string() } else { format!("http://{url}") }
}

/// As curl reads it: `Name;` is one without a value, `Name:` takes one away that curl would send.
fn header(text: &str) -> Result<Option<(String, String)>> {
    if let Some(name) = text.trim().strip_suffix(';').filter(|name| !name.contains(':')) {
        return Ok(Some((name.trim().into(), String::new())));
    }
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| anyhow!("curl: -H '{text}' has no colon; write it -H 'Name: value'"))?;
    let (name, value) = (name.trim(), value.trim());
    Ok((!value.is_empty()).then(|| (name.into(), value.into())))
}

/// Several pieces are one form; JSON is put together as it is.
fn body(line: &Line) -> Result<Option<String>> {
    if let Some(file) = line.data.iter().chain(&line.json).find_map(|d| d.strip_prefix('@')) {
        bail!(
            "curl: the body is in a file; leave it out, and write body_file = \"{file}\" into the \
             profile's request"
        );
    }
    let data: Vec<&str> = line.data.iter().chain(&line.data_raw).map(String::as_str).collect();
    Ok(match (data.as_slice(), line.json.as_slice()) {
        ([], []) => None,
        (data, []) => Some(data.join("&")),
        ([], json) => Some(json.concat()),
        _ => bail!("curl: --json and --data are different bodies; keep one"),
    })
}

fn cookie(line: &Line) -> Result<Option<String>> {
    match &line.cookie {
        Some(file) if !file.contains('=') => {
            bail!("curl: -b {file} is a file of cookies; write them as -H 'Cookie: name=value'")
        }
        cookie => Ok(cookie.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Recording> {
        let words: Vec<String> = ["curl"].iter().chain(words).map(|w| (*w).to_string()).collect();
        curl(&words)
    }

    fn one(words: &[&str]) -> Recorded {
        read(words).unwrap().requests.remove(0)
    }

    #[test]
    fn what_a_browser_copies_is_the_request_that_it_made() {
        let request = one(&[
            "http://127.0.0.1:8080/api/cart?x=1",
            "-H",
            "content-type: application/json",
            "-b",
            "session=abc",
            "--data-raw",
            r#"{"id":7}"#,
            "--compressed",
            "--insecure",
        ]);
        assert_eq!(request.method, "POST");
        assert_eq!(request.url.path, "/api/cart?x=1");
        assert_eq!(request.body.as_deref(), Some(r#"{"id":7}"#));
        let of = |name: &str| {
            let found = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(of("content-type"), Some("application/json"), "given once, and not a form");
        assert_eq!(of("cookie"), Some("session=abc"));
        assert_eq!(of("accept-encoding"), Some("gzip, deflate, br"));
    }

    #[test]
    fn data_make_a_post_and_with_g_a_query() {
        let form = one(&["x:8080", "-d", "a=1", "-d", "b=2"]);
        assert_eq!((form.method.as_str(), form.body.as_deref()), ("POST", Some("a=1&b=2")));
        assert_eq!(form.headers[0].1, "application/x-www-form-urlencoded");
        let query = one(&["http://x/?z=0", "-G", "-d", "a=1"]);
        assert_eq!((query.method.as_str(), query.url.path.as_str()), ("GET", "/?z=0&a=1"));
        assert_eq!(one(&["-I", "http://x/"]).method, "HEAD");
        for text in ["------WebKitFormBoundary\r\nx", "@alice hello"] {
            assert_eq!(one(&["http://x/", "--data-raw", text]).body.as_deref(), Some(text));
        }
        let headers = one(&["http://x/", "-H", "Accept:", "-H", "X-Empty;"]).headers;
        assert_eq!(headers, [("X-Empty".to_string(), String::new())]);
        assert_eq!(one(&["-X", "put", "http://x/", "-d", "1"]).method, "PUT");
    }

    #[test]
    fn how_it_is_spoken_is_kept() {
        let transport = |words: &[&str]| read(words).unwrap().transport.join(" ");
        assert!(transport(&["-k", "https://x/"]).contains("insecure = true"));
        assert!(transport(&["--http2", "https://x/"]).contains("negotiated"));
        assert_eq!(transport(&["http://x/", "-s", "-o", "/dev/null"]), "");
    }

    #[test]
    fn what_cannot_be_kept_says_what_to_do() {
        let error = |words: &[&str]| read(words).unwrap_err().to_string();
        assert!(error(&["-d", "@big.json", "http://x/"]).contains("body_file = \"big.json\""));
        assert!(
            error(&["-F", "a=b", "http://x/"]).contains("'-F'"),
            "{}",
            error(&["-F", "a", "x"])
        );
        assert!(error(&["-s"]).contains("no URL"));
        assert!(error(&["-b", "jar.txt", "http://x/"]).contains("file of cookies"));
        assert!(error(&["ftp://x/"]).contains("http://"));
    }
}
