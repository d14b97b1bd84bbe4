//! The keeper with real processes: what runs, what is limited, and that nothing outlives brunt.
//! Nodes are stand-ins written in shell; the keeper is the real binary.

use brunt::base::Nanos;
use brunt::fault::{Lever, NodeRule};
use brunt::fleet::{Fleet, FleetEvent, NodeState, Stamp};
use brunt::host::process::{Process, boot_id};
use brunt::plan::{LinkPlan, NodePlan};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[path = "support/stage.rs"]
mod support;
use support::{
    BOUND, WITH_CHILD, assert_clean, groups_of, is_clean, options, plan, run_id, stage, within,
};

const IDLE: &str = "exec sleep 1000";
const SPIN: &str = "while :; do :; done";

#[test]
fn nodes_run_and_end_without_a_trace() {
    for without_cgroups in [false, true] {
        let plan = plan(&[("s1", 0.5, &["a", "b"]), ("s2", 0.5, &["c"])]);
        let began = Instant::now();
        let stage = stage(&format!("plain-{without_cgroups}"), &plan, WITH_CHILD, without_cgroups);
        eprintln!("three nodes were ready after {:?}", began.elapsed());
        assert_eq!(stage.fleet.nodes(), ["a", "b", "c"]);
        assert_eq!(stage.fleet.servers(), ["s1", "s2"]);
        for node in ["a", "b", "c"] {
            assert_eq!(stage.fleet.node_state(node), Some(NodeState::Ready));
            assert!(stage.process(node).is_alive());
        }
        assert!(stage.folder.path().join("work/data").is_dir());
        let usage = stage.fleet.usage();
        assert_eq!(usage.len(), 3);
        assert!(usage.iter().all(|u| u.process.is_some_and(|p| p.resident.0 > 0)), "{usage:?}");
        let has_groups = !groups_of(&stage.run).is_empty();
        assert!(!(without_cgroups && has_groups));
        assert!(has_groups || stage.fleet.quota_mechanism() == "stop-when-spent");
        // Shells, and what each left behind in a session of its own.
        assert!(within(|| brunt::host::heal::marked(&stage.run).len() == 6));
        stage.end();
    }
}

#[test]
fn each_operation_is_seen_to_have_its_effect() {
    for without_cgroups in [false, true] {
        let plan = plan(&[("s1", 0.5, &["a", "b"])]);
        let stage = stage(&format!("ops-{without_cgroups}"), &plan, IDLE, without_cgroups);
        let fleet = &stage.fleet;
        let first = stage.process("a");

        let stamp = fleet.hold("p", &Lever::Pause { node: "a".into() }).unwrap();
        assert!(stamp.before <= stamp.after && stamp.proof.contains("stopped"), "{stamp:?}");
        assert_eq!(fleet.node_state("a"), Some(NodeState::Paused));
        fleet.release("p").unwrap();
        assert_eq!(fleet.node_state("a"), Some(NodeState::Ready));

        assert_eq!(fleet.kill_node("a").unwrap().proof, "exited by signal 9");
        assert!(fleet.kill_node("a").is_err());
        assert!(!first.is_alive());
        assert_eq!(fleet.node_state("a"), Some(NodeState::Down));
        stage.await_event(
            |e| matches!(e, FleetEvent::Exited { node, expected: true, .. } if node == "a"),
        );
        assert_eq!(fleet.node_state("a"), Some(NodeState::Down));
        fleet.start_node("a").unwrap();
        stage.await_event(|e| matches!(e, FleetEvent::Ready { node, .. } if node == "a"));
        assert!(fleet.start_node("a").is_err());

        assert_eq!(fleet.terminate_node("b").unwrap().proof, "exited by signal 15");
        fleet.start_node("b").unwrap();

        let frozen = freeze(fleet);
        assert_eq!(fleet.node_state("a"), Some(NodeState::Paused));
        fleet.release("f").unwrap();
        freeze(fleet);
        assert!(fleet.start_node("a").is_err());
        let killed = fleet.kill_server("s1").unwrap();
        eprintln!("{frozen:?}\n{killed:?}");
        assert_eq!(fleet.node_state("a"), Some(NodeState::Down));
        assert!(fleet.start_node("a").is_err());
        fleet.release("f").unwrap();
        fleet.start_server("s1").unwrap();
        assert!(within(|| fleet.node_state("b") == Some(NodeState::Ready)));

        let share = |to| Lever::CpuShare { server: "s1".into(), to };
        let tenth = fleet.hold("tenth", &share(0.1)).unwrap();
        assert!(tenth.proof.contains("1000"), "{tenth:?}");
        // The strongest of two wins, and taking one off leaves the other.
        let half = fleet.hold("half", &share(0.5)).unwrap();
        assert!(half.proof.contains(" 1000"), "{half:?}");
        let half = fleet.release("tenth").unwrap();
        assert!(half.proof.contains("5000"), "{half:?}");
        let whole = fleet.release("half").unwrap();
        assert!(whole.proof.contains("10000"), "{whole:?}");
        assert!(fleet.hold("none", &share(0.0)).is_err());
        let nobody = Lever::CpuShare { server: "nobody".into(), to: 0.5 };
        assert!(fleet.hold("nobody", &nobody).is_err());
        assert_eq!(fleet.release("nobody").unwrap().proof, "was not held");
        let cores = Lever::CpuCores { server: "s1".into(), to: 1.0 };
        assert!(fleet.hold("cores", &cores).unwrap_err().to_string().contains("takes nothing"));
        stage.end();
    }
}

#[test]
fn who_ignores_sigterm_is_killed_and_it_is_said() {
    let plan = plan(&[("s1", 0.5, &["a"])]);
    let stage = stage("stubborn", &plan, "trap '' TERM; while :; do sleep 1; done", false);
    let stamp = stage.fleet.terminate_node("a").unwrap();
    assert_eq!(stamp.proof, "killed 10s after SIGTERM: exited by signal 9");
    assert_eq!(stage.fleet.node_state("a"), Some(NodeState::Down));
    stage.end();
}

/// The node's admin side is played by the test: it hears a rule and does not answer in time.
#[test]
fn a_rule_that_was_not_answered_is_taken_off_all_the_same() {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(&[("s1", 0.5, &["a"])]);
    plan.nodes[0].admin = admin.local_addr().unwrap();
    let stage = stage("unanswered", &plan, IDLE, false);
    let rule = NodeRule::Errors { share: 1.0, status: 503 };
    let lever = Lever::Node { node: "a".into(), rule };
    let fleet = &stage.fleet;
    let error = fleet.hold("late", &lever).unwrap_err().to_string();
    assert!(error.contains("PUT /faults/late"), "{error}");
    std::thread::scope(|scope| {
        let released = scope.spawn(|| fleet.release("late").unwrap().proof);
        let hear = || {
            let (mut stream, _) = admin.accept().unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).unwrap();
            (stream, String::from_utf8_lossy(&head[..n]).into_owned())
        };
        let (_put, heard) = hear();
        assert!(heard.starts_with("PUT /faults/late "), "{heard}");
        let (mut stream, heard) = hear();
        assert!(heard.starts_with("DELETE /faults/late "), "{heard}");
        let body = r#"{"proof":"failed 2 of 2"}"#;
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        drop(stream);
        assert_eq!(released.join().unwrap(), "failed 2 of 2");
    });
    // One whose process is gone is gone with it.
    fleet.hold("lost", &lever).unwrap_err();
    drop(admin);
    fleet.kill_node("a").unwrap();
    assert!(within(|| fleet.node_state("a") == Some(NodeState::Down)));
    assert_eq!(fleet.release("lost").unwrap().proof, "ended with a");
    stage.end();
}

fn freeze(fleet: &Fleet) -> Stamp {
    fleet.hold("f", &Lever::Freeze { server: "s1".into() }).unwrap()
}

#[test]
fn an_unexplained_exit_is_repaired_after_the_repair_time() {
    let stage = stage("repair", &plan(&[("s1", 0.5, &["a"])]), IDLE, false);
    let first = stage.process("a");
    let ended = Process::open(first).unwrap();
    ended.signal(rustix::process::Signal::KILL).unwrap();
    let exited = stage.await_event(|e| matches!(e, FleetEvent::Exited { expected: false, .. }));
    let started = stage.await_event(|e| matches!(e, FleetEvent::Started { .. }));
    let (FleetEvent::Exited { at: exited, .. }, FleetEvent::Started { at: started, .. }) =
        (exited, started)
    else {
        panic!("these are what was waited for");
    };
    let repair = started.saturating_sub(exited);
    assert!(repair >= Nanos::from_millis(100), "{repair}");
    assert_ne!(stage.process("a"), first);
    stage.end();
}

#[test]
fn a_node_that_dies_at_the_start_is_named_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_id("dies");
    let mut options = options("", folder.path(), false);
    let script = "echo no such thing >&2; exit 3";
    options.stand_in = Some(("/bin/sh".into(), vec!["-c".into(), script.into()]));
    let (sender, _events) = channel();
    let plan = plan(&[("s1", 0.5, &["a"])]);
    let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
    let error = Fleet::start_with(&plan, &run, &work, &logs, sender, options).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("node a") && text.contains("status 3"), "{text}");
    assert!(text.contains("no such thing"), "{text}");
    assert_clean(&run, folder.path());
}

/// A spinning server uses its share, neither much more nor much less, and the rest is throttled.
fn check_share(name: &str, script: &str, without_cgroups: bool) {
    let cores = 0.2;
    let stage = stage(name, &plan(&[("s1", cores, &["a"])]), script, without_cgroups);
    let (before, began) = (stage.fleet.usage()[0].clone(), Instant::now());
    // A measurement takes its time; nothing is waited for.
    std::thread::sleep(Duration::from_millis(1_500));
    // What is overrun while the machine stands still is paid back soon; without a limit, never.
    let is_kept = within(|| {
        let (after, elapsed) = (stage.fleet.usage()[0].clone(), began.elapsed().as_secs_f64());
        let part = |more: Nanos| more.as_secs_f64() / elapsed;
        let used = part(after.server_cpu - before.server_cpu);
        let by_process = part(after.process.unwrap().cpu - before.process.unwrap().cpu);
        let throttled = part(after.server_throttled - before.server_throttled);
        eprintln!(
            "{}: used {used:.3} ({by_process:.3}), throttled {throttled:.3}",
            stage.fleet.quota_mechanism()
        );
        let is_within = used <= 1.3 * cores && by_process <= 1.3 * cores;
        // On a busy machine it gets less than its share, and needs less throttling.
        is_within && used >= 0.1 * cores && throttled > 0.0
    });
    assert!(is_kept, "the last of the above is not its share");
    stage.end();
}

#[test]
fn a_spinning_server_keeps_to_its_quota() {
    check_share("quota", SPIN, false);
}

#[test]
fn a_spinning_server_keeps_to_its_budget_without_cgroups() {
    check_share("budget", SPIN, true);
}

#[test]
fn what_a_node_starts_is_in_the_budget_too() {
    check_share("child", "setsid sh -c 'while :; do :; done' & wait", true);
}

#[test]
fn nodes_die_with_the_keeper_and_brunt_undoes_the_rest() {
    for without_cgroups in [false, true] {
        let plan = plan(&[("s1", 0.5, &["a", "b"])]);
        let stage = stage(&format!("lost-{without_cgroups}"), &plan, WITH_CHILD, without_cgroups);
        if !without_cgroups {
            freeze(&stage.fleet);
        }
        let nodes = ["a", "b"].map(|n| stage.process(n));
        Process::open(stage.fleet.keeper()).unwrap().signal(rustix::process::Signal::KILL).unwrap();
        let lost = stage.await_event(|e| matches!(e, FleetEvent::KeeperLost { .. }));
        assert_eq!(lost, FleetEvent::KeeperLost { left: Vec::new() });
        assert!(nodes.iter().all(|n| !n.is_alive()));
        assert!(stage.fleet.kill_node("a").is_err());
        stage.end();
    }
}

/// Not a test of its own: a node and a relay as the bundled ones will be, with their real plan,
/// event pipe and admin side.
#[test]
#[ignore = "started by other tests"]
fn helper_node() {
    let told = std::io::read_to_string(std::io::stdin()).unwrap();
    if let Ok(plan) = serde_json::from_str::<NodePlan>(&told) {
        use brunt::stack::node;
        let own = node::Node::new(plan);
        own.emit(brunt::record::NodeEventKind::Ready);
        own.emit(brunt::record::NodeEventKind::Leader { term: 7 });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(node::serve_admin(own, node::no_pages())).unwrap();
    } else {
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let dial = told["links"][0]["dial"].as_str().unwrap();
        let listener = std::net::TcpListener::bind(dial).unwrap();
        listener.incoming().for_each(drop);
    }
}

#[test]
fn a_target_of_twelve_is_ready_by_protocol_in_time() {
    let names: Vec<String> = (0..12).map(|i| format!("n{i}")).collect();
    let servers: Vec<(&str, f64, [&str; 1])> =
        names.iter().map(|n| (n.as_str(), 0.2, [n.as_str()])).collect();
    let servers: Vec<(&str, f64, &[&str])> =
        servers.iter().map(|(n, c, nodes)| (*n, *c, nodes.as_slice())).collect();
    let mut plan = plan(&servers);
    let network = brunt::host::network::claim(17_300).unwrap();
    for (i, node) in plan.nodes.iter_mut().enumerate() {
        node.listen = (network.address(1 + i as u8), 17_300).into();
        node.admin = (network.address(1 + i as u8), 17_301).into();
    }
    plan.links.push(LinkPlan {
        from: "visitors:eu".into(),
        to: "n0".into(),
        dial: (network.address(200), 17_300).into(),
        service: plan.nodes[0].listen,
        round_trip: Nanos::from_millis(10),
    });
    let folder = tempfile::tempdir().unwrap();
    let run = run_id("twelve");
    let mut options = options("", folder.path(), false);
    let own = std::env::current_exe().unwrap();
    let arguments = ["--exact", "helper_node", "--ignored", "--nocapture"].map(String::from);
    options.stand_in = Some((own, arguments.into()));
    options.asks_health = true;
    let (sender, events) = channel();
    let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
    let began = Instant::now();
    let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
    eprintln!("12 nodes and a relay were ready after {:?}", began.elapsed());
    assert_eq!(fleet.nodes().len(), 12);
    assert!(std::net::TcpStream::connect(plan.links[0].dial).is_ok());
    let ready = events.try_iter().filter(|e| matches!(e, FleetEvent::Ready { .. })).count();
    assert_eq!(ready, 12);
    assert!(within(|| fleet.leader().is_some()));
    let began = Instant::now();
    assert_eq!(fleet.usage().len(), 13);
    eprintln!("usage took {:?}", began.elapsed());
    assert_eq!(fleet.shutdown(), Vec::<String>::new());
    assert_clean(&run, folder.path());
}

/// Not a test of its own: the brunt that the tests below kill. Runs a fleet until it is killed.
#[test]
#[ignore = "started by other tests"]
fn helper_brunt() {
    let folder = std::path::PathBuf::from(std::env::var("HELPER_FOLDER").unwrap());
    let run = std::env::var("HELPER_RUN").unwrap();
    let without_cgroups = std::env::var("HELPER_WITHOUT_CGROUPS").unwrap() == "true";
    let (sender, _events) = channel();
    let plan = plan(&[("s1", 0.3, &["a", "b"]), ("s2", 0.3, &["c"])]);
    let (work, logs) = (folder.join("work"), folder.join("logs"));
    let options = options(WITH_CHILD, &folder, without_cgroups);
    let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
    freeze(&fleet);
    fleet.hold("p", &Lever::Pause { node: "c".into() }).unwrap();
    std::fs::write(folder.join("keeper"), serde_json::to_string(&fleet.keeper()).unwrap()).unwrap();
    std::fs::write(folder.join("up"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn helper(folder: &Path, run: &str, without_cgroups: bool) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_brunt", "--ignored", "--nocapture"])
        .env("HELPER_FOLDER", folder)
        .env("HELPER_RUN", run)
        .env("HELPER_WITHOUT_CGROUPS", without_cgroups.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_brunt_leaves_nothing_whenever_it_is_killed() {
    // The last one when a node runs, however long that takes.
    let moments = [2, 15, 30, 45, 60, 90].map(Some).into_iter().chain([None]);
    for (i, after_ms) in moments.enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (run, without_cgroups) = (run_id(&format!("killed-{i}")), i % 2 == 0);
        let mut brunt = helper(folder.path(), &run, without_cgroups);
        match after_ms {
            // The moment is the point of this test; nothing is waited for.
            Some(ms) => std::thread::sleep(Duration::from_millis(ms)),
            None => assert!(within(|| !brunt::host::heal::marked(&run).is_empty())),
        }
        brunt.kill().unwrap();
        brunt.wait().unwrap();
        // A keeper that was just being started has not begun its journal yet.
        assert!(
            within(|| keepers_of(brunt.id()) == 0),
            "the keeper still runs, after {after_ms:?} ms"
        );
        assert!(within(|| is_clean(&run, folder.path())), "after {after_ms:?} ms");
    }
}

/// Keepers started by this brunt: its orphans, told by their command and their session.
fn keepers_of(brunt: u32) -> usize {
    let journal = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.ends_with(b"__keeper\0"))
            && std::fs::read_to_string(format!("/proc/{pid}/environ"))
                .is_ok_and(|e| e.contains("HELPER_RUN="))
    };
    let all = brunt::host::process::Stat::all();
    let mine = |s: &&brunt::host::process::Stat| {
        s.state != 'Z' && s.start_time > 0 && s.parent != brunt as i32 && journal(s.pid)
    };
    all.iter().filter(mine).count()
}

#[test]
fn a_frozen_and_a_paused_server_end_with_a_killed_brunt() {
    for without_cgroups in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(&format!("frozen-{without_cgroups}"));
        let mut brunt = helper(folder.path(), &run, without_cgroups);
        assert!(within(|| folder.path().join("up").exists()), "the helper did not come up");
        assert!(within(|| brunt::host::heal::marked(&run).len() == 6));
        brunt.kill().unwrap();
        brunt.wait().unwrap();
        assert!(within(|| is_clean(&run, folder.path())));
    }
}

#[test]
fn brunt_may_end_in_any_way() {
    use rustix::process::Signal;
    for (i, signal) in
        [Signal::HUP, Signal::INT, Signal::TERM, Signal::ABORT].into_iter().enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(&format!("ways-{i}"));
        let mut brunt = helper(folder.path(), &run, i % 2 == 0);
        assert!(within(|| folder.path().join("up").exists()), "the helper did not come up");
        let keeper = std::fs::read_to_string(folder.path().join("keeper")).unwrap();
        let keeper = Process::open(serde_json::from_str(&keeper).unwrap()).unwrap();
        if signal != Signal::ABORT {
            // What a terminal sends, the keeper survives.
            keeper.signal(signal).unwrap();
            assert!(within(|| brunt::host::heal::marked(&run).len() == 6), "six processes run");
        }
        Process::of_child(brunt.id() as i32).unwrap().signal(signal).unwrap();
        brunt.wait().unwrap();
        assert!(within(|| is_clean(&run, folder.path())), "after {signal:?}");
        assert!(keeper.wait_exit(BOUND));
    }
}

#[test]
fn heal_undoes_when_brunt_and_keeper_are_both_killed() {
    for without_cgroups in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(&format!("both-{without_cgroups}"));
        let mut brunt = helper(folder.path(), &run, without_cgroups);
        assert!(within(|| folder.path().join("up").exists()), "the helper did not come up");
        let keeper = std::fs::read_to_string(folder.path().join("keeper")).unwrap();
        let keeper = Process::open(serde_json::from_str(&keeper).unwrap()).unwrap();
        let state = folder.path().join("state");
        assert_eq!(brunt::host::other_brunts(&state, "another"), [run.as_str()]);
        assert!(brunt::host::heal(&state).is_empty(), "a living brunt is not healed");
        // The keeper cannot see brunt's end before its own.
        keeper.signal(rustix::process::Signal::STOP).unwrap();
        brunt.kill().unwrap();
        brunt.wait().unwrap();
        keeper.signal(rustix::process::Signal::KILL).unwrap();
        assert!(keeper.wait_exit(BOUND));
        assert!(!is_clean(&run, folder.path()), "something is left to heal");
        let preview = brunt::host::preview(&state).remove(0);
        assert!(preview.done.iter().any(|d| d.contains("fault hold `p`")), "{preview:?}");
        assert!(!is_clean(&run, folder.path()), "a preview touches nothing");
        let healed = brunt::host::heal(&state);
        assert_eq!(healed.len(), 1);
        assert_eq!(healed[0].left, Vec::<String>::new(), "{healed:?}");
        assert!(!healed[0].done.is_empty());
        assert_clean(&run, folder.path());
    }
    assert!(!boot_id().is_empty());
}

#[test]
fn two_brunts_at_once_do_not_meet() {
    let plan = plan(&[("s1", 0.5, &["a"])]);
    let first = stage("two-1", &plan, IDLE, false);
    let second = stage("two-2", &plan, IDLE, false);
    let survivor = second.process("a");
    first.end();
    assert!(survivor.is_alive());
    second.end();
}
