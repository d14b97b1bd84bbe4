//! The request that was typed, and what its answer must be.

use super::args::{ExpectArgs, RequestArgs};
use crate::plan::{Expect, RequestPlan};
use crate::target::LoadUrl;
use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;

pub(super) fn request(
    args: &RequestArgs,
    expect: &ExpectArgs,
    url: &LoadUrl,
) -> Result<RequestPlan> {
    let (body, body_base64) = match args.data.as_deref() {
        Some(data) => body(data)?,
        None => (None, None),
    };
    Ok(RequestPlan {
        method: method(args)?,
        headers: headers(args)?,
        body,
        body_base64,
        expects: expects(expect)?,
        ..RequestPlan::get("load", &url.authority, &url.path)
    })
}

/// As curl does: a body makes it a POST, unless something else was asked for.
fn method(args: &RequestArgs) -> Result<String> {
    let default = if args.data.is_some() { "POST" } else { "GET" };
    let method = args.method.as_deref().unwrap_or(default).to_uppercase();
    if method.bytes().all(|b| b.is_ascii_digit()) {
        bail!("--method: `{method}` is a number; for HTTP/2 streams (h2load's -m), use --streams");
    }
    http::Method::from_bytes(method.as_bytes())
        .map_err(|_| anyhow!("--method: `{method}` is no method; write it like GET or POST"))?;
    Ok(method)
}

fn headers(args: &RequestArgs) -> Result<Vec<(String, String)>> {
    let mut headers = args.header.iter().map(|h| header(h)).collect::<Result<Vec<_>>>()?;
    let short = [
        ("--accept", "Accept", args.accept.clone()),
        ("--content-type", "Content-Type", args.content_type.clone()),
        ("--host", "Host", args.host.clone()),
        ("--basic-auth", "Authorization", args.basic_auth.as_deref().map(basic).transpose()?),
    ];
    for (flag, name, value) in short {
        let Some(value) = value else { continue };
        if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            bail!("{flag}: -H gives `{name}` too; leave one of them out");
        }
        headers.push(checked(flag, name, &value)?);
    }
    Ok(headers)
}

fn header(text: &str) -> Result<(String, String)> {
    let (name, value) = text
        .split_once(':')
        .with_context(|| format!("--header `{text}`: write it like 'Accept: text/html'"))?;
    checked("--header", name.trim(), value.trim())
}

fn checked(flag: &str, name: &str, value: &str) -> Result<(String, String)> {
    http::HeaderName::from_bytes(name.as_bytes())
        .with_context(|| format!("{flag}: `{name}` is not a header's name"))?;
    http::HeaderValue::from_str(value)
        .with_context(|| format!("{flag} {name}: the value has characters that no header may"))?;
    Ok((name.to_string(), value.to_string()))
}

/// RFC 7617. The message shows no password.
fn basic(text: &str) -> Result<String> {
    if !text.contains(':') || text.contains("://") {
        bail!("--basic-auth: write it like USER:PASSWORD (the password may be empty)");
    }
    Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)))
}

/// As text, in which placeholders are filled in, or, where it is none, as bytes in base64.
fn body(text: &str) -> Result<(Option<String>, Option<String>)> {
    let Some(path) = text.strip_prefix('@') else { return Ok((Some(text.to_string()), None)) };
    let bytes = std::fs::read(path).with_context(|| format!("--data: cannot read {path}"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(binary) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(binary.as_bytes());
            (None, Some(encoded))
        }
    })
}

fn expects(args: &ExpectArgs) -> Result<Vec<Expect>> {
    let mut all = Vec::new();
    if let Some(text) = &args.expect_status {
        all.push(Expect::Status { of: statuses(text)? });
    }
    for text in &args.expect_body {
        if text.is_empty() {
            bail!("--expect-body: every body contains nothing; say which text");
        }
        all.push(Expect::BodyContains { text: text.clone() });
    }
    for text in &args.expect_json {
        all.push(json(text)?);
    }
    Ok(all)
}

/// `200`, `2xx`, `200-204`, and several with commas.
fn statuses(text: &str) -> Result<Vec<u16>> {
    let wrong = |part: &str| {
        anyhow!("--expect-status: `{part}` is no status; write it like 200, 2xx or 200-204,304")
    };
    let one = |part: &str| {
        part.trim()
            .parse::<u16>()
            .ok()
            .filter(|s| (100..=599).contains(s))
            .ok_or_else(|| wrong(part))
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        let class = part.trim().strip_suffix("xx").or_else(|| part.trim().strip_suffix("XX"));
        let (from, to) = match (class, part.split_once('-')) {
            (Some(class), _) => (one(&format!("{class}00"))?, one(&format!("{class}99"))?),
            (None, Some((from, to))) => (one(from)?, one(to)?),
            (None, None) => (one(part)?, one(part)?),
        };
        if from > to {
            bail!("--expect-status: `{part}` goes backwards; write the smaller one first");
        }
        all.extend(from..=to);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// `/user/id=7`: the value is JSON where it can be read as such, else text.
fn json(text: &str) -> Result<Expect> {
    let (pointer, value) = match text.split_once('=') {
        Some((pointer, value)) => (pointer, Some(value)),
        None => (text, None),
    };
    if !pointer.starts_with('/') {
        bail!(
            "--expect-json `{text}`: a JSON pointer begins with a slash (RFC 6901); write it like \
             /user/id or /user/id=7"
        );
    }
    let equals = value.map(|v| serde_json::from_str(v).unwrap_or_else(|_| v.into()));
    Ok(Expect::Json { pointer: pointer.to_string(), equals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_single_ones_classes_and_ranges() {
        assert_eq!(statuses("204").unwrap(), [204]);
        assert_eq!(statuses("200-202, 304").unwrap(), [200, 201, 202, 304]);
        assert_eq!(statuses("2xx").unwrap().len(), 100);
        for text in ["", "99", "600", "7xx", "204-200", "ok"] {
            let error = statuses(text).unwrap_err().to_string();
            assert!(error.starts_with("--expect-status"), "{text}: {error}");
        }
    }

    #[test]
    fn a_body_from_a_file_is_text_or_bytes_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let of = |bytes: &[u8]| {
            let path = folder.path().join("body");
            std::fs::write(&path, bytes).unwrap();
            body(&format!("@{}", path.display())).unwrap()
        };
        assert_eq!(of("{\"ä\":1}".as_bytes()), (Some("{\"ä\":1}".into()), None));
        assert_eq!(of(&[0xff, 0x00, b'\n', 0xfe]), (None, Some("/wAK/g==".into())));
        assert_eq!(body("a=1").unwrap(), (Some("a=1".into()), None));
        let gone = format!("@{}", folder.path().join("gone").display());
        assert!(body(&gone).unwrap_err().to_string().contains("--data: cannot read"));
    }

    #[test]
    fn a_json_value_is_json_or_text() {
        let equals = |text| match json(text).unwrap() {
            Expect::Json { equals, .. } => equals,
            other => panic!("{other:?}"),
        };
        assert_eq!(equals("/a"), None);
        assert_eq!(equals("/a=7"), Some(serde_json::json!(7)));
        assert_eq!(equals("/a=ok"), Some(serde_json::json!("ok")));
        assert_eq!(equals("/a=\"7\""), Some(serde_json::json!("7")));
        assert!(json("a=7").unwrap_err().to_string().contains("begins with a slash"));
    }

    #[test]
    fn a_password_is_not_shown_and_a_url_is_no_user() {
        let error = basic("secret").unwrap_err().to_string();
        assert!(error.contains("USER:PASSWORD") && !error.contains("secret"), "{error}");
        assert!(basic("http://127.0.0.1/").is_err());
        assert_eq!(basic("Aladdin:open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
