//! What is typed, as a plan, and what other tools' users are told.

use super::{LoadArgs, foreign, load_plan};
use crate::base::Nanos;
use crate::cli::args::{Cli, Command};
use crate::plan::{Arrivals, HostFacts, LoadPlan, Plan, Protocol};
use clap::Parser;
use std::net::IpAddr;

const S: fn(u64) -> Nanos = Nanos::from_secs;

fn args_of(typed: &[&str]) -> Result<Box<LoadArgs>, String> {
    let words: Vec<String> = ["load"].iter().chain(typed).map(|w| w.to_string()).collect();
    if let Some(hint) = foreign::hint_before(&words) {
        return Err(hint);
    }
    let all = ["brunt"].iter().chain(&["load"]).chain(typed);
    match Cli::try_parse_from(all) {
        Ok(Cli { command: Some(Command::Load(args)) }) => Ok(args),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            Err(foreign::hint_after(&error, &words).unwrap_or_else(|| format!("clap {error}")))
        }
    }
}

fn typed_plan(typed: &[&str]) -> Result<Plan, String> {
    load_plan(&*args_of(typed)?, &HostFacts::default()).map_err(|e| format!("{e:#}"))
}

fn plan_of(more: &[&str]) -> Result<Plan, String> {
    typed_plan(&[&["http://127.0.0.1:1/"], more].concat())
}

fn load_of(more: &[&str]) -> LoadPlan {
    plan_of(more).unwrap().load
}

#[test]
fn the_command_line_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn what_cannot_be_is_refused_by_its_flag() {
    for (typed, part) in [
        (&["-c", "0"][..], "--connections"),
        (&["-c", "1000001"], "--connections"),
        (&["-r", "100", "-c", "0"], "--connections"),
        (&["-r", "0"], "--rate"),
        (&["-r", "11M"], "--rate"),
        (&["-n", "0"], "--requests"),
        (&["-d", "0s"], "--duration"),
        (&["-d", "3000years"], "--duration"),
        (&["-d", "@body.json"], "--duration: `@body.json` looks like a body's file"),
        (&["-s", "0s:5"], "--stage 0s:5: a jump needs a stage after it"),
        (&["-s", "1s:11M"], "--stage 1s:11M"),
        (&["-s", "1s:0"], "--stage"),
        (&["-s", "1s:5", "-d", "2s"], "--duration"),
        (&["-s", "1s:5", "--warmup", "2s"], "--warmup"),
        (&["-s", "post.lua"], "--stage post.lua: looks like a script of wrk"),
        (&["-r", "5", "--think", "1s"], "--think"),
        (&["--arrivals", "bogus"], "--arrivals"),
        (&["--timeout", "0s"], "--timeout"),
        (&["--connect-timeout", "0s"], "--connect-timeout"),
        (&["--reuse", "0"], "--requests-per-connection"),
        (&["--streams", "0", "--http2"], "--streams"),
        (&["--streams", "1000", "--http2", "-c", "100k"], "clap"),
        (
            &["--streams", "1000", "--http2", "-c", "100000"],
            "--streams: 100000000 requests at once",
        ),
        (&["--streams", "2"], "clap"),
        (&["--no-keepalive", "--reuse", "2"], "clap"),
        (&["--cert", "a.pem"], "clap"),
        (&["--tls-resumption"], "--tls-resumption: the URL is http"),
        (&["-m", "10"], "--method: `10` is a number"),
        (&["-m", "G T"], "--method"),
        (&["-H", "Accept: a", "-A", "b"], "--accept"),
        (&["-o", "csv"], "--out csv"),
        (&["-o", "json"], "--out json"),
        (&["--expect-body", ""], "--expect-body"),
    ] {
        let error = plan_of(typed).expect_err(part);
        assert!(error.starts_with(part), "{typed:?}: {error}");
    }
}

#[test]
fn a_body_makes_a_post_unless_a_method_was_typed() {
    let method = |typed: &[&str]| load_of(typed).requests[0].method.clone();
    assert_eq!(method(&[]), "GET");
    assert_eq!(method(&["--data", "x"]), "POST");
    assert_eq!(method(&["--data", "x", "-X", "put"]), "PUT");
}

#[test]
fn a_warm_up_comes_before_what_is_measured() {
    let load = load_of(&["-r", "5", "-d", "2s", "--warmup", "1s"]);
    let seen: Vec<_> = load.phases.iter().map(|p| (p.end, p.rate_to, p.measured)).collect();
    assert_eq!(seen, [(S(1), 5.0, false), (S(3), 5.0, true)]);
}

#[test]
fn a_stage_of_no_duration_is_a_jump() {
    let rates = |typed: &[&str]| -> Vec<(f64, f64)> {
        load_of(typed).phases.iter().map(|p| (p.rate_from, p.rate_to)).collect()
    };
    assert_eq!(rates(&["-s", "0s:500", "-s", "1s:500"]), [(500.0, 500.0)]);
    assert_eq!(
        rates(&["-s", "10s:100", "-s", "0s:500", "-s", "1s:500", "-s", "0s:0", "-s", "1s:0"]),
        [(0.0, 100.0), (500.0, 500.0), (0.0, 0.0)]
    );
    assert_eq!(rates(&["-s", "0s:9", "-s", "5s:0"]), [(9.0, 0.0)]);
}

#[test]
fn the_network_is_as_typed() {
    let load =
        load_of(&["--connect-timeout", "300ms", "--reuse", "10", "--source", "127.0.0.2/31"]);
    let t = &load.transport;
    assert_eq!(
        (t.connect_timeout, t.requests_per_connection),
        (Some(Nanos::from_millis(300)), Some(10))
    );
    assert_eq!(t.sources, ["127.0.0.2", "127.0.0.3"].map(|a| a.parse::<IpAddr>().unwrap()));
    assert!(load.keep_alive && t.tls.is_none() && t.protocol == Protocol::Http1);
    let plan =
        typed_plan(&["https://shop.example/", "--resolve", "shop.example:443:127.0.0.9", "-k"]);
    let plan = plan.unwrap();
    let tls = plan.load.transport.tls.as_ref().unwrap();
    assert_eq!((tls.server_name.as_str(), tls.verifies), ("shop.example", false));
    assert_eq!(plan.load.requests[0].host, "shop.example");
    let routes = format!("{:?}", plan.load.regions[0].routes);
    assert!(routes.contains("127.0.0.9:443"), "{routes}");
}

#[test]
fn streams_share_connections() {
    let closed = load_of(&["--http2", "-c", "16", "--streams", "32", "--think", "1s"]);
    let think = S(1);
    assert_eq!(closed.arrivals, Arrivals::Closed { connections: 512, think });
    assert_eq!((closed.connections_max, closed.transport.http2.streams_max), (16, 32));
    assert_eq!(closed.transport.protocol, Protocol::Http2);
    let alone = load_of(&["--http2"]);
    assert_eq!((alone.connections_max, alone.transport.http2.streams_max), (50, 1));
    let open = load_of(&["--http2", "-r", "5"]);
    assert_eq!((open.connections_max, open.transport.http2.streams_max), (4096, 100));
}

/// Command lines from the READMEs and manuals of other tools, without the tool's name.
#[test]
fn what_users_of_other_tools_type_works() {
    const U: &str = "http://127.0.0.1:1/";
    for (typed, connections, end) in [
        // hey and oha
        (&["-n", "200", "-c", "50", U][..], 50, Err(200)),
        (&["-z", "10s", "-c", "20", U], 20, Ok(10)),
        (&["-n", "10", "-c", "1", "-m", "POST", "-T", "application/json", U], 1, Err(10)),
        (
            &["-n", "10", "-c", "2", "-a", "user:pass", "-A", "text/html", "-H", "X-A: b", U],
            2,
            Err(10),
        ),
        (&["-n", "1000", "-disable-compression=true", U], 50, Err(0)),
        (&["-z", "6s", "-c", "10", "--no-tui", "--disable-keepalive", "--insecure", U], 10, Ok(6)),
        (&["--no-tui", "-z", "5s", "--connect-to", "127.0.0.1:1:127.0.0.2:2", U], 50, Ok(5)),
        (&["-n", "2k", "--http2", "--host", "shop.example", U], 50, Err(2000)),
        // wrk and wrk2
        (&["-c400", "-d30s", U], 400, Ok(30)),
        (&["-c", "100", "-d", "1m", "--latency", "--timeout", "2s", U], 100, Ok(60)),
        (&["-c100", "-d30s", "-R2000", "-L", U], 100, Ok(30)),
        (&["-c", "36", "-d", "10s", "-H", "Host: a", U], 36, Ok(10)),
        // bombardier
        (&["-c", "125", "-n", "10000", "-l", U], 125, Err(10_000)),
        (&["-c", "10", "-d", "10s", "-k", "--rate", "100", U], 10, Ok(10)),
        // h2load, ab, autocannon, curl
        (&["-n100", "-c10", U], 10, Err(100)),
        (&["-k", "-n", "100", "-c", "10", U], 10, Err(100)),
        (&["127.0.0.1:1/path?x=1", "-n", "1", "-X", "PUT", "--data", "a=b"], 50, Err(1)),
    ] {
        if typed.contains(&"-disable-compression=true") {
            let error = typed_plan(typed).unwrap_err();
            assert!(error.contains("--disable-compression"), "{error}");
            continue;
        }
        let load = typed_plan(typed).unwrap_or_else(|e| panic!("{typed:?}: {e}")).load;
        let seen = load.requests_max.map_or(Ok(load.end().0 / S(1).0), Err);
        assert_eq!((load.connections_max, seen), (connections, end), "{typed:?}");
    }
}

#[test]
fn where_it_cannot_the_error_says_what_to_type() {
    const U: &str = "http://127.0.0.1:1/";
    for (typed, says) in [
        (&["-t", "4", "-c", "64", "-d", "10s", U][..], "--threads 4 or --timeout 4s"),
        (&["-t12", "-c400", "-d30s", U], "--threads 12"),
        (&["-z", "5s", "-t", "30s", U], "--timeout 30s"),
        (&["-q", "100", U], "--rate 100"),
        (&["-c", "2", "-q", U], "--quiet"),
        (&["-m", "POST", "-d", "{\"a\":1}", U], "--data"),
        (&["-d", "10", U], "no unit"),
        (&["-D", "body.json", U], "--data @FILE"),
        (&["-h2", U], "--http2"),
        (&["-disable-keepalive", U], "--disable-keepalive"),
        (&["-cpus", "2", U], "--threads"),
        (&["-host", "shop.example", U], "--host"),
        (&["-rate=50/1s", "-duration=30s"], "--rate 50/1s"),
        (&["-keepalive=false", U], "--no-keepalive"),
        (&["-o", "csv", U], "--out csv"),
        (&["-s", "scripts/post.lua", U], "script of wrk"),
        (&["--script=post.lua", U], "script of wrk"),
        (&["-x", "http://127.0.0.1:3128", U], "proxy"),
        (&["-n100000", "-c100", "-m10", U], "--streams"),
        (&["-p", "10", U], "--http2 --streams"),
        (&["--vus", "10", U], "-c N"),
        (&["--latency-correction", U], "leave it out"),
        (&["--output-format", "json", U], "--json"),
        (&["--urls-from-file", "urls.txt"], "profile"),
        (&["--query-per-second=100", U], "--rate"),
        (&["-u", "10", U], "-c N"),
        (&["--insecure-skip-tls-verify", U], "-k"),
    ] {
        let error = typed_plan(typed).expect_err(says);
        assert!(error.contains(says) && !error.starts_with("clap"), "{typed:?}: {error}");
    }
}
