//! What the kernel does to packets and to a full disk, in a network and a folder that the run has
//! for itself: seen from outside, gone after it is healed, and nothing of it in the host's own.
//!
//! Needs root, and the programs nft (nftables) and tc (iproute2).

use brunt::base::Bytes;
use brunt::fault::{Direction, Lever, PacketEffect};
use brunt::fleet::Fleet;
use brunt::host::Identity;
use brunt::host::process::Process;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

#[path = "support/packets.rs"]
mod packets;
#[path = "support/fleet.rs"]
mod support;
use packets::{carry, enter, is_silent, lever, linked_plan, stage};
use support::{groups_of, is_clean, options, run_id, within};

const PARTITION: PacketEffect = PacketEffect::Loss { share: 1.0 };

/// The first number in a proof: `12 of 40 packets lost`.
fn number(proof: &str, index: usize) -> u64 {
    let numbers = proof.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    numbers.filter_map(|n| n.parse().ok()).nth(index).expect(proof)
}

#[test]
fn a_partition_lets_nothing_through_and_ends() {
    let stage = stage("partition");
    let (mut near, mut far) = stage.first.connect();
    let (mut other_near, mut other_far) = stage.second.connect();
    carry(&mut near, &mut far, 1000);
    stage.hold("cut", &stage.first, Direction::Both, PARTITION);
    near.write_all(b"x").unwrap();
    assert!(is_silent(&mut far));
    assert!(!stage.first.is_open());
    // Nothing outside of the blast radius.
    carry(&mut other_near, &mut other_far, 100_000);
    assert!(stage.second.is_open());
    let proof = stage.release("cut");
    // One of the open connection and one of the new one, at least.
    assert!(number(&proof, 0) >= 2 && proof.contains("packets lost"), "{proof}");
    assert!(proof.contains("packets go as before"), "{proof}");
    assert!(stage.first.is_open());
    far.set_read_timeout(Some(packets::DELIVERY)).unwrap();
    std::io::Read::read_exact(&mut far, &mut [0; 1]).unwrap();
    carry(&mut near, &mut far, 1000);
    stage.end();
}

#[test]
fn a_share_of_packets_is_lost_and_tcp_brings_all_the_same() {
    let stage = stage("loss");
    let (mut near, mut far) = stage.first.connect();
    stage.hold("lossy", &stage.first, Direction::There, PacketEffect::Loss { share: 0.3 });
    let took = carry(&mut near, &mut far, 200_000);
    let proof = stage.release("lossy");
    eprintln!("200 kB took {took:?}: {proof}");
    let (lost, all) = (number(&proof, 0), number(&proof, 1));
    // Packets are as on an Ethernet: 200 kB are 137 at least, and of so many some are lost.
    assert!(all >= 137 && lost >= 10 && lost < all, "{proof}");
    carry(&mut near, &mut far, 200_000);
    stage.end();
}

#[test]
fn a_slow_link_carries_no_more_than_its_rate() {
    let stage = stage("slow");
    let (mut near, mut far) = stage.first.connect();
    let (mut other_near, mut other_far) = stage.second.connect();
    let rate = 500_000;
    let effect = PacketEffect::Bandwidth { rate: Bytes(rate) };
    stage.hold("slow", &stage.first, Direction::Both, effect);
    let n = 1_000_000;
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| carry(&mut near, &mut far, n));
        for _ in 0..5 {
            let took = carry(&mut other_near, &mut other_far, 100_000);
            eprintln!("100 kB over the other link took {took:?}");
        }
        assert!(!slow.is_finished(), "the other link is slow too");
        let took = slow.join().unwrap();
        // 5 ms of the rate may be sent at once, and one piece of at most 64 KiB after it.
        let least = (n as f64 - 0.005 * rate as f64 - 65_536.0) / rate as f64;
        eprintln!("1 MB at 500 kB/s took {took:?}, at least {least:.2} s");
        assert!(took.as_secs_f64() >= least, "{took:?}");
    });
    let proof = stage.release("slow");
    assert!(number(&proof, 1) > 0 && proof.contains("had to wait"), "{proof}");
    let took = carry(&mut near, &mut far, n);
    eprintln!("and {took:?} afterwards");
    stage.end();
}

#[test]
fn a_partition_can_be_one_way() {
    let stage = stage("one-way");
    let (mut near, mut far) = stage.first.connect();
    stage.hold("there", &stage.first, Direction::There, PARTITION);
    far.write_all(b"y").unwrap();
    near.set_read_timeout(Some(packets::DELIVERY)).unwrap();
    std::io::Read::read_exact(&mut near, &mut [0; 1]).unwrap();
    near.write_all(b"x").unwrap();
    assert!(is_silent(&mut far));
    stage.release("there");
    far.set_read_timeout(Some(packets::DELIVERY)).unwrap();
    std::io::Read::read_exact(&mut far, &mut [0; 1]).unwrap();
    stage.hold("back", &stage.first, Direction::Back, PARTITION);
    near.write_all(b"x").unwrap();
    std::io::Read::read_exact(&mut far, &mut [0; 1]).unwrap();
    far.write_all(b"y").unwrap();
    assert!(is_silent(&mut near));
    stage.release("back");
    stage.end();
}

#[test]
fn holds_compose_and_are_undone_one_by_one() {
    let stage = stage("compose");
    let (first, second) = (&stage.first, &stage.second);
    let lossy = PacketEffect::Loss { share: 0.3 };
    let proof = stage.hold("lossy", first, Direction::Both, lossy);
    assert!(proof.contains("30 % lost"), "{proof}");
    let proof = stage.hold("cut", first, Direction::Both, PARTITION);
    assert!(proof.contains("100 % lost"), "{proof}");
    let slow = |rate: u64| PacketEffect::Bandwidth { rate: Bytes(rate) };
    let proof = stage.hold("slow", first, Direction::There, slow(2048));
    assert!(proof.contains("100 % lost and 2KiB/s"), "{proof}");
    let proof = stage.hold("slower", first, Direction::There, slow(1024));
    assert!(proof.contains("100 % lost and 1KiB/s"), "{proof}");
    stage.hold("other", second, Direction::Both, PARTITION);
    assert!(!first.is_open() && !second.is_open());
    let proof = stage.release("slower");
    assert!(proof.contains("100 % lost and 2KiB/s"), "{proof}");
    let proof = stage.release("cut");
    assert!(proof.contains("30 % lost and 2KiB/s"), "{proof}");
    assert!(!second.is_open());
    let proof = stage.release("slow");
    assert!(proof.ends_with("there: 30 % lost"), "{proof}");
    let proof = stage.release("lossy");
    assert!(proof.ends_with("packets go as before"), "{proof}");
    assert!(first.is_open() && !second.is_open());
    stage.release("other");
    assert!(second.is_open());
    stage.end();
}

#[test]
fn what_cannot_be_held_is_refused_with_the_reason() {
    let stage = stage("refused");
    let unknown = lever("nobody", Direction::Both, PARTITION);
    let error = stage.fleet.prepare("h", &unknown).unwrap_err().to_string();
    assert!(error.contains("no address is a->nobody's alone"), "{error}");
    let much = Lever::DiskFull { free: packets::FOLDER };
    let error = stage.fleet.prepare("h", &much).unwrap_err().to_string();
    assert!(error.contains("that fills nothing"), "{error}");
    let delay = PacketEffect::Latency {
        delay: brunt::base::Nanos::from_millis(5),
        jitter: brunt::base::Nanos::ZERO,
    };
    // Where the kernel has netem, tests/in_vm_packets.rs says what it does.
    if let Err(e) = stage.fleet.prepare("h", &lever("b", Direction::Both, delay)) {
        assert!(e.to_string().contains("this kernel has no netem"), "{e}");
    }
    stage.end();
    // A run without a network of its own: the host's is never touched.
    let folder = tempfile::tempdir().unwrap();
    let run = run_id("without");
    let (sender, _events) = channel();
    let mut plan = linked_plan();
    plan.links.clear();
    let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
    let options = options("exec sleep 1000", folder.path(), false);
    let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
    let error = fleet.hold("h", &lever("b", Direction::Both, PARTITION)).unwrap_err();
    assert!(error.to_string().contains("no network of its own"), "{error}");
    let error = fleet.hold("h", &Lever::DiskFull { free: Bytes(0) }).unwrap_err();
    assert!(error.to_string().contains("no file system of its own"), "{error}");
    assert_eq!(fleet.shutdown(), Vec::<String>::new());
}

/// Looks at the host from a thread that never enters anything.
struct Host {
    look: Sender<Sender<String>>,
}

impl Host {
    fn new() -> Host {
        let (look, asked) = channel::<Sender<String>>();
        std::thread::spawn(move || {
            for answer in asked {
                let _ = answer.send(Self::seen());
            }
        });
        Host { look }
    }

    fn seen() -> String {
        let say = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let ours = mounts.lines().filter(|l| l.contains("brunt-test-"));
        [
            say("nft", &["list", "ruleset"]),
            say("tc", &["qdisc", "show", "dev", "lo"]),
            say("tc", &["class", "show", "dev", "lo"]),
            say("ip", &["link", "show", "lo"]),
            ours.collect::<Vec<_>>().join("\n"),
        ]
        .join("\n")
    }

    fn now(&self) -> String {
        let (answer, seen) = channel();
        self.look.send(answer).unwrap();
        seen.recv().unwrap()
    }
}

#[test]
fn the_host_has_nothing_of_it_meanwhile_nor_after() {
    let host = Host::new();
    let before = host.now();
    let stage = stage("host");
    stage.hold("cut", &stage.first, Direction::Both, PARTITION);
    stage.hold(
        "slow",
        &stage.second,
        Direction::Both,
        PacketEffect::Bandwidth { rate: Bytes(1000) },
    );
    stage.fleet.hold("full", &Lever::DiskFull { free: Bytes(0) }).unwrap();
    // What is asserted to be absent there is here.
    let here = Host::seen();
    for what in ["table inet brunt", "qdisc htb 1:", "brunt-test-", "mtu 1500"] {
        assert!(here.contains(what), "{what}: {here}");
        assert!(!before.contains(what) || what == "mtu 1500", "{what}: {before}");
    }
    assert_eq!(host.now(), before);
    for hold in ["cut", "slow", "full"] {
        stage.release(hold);
    }
    let healed = Host::seen();
    assert!(!healed.contains("table inet brunt") && !healed.contains("htb"), "{healed}");
    stage.end();
    assert_eq!(host.now(), before);
    assert_eq!(Host::seen(), before, "this thread is back");
}

fn write(folder: &Path, name: &str, bytes: usize) -> std::io::Result<()> {
    std::fs::write(folder.join(name), vec![1; bytes])
}

#[test]
fn a_full_disk_takes_nothing_more_and_has_room_again() {
    let stage = stage("full");
    let work = stage.work.clone();
    write(&work, "kept", 1 << 20).unwrap();
    let full = |id: &str, free: u64| {
        let lever = Lever::DiskFull { free: Bytes(free) };
        let stamp = stage.fleet.prepare(id, &lever).and_then(|_| stage.fleet.hold(id, &lever));
        let proof = stamp.unwrap().proof;
        eprintln!("{id}: {proof}");
    };
    full("some", 64 << 10);
    write(&work, "fits", 32 << 10).unwrap();
    full("none", 0);
    let error = write(&work, "more", 8 << 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    std::fs::remove_file(work.join("more")).unwrap();
    stage.release("none");
    // The other hold is still there: so much and no more.
    write(&work, "again", 60 << 10).unwrap();
    assert_eq!(write(&work, "more", 64 << 10).unwrap_err().kind(), ErrorKind::StorageFull);
    let proof = stage.release("some");
    assert!(proof.contains("free at its end"), "{proof}");
    write(&work, "more", 8 << 20).unwrap();
    assert_eq!(std::fs::read(work.join("kept")).unwrap(), vec![1; 1 << 20]);
    stage.end();
}

/// Not a test of its own: a brunt in its own namespaces that holds until it is killed.
#[test]
#[ignore = "started by other tests"]
fn helper_brunt() {
    let folder = std::path::PathBuf::from(std::env::var("HELPER_FOLDER").unwrap());
    let run = std::env::var("HELPER_RUN").unwrap();
    let work = folder.join(format!("brunt-{run}"));
    let _own = enter(&work);
    let plan = linked_plan();
    let listen = |i: usize| std::net::TcpListener::bind(plan.links[i].dial).unwrap();
    let _lines = (listen(0), listen(1));
    let (sender, _events) = channel();
    let options = options(support::WITH_CHILD, &folder, false);
    let fleet =
        Fleet::start_with(&plan, &run, &work, &folder.join("logs"), sender, options).unwrap();
    fleet.hold("cut", &lever("b", Direction::Both, PARTITION)).unwrap();
    let slow = PacketEffect::Bandwidth { rate: Bytes(1000) };
    fleet.hold("slow", &lever("c", Direction::Both, slow)).unwrap();
    fleet.hold("full", &Lever::DiskFull { free: Bytes(0) }).unwrap();
    let space = |what: &str| std::fs::read_link(format!("/proc/thread-self/ns/{what}")).unwrap();
    let own = (fleet.keeper(), space("net"), space("mnt"));
    std::fs::write(folder.join("up.new"), serde_json::to_string(&own).unwrap()).unwrap();
    std::fs::rename(folder.join("up.new"), folder.join("up")).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

/// Threads of any process that are in this namespace.
fn inside(space: &Path, what: &str) -> usize {
    let tasks = |process: std::fs::DirEntry| {
        std::fs::read_dir(process.path().join("task")).into_iter().flatten().flatten()
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten().flat_map(tasks);
    let is_inside = |task: &std::fs::DirEntry| {
        std::fs::read_link(task.path().join("ns").join(what)).is_ok_and(|s| s == space)
    };
    all.filter(is_inside).count()
}

fn kill_and_look(name: &str, with_keeper: bool) {
    let host = Host::new();
    let before = host.now();
    let folder = tempfile::tempdir().unwrap();
    let run = run_id(name);
    let mut brunt = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_brunt", "--ignored", "--nocapture"])
        .env("HELPER_FOLDER", folder.path())
        .env("HELPER_RUN", &run)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    assert!(within(|| folder.path().join("up").exists()), "the helper did not come up");
    let text = std::fs::read_to_string(folder.path().join("up")).unwrap();
    let (keeper, net, mnt): (Identity, std::path::PathBuf, std::path::PathBuf) =
        serde_json::from_str(&text).unwrap();
    // The helper's thread, its keeper, and what they started.
    assert!(inside(&net, "net") >= 5 && inside(&mnt, "mnt") >= 5);
    let keeper = Process::open(keeper).unwrap();
    if with_keeper {
        // It cannot see brunt's end before its own.
        keeper.signal(rustix::process::Signal::STOP).unwrap();
    }
    brunt.kill().unwrap();
    brunt.wait().unwrap();
    let state = folder.path().join("state");
    if with_keeper {
        keeper.signal(rustix::process::Signal::KILL).unwrap();
        assert!(keeper.wait_exit(support::BOUND));
        for healed in brunt::host::heal(&state) {
            assert_eq!(healed.left, Vec::<String>::new());
        }
    }
    assert!(within(|| is_clean(&run, folder.path())), "left: {:?}", groups_of(&run));
    assert!(within(|| inside(&net, "net") == 0 && inside(&mnt, "mnt") == 0));
    assert!(!folder.path().join(format!("brunt-{run}")).exists());
    assert_eq!(host.now(), before);
}

#[test]
fn nothing_is_left_when_brunt_is_killed() {
    kill_and_look("killed", false);
}

#[test]
fn nothing_is_left_when_brunt_and_keeper_are_killed() {
    kill_and_look("both-killed", true);
}

/// Loss on the way from the app to the database, then a full disk under writes that need room.
const PROFILE: &str = r#"
in_time = "250ms"
timeout = "1s"
arrivals = "poisson"
[steady]
in_time = 0.01
[[phase]]
name = "all"
lasts = "12s"
rate = "30/s"
[[request]]
name = "comment"
weight = 1
method = "POST"
path = "/api/videos/{video}/comments"
headers = { Idempotency-Key = "{write}", Content-Type = "application/json" }
body = '{"text":"TEXT"}'
costs = "comment"
check = "write"
[value.video]
zipf = { n = 10000, exponent = 1.0 }
[value.write]
write-id = {}
[[fault]]
name = "lossy"
kind = "loss"
share = 0.5
on = "app->database"
at = "2s"
lasts = "1s"
[[fault]]
name = "full"
kind = "disk-full"
on = "database"
at = "4s"
lasts = "2s"
"#;

/// `brunt run garage` under a profile; its summary and what it said.
fn run(folder: &Path, target: &str, profile: &str) -> (serde_json::Value, String) {
    let file = folder.join("faults.toml");
    std::fs::write(&file, profile).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_brunt"))
        .env("XDG_STATE_HOME", folder)
        .args(["run", target, "--json", "--quiet", "--profile"])
        .arg(&file)
        .arg("--out")
        .arg(folder.join("record"))
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).to_string();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), talk)
}

#[test]
fn a_whole_run_loses_packets_and_fills_its_disk_and_comes_back() {
    let host = Host::new();
    let before = host.now();
    let folder = tempfile::tempdir().unwrap();
    let profile = PROFILE.replace("TEXT", &"x".repeat(2000));
    let (summary, talk) = run(folder.path(), "garage[server.garage.restart_after=500ms]", &profile);
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("record").join(name)).unwrap();
    let events = read("events.csv");
    eprintln!("{events}{talk}");
    let said = |kind: &str, fault: &str| {
        let start = format!("{kind},{fault},");
        let line = events.lines().find(|l| l.contains(&start));
        line.unwrap_or_else(|| panic!("no {start}")).to_string()
    };
    let injected = said("fault-injected", "lossy");
    assert!(injected.contains("nftables") && injected.contains("50 % lost"), "{injected}");
    let healed = said("fault-healed", "lossy");
    assert!(number(healed.split("proof=").nth(1).unwrap(), 0) > 0, "{healed}");
    assert!(said("fault-injected", "full").contains("0B free"));
    assert!(said("fault-healed", "full").contains("0B free at its end"));
    // The database says why it stops, is started again, and has lost nothing that it acknowledged.
    assert!(read("logs/database-1.log").contains("No space left on device"));
    let data = &summary["data"];
    assert!(data["acknowledged"].as_u64().unwrap() > 0 && data["lost"] == 0, "{data}");
    let row = |second: u32| {
        let (series, start) = (read("series.csv"), format!("{second},"));
        let line = series.lines().find(|l| l.starts_with(&start)).unwrap().to_string();
        line.split(',').nth(5).unwrap().parse::<u32>().unwrap()
    };
    // The last second is long after the heal and the restart.
    assert!(row(11) > 0, "no write is answered after the heal");
    let ok: Vec<u32> = (0..12).map(row).collect();
    eprintln!("answered by second: {ok:?}");
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["plan"]["needs"]["network"], true);
    assert_eq!(host.now(), before);
}

#[test]
fn packets_of_a_url_are_refused_by_name_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (_, talk) = run(folder.path(), "http://127.0.0.1:1/", PROFILE);
    assert!(talk.contains("`fault.lossy.kind`") && talk.contains("http://127.0.0.1:1/"), "{talk}");
    assert!(talk.contains("only a target that brunt starts"), "{talk}");
}
