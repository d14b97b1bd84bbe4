//! The little languages of the command line: URLs, thresholds, durations, rates, counts, and
//! variants. Each is taken or refused with a reason; what was taken means what was written.

use super::Input;
use brunt::base::units::{duration_text, parse_count, parse_duration, parse_rate};
use brunt::objective::Threshold;
use brunt::target::LoadUrl;

/// A byte for which language, and the word.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte() % 6;
    let Ok(text) = std::str::from_utf8(input.rest()) else { return };
    match kind {
        0 => url(text),
        1 => threshold(text),
        2 => duration(text),
        3 => rate(text),
        4 => refused(parse_count(text).map(|_| ())),
        _ => refused(brunt::base::document::split_variant(text, "x[a=b]").map(|_| ())),
    }
}

fn refused(result: Result<(), String>) {
    if let Err(why) = result {
        assert!(!why.trim().is_empty(), "refused without a reason");
    }
}

fn url(text: &str) {
    let url = match LoadUrl::parse(text) {
        Ok(url) => url,
        Err(why) => return refused(Err(why)),
    };
    assert!(!url.host.is_empty() && url.port > 0, "{url:?}");
    assert!(!url.authority.contains('@'), "a password would be sent or shown: {url:?}");
    let bare = url.authority.strip_prefix(&url.host);
    let bracketed = || url.authority.strip_prefix(&format!("[{}]", url.host));
    let port = bare.or_else(bracketed).expect("the host that is sent is the one that is called");
    let usual = if url.is_tls { 443 } else { 80 };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok(),
        None => port.is_empty().then_some(usual),
    };
    assert_eq!(port, Some(url.port), "another port is sent: {url:?}");
    for part in [&url.authority, &url.path] {
        assert!(part.bytes().all(|b| b > b' ' && b != 0x7f), "breaks the request line: {url:?}");
    }
    assert!(url.path.starts_with('/') || url.path.starts_with('?'), "{url:?}");
}

fn threshold(text: &str) {
    match text.parse::<Threshold>() {
        Ok(threshold) => {
            assert!(!threshold.limit.is_nan(), "{threshold:?}");
            let again: Threshold = threshold.expression.parse().expect("what was taken once");
            assert_eq!(again, threshold);
        }
        Err(error) => assert!(error.to_string().contains("write it like"), "{error}"),
    }
}

fn duration(text: &str) {
    match parse_duration(text) {
        Ok(nanos) => {
            let shown = duration_text(nanos);
            assert_eq!(parse_duration(&shown), Ok(nanos), "{text} is shown as {shown}");
        }
        Err(why) => refused(Err(why)),
    }
}

fn rate(text: &str) {
    match parse_rate(text) {
        Ok(rate) => assert!(rate.0.is_finite() && rate.0 >= 0.0, "{text} is {rate:?}"),
        Err(why) => refused(Err(why)),
    }
}
