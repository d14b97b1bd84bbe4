//! A browser's recording of a visit, in the HTTP Archive format (HAR 1.2): what went to the address
//! that was asked first, each different request once, as often as it was seen.

use super::{Recorded, Recording, checked_method, origin, parsed};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    post_data: Option<PostData>,
    #[serde(default)]
    http_version: String,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    params: Vec<Param>,
}

#[derive(Deserialize)]
struct Param {
    name: String,
    #[serde(default)]
    value: String,
}

impl PostData {
    /// `None` where the recording does not hold it as text.
    fn body(self) -> Option<String> {
        let text = self.text.unwrap_or_default();
        if self.encoding == "base64" {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            return String::from_utf8(bytes).ok();
        }
        if !text.is_empty() || self.params.is_empty() {
            return Some(text);
        }
        // A form's parameters are recorded as they were sent, or without their files.
        let pairs = self.params.iter().map(|p| format!("{}={}", p.name, p.value));
        self.mime_type
            .starts_with("application/x-www-form-urlencoded")
            .then(|| pairs.collect::<Vec<_>>().join("&"))
    }
}

/// # Errors
/// When it cannot be read, is no HAR file, or has no request that can be repeated.
pub fn har(path: &Path) -> Result<Recording> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text).with_context(|| path.display().to_string())
}

fn read(text: &str) -> Result<Recording> {
    let archive: Archive = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .context("it is no HAR file; save one from the network tab of your browser's tools")?;
    let all = archive.log.entries.len();
    let mut first: Option<String> = None;
    let mut requests: Vec<Recorded> = Vec::new();
    let mut elsewhere: BTreeMap<String, u32> = BTreeMap::new();
    let (mut other, mut bodiless) = (0_u32, 0_u32);
    let mut is_http2 = false;
    for Entry { mut request } in archive.log.entries {
        let body = request.post_data.take().map_or(Some(String::new()), PostData::body);
        let Some((mut recorded, version)) = recorded(request) else {
            other += 1;
            continue;
        };
        let Some(body) = body else {
            bodiless += 1;
            continue;
        };
        recorded.body = Some(body).filter(|text| !text.is_empty());
        let here = origin(&recorded.url);
        if *first.get_or_insert_with(|| here.clone()) != here {
            *elsewhere.entry(recorded.url.authority.clone()).or_default() += 1;
            continue;
        }
        is_http2 |= version.to_ascii_lowercase().contains('2');
        let is_same = |seen: &&mut Recorded| {
            (&seen.method, &seen.url.path, &seen.body)
                == (&recorded.method, &recorded.url.path, &recorded.body)
        };
        match requests.iter_mut().find(is_same) {
            Some(seen) => seen.times += 1,
            None => requests.push(recorded),
        }
    }
    if requests.is_empty() {
        bail!("none of its {all} entries is a request over http or https that can be repeated");
    }
    let is_tls = requests[0].url.is_tls;
    Ok(Recording {
        requests,
        transport: match (is_http2, is_tls) {
            (true, true) => {
                vec!["protocol = \"negotiated\"             # HTTP/2 where the server has it"]
            }
            (true, false) => vec!["protocol = \"http2\""],
            (false, _) => vec![],
        },
        left_out: left_out(&elsewhere, other, bodiless),
    })
}

/// With the version of HTTP that it was sent by; `None` for what is no request, like a socket.
fn recorded(request: Request) -> Option<(Recorded, String)> {
    let recorded = Recorded {
        method: checked_method(&request.method).ok()?,
        url: parsed(&request.url).ok()?,
        headers: request.headers.into_iter().map(|h| (h.name, h.value)).collect(),
        body: None,
        times: 1,
    };
    Some((recorded, request.http_version))
}

fn left_out(elsewhere: &BTreeMap<String, u32>, other: u32, bodiless: u32) -> Vec<String> {
    let mut sentences = Vec::new();
    if !elsewhere.is_empty() {
        let names: Vec<String> = elsewhere.iter().map(|(name, n)| format!("{name} {n}")).collect();
        sentences.push(format!("requests to other addresses: {}", names.join(", ")));
    }
    if other > 0 {
        sentences.push(format!(
            "what is no repeatable request over http or https: {other} of its entries"
        ));
    }
    if bodiless > 0 {
        sentences.push(format!(
            "what has a body that is not recorded as text: {bodiless} of its entries"
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(method: &str, url: &str, body: Option<&str>) -> serde_json::Value {
        let mut request = serde_json::json!({
            "method": method, "url": url, "httpVersion": "h2",
            "headers": [{ "name": ":authority", "value": "x" }, { "name": "accept", "value": "*/*" }],
        });
        if let Some(body) = body {
            request["postData"] =
                serde_json::json!({ "mimeType": "application/json", "text": body });
        }
        serde_json::json!({ "request": request, "response": { "status": 200 } })
    }

    fn with_data(data: &serde_json::Value) -> serde_json::Value {
        let mut entry = entry("POST", "https://shop.test/form", None);
        entry["request"]["postData"] = data.clone();
        entry
    }

    fn archive(entries: &[serde_json::Value]) -> String {
        serde_json::json!({ "log": { "version": "1.2", "entries": entries } }).to_string()
    }

    #[test]
    fn a_visit_is_the_requests_to_where_it_began_as_often_as_they_were_made() {
        let text = archive(&[
            entry("GET", "https://shop.test/", None),
            entry("GET", "https://cdn.test/x.js", None),
            entry("GET", "https://shop.test/feed?p=1", None),
            entry("GET", "https://shop.test/feed?p=1", None),
            entry("POST", "https://shop.test/like", Some("{\"id\":1}")),
            entry("GET", "wss://shop.test/live", None),
            with_data(&serde_json::json!({
                "mimeType": "application/x-www-form-urlencoded", "params": [{ "name": "a", "value": "1" }],
            })),
            with_data(
                &serde_json::json!({ "mimeType": "x", "encoding": "base64", "text": "aGk=" }),
            ),
            with_data(&serde_json::json!({
                "mimeType": "multipart/form-data", "params": [{ "name": "file" }],
            })),
        ]);
        let recording = read(&format!("\u{feff}{text}")).unwrap();
        let seen: Vec<(&str, &str, u32)> = recording
            .requests
            .iter()
            .map(|r| (r.method.as_str(), r.url.path.as_str(), r.times))
            .collect();
        assert_eq!(seen[..3], [("GET", "/", 1), ("GET", "/feed?p=1", 2), ("POST", "/like", 1)]);
        let bodies: Vec<_> = recording.requests[3..].iter().map(|r| r.body.as_deref()).collect();
        assert_eq!(bodies, [Some("a=1"), Some("hi")]);
        assert!(recording.left_out[2].ends_with("text: 1 of its entries"));
        assert_eq!(recording.requests[2].body.as_deref(), Some("{\"id\":1}"));
        assert!(recording.transport[0].contains("negotiated"), "{:?}", recording.transport);
        assert_eq!(recording.left_out[0], "requests to other addresses: cdn.test 1");
        assert!(recording.left_out[1].ends_with("1 of its entries"), "{:?}", recording.left_out);
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let error = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(error("<html>").contains("network tab"));
        assert!(error("{\"log\":{}}").contains("entries"));
        assert!(error(&archive(&[])).contains("none of its 0 entries"));
    }
}
