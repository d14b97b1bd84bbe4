//! Targets of the user's own programs: what is taken, and what is refused where and with what advice.

use super::*;

const GOOD: &str = r#"
[public]
entry = ["proxy"]

[server.web]
count = 2
units = 1
[[server.web.node]]
role = "web"
ready = { http = "/healthz" }
start = { command = ["python3", "-m", "http.server", "{port}", "-b", "{host}"], env = { A = "${env:HOME}" } }

[server.front]
cores = 0.5
[[server.front.node]]
role = "proxy"
needs = ["web"]
listen = "127.0.0.1:18081"
start = { command = ["./proxy", "{address}", "{peer:web-1}", "{peer:web-2}", "{{x}}"] }
"#;

const ATTACHED: &str = r#"
[public]
entry = ["shop"]
[attach]
allow = ["pause", "throttle"]
max_duration = "30s"
[server.shop]
[[server.shop.node]]
role = "shop"
start = { attach = { port = 8080 } }
"#;

fn refusal(text: &str) -> String {
    read("t.toml", text, &[]).unwrap_err().to_string()
}

#[test]
fn commands_of_the_users_own_are_taken() {
    let target = read("t.toml", GOOD, &[]).unwrap();
    let web = &target.server["web"].node[0];
    assert_eq!(web.role(), Role::service("web"));
    assert_eq!(web.ready, Some(Ready::Http("/healthz".into())));
    assert_eq!(target.count(Role::service("web")), 2);
    assert!(!target.has_bundled());
    let Start::Command(command) = &web.start else { panic!("{:?}", web.start) };
    assert_eq!(command.command[3], "{port}");
    let target = read("t.toml", ATTACHED, &[]).unwrap();
    assert_eq!(target.server["shop"].node[0].start, Start::Attach(Attach::Port(8080)));
}

/// Each line of `GOOD` or `ATTACHED` that is changed, and what the refusal says.
#[test]
fn every_key_is_refused_with_its_line_and_what_to_do() {
    let node = "t.toml:8: `server.web.node[0]";
    for (was, is, place, says) in [
        (
            "role = \"web\"",
            "role = \"Web\"",
            "t.toml:9: `server.web.node[0].role`",
            "small letters",
        ),
        ("role = \"web\"", "role = \"web-2\"", "t.toml:9:", "without a number"),
        ("role = \"web\"", "role = \"relay\"", "t.toml:9:", "another name"),
        ("{ http = \"/healthz\" }", "{ http = \"healthz\" }", "t.toml:10:", "/healthz"),
        ("{ http = \"/healthz\" }", "{ tcp = false }", "t.toml:10:", "tcp = true"),
        ("{ http = \"/healthz\" }", "{ resp = \" \" }", "t.toml:10:", "PING"),
        ("{ http = \"/healthz\" }", "{ command = [] }", "t.toml:10:", "PROGRAM"),
        ("{ http = \"/healthz\" }", "{ htp = \"/\" }", "t.toml:10:", "did you mean `http`"),
        ("ready =", "ready_within = \"1h\"\nready =", "t.toml:10:", "at most 10m"),
        ("ready =", "ready_within = 5\nready =", "t.toml:10:", "250ms"),
        ("ready =", "listen = \"127.0.0.1:80\"\nready =", "t.toml:10:", "{address}"),
        ("127.0.0.1:18081", "localhost", "t.toml:18: `server.front.node[0].listen`", "127.0.0.1:"),
        ("127.0.0.1:18081", "0.0.0.0:80", "t.toml:18:", "visitors dial"),
        ("127.0.0.1:18081", "127.0.0.1:0", "t.toml:18:", "visitors dial"),
        ("{ command = [\"python3\"", "{ comand = [\"python3\"", "t.toml:11:", "`command`"),
        ("\"python3\", ", "\"\", ", "t.toml:11:", "PROGRAM"),
        ("{port}", "{prot}", "t.toml:11:", "{address}"),
        ("${env:HOME}", "${env:HO-ME}", "t.toml:11:", "${env:NAME}"),
        ("{ A =", "{ \"A=\" =", "t.toml:11:", "variable"),
        ("env = {", "files = { \"../x\" = \"y\" }, env = {", "t.toml:11:", "inside the node's"),
        ("env = {", "files = { \"x\" = \"none\" }, env = {", "t.toml:11:", "cannot read `none`"),
        ("{peer:web-2}", "{peer:web-3}", "t.toml:19:", "no node `web-3`"),
        ("needs = [\"web\"]", "needs = []", "t.toml:19:", "add `web`"),
        ("needs = [\"web\"]", "needs = [\"wbe\"]", "t.toml:17:", "no server has one"),
        ("cores = 0.5", "cores = 0", "t.toml:14: `server.front.cores`", "above 0"),
        ("cores = 0.5", "cores = 1\nunits = 1", "t.toml:14:", "one of them"),
        ("[\"proxy\"]", "[\"prox\"]", "t.toml:3: `public.entry`", "did you mean `proxy`"),
        ("[\"proxy\"]", "[\"web\"]", "t.toml:3:", "`web-1`"),
        ("[\"proxy\"]", "[\"web-1\", \"proxy\"]", "t.toml:3:", "name one"),
        (
            "start = { command = [\"python3\"",
            "start = { x = [\"python3\"",
            "t.toml:11:",
            "`attach`",
        ),
        ("start = { command = [\"./proxy\"", "#", node, "role of the bundled stack"),
    ] {
        // The last case leaves `web` as it is and makes the other one bundled.
        let place = if is == "#" { "t.toml:16: `server.front.node[0].role`" } else { place };
        assert!(GOOD.contains(was), "{was}");
        let error = refusal(&GOOD.replace(was, is));
        assert!(error.starts_with(place), "{is}: {error}");
        assert!(error.contains(says), "{is}: {error}");
    }
}

#[test]
fn what_is_attached_to_is_hedged_with_rules() {
    let start = "start = { attach = { port = 8080 } }";
    for (was, is, place, says) in [
        ("\"pause\", ", "\"kill\", ", "t.toml:5: `attach.allow`", "undo (pause, throttle"),
        ("max_duration = \"30s\"", "", "t.toml:4: `attach`", "missing field `max_duration`"),
        ("\"30s\"", "\"0s\"", "t.toml:6: `attach.max_duration`", "30s"),
        ("[server.shop]", "[server.shop]\nunits = 1", "t.toml:11:", "leave out `units`"),
        ("[server.shop]", "[server.shop]\ncount = 2", "t.toml:11:", "no `count`"),
        (start, "start = { attach = { port = 0 } }", "t.toml:10:", "1 to 65535"),
        (start, "start = { attach = { pid_file = \"/run/x\" } }", "t.toml:8:", "127.0.0.1:8080"),
        (
            start,
            "start = { attach = { pidfile = \"/x\" } }",
            "t.toml:10:",
            "did you mean `pid_file`",
        ),
        (start, "start = { attach = { port = 1 }, env = {} }", "t.toml:10:", "belong to a command"),
        (start, "start = { command = [\"x\"] }", "t.toml:5: `attach.allow`", "leave [attach] out"),
    ] {
        assert!(ATTACHED.contains(was), "{was}");
        let error = refusal(&ATTACHED.replace(was, is));
        assert!(error.starts_with(place), "{is}: {error}");
        assert!(error.contains(says), "{is}: {error}");
    }
}

#[test]
fn a_template_is_refused_in_its_own_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.in"), "listen {address};\nroot {fodler};\n").unwrap();
    let file = folder.path().join("t.toml");
    let text = GOOD.replace("env = {", "files = { \"x.conf\" = \"x.in\" }, env = {");
    let error = read(file.to_str().unwrap(), &text, &[]).unwrap_err().to_string();
    assert!(error.contains("x.in:2: `{fodler}` is not known"), "{error}");
}

#[test]
fn the_worked_example_is_in_the_binary() {
    let text = bundled::file("web/nginx.conf.in").unwrap();
    assert!(text.contains("listen {address}"));
    for name in ["web-one", "web-two"] {
        let target = load(name).unwrap();
        assert_eq!(target.budget_units(), 2.5);
        let Start::Command(command) = &target.server["web"].node[0].start else { panic!() };
        assert_eq!(command.files["nginx.conf"].text, text);
    }
}
