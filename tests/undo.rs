//! brunt, its keeper, or both are ended at each step of the journal in turn, for each kind of lever
//! that this machine has: nothing is left once the keeper, brunt or `brunt heal` has run.
//!
//! `cargo test --features failpoints --test undo`

use brunt::base::Bytes;
use brunt::fault::{Direction, Lever, PacketEffect};
use brunt::fleet::Fleet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

#[path = "support/packets.rs"]
mod packets;
#[path = "support/fleet.rs"]
mod support;
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
/// Only these differ from lever to lever; the others are gone through with the first one.
const POINTS_OF_A_LEVER: &[&str] = &["hold.written ahead", "hold.applied", "release.applied"];

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
    if rustix::process::geteuid().is_root() {
        let lossy = PacketEffect::Loss { share: 0.5 };
        all.push(("packets", packets::lever("b", Direction::Both, lossy)));
        all.push(("disk-full", Lever::DiskFull { free: Bytes(0) }));
    } else {
        eprintln!("not root: packets and disk-full are left out");
    }
    all
}

/// Not a test of its own: a brunt that holds one lever and takes it off.
#[test]
#[ignore = "started by other tests"]
fn helper_brunt() {
    let told = |name: &str| std::env::var(name).unwrap();
    let folder = std::path::PathBuf::from(told("HELPER_FOLDER"));
    let (sender, _events) = channel();
    let wanted = told("HELPER_LEVER");
    let lever = levers().into_iter().find(|(name, _)| *name == wanted).unwrap().1;
    let mut plan = plan(&[("s1", 0.3, &["a", "b"]), ("s2", 0.3, &["c"])]);
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
    let options = options(WITH_CHILD, &folder, false);
    // Whatever is refused or lost on the way: the end is the same, and what the test looks at.
    if let Ok(fleet) = Fleet::start_with(&plan, &run, &work, &logs, sender, options) {
        let seen = fleet
            .prepare("h", &lever)
            .and_then(|_| fleet.hold("h", &lever))
            .and_then(|_| fleet.release("h"));
        let left = fleet.shutdown();
        std::fs::write(folder.join("seen"), format!("{seen:?}\n{left:?}")).unwrap();
    }
}

fn helper(folder: &Path, run: &str, lever: &str, failpoint: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
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

/// Runs one lever with one end of things, and asserts that nothing is left.
fn check(lever: &str, who: &str, point: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("{who}@{point}");
    let run = run_id(&format!("undo-{lever}"));
    let mut brunt = helper(folder.path(), &run, lever, &at);
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
}

#[test]
fn every_point_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_id("undo-list");
    let mut brunt = helper(folder.path(), &run, "cpu-share", "list@");
    assert!(brunt.wait().unwrap().success());
    let log = std::fs::read_to_string(folder.path().join("logs/keeper.log")).unwrap();
    let mut reached: Vec<&str> = log.lines().filter_map(|l| l.strip_prefix("failpoint ")).collect();
    reached.sort_unstable();
    reached.dedup();
    let mut expected = POINTS.to_vec();
    expected.sort_unstable();
    assert_eq!(reached, expected);
    assert!(is_clean(&run, folder.path()));
}

#[test]
fn nothing_is_left_wherever_brunt_the_keeper_or_both_are_killed() {
    for (index, (lever, _)) in levers().iter().enumerate() {
        let points = if index == 0 { POINTS.as_slice() } else { POINTS_OF_A_LEVER };
        for who in ["brunt", "keeper", "both"] {
            for point in points {
                check(lever, who, point);
            }
        }
    }
}

#[test]
fn each_lever_can_be_held_and_released_here() {
    for (lever, _) in levers() {
        let folder = tempfile::tempdir().unwrap();
        let run = run_id(&format!("undo-plain-{lever}"));
        assert!(helper(folder.path(), &run, lever, "").wait().unwrap().success());
        let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        assert!(seen.starts_with("Ok(") && seen.ends_with("[]"), "{lever}: {seen}");
        assert!(is_clean(&run, folder.path()));
    }
}
