//! brunt, its keeper, or both are ended at each step of the journal in turn, for each kind of lever
//! that this machine has: nothing is left once the keeper, brunt or `brunt heal` has run.
//!
//! What is done to a process that brunt has attached to is undone so too: it is alive, and as it was.
//!
//! `cargo test --features failpoints --test undo`

use brunt::base::Bytes;
use brunt::fault::{Direction, Lever, PacketEffect};
use brunt::fleet::{Fleet, FleetEvent};
use brunt::host::affinity;
use brunt::host::cgroup::Cgroups;
use brunt::host::journal::Story;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

#[path = "support/own.rs"]
mod own;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/fleet.rs"]
mod support;
use own::Own;
use support::{WITH_CHILD, groups_of, is_clean, options, plan, run_id, within};

/// Every point that is reached on the way of one fault, from the setup to the end.
const POINTS: [&str; 14] = [
    "setup.begun",
    "setup.groups written ahead",
    "setup.group made",
    "start.written ahead",
    "start.spawned",
    "start.written",
    "hold.written ahead: before",
    "hold.written ahead",
    "hold.applied",
    "release.before",
    "release.applied",
    "release.written",
    "undo.groups killed",
    "undo.before the journal goes",
];
/// `Lever::Node` and `Lever::Link` are not among them: a rule lives in the memory of the node or
/// relay that keeps it, and ends with that process.
fn levers() -> Vec<(&'static str, Lever)> {
    let server = || "s1".to_string();
    let mut all = vec![
        ("pause", Lever::Pause { node: "a".into() }),
        ("freeze", Lever::Freeze { server: server() }),
        ("cpu-share", Lever::CpuShare { server: server(), to: 0.5 }),
        ("competitor", Lever::Competitor { server: server(), cores: 1.0 }),
        ("memory", Lever::MemoryLimit { server: server(), to: Bytes(64 << 20) }),
        ("descriptors", Lever::Descriptors { node: "a".into(), to: 64 }),
        ("disk", Lever::DiskRate { server: server(), to: Bytes(1 << 20) }),
    ];
    match affinity::own().unwrap().len() {
        1 => eprintln!("one core: cpu-cores is left out"),
        _ => all.push(("cpu-cores", Lever::CpuCores { server: server(), to: 0.5 })),
    }
    match has_memory_mark() {
        true => {
            all.push(("pressure", Lever::MemoryPressure { server: server(), to: Bytes(64 << 20) }));
        }
        false => eprintln!("memory is not on cgroup v2: memory pressure is left to tests/vm/run"),
    }
    if rustix::process::geteuid().is_root() {
        let lossy = PacketEffect::Loss { share: 0.5 };
        all.push(("packets", packets::lever("b", Direction::Both, lossy)));
        all.push(("disk-full", Lever::DiskFull { free: Bytes(0) }));
    } else {
        eprintln!("not root: packets and disk-full are left out");
    }
    all
}

fn has_memory_mark() -> bool {
    let cgroups = Cgroups::probe(&run_id("undo-mark"));
    let memory = cgroups.create("s").ok().and_then(|group| group.memory);
    let has_mark = memory.is_some_and(|group| group.mark().is_ok());
    assert_eq!(cgroups.remove_all(), Vec::<String>::new());
    has_mark
}

/// On the way of a fault on an attached process, besides the setup's.
const POINTS_OF_ATTACHED: [&str; 10] = [
    "remember.before",
    "remember.attached written",
    "hold.written ahead: before",
    "hold.written ahead",
    "hold.applied",
    "release.before",
    "release.applied",
    "release.written",
    "give back.before",
    "give back.done",
];
const POINTS_OF_SHARE: [&str; 4] =
    ["remember.lent written", "share.group made", "share.moved", "share.moved back"];

/// Levers on an attached process, each with the points at which it is ended.
fn levers_on_attached() -> Vec<(&'static str, Lever, Vec<&'static str>)> {
    let (node, server) = (|| "a".to_string(), || "s1".to_string());
    let share = || Lever::CpuShare { server: server(), to: 0.5 };
    let with_share = [POINTS_OF_ATTACHED.as_slice(), &POINTS_OF_SHARE].concat();
    let all = || POINTS_OF_ATTACHED.to_vec();
    let mut levers = vec![
        ("own-pause", Lever::Pause { node: node() }, all()),
        ("own-files", Lever::Descriptors { node: node(), to: 40 }, all()),
        ("own-spent", share(), all()),
        ("own-freeze", Lever::Freeze { server: server() }, all()),
    ];
    match lends() {
        true => levers.push(("own-share", share(), with_share)),
        false => eprintln!("no cpu group of version 1 can be made here: own-share is left out"),
    }
    match affinity::own().unwrap().len() {
        1 => eprintln!("one core: own-cores is left out"),
        _ => levers.push(("own-cores", Lever::CpuCores { server: server(), to: 0.5 }, all())),
    }
    levers
}

/// Whether an attached process is moved to a group of brunt's own for a smaller share.
fn lends() -> bool {
    Cgroups::probe(&run_id("undo-lends")).quota_mechanism() == "cgroup v1"
}

/// Not a test of its own: a brunt that holds one lever and takes it off.
#[test]
#[ignore = "started by other tests"]
fn helper_brunt() {
    let told = |name: &str| std::env::var(name).unwrap();
    let folder = std::path::PathBuf::from(told("HELPER_FOLDER"));
    let (sender, _events) = channel();
    let wanted = told("HELPER_LEVER");
    let on_attached = levers_on_attached().into_iter().map(|(name, lever, _)| (name, lever));
    let mut all = levers().into_iter().chain(on_attached);
    let lever = all.find(|(name, _)| *name == wanted).unwrap().1;
    let mut plan = match std::env::var("HELPER_OWN") {
        Ok(pid_file) => plan_with_own(Path::new(&pid_file)),
        Err(_) => plan(&[("s1", 0.3, &["a", "b"]), ("s2", 0.3, &["c"])]),
    };
    if matches!(lever, Lever::CpuCores { .. }) {
        plan.host.stack_cpus = affinity::own().unwrap();
    }
    let run = told("HELPER_RUN");
    let (work, logs) = (folder.join(format!("work/brunt-{run}")), folder.join("logs"));
    let is_in_own = matches!(lever, Lever::Packets { .. } | Lever::DiskFull { .. });
    let _own = is_in_own.then(|| packets::enter(&work));
    let mut _far_ends = Vec::new();
    if is_in_own {
        (plan.links, plan.needs) = (packets::linked_plan().links, packets::needs());
        let listen = |l: &brunt::plan::LinkPlan| std::net::TcpListener::bind(l.dial).unwrap();
        _far_ends.extend(plan.links.iter().map(listen));
    }
    let options = options(WITH_CHILD, &folder, wanted == "own-spent");
    let ends_held = std::env::var_os("HELPER_ENDS_HELD").is_some();
    // Whatever is refused or lost on the way: the end is the same, and what the test looks at.
    if let Ok(fleet) = Fleet::start_with(&plan, &run, &work, &logs, sender, options) {
        let mut seen = fleet.prepare("h", &lever).and_then(|_| fleet.hold("h", &lever));
        if !ends_held {
            seen = seen.and_then(|_| fleet.release("h"));
        }
        let left = fleet.shutdown();
        std::fs::write(folder.join("seen"), format!("{seen:?}\n{left:?}")).unwrap();
    }
}

fn plan_with_own(pid_file: &Path) -> brunt::plan::Plan {
    let mut plan = plan(&[("s1", 0.3, &["a"]), ("s2", 0.3, &["c"])]);
    own::attach(&mut plan, "a", pid_file);
    plan
}

fn helper(folder: &Path, run: &str, lever: &str, failpoint: &str, own: Option<&Own>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some(own) = own {
        command.env("HELPER_OWN", own.pid_file());
    }
    if failpoint.contains("@give back") {
        command.env("HELPER_ENDS_HELD", "1");
    }
    command
        .args(["--exact", "helper_brunt", "--ignored", "--nocapture"])
        .env("HELPER_FOLDER", folder)
        .env("HELPER_RUN", run)
        .env("HELPER_LEVER", lever)
        .env("BRUNT_FAILPOINT", failpoint)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs one lever with one end of things, and asserts that nothing is left, and that the user's own
/// process is as it was.
fn check(lever: &str, who: &str, point: &str, own: Option<&Own>) {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("{who}@{point}");
    let run = run_id(&format!("undo-{lever}"));
    let mut brunt = helper(folder.path(), &run, lever, &at, own);
    let ended = brunt.wait().unwrap();
    let is_killed = !ended.success();
    assert_eq!(is_killed, who != "keeper", "{lever} {at}: the point was not reached: {ended:?}");
    if who == "both" {
        // Its processes end with the keeper; the rest is for `brunt heal`.
        let state = folder.path().join("state");
        let journals = || std::fs::read_dir(&state).map_or(0, Iterator::count);
        assert!(within(|| brunt::host::stale(&state).len() == journals()), "{lever} {at}");
        for healed in brunt::host::heal(&state) {
            assert_eq!(healed.left, Vec::<String>::new(), "{lever} {at}");
        }
    }
    let is_clean = within(|| is_clean(&run, folder.path()));
    let left = brunt::host::heal::marked(&run);
    assert!(is_clean, "{lever} {at}: left {left:?} {:?}", groups_of(&run));
    assert!(!folder.path().join(format!("work/brunt-{run}")).exists(), "{lever} {at}");
    if let Some(own) = own {
        let is_fine = within(|| own.is_as_it_was());
        assert!(is_fine, "{lever} {at}: {:?} {:?}, was {:?}", own.states(), own.now(), own.was);
        assert!(!own.lent(&run).is_some_and(|lent| lent.exists()), "{lever} {at}");
    }
}

fn reached(lever: &str, own: Option<&Own>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let run = run_id("undo-list");
    assert!(helper(folder.path(), &run, lever, "list@", own).wait().unwrap().success());
    let log = std::fs::read_to_string(folder.path().join("logs/keeper.log")).unwrap();
    let points = log.lines().filter_map(|l| l.strip_prefix("failpoint "));
    let mut points: Vec<String> = points.map(String::from).collect();
    points.sort_unstable();
    points.dedup();
    assert!(is_clean(&run, folder.path()));
    points
}

#[test]
fn every_point_is_reached() {
    let mut expected = POINTS.to_vec();
    expected.sort_unstable();
    for (lever, _) in levers() {
        assert_eq!(reached(lever, None), expected, "{lever}");
    }
    let own = Own::start();
    for (lever, _, points) in levers_on_attached() {
        let reached = reached(lever, Some(&own));
        let missing: Vec<&str> =
            points.into_iter().filter(|p| !reached.iter().any(|r| r == p)).collect();
        assert!(missing.is_empty(), "{lever}: {missing:?} of {reached:?}");
        assert!(within(|| own.is_as_it_was()));
        if lever == "own-share" {
            let known = |p: &String| {
                let p = p.as_str();
                POINTS.contains(&p)
                    || POINTS_OF_ATTACHED.contains(&p)
                    || POINTS_OF_SHARE.contains(&p)
            };
            assert!(reached.iter().all(known), "one is in no list: {reached:?}");
        }
    }
}

fn nothing_is_left_of(lever: &str) {
    for who in ["brunt", "keeper", "both"] {
        for point in &POINTS {
            check(lever, who, point, None);
        }
    }
}

#[test]
fn nothing_is_left_wherever_brunt_the_keeper_or_both_are_killed() {
    let all = levers().into_iter().map(|(lever, _)| lever);
    all.filter(|lever| *lever != "pressure").for_each(nothing_is_left_of);
}

/// Apart from the others, so that the virtual machine with its cgroup v2 can be asked for it alone.
#[test]
fn nothing_is_left_of_memory_pressure_either() {
    match has_memory_mark() {
        true => nothing_is_left_of("pressure"),
        false => {
            eprintln!("NOT TESTED HERE: memory is not on cgroup v2; tests/vm/run tests does it");
        }
    }
}

#[test]
fn an_attached_process_is_as_it_was_wherever_brunt_the_keeper_or_both_are_killed() {
    for (lever, _, points) in levers_on_attached() {
        let own = Own::start();
        for who in ["brunt", "keeper", "both"] {
            for point in &points {
                check(lever, who, point, Some(&own));
            }
        }
    }
}

#[test]
fn each_lever_can_be_held_and_released_here() {
    let own = Own::start();
    let on_attached = levers_on_attached().into_iter().map(|(name, _, _)| (name, Some(&own)));
    for (lever, own) in levers().into_iter().map(|(name, _)| (name, None)).chain(on_attached) {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(&format!("undo-plain-{lever}"));
        assert!(helper(folder.path(), &run, lever, "", own).wait().unwrap().success());
        let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        assert!(seen.starts_with("Ok(") && seen.ends_with("[]"), "{lever}: {seen}");
        assert!(is_clean(&run, folder.path()));
    }
}

/// A fleet in this process, with the user's own process as its node `a` on server `s1`.
struct Stage {
    fleet: Fleet,
    run: String,
    folder: tempfile::TempDir,
    _events: Receiver<FleetEvent>,
}

impl Stage {
    fn new(name: &str, own: &Own) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(name);
        let (work, logs) = (folder.path().join(format!("brunt-{run}")), folder.path().join("logs"));
        let (sender, events) = channel();
        let (plan, options) =
            (plan_with_own(&own.pid_file()), options(WITH_CHILD, folder.path(), false));
        let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
        Stage { fleet, run, folder, _events: events }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The ids of the holds that the journal says are on.
    fn held(&self) -> Vec<String> {
        let story = Story::read(&self.state().join(format!("{}.journal", self.run))).unwrap();
        story.held().into_iter().map(|(hold, _)| hold.to_string()).collect()
    }

    fn share(&self, hold: &str, to: f64) {
        self.fleet.hold(hold, &Lever::CpuShare { server: "s1".into(), to }).unwrap();
    }
}

#[test]
fn the_others_go_on_when_the_first_was_killed_while_all_were_paused() {
    let own = Own::start();
    let stage = Stage::new("undo-first", &own);
    stage.fleet.hold("p", &Lever::Pause { node: "a".into() }).unwrap();
    assert_eq!(own.states(), ['T', 'T', 'T']);
    own.kill_the_first();
    assert!(within(|| stage.fleet.process_of("a").is_none()), "its end is seen");
    assert_eq!(own.states(), ['T', 'T']);
    let proof = stage.fleet.release("p").unwrap().proof;
    assert!(proof.contains("2 more processes"), "{proof}");
    assert!(!own.states().contains(&'T'), "{:?}", own.states());
    assert_eq!(stage.fleet.shutdown(), Vec::<String>::new());
    assert_eq!(own.states().len(), 2);
    assert!(is_clean(&stage.run, stage.folder.path()));
}

#[test]
fn what_an_attached_process_starts_under_a_fault_is_given_back_as_its_parent_was() {
    if !lends() {
        return eprintln!("not tried: no cpu group of version 1 can be made here");
    }
    let mut own = Own::start();
    let stage = Stage::new("undo-child", &own);
    let lent = own.lent(&stage.run).unwrap();
    stage.share("slow", 0.5);
    own.start_one_more();
    assert!(own.now().iter().all(|w| w.cpu_group.as_ref() == Some(&lent)), "{:?}", own.now());
    // Now it is looked at for the first time: in brunt's own group.
    stage.fleet.hold("files", &Lever::Descriptors { node: "a".into(), to: 40 }).unwrap();
    own.start_one_more();
    stage.share("slower", 0.4);
    stage.fleet.release("slow").unwrap();
    stage.fleet.release("slower").unwrap();
    assert!(!lent.exists());
    stage.fleet.release("files").unwrap();
    let first = &own.was[0];
    for now in own.now() {
        assert_eq!((&now.cpu_group, now.open_files), (&first.cpu_group, first.open_files));
    }
    assert_eq!(own.now().len(), 5);
    assert_eq!(stage.fleet.shutdown(), Vec::<String>::new());
}

/// A group in brunt's own keeps that from being removed.
#[test]
fn a_release_that_failed_is_in_the_journal_and_can_be_done_again() {
    if !lends() {
        return eprintln!("not tried: no cpu group of version 1 can be made here");
    }
    let own = Own::start();
    let stage = Stage::new("undo-again", &own);
    let obstacle = own.lent(&stage.run).unwrap().join("obstacle");
    stage.share("slow", 0.5);
    std::fs::create_dir(&obstacle).unwrap();
    stage.fleet.release("slow").unwrap_err();
    assert_eq!(stage.held(), ["slow"]);
    std::fs::remove_dir(&obstacle).unwrap();
    // By us, or by the keeper itself.
    stage.fleet.release("slow").unwrap();
    assert_eq!(stage.held(), Vec::<String>::new());
    assert!(own.is_as_it_was() && !own.lent(&stage.run).unwrap().exists());

    // What the end of the run cannot undo either is left to `brunt heal`, which is told of it.
    stage.share("slow", 0.5);
    std::fs::create_dir(&obstacle).unwrap();
    stage.fleet.release("slow").unwrap_err();
    assert_ne!(stage.fleet.shutdown(), Vec::<String>::new());
    assert_eq!(stage.held(), ["slow"]);
    std::fs::remove_dir(&obstacle).unwrap();
    let story = Story::read(&stage.state().join(format!("{}.journal", stage.run))).unwrap();
    assert_eq!(brunt::host::heal::undo(&story).left, Vec::<String>::new());
    assert!(own.is_as_it_was() && !own.lent(&stage.run).unwrap().exists());
    assert!(is_clean(&stage.run, stage.folder.path()));
}
