//! Services of the user's own, as a user has them: real nginx behind real HAProxy, started by brunt,
//! and a process that runs already, attached to. Both must be installed (`tests/run` does it):
//! a machine without them fails here.

use brunt::base::Nanos;
use brunt::fault::Lever;
use brunt::fleet::{Fleet, NodeState, Options};
use brunt::host::attach::Was;
use brunt::host::cgroup::Cgroups;
use brunt::host::heal::marked;
use brunt::host::journal::Story;
use brunt::host::process::{Identity, Process, Stat};
use brunt::plan::{Plan, compile};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Of waits that end by themselves; far more than they take, also on an emulated processor.
const BOUND: Duration = Duration::from_secs(60);

fn within(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of its own with a state folder of its own.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brunt"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The story of the one run that is under way.
    fn story(&self) -> Option<Story> {
        let is_run = |s: &Story| !s.header.run.starts_with("scratch-");
        Story::all(&self.path("state/brunt")).into_iter().find(is_run)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn needs_the_servers() {
    for program in ["nginx", "haproxy"] {
        let found = Command::new(program).arg("-v").output();
        assert!(found.is_ok(), "{program} is missing: apt-get install nginx-light haproxy");
    }
}

/// What is answered to `GET /`: the status, and who served it.
fn get(address: SocketAddr) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let by = answer.lines().find_map(|l| l.strip_prefix("x-served-by: ")).unwrap_or_default();
    Some((status, by.trim().to_string()))
}

/// The plan of a bundled target of services, without faults, and what must be kept while it is used.
fn plan(target: &str) -> (Plan, brunt::host::NetworkClaim) {
    let mut machine = brunt::host::resolve(17_170).unwrap();
    machine.facts.unit_cores = 0.25;
    machine.facts.period = Nanos::from_millis(20);
    let target = brunt::target::load(target).unwrap();
    let profile = brunt::profile::load("web[fault=[]]").unwrap();
    (compile(&target, &profile, 1, &machine.facts).unwrap(), machine.network)
}

#[test]
fn two_servers_behind_a_balancer_serve_while_one_is_slow_silent_or_dead() {
    needs_the_servers();
    let scene = Scene::new();
    let (plan, _network) = plan("web-two");
    let run = format!("services-{}", std::process::id());
    let work = scene.path(&format!("brunt-{run}"));
    let options = Options {
        program: env!("CARGO_BIN_EXE_brunt").into(),
        state_folder: scene.path("state"),
        ..Options::default()
    };
    let (events, _received) = channel();
    let fleet =
        Fleet::start_with(&plan, &run, &work, &scene.path("logs"), events, options).unwrap();
    let entry = plan.nodes.iter().find(|n| n.name == "haproxy-1").unwrap().listen;
    let by = |name: &'static str| move || get(entry).is_some_and(|(s, by)| s == 200 && by == name);
    within("an answer of nginx-1", by("nginx-1"));
    within("an answer of nginx-2", by("nginx-2"));

    // A throttle is seen in the kernel's counters, or in the budget's.
    let lever = Lever::CpuShare { server: "web-1".into(), to: 0.05 };
    fleet.hold("slow", &lever).unwrap();
    let throttled = || fleet.usage().iter().find(|u| u.node == "nginx-1").unwrap().server_throttled;
    let before = throttled();
    within("nginx-1 is throttled", || {
        let address = plan.nodes.iter().find(|n| n.name == "nginx-1").unwrap().listen;
        // More work at once than a period has room for.
        (0..50).for_each(|_| drop(get(address)));
        throttled() > before
    });
    let proof = fleet.release("slow").unwrap().proof;
    assert!(proof.contains("throttled for"), "{proof}");

    // Power off: silent at first, then dead. The other one answers, and nothing else does.
    let first = fleet.process_of("nginx-1").unwrap();
    let freeze = Lever::Freeze { server: "web-1".into() };
    fleet.hold("off", &freeze).unwrap();
    assert_eq!(fleet.node_state("nginx-1"), Some(NodeState::Paused));
    within("nginx-1 is out", || {
        (0..10).all(|_| get(entry).is_some_and(|(s, by)| s == 200 && by == "nginx-2"))
    });
    fleet.kill_server("web-1").unwrap();
    fleet.release("off").unwrap();
    assert!(!first.is_alive());
    fleet.start_server("web-1").unwrap();
    fleet.await_ready_again("nginx-1").unwrap();
    within("nginx-1 is back", by("nginx-1"));

    // Killed alone: its workers must not go on serving without it.
    fleet.kill_node("nginx-1").unwrap();
    let address = plan.nodes.iter().find(|n| n.name == "nginx-1").unwrap().listen;
    within("nobody serves in its place", || TcpStream::connect(address).is_err());
    fleet.start_node("nginx-1").unwrap();
    fleet.await_ready_again("nginx-1").unwrap();
    assert!(fleet.terminate_node("nginx-1").unwrap().proof.contains("status 0"));
    fleet.start_node("nginx-1").unwrap();
    fleet.await_ready_again("nginx-1").unwrap();

    let log = std::fs::read_to_string(scene.path("logs/haproxy-1.log")).unwrap();
    assert!(log.contains("nginx-1 is DOWN"), "{log}");
    assert_eq!(fleet.shutdown(), Vec::<String>::new());
    assert!(marked(&run).is_empty());
    assert!(TcpStream::connect(entry).is_err());
    assert!(!work.exists());
}

const PROFILE: &str = r#"
in_time = "500ms"
timeout = "2s"
[steady]
in_time = 0.5
[[phase]]
name = "calm"
lasts = "1s"
rate = "50/s"
[[phase]]
name = "load"
lasts = "LASTS"
rate = "50/s"
[[request]]
name = "page"
weight = 1
path = "/"
"#;

fn profile(lasts: &str, faults: &str) -> String {
    format!("{}{faults}", PROFILE.replace("LASTS", lasts))
}

#[test]
fn brunt_loads_what_it_started_and_leaves_nothing() {
    needs_the_servers();
    let scene = Scene::new();
    let faults = r#"
[[fault]]
name = "off"
kind = "power-off"
on = "server:nginx-1"
at = "1s"
lasts = "1s"
"#;
    scene.write("short.toml", &profile("4s", faults));
    let output = scene.run(&["run", "web-two", "-p", "short.toml", "-o", "record", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    let ledger = &said["ledger"];
    assert!(ledger["ok"].as_u64().unwrap() > 100, "{ledger}");
    assert_eq!(said["faults"][0]["skipped"], Value::Null, "{}", said["faults"]);
    assert!(said["faults"][0]["healed_at_s"].as_f64().unwrap() >= 2.0, "{}", said["faults"]);
    assert_eq!(said["cpu"]["expected_capacity_per_s"], Value::Null, "{}", said["cpu"]);
    let manifest = std::fs::read_to_string(scene.path("record/manifest.json")).unwrap();
    assert!(manifest.contains("listen {address};"), "the template is in the record");
    let folder = scene.folder.path().display().to_string();
    assert!(!manifest.contains(&folder), "no path of this machine is");
    assert!(scene.story().is_none(), "no journal is left");
    let healed = scene.run(&["heal"]);
    assert!(String::from_utf8_lossy(&healed.stdout).contains("nothing was left"), "{healed:?}");
}

#[test]
fn what_does_not_become_ready_is_shown_with_its_last_words() {
    let scene = Scene::new();
    scene.write("p.toml", &profile("1s", ""));
    let target = |start: &str| {
        format!(
            "public = {{ entry = [\"shop\"] }}\n[server.s]\n[[server.s.node]]\nrole = \"shop\"\n\
             ready_within = \"500ms\"\n{start}\n"
        )
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"", taken.local_addr().unwrap());
    for (start, says) in [
        ("start = { command = [\"sh\", \"-c\", \"echo no database; exit 3\"] }", "no database"),
        ("start = { command = [\"sh\", \"-c\", \"echo waiting; exec sleep 60\"] }", "waiting"),
        ("start = { command = [\"sleep\", \"60\"] }", "a connection to 127."),
        ("start = { command = [\"no-such-program\"] }", "no-such-program"),
        ("start = { command = [\"./beside\"] }", "beside"),
        ("start = { command = [\"sleep\", \"${env:NOT_SET_HERE}\"] }", "NOT_SET_HERE is not set"),
        (
            &format!("{listen}\nstart = {{ command = [\"sleep\", \"60\"] }}"),
            "somebody else listens",
        ),
        ("start = { attach = { port = 1 } }", "nothing listens on TCP port 1"),
    ] {
        scene.write("t.toml", &target(start));
        let _ = std::fs::remove_dir_all(scene.path("record"));
        let output = scene.run(&["run", "./t.toml", "-p", "p.toml", "-o", "record"]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{start}: {text}");
        assert!(text.contains(says), "{start}: {text}");
        assert!(scene.story().is_none(), "{start}: a journal is left");
    }
}

/// A process of the user's own, in a session of its own, that serves HTTP.
struct Own {
    child: Child,
    address: SocketAddr,
    was: Was,
}

impl Own {
    fn start(scene: &Scene) -> Own {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let listen = address.to_string();
        let mut command = Command::new("setsid");
        command.arg(env!("CARGO_BIN_EXE_brunt"));
        command.args(["serve", "known", "--listen", &listen, "--service", "fixed:1ms", "--spin"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.current_dir(scene.folder.path()).spawn().unwrap();
        within("the user's own server", || TcpStream::connect(address).is_ok());
        let was = Was::of(&Process::of_child(child.id() as i32).unwrap()).unwrap();
        Own { child, address, was }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn state(&self) -> char {
        Stat::read(self.pid()).expect("it runs").state
    }

    fn now(&self) -> Was {
        Was::of(&Process::open(self.was.process).expect("it runs")).unwrap()
    }

    /// Alive, not stopped, in its old group, on its old cores, with its old limits; and it serves.
    fn is_as_it_was(&self) -> bool {
        let now = self.now();
        let cores = &self.was.threads[0].1;
        now.cpu_group == self.was.cpu_group
            && now.open_files == self.was.open_files
            && now.threads.iter().all(|(_, on)| on == cores)
            && self.state() != 'T'
            && self.serves()
    }

    fn serves(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
            let mut first = [0u8; 12];
            stream.read_exact(&mut first)?;
            Ok(&first == b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }

    fn target(&self, allow: &str) -> String {
        self.target_by(&format!("port = {}", self.address.port()), allow)
    }

    fn target_by(&self, how: &str, allow: &str) -> String {
        format!(
            "public = {{ entry = [\"own\"] }}\n[attach]\nallow = [{allow}]\nmax_duration = \"1m\"\n\
             [server.own]\n[[server.own.node]]\nrole = \"own\"\nlisten = \"{}\"\n\
             start = {{ attach = {{ {how} }} }}\n",
            self.address
        )
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A while after the calm, of which something must have been measured by then.
fn fault(name: &str, kind: &str, lasts: &str) -> String {
    format!(
        "[[fault]]\nname = \"{name}\"\n{kind}\non = \"own-1\"\nat = \"2s\"\nlasts = \
         \"{lasts}\"\n"
    )
}

/// The last one as on a machine where no cgroup is writable.
const KINDS: [(&str, &str); 4] = [
    ("files", "kind = \"descriptors\"\nto = 40"),
    ("pause", "kind = \"pause\""),
    ("slow", "kind = \"throttle\"\nto = 0.2"),
    ("spent", "kind = \"throttle\"\nto = 0.2"),
];

fn without_cgroups(name: &str, command: &mut Command) {
    if name == "spent" {
        command.env("BRUNT_WITHOUT_CGROUPS", "1");
    }
}

#[test]
fn an_attached_process_is_left_exactly_as_it_was() {
    let scene = Scene::new();
    let own = Own::start(&scene);
    scene.write("own.toml", &own.target("\"pause\", \"throttle\", \"descriptors\""));
    for (name, kind) in KINDS {
        scene.write("p.toml", &profile("3s", &fault(name, kind, "700ms")));
        let mut command =
            scene.command(&["run", "./own.toml", "-p", "p.toml", "-o", name, "--json"]);
        without_cgroups(name, &mut command);
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
        eprintln!("{name}: {} | {}", said["faults"][0]["mechanism"], said["faults"][0]["proof"]);
        assert_eq!(said["faults"][0]["skipped"], Value::Null, "{}", said["faults"]);
        assert!(said["faults"][0]["healed_at_s"].as_f64().unwrap() >= 2.7, "{}", said["faults"]);
        within("it is as it was", || own.is_as_it_was());
        assert!(scene.story().is_none());
    }
    // What the target does not allow, or could not be undone, is refused before anything runs.
    scene.write("p.toml", &profile("2s", &fault("end", "kind = \"kill\"", "1s")));
    let refused = scene.run(&["run", "./own.toml", "-p", "p.toml", "-o", "refused"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("could not bring it back"), "{}", stderr(&refused));
    assert!(own.is_as_it_was());
}

#[test]
fn what_is_in_a_cgroup_is_found_by_it_and_goes_back_into_it() {
    let groups = Cgroups::probe(&format!("own-{}", std::process::id()));
    let Ok(group) = groups.create("own") else {
        assert!(!rustix::process::geteuid().is_root(), "root can make a group here");
        return eprintln!("NOT TESTED as this user: no cgroup can be made");
    };
    let scene = Scene::new();
    let mut own = Own::start(&scene);
    for folder in group.folders() {
        std::fs::write(folder.join("cgroup.procs"), own.pid().to_string()).unwrap();
    }
    own.was = own.now();
    let how = format!("cgroup = \"{}\"", group.folders()[0].display());
    scene.write("own.toml", &own.target_by(&how, "\"pause\", \"throttle\""));
    for (name, kind) in &KINDS[1..3] {
        scene.write("p.toml", &profile("3s", &fault(name, kind, "700ms")));
        let output = scene.run(&["run", "./own.toml", "-p", "p.toml", "-o", name, "--json"]);
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
        eprintln!("{name}: {} | {}", said["faults"][0]["mechanism"], said["faults"][0]["proof"]);
        assert_eq!(said["faults"][0]["skipped"], Value::Null, "{}", said["faults"]);
        within("it is as it was", || own.is_as_it_was());
        assert!(scene.story().is_none());
    }
    drop(own);
    assert_eq!(groups.remove_all(), Vec::<String>::new());
}

#[test]
fn after_brunt_and_its_keeper_were_killed_heal_gives_the_process_back() {
    let scene = Scene::new();
    let own = Own::start(&scene);
    scene.write("own.toml", &own.target("\"pause\", \"throttle\", \"descriptors\""));
    for (name, kind) in KINDS {
        scene.write("p.toml", &profile("50s", &fault(name, kind, "40s")));
        let mut command =
            scene.command(&["run", "./own.toml", "-p", "p.toml", "-o", name, "--quiet"]);
        without_cgroups(name, &mut command);
        let mut brunt = command.stdout(Stdio::null()).spawn().unwrap();
        let is_held = || scene.story().is_some_and(|s| !s.held().is_empty());
        within("the fault is in the journal", is_held);
        within("the process feels it", || {
            let now = own.now();
            let is_changed =
                now.cpu_group != own.was.cpu_group || now.open_files != own.was.open_files;
            is_changed || own.state() == 'T'
        });
        let keeper = scene.story().unwrap().header.keeper;
        let both = [keeper, Identity::of(brunt.id() as i32).unwrap()];
        // Stopped first: neither has a chance to undo anything for the other.
        for signal in [Signal::STOP, Signal::KILL] {
            for identity in both {
                Process::open(identity).unwrap().signal(signal).unwrap();
            }
        }
        brunt.wait().unwrap();
        within("the keeper is gone", || !keeper.is_alive());
        // Stop-when-spent may have stopped it or not; a pause has, and a group of brunt's is there.
        assert!(name == "spent" || !own.is_as_it_was(), "{name}");
        let said = scene.run(&["heal"]);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        eprintln!("{text}");
        assert_eq!(said.status.code(), Some(0), "{text}");
        assert!(text.contains(&format!("`{name}@own-1`")), "{text}");
        within("it is as it was", || own.is_as_it_was());
        assert!(scene.story().is_none());
    }
}

#[test]
fn brunt_does_not_attach_to_what_it_hangs_on() {
    let scene = Scene::new();
    scene.write("p.toml", &profile("1s", ""));
    let attach = |pid: i32| {
        scene.write("pid", &format!("{pid}\n"));
        let file = scene.path("pid").display().to_string();
        let target = format!(
            "public = {{ entry = [\"own\"] }}\n[server.own]\n[[server.own.node]]\nrole = \"own\"\n\
             listen = \"127.0.0.1:9\"\nstart = {{ attach = {{ pid_file = \"{file}\" }} }}\n"
        );
        scene.write("own.toml", &target);
        let _ = std::fs::remove_dir_all(scene.path("record"));
        let output = scene.run(&["run", "./own.toml", "-p", "p.toml", "-o", "record"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(attach(1).contains("process 1"));
    assert!(attach(std::process::id() as i32).contains("brunt itself runs below it"));
    let mut stopped = Command::new("sleep").arg("100").spawn().unwrap();
    let held = Process::of_child(stopped.id() as i32).unwrap();
    held.signal(Signal::STOP).unwrap();
    within("it is stopped", || Stat::read(held.identity.pid).is_some_and(|s| s.state == 'T'));
    assert!(attach(held.identity.pid).contains("stopped already"));
    stopped.kill().unwrap();
    stopped.wait().unwrap();
    if rustix::process::geteuid().is_root() {
        let mut other = nobody(&["sleep", "100"]);
        let pid = other.id() as i32;
        within("it is nobody's", || {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == 65_534)
        });
        assert!(attach(pid).contains("--i-own-these"));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

fn nobody(command: &[&str]) -> Child {
    use std::os::unix::process::CommandExt;
    Command::new(command[0]).args(&command[1..]).uid(65_534).spawn().unwrap()
}
