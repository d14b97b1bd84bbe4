//! What hands type that know another load generator. Where its flag cannot mean the same here, or
//! means several things elsewhere, the error says what to type instead.

use super::LoadArgs;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command};

/// Flags of other tools, and what to say to who types them. What `-t` and `-q` say
/// depends on their value.
const HINTS: &[(&str, &str)] = &[
    (
        "-D",
        "a file with the body in hey and oha, a duration in h2load; type --data @FILE or -d TIME",
    ),
    ("-b", "the body in bombardier; type --data TEXT"),
    ("-f", "a file with the body in bombardier; type --data @FILE"),
    ("-u", "users in k6 and Locust, a login in curl; type -c N or -a USER:PASSWORD"),
    (
        "-p",
        "streams in oha, pipelining in autocannon, a file with the body in ab; type --http2 --streams N or --data @FILE (brunt does not pipeline)",
    ),
    (
        "-x",
        "a proxy in hey, oha and curl; brunt connects directly: type --connect-to ::HOST:PORT to measure what is there",
    ),
    ("-i", "iterations in k6; type -n N"),
    ("-w", "worker threads in autocannon; type --threads N"),
    (
        "-U",
        "uncorrected latency in wrk2; leave it out: service time always stands beside response time",
    ),
    ("-Z", "a file of bodies in oha; write a profile with a feeder and use brunt run URL -p FILE"),
    (
        "-C",
        "a cookie in ab, the number of connections per second in others; type -H 'Cookie: …' or -c N",
    ),
    ("-j", "JSON in oha; type --json"),
    ("-v", "verbosity elsewhere; type -o DIR to keep everything that was measured"),
    ("-h2", "HTTP/2 in hey and vegeta; type --http2"),
    ("--h2", "HTTP/2 elsewhere; type --http2"),
    ("--h2c", "HTTP/2 without TLS in vegeta; type --http2 with an http URL"),
    ("--h1", "HTTP/1.1 in h2load, and what brunt speaks unless asked; leave it out"),
    ("--http3", "not built in brunt; type --http2 or leave it out"),
    ("--cpus", "cores in hey and vegeta; type --threads N"),
    ("--workers", "connections in vegeta, threads in others; type -c N or --threads N"),
    ("--max-workers", "the most connections in vegeta; type -c N"),
    ("--keepalive", "always on unless --no-keepalive is typed; leave it out"),
    ("--root-certs", "authorities in vegeta; type --cacert FILE"),
    ("--vus", "virtual users in k6; type -c N"),
    ("--users", "users in Locust; type -c N"),
    ("--clients", "connections in h2load; type -c N"),
    ("--concurrency", "connections elsewhere; type -c N"),
    ("--iterations", "requests in k6 and Locust; type -n N"),
    ("--amount", "requests in autocannon; type -n N"),
    ("--run-time", "the duration in Locust; type -d TIME"),
    ("--warm-up-time", "h2load's warm-up; type --warmup TIME"),
    ("--max-concurrent-streams", "streams in h2load; type --http2 --streams N"),
    ("--query-per-second", "the rate in oha; type --rate N"),
    ("--burst-delay", "bursts in oha; type them as stages: -s 0s:500 -s 1s:500 -s 0s:0 -s 1s:0"),
    ("--burst-rate", "bursts in oha; type them as stages: -s 0s:500 -s 1s:500 -s 0s:0 -s 1s:0"),
    (
        "--latency-correction",
        "always on in brunt with --rate: latency counts from when a request was due; leave it out",
    ),
    ("--output-format", "the output of oha; type --json"),
    ("--output", "the output elsewhere; type --json, or -o DIR for a whole record"),
    ("--format", "the output elsewhere; type --json"),
    ("--print", "parts of bombardier's output; type --json or --quiet"),
    ("--insecure-skip-tls-verify", "k6's way to take any certificate; type -k"),
    (
        "--script",
        "a script of wrk, and brunt runs none; say what it does with -H, -X and --data, or in a profile",
    ),
    (
        "--redirect",
        "how many redirects oha follows; leave it out: a redirect is an answer, load what it points to",
    ),
    ("--unix-socket", "not built in brunt; load a TCP address of the service"),
    ("--proxy", "not built in brunt; type --connect-to ::HOST:PORT to measure what is there"),
    (
        "--targets",
        "a file of requests in vegeta; write a profile with a mix and use brunt run URL -p FILE",
    ),
    (
        "--urls-from-file",
        "a file of URLs in oha; write a profile with a mix and use brunt run URL -p FILE",
    ),
    (
        "--rand-regex-url",
        "random URLs in oha; write a profile with values and use brunt run URL -p FILE",
    ),
    ("--no-color", "without effect: brunt uses no colours; leave it out"),
];

/// What Go's tools write with one dash would be read as a bundle of short flags.
pub fn hint_before(typed: &[String]) -> Option<String> {
    let words = typed.iter().take_while(|word| *word != "--");
    words.filter_map(|word| one_dash(word)).next()
}

fn one_dash(word: &str) -> Option<String> {
    let rest = word.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-'))?;
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    if name == "keepalive" && value == Some("false") {
        return Some("-keepalive=false: type --no-keepalive".into());
    }
    if is_long_flag(name) {
        let value = value.map_or(String::new(), |v| format!(" {v}"));
        return Some(format!("-{name}: long flags have two dashes; type --{name}{value}"));
    }
    hint(&format!("-{name}")).or_else(|| hint(&format!("--{name}")))
}

fn is_long_flag(name: &str) -> bool {
    let command = LoadArgs::augment_args(Command::new("load"));
    let is_named = |arg: &clap::Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
    };
    command.get_arguments().any(is_named)
}

/// For an argument that the command line does not know.
pub fn hint_after(error: &clap::Error, typed: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = flag.split('=').next().unwrap_or(flag);
    match flag {
        "-t" => Some(of_t(value_of(flag, typed))),
        "-q" => Some(of_q(value_of(flag, typed))),
        flag => hint(flag),
    }
}

fn hint(flag: &str) -> Option<String> {
    let (_, text) = HINTS.iter().find(|(known, _)| *known == flag)?;
    Some(format!("{flag}: {text}"))
}

/// What follows a short flag, in the same word or the next one.
fn value_of<'a>(flag: &str, typed: &'a [String]) -> Option<&'a str> {
    let at = typed.iter().position(|word| word.starts_with(flag))?;
    match &typed[at][flag.len()..] {
        "" => typed.get(at + 1).map(String::as_str),
        rest => Some(rest.trim_start_matches('=')),
    }
}

fn of_t(value: Option<&str>) -> String {
    let means = "-t: threads in wrk and h2load, a time-out in hey, oha and bombardier";
    match value {
        Some(n) if n.parse::<u32>().is_ok() => {
            format!("{means}; type --threads {n} or --timeout {n}s")
        }
        Some(time) if time.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{means}, a duration in Locust and fortio; type --timeout {time} or -d {time}")
        }
        _ => format!("{means}; type --threads N or --timeout TIME"),
    }
}

fn of_q(value: Option<&str>) -> String {
    let means = "-q: a rate in oha, a rate of each connection in hey, quiet elsewhere";
    match value {
        Some(n) if n.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{means}; type --rate {n} (of all connections together) or --quiet")
        }
        _ => format!("{means}; type --rate N (of all connections together) or --quiet"),
    }
}
