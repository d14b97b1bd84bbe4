//! Statuses with their counts, and errors by cause with what to do about each.

use super::push;
use crate::analysis::comparison::count_text;
use crate::record::{Cause, Outcome};

/// Causes that are named; the rest is counted.
const CAUSES: usize = 6;
/// Statuses of ok answers that are named.
const STATUSES: usize = 6;

/// The record counts causes over the whole run; `has_more` than what was measured, and says so.
pub fn push_errors(out: &mut String, causes: &[(Outcome, Cause, u64)], has_more: bool) {
    push_statuses(out, causes, has_more);
    let is_error = |o: Outcome| o != Outcome::Ok;
    let mut all: Vec<_> = causes.iter().filter(|(o, _, n)| is_error(*o) && *n > 0).collect();
    all.sort_by_key(|(outcome, cause, n)| (std::cmp::Reverse(*n), *outcome, *cause));
    for (_, cause, n) in all.iter().take(CAUSES) {
        let remedy = match remedy(*cause) {
            "" => String::new(),
            remedy => format!(": {remedy}"),
        };
        push(out, &format!("- {} {cause}{remedy}", count_text(*n)));
    }
    if all.len() > CAUSES {
        let rest: u64 = all[CAUSES..].iter().map(|(_, _, n)| n).sum();
        push(
            out,
            &format!("- {} others (causes.csv of a record, -o DIR, has all)", count_text(rest)),
        );
    }
}

fn push_statuses(out: &mut String, causes: &[(Outcome, Cause, u64)], has_more: bool) {
    let mut ok: Vec<(u16, u64)> = (causes.iter())
        .filter_map(|(outcome, cause, n)| match (outcome, cause) {
            (Outcome::Ok, Cause::Status(code)) if *n > 0 => Some((*code, *n)),
            _ => None,
        })
        .collect();
    if ok.is_empty() {
        return;
    }
    ok.sort_by_key(|(code, n)| (std::cmp::Reverse(*n), *code));
    let named = ok.iter().take(STATUSES).map(|(code, n)| format!("{code} × {}", count_text(*n)));
    let mut parts: Vec<String> = named.collect();
    let rest: u64 = ok.iter().skip(STATUSES).map(|(_, n)| n).sum();
    if rest > 0 {
        parts.push(format!("others × {}", count_text(rest)));
    }
    let whole = if has_more { " in the whole run" } else { "" };
    push(out, &format!("status     {}{whole}", parts.join(", ")));
}

/// What to look at. Empty where the cause says it all.
fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::Status(401 | 403) => "it wants credentials; give them with -H or -a",
        Cause::Status(404 | 410) => "nothing is there; look at the URL's path and the Host header",
        Cause::Status(405) => "it does not take this method; look at -X and --data",
        Cause::Status(413 | 431) => "the request is too big for it",
        Cause::Status(429) => "it limits its rate; ask for less, or raise its limit",
        Cause::Status(400..=499) => "it does not take this request; look at one with curl -v",
        Cause::Status(502 | 504) => "what stands behind it did not answer; look at its log",
        Cause::Status(503) => "it refuses work, by overload or a limit; look at its log",
        Cause::Status(500..=599) => "it failed; look at its log",
        Cause::Status(_) => "not among the statuses that are ok; see --expect-status",
        Cause::CheckFailed => "see --expect-status, --expect-body, --expect-json or the profile",
        Cause::ConnectRefused => "nobody listens there, or no longer; is it running, on that port?",
        Cause::ConnectFailed => "no way there; look at the address and the routes (ip route get)",
        Cause::ConnectTimeout => "it does not accept in time; see --connect-timeout, its backlog",
        // These two say what to do themselves, beside the numbers of `brunt doctor`.
        Cause::OutOfPorts => "--source gives more; see brunt doctor",
        Cause::OutOfDescriptors => "-c asks for fewer; see brunt doctor",
        Cause::NoSuchSource => "give --source an address that `ip address` lists",
        Cause::TlsFailed => "is it TLS at all, of version 1.2 or 1.3? look with curl -v",
        Cause::CertificateRefused => "trust its authority with --cacert FILE",
        Cause::NoHttp2 => "leave out --http2, or enable it there",
        Cause::Reset => "the server dropped connections; look at its log and its limits",
        Cause::StreamReset => "it refused or gave up single requests; look at its log, --streams",
        Cause::GoAway => "it limits requests per connection or restarts; look at its log",
        Cause::ClosedEarly => "the server closed; look at its log and its time-outs",
        Cause::BadRequest => "a header or the path is not HTTP/2's; look at -H and the URL",
        Cause::BadResponse => "is it https, or HTTP/2 only (--http2)? look with curl -v",
        Cause::TimeoutConnecting => "it does not accept; its backlog is full, or a firewall drops",
        Cause::TimeoutWaiting => "all connections were busy; raise -c, or the target is overloaded",
        Cause::TimeoutResponse => "slower than the time-out; the target is overloaded or hangs",
        Cause::QueueFull => "more waited than brunt holds; the target is far overloaded",
        // It says it all.
        Cause::Stopped => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(causes: &[(Outcome, Cause, u64)]) -> String {
        let mut out = String::new();
        push_errors(&mut out, causes, false);
        out
    }

    #[test]
    fn causes_are_named_the_most_frequent_first_with_what_to_do() {
        let refused = (Outcome::TransportError, Cause::ConnectRefused, 4_950);
        let reset = (Outcome::TransportError, Cause::Reset, 5_000);
        let said = text(&[refused, reset, (Outcome::HttpError, Cause::Status(500), 20)]);
        let lines: Vec<&str> = said.lines().filter(|l| l.starts_with("- ")).collect();
        assert!(lines[0].starts_with("- 5,000 connection reset: the server"), "{said}");
        assert!(lines[1].starts_with("- 4,950 connection refused: nobody listens"), "{said}");
        assert!(lines[2].starts_with("- 20 status 500: it failed"), "{said}");
        assert_eq!(text(&[(Outcome::NeverSent, Cause::Stopped, 3)]), "- 3 run stopped\n");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn many_causes_take_few_lines() {
        let many: Vec<_> = (500..520).map(|s| (Outcome::HttpError, Cause::Status(s), 2)).collect();
        let said = text(&many);
        assert_eq!(said.lines().count(), CAUSES + 1, "{said}");
        assert!(said.contains("- 28 others"), "{said}");
    }

    #[test]
    fn statuses_of_ok_answers_are_no_errors() {
        let ok = [(Outcome::Ok, Cause::Status(204), 3), (Outcome::Ok, Cause::Status(200), 1_200)];
        assert_eq!(text(&ok), "status     200 × 1,200, 204 × 3\n");
        let mut out = String::new();
        push_errors(&mut out, &ok, true);
        assert_eq!(out, "status     200 × 1,200, 204 × 3 in the whole run\n");
    }

    #[test]
    fn every_line_fits() {
        for cause in
            [Cause::ConnectFailed, Cause::OutOfPorts, Cause::Status(404), Cause::CertificateRefused]
        {
            let said = text(&[(Outcome::TransportError, cause, 1_234_567_890)]);
            assert!(said.lines().all(|l| l.chars().count() <= 80), "{said}");
        }
    }
}
