//! What profiles become, and what of them is refused.

use super::*;
use crate::plan::{compile, explain};
use crate::workload::Shape;

const PROFILE: &str = r#"
in_time = "250ms"

[transport]
requests_per_connection = 100
connect_timeout = "1s"

[[phase]]
name = "steps"
lasts = "10s"
from = "100/s"
rate = "500/s"
shape = "steps"
levels = 5

[[phase]]
name = "wave"
lasts = "60s"
from = "100/s"
rate = "300/s"
shape = "sine"
period = "30s"

[[phase]]
name = "crowd"
lasts = "60s"
from = "50/s"
rate = "1k/s"
shape = "spike"
decay = "20s"

[[request]]
name = "login"
weight = 1
method = "post"
path = "/login/{users.name}?n={n}"
headers = { X-Trace = "{trace}", X-Mail = "{users.mail}" }
body_file = "login.json"
expect = { status = [200, 201], body_contains = "ok", json = { pointer = "/ok", equals = true } }

[[request]]
name = "upload"
weight = 1
method = "PUT"
path = "/upload"
body_file = "picture.bin"

[feeder.users]
file = "users.csv"
order = "sequential"

[value.n]
sequence = { from = 7 }

[value.trace]
uuid = {}
"#;

const CLOSED: &str = r#"
in_time = "1s"
arrivals = "closed"
connections = 20
think = "500ms"
phase = [{ name = "all", lasts = "10s" }]
request = [{ name = "a", weight = 1, path = "/" }]
"#;

/// Loads a profile from a folder with the files that it names.
fn profile(text: &str) -> Result<Profile, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    };
    write("p.toml", text.as_bytes());
    write("users.csv", b"name,mail\nann,ann@x.test\nbob,bob@x.test\n");
    write("broken.csv", b"name,mail\nann,\"a\nb\"\n");
    write("login.json", br#"{"name":"{users.name}"}"#);
    write("picture.bin", &[0, 255, 1]);
    let path = folder.path().join("p.toml").display().to_string();
    let named = |e: crate::profile::ProfileError| e.to_string();
    crate::profile::load(&path)
        .map_err(|e| named(e).replace(&format!("{}/", folder.path().display()), ""))
}

fn plan(text: &str, target: &str) -> Result<crate::plan::Plan, String> {
    let host = HostFacts { unit_cores: 0.1, network: (77, 1), port: 18080, ..HostFacts::default() };
    let target = crate::target::load(target).unwrap();
    compile(&target, &profile(text).unwrap(), 1, &host).map_err(|e| e.to_string())
}

#[test]
fn a_profile_with_everything_becomes_a_plan() {
    let plan = plan(PROFILE, "http://127.0.0.1:1/").unwrap();
    let load = &plan.load;
    let shapes: Vec<Shape> = load.phases.iter().map(|p| p.shape).collect();
    let (period, decay) = (Nanos::from_secs(30), Nanos::from_secs(20));
    assert_eq!(
        shapes,
        [Shape::Steps { levels: 5 }, Shape::Sine { period }, Shape::Spike { decay }]
    );
    assert!((load.phases[1].mean_rate() - 200.0).abs() < 1e-9);
    assert_eq!(load.phases[1].rate_at(Nanos::from_secs(25)).round(), 300.0);
    assert!(!load.phases[1].is_level(0.1));
    let login = &load.requests[0];
    assert_eq!(login.body.as_deref(), Some(r#"{"name":"{users.name}"}"#));
    assert_eq!(login.expects.len(), 3);
    assert_eq!(load.requests[1].body_base64.as_deref(), Some("AP8B"));
    let names: Vec<&str> = load.values.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["n", "trace", "users.name", "users.mail"]);
    assert_eq!((load.feeders[0].n_rows, load.feeders[0].rows.len()), (2, 2));
    assert_eq!(load.transport.requests_per_connection, Some(100));
    assert_eq!(load.transport.tls, None);
    let words = explain(&plan);
    for part in [
        "100/s to 500/s in 5 level steps",
        "a wave from 100/s to 300/s and back, every 30s",
        "jumps to 1000/s and falls back towards 50/s, by 63 % in 20s",
        "each closed after 100 requests",
        "its status must be 200 or 201",
        "values of users (name, mail) from 2 rows",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let text = serde_json::to_string(&load.redacted()).unwrap();
    assert!(!text.contains("ann@x.test"), "a record keeps no rows");
    assert_eq!(serde_json::from_str::<LoadPlan>(&text).unwrap(), load.redacted());
}

#[test]
fn a_closed_loop_is_told_by_its_connections() {
    let plan = plan(CLOSED, "http://127.0.0.1:1/").unwrap();
    let think = Nanos::from_millis(500);
    assert_eq!(plan.load.arrivals, Arrivals::Closed { connections: 20, think });
    assert_eq!(plan.load.connections_max, 20);
    let words = explain(&plan);
    assert!(words.contains("closed loop of 20 connections"), "{words}");
    assert!(!words.contains("0/s"), "{words}");
}

#[test]
fn https_makes_tls_and_the_stack_refuses_it() {
    let tls = |text: &str| format!("{text}\n[transport]\n");
    let insecure = tls(CLOSED) + "insecure = true";
    let plan_of = |target: &str| plan(&insecure, target);
    let secure = plan_of("https://127.0.0.1:1/").unwrap().load.transport.tls.unwrap();
    assert_eq!((secure.server_name.as_str(), secure.verifies), ("127.0.0.1", false));
    assert!(plan_of("garage").unwrap_err().contains("`transport.insecure`"));
    let http2 = tls(CLOSED) + "protocol = \"http2\"\nhttp2 = { streams = 8 }";
    assert!(plan(&http2, "garage").unwrap_err().contains("not HTTP/2"));
    let transport = plan(&http2, "http://127.0.0.1:1/").unwrap().load.transport;
    assert_eq!((transport.protocol, transport.http2.streams_max), (Protocol::Http2, 8));
}

#[test]
fn what_cannot_work_is_refused_with_its_line_and_key() {
    for (from, to, part) in [
        ("levels = 5", "", "p.toml:9: `phase.steps.levels`: is needed by the shape `steps`"),
        ("levels = 5", "levels = 1", "p.toml:14: `phase.steps.levels`: use 2 levels or more"),
        ("shape = \"sine\"", "", "`phase.wave.period`: is needed by the shape `sine`, and only"),
        ("from = \"50/s\"\n", "", "`phase.crowd.from`: is needed by this shape"),
        ("decay = \"20s\"", "decay = \"0s\"", "`phase.crowd.decay`: must be above 0"),
        ("rate = \"1k/s\"\n", "", "`phase.crowd.rate`: there is no rate"),
        ("rate = \"1k/s\"", "rate = \"11M/s\"", "`phase.crowd.rate`: is more than brunt"),
        ("file = \"users.csv\"", "file = \"no.csv\"", "`feeder.users.file`: cannot read no.csv"),
        (
            "{users.name}?",
            "{users.nam}?",
            "`{users.nam}` is not a column of users.csv; it has name",
        ),
        ("{users.name}?", "{user.name}?", "`{user.name}` has no [feeder] of that name"),
        ("\"login.json\"", "\"no.json\"", "`request.login.body_file`: cannot read no.json"),
        ("users.csv", "broken.csv", "`request.login.headers`: X-Mail: `{users.mail}`, number 1"),
        ("status = [200, 201]", "status = 7", "`request.login.expect`: 7 is not the status"),
        ("shape = \"sine\"", "shape = \"sin\"", "did you mean `sine`?"),
        ("in_time", "think = \"1s\"\nin_time", "`think`: is for `arrivals = \"closed\"`"),
    ] {
        assert!(PROFILE.contains(from), "{from}");
        let error = profile(&PROFILE.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(part), "{error}\nwithout {part}");
    }
    for (from, to, part) in [
        ("connections = 20", "", "`connections`: a closed loop needs"),
        ("connections = 20", "connections = 0", "`connections`: use 1 to 1000000"),
        ("lasts = \"10s\"", "lasts = \"10s\", rate = \"5/s\"", "a closed loop has no rate"),
    ] {
        let error = profile(&CLOSED.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
