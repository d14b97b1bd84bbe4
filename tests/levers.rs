//! What faults hold, seen from outside: by the process that is hit and by the kernel's counters,
//! while it is held and after it was released. Nodes are stand-ins; the keeper is the real binary.

use brunt::base::{Bytes, Nanos};
use brunt::fault::Lever;
use brunt::fleet::FleetEvent;
use brunt::host::block::Device;
use brunt::host::cgroup::Cgroups;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "support/stage.rs"]
mod support;
use support::{Stage, plan, stage, within};

const IDLE: &str = "exec sleep 1000";
const SPIN: &str = "while :; do :; done";
const MIB: u64 = 1 << 20;
/// As the plan of the stage has it.
const PERIOD: Duration = Duration::from_millis(20);
/// A throttled disk takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

fn server(name: &str) -> String {
    name.into()
}

// --- Nodes that do something when they are asked to ---

/// Not a test of its own: a node. It does what is written into the file `ask` in its folder, and
/// answers in the file `told`.
#[test]
#[ignore = "started by other tests"]
fn helper_node() {
    let folder = PathBuf::from(std::env::var("HELPER_FOLDER").unwrap());
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        // Taken away before it is done: who starts again does not do it again.
        let taken = folder.join("taken");
        if std::fs::rename(folder.join("ask"), &taken).is_err() {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        let ask = std::fs::read_to_string(&taken).unwrap();
        let (what, number) = ask.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        let told = match what {
            "eat" => {
                eaten.push(vec![1; number << 20]);
                "eaten".into()
            }
            "open" => open(number),
            "write" => write_synced(&folder, number),
            other => panic!("{other}"),
        };
        std::fs::write(folder.join("telling"), told).unwrap();
        std::fs::rename(folder.join("telling"), folder.join("told")).unwrap();
    }
}

/// Opens so many files at once: how many it got, and the error of the first that it did not get.
fn open(many: usize) -> String {
    let mut files = Vec::with_capacity(many);
    let mut error = 0;
    while files.len() < many && error == 0 {
        match std::fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(e) => error = e.raw_os_error().unwrap(),
        }
    }
    let got = files.len();
    drop(files);
    format!("{got} {error}")
}

/// Nanoseconds for so many MiB, each 256 KiB of them on disk before the next.
fn write_synced(folder: &Path, mib: usize) -> String {
    let dsync = rustix::fs::OFlags::DSYNC.bits() as i32;
    let path = folder.join("data");
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.create(true).truncate(true).write(true).custom_flags(dsync).open(&path).unwrap();
    let began = Instant::now();
    for _ in 0..mib * 4 {
        file.write_all(&[1; 256 << 10]).unwrap();
    }
    began.elapsed().as_nanos().to_string()
}

/// A stage whose node `a` on `s1` does what it is asked; `b` on `s2` is idle.
struct Asked {
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Asked {
    fn new(name: &str) -> Asked {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let script = format!(
            r#"read -r plan; case "$plan" in *'"name":"a"'*) ;; *) exec sleep 1000 ;; esac
            HELPER_FOLDER='{}' exec '{}' --exact helper_node --ignored --nocapture"#,
            folder.path().display(),
            own.display()
        );
        let plan = plan(&[("s1", 0.5, &["a"]), ("s2", 0.3, &["b"])]);
        Asked { stage: stage(name, &plan, &script, false), folder }
    }

    /// Without waiting for the answer.
    fn send(&self, what: &str) {
        std::fs::write(self.folder.path().join("asking"), what).unwrap();
        std::fs::rename(self.folder.path().join("asking"), self.folder.path().join("ask")).unwrap();
    }

    fn ask(&self, what: &str) -> String {
        self.send(what);
        let told = self.folder.path().join("told");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = std::fs::read_to_string(&told) {
                std::fs::remove_file(&told).unwrap();
                return text;
            }
            assert!(Instant::now() < until, "no answer to `{what}`");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

// --- What the kernel says of a server's groups ---

/// Control files by their full name, as they are now, in all groups of a server.
fn control_files(stage: &Stage, server: &str) -> Vec<(PathBuf, String)> {
    const KINDS: [&str; 8] = [
        "cpu.cfs_quota_us",
        "cpu.max",
        "memory.limit_in_bytes",
        "memory.max",
        "memory.high",
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
        "io.max",
    ];
    let groups = Cgroups::probe(&stage.run).run_folders();
    let files = groups.iter().flat_map(|g| KINDS.map(|kind| g.join(server).join(kind)));
    files.filter_map(|f| Some((f.clone(), std::fs::read_to_string(f).ok()?))).collect()
}

fn control_file(stage: &Stage, server: &str, name: &str) -> Option<String> {
    let all = control_files(stage, server);
    all.into_iter().find(|(file, _)| file.ends_with(name)).map(|(_, text)| text.trim().into())
}

fn has(stage: &Stage, name: &str) -> bool {
    control_file(stage, "s1", name).is_some()
}

fn used(stage: &Stage, server: &str) -> Nanos {
    stage.fleet.usage().iter().find(|u| u.server == server).unwrap().server_cpu
}

/// By the kernel's counter, over 20 periods: the quota of each, of one that was begun before, and
/// what a core may run on until its next tick. A virtual core may be held back for long in the middle
/// of one: what it overran then is paid back in the next periods, and without a quota never.
fn assert_within_quota(stage: &Stage, server: &str, cores: f64) {
    const TICK: Duration = Duration::from_millis(10);
    let began = Instant::now();
    let before = used(stage, server);
    // A measurement takes its time; nothing is waited for.
    std::thread::sleep(20 * PERIOD);
    let cpus = brunt::host::affinity::own().unwrap().len() as u32;
    let is_within = within(|| {
        let used = used(stage, server) - before;
        let periods = began.elapsed().as_secs_f64() / PERIOD.as_secs_f64() + 1.0;
        let most = PERIOD.mul_f64(cores * periods) + TICK * cpus;
        eprintln!("{server}: used {used} of at most {most:?} in {periods:.1} periods");
        used.duration() <= most
    });
    assert!(is_within, "the last of the above is too much");
}

#[test]
fn a_spinning_server_never_exceeds_its_quota() {
    let stage = stage("l-quota", &plan(&[("s1", 0.3, &["a"])]), SPIN, false);
    assert!(within(|| used(&stage, "s1") > Nanos::ZERO));
    assert_within_quota(&stage, "s1", 0.3);
    let before = control_files(&stage, "s1");
    stage.fleet.hold("h", &Lever::CpuShare { server: server("s1"), to: 0.4 }).unwrap();
    // The period in which it was taken away had more.
    std::thread::sleep(PERIOD);
    assert_within_quota(&stage, "s1", 0.3 * 0.4);
    let released = stage.fleet.release("h").unwrap();
    assert!(released.proof.starts_with("throttled for"), "{released:?}");
    assert_eq!(control_files(&stage, "s1"), before);
    stage.end();
}

// --- A busy neighbour ---

/// Whether a node's shell has become the program that only waits.
fn is_idle(stage: &Stage, node: &str) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", stage.process(node).pid));
    name.is_ok_and(|name| name.trim() == "sleep")
}

/// Processes of the run that burn.
fn burners(stage: &Stage) -> usize {
    let is_burner = |pid: i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|b| *b == 0).any(|word| word == b"__burn")
    };
    brunt::host::heal::marked(&stage.run).iter().filter(|p| is_burner(p.pid)).count()
}

fn competitor(cores: f64) -> Lever {
    Lever::Competitor { server: server("s1"), cores }
}

#[test]
fn a_competitor_burns_the_servers_own_share_and_nobody_elses() {
    for without_cgroups in [false, true] {
        let plan = plan(&[("s1", 0.3, &["a"]), ("s2", 0.3, &["b"])]);
        let stage = stage(&format!("l-burn-{without_cgroups}"), &plan, IDLE, without_cgroups);
        // From then on neither does anything by itself.
        assert!(within(|| ["a", "b"].iter().all(|n| is_idle(&stage, n))));
        let before = control_files(&stage, "s1");
        let (idle, other) = (used(&stage, "s1"), used(&stage, "s2"));
        let held = stage.fleet.hold("one", &competitor(1.0)).unwrap();
        assert!(held.proof.contains("burns 1 cores"), "{held:?}");
        assert!(within(|| used(&stage, "s1") - idle > Nanos::from_millis(20)));
        if stage.fleet.quota_mechanism() != "stop-when-spent" {
            assert_within_quota(&stage, "s1", 0.3);
        }
        stage.fleet.hold("two", &competitor(0.5)).unwrap();
        assert_eq!(burners(&stage), 2);
        let one = stage.fleet.release("one").unwrap();
        assert!(one.proof.contains("competitors burnt"), "{one:?}");
        assert!(one.proof.contains("now process") && one.proof.contains("0.5 cores"), "{one:?}");
        assert_eq!(burners(&stage), 1);
        let two = stage.fleet.release("two").unwrap();
        eprintln!("{two:?}");
        assert_eq!(burners(&stage), 0);
        assert!(used(&stage, "s2") - other < Nanos::from_millis(5), "another server is touched");
        assert_eq!(control_files(&stage, "s1"), before);
        let nobody = Lever::Competitor { server: server("nobody"), cores: 1.0 };
        assert!(stage.fleet.hold("x", &nobody).is_err());
        assert!(stage.fleet.hold("x", &competitor(0.0)).is_err());
        stage.end();
    }
}

#[test]
fn a_server_has_less_of_its_share_beside_a_competitor() {
    let stage = stage("l-beside", &plan(&[("s1", 0.3, &["a"])]), SPIN, false);
    // What its own process has of all that is used in the server, over 20 periods.
    let own_part = || {
        let usage = || {
            let usage = stage.fleet.usage().remove(0);
            (usage.server_cpu, usage.process.unwrap().cpu)
        };
        let (all, own) = usage();
        std::thread::sleep(20 * PERIOD);
        let (all_after, own_after) = usage();
        (own_after - own).as_secs_f64() / (all_after - all).as_secs_f64()
    };
    assert!(within(|| used(&stage, "s1") > Nanos::ZERO));
    let until = |wanted: fn(f64) -> bool| {
        let is_so = within(|| {
            let part = own_part();
            eprintln!("{part:.2} of it");
            wanted(part)
        });
        assert!(is_so, "the last of the above never became right");
    };
    until(|alone| alone > 0.9);
    stage.fleet.hold("c", &competitor(1.0)).unwrap();
    until(|beside| beside < 0.75);
    assert_within_quota(&stage, "s1", 0.3);
    let released = stage.fleet.release("c").unwrap();
    eprintln!("{}", released.proof);
    assert!(!released.proof.contains("not running for 0s"), "{released:?}");
    until(|again| again > 0.9);
    stage.end();
}

#[test]
fn a_competitor_waits_for_a_frozen_server_and_outlives_its_restart() {
    for without_cgroups in [false, true] {
        let plan = plan(&[("s1", 0.3, &["a"])]);
        let stage = stage(&format!("l-thaw-{without_cgroups}"), &plan, IDLE, without_cgroups);
        stage.fleet.hold("f", &Lever::Freeze { server: server("s1") }).unwrap();
        let late = stage.fleet.hold("c", &competitor(1.0)).unwrap();
        assert!(late.proof.contains("when it goes on"), "{late:?}");
        assert_eq!(burners(&stage), 0);
        stage.fleet.release("f").unwrap();
        assert_eq!(burners(&stage), 1);
        stage.fleet.kill_server("s1").unwrap();
        assert_eq!(burners(&stage), 0);
        stage.fleet.start_server("s1").unwrap();
        assert_eq!(burners(&stage), 1);
        // Taken off while it is frozen: it is gone when that is over.
        stage.fleet.hold("f", &Lever::Freeze { server: server("s1") }).unwrap();
        stage.fleet.release("c").unwrap();
        stage.fleet.release("f").unwrap();
        assert!(within(|| burners(&stage) == 0));
        stage.end();
    }
}

// --- Memory ---

fn memory(to_mib: u64) -> Lever {
    Lever::MemoryLimit { server: server("s1"), to: Bytes(to_mib * MIB) }
}

#[test]
fn a_server_that_needs_more_memory_than_it_has_is_killed_and_repaired() {
    let asked = Asked::new("l-memory");
    let stage = &asked.stage;
    if !has(stage, "memory.limit_in_bytes") && !has(stage, "memory.max") {
        let refused = stage.fleet.hold("h", &memory(48)).unwrap_err().to_string();
        assert!(refused.contains("memory controller"), "{refused}");
        panic!("no group of the memory controller can be made here, so this test says nothing");
    }
    let before = control_files(stage, "s1");
    let others = control_files(stage, "s2");
    let bystander = stage.process("b");
    let held = stage.fleet.hold("h", &memory(48)).unwrap();
    assert!(held.proof.contains("48MiB"), "{held:?}");
    // The strongest of two wins, and taking one off leaves the other.
    let weaker = stage.fleet.hold("weaker", &memory(64)).unwrap();
    assert!(weaker.proof.contains(" 48MiB"), "{weaker:?}");
    assert_eq!(asked.ask("eat 1"), "eaten");
    asked.send("eat 96");
    let exited = stage.await_event(|e| matches!(e, FleetEvent::Exited { .. }));
    let FleetEvent::Exited { node, at: exited, how, expected, .. } = exited else {
        panic!("this is what was waited for")
    };
    assert_eq!((node.as_str(), expected), ("a", false));
    assert!(how.contains("signal 9"), "{how}");
    let started = stage.await_event(|e| matches!(e, FleetEvent::Started { .. }));
    let FleetEvent::Started { at: started, .. } = started else {
        panic!("this is what was waited for")
    };
    let repair = started.saturating_sub(exited);
    assert!(repair >= Nanos::from_millis(100), "{repair}");
    let released = stage.fleet.release("h").unwrap();
    eprintln!("{released:?}");
    assert!(released.proof.contains("OOM kills 1"), "{released:?}");
    assert!(released.proof.contains(" 64MiB"), "{released:?}");
    let released = stage.fleet.release("weaker").unwrap();
    assert!(released.proof.contains("unlimited"), "{released:?}");
    assert_eq!(control_files(stage, "s1"), before);
    assert_eq!(control_files(stage, "s2"), others);
    assert_eq!(asked.ask("eat 96"), "eaten");
    assert_eq!(stage.process("b"), bystander);
    assert!(bystander.is_alive());
    asked.stage.end();
}

#[test]
fn a_limit_under_what_is_in_use_is_as_low_as_it_goes_or_kills() {
    let asked = Asked::new("l-low");
    let stage = &asked.stage;
    assert_eq!(asked.ask("eat 64"), "eaten");
    let before = control_files(stage, "s1");
    let held = stage.fleet.hold("h", &memory(16)).unwrap();
    eprintln!("{held:?}");
    if has(stage, "memory.limit_in_bytes") {
        assert!(held.proof.contains("16MiB was asked for"), "{held:?}");
        let limit: u64 =
            control_file(stage, "s1", "memory.limit_in_bytes").unwrap().parse().unwrap();
        assert!((64 * MIB..80 * MIB).contains(&limit), "{limit}");
        // The next MiBs are too much; whoever starts afterwards has the limit that was asked for.
        asked.send("eat 32");
    } else {
        assert!(has(stage, "memory.max"), "no memory controller here: this test says nothing");
    }
    stage.await_event(|e| matches!(e, FleetEvent::Exited { expected: false, .. }));
    stage.await_event(|e| matches!(e, FleetEvent::Started { .. }));
    let sixteen = (16 * MIB).to_string();
    let file = if has(stage, "memory.max") { "memory.max" } else { "memory.limit_in_bytes" };
    assert!(within(|| control_file(stage, "s1", file).as_deref() == Some(sixteen.as_str())));
    stage.fleet.release("h").unwrap();
    assert_eq!(control_files(stage, "s1"), before);
    asked.stage.end();
}

#[test]
fn pressure_slows_down_or_is_refused_with_the_reason() {
    let asked = Asked::new("l-pressure");
    let stage = &asked.stage;
    let before = control_files(stage, "s1");
    let pressure = Lever::MemoryPressure { server: server("s1"), to: Bytes(24 * MIB) };
    if has(stage, "memory.high") {
        stage.fleet.hold("h", &pressure).unwrap();
        asked.send("eat 32");
        let high = |text: &str| text.contains("slowed");
        assert!(within(|| {
            let released = stage.fleet.release("h").unwrap();
            stage.fleet.hold("h", &pressure).unwrap();
            high(&released.proof)
        }));
        stage.fleet.release("h").unwrap();
    } else {
        let refused = stage.fleet.hold("h", &pressure).unwrap_err().to_string();
        eprintln!("{refused}");
        assert!(refused.contains("memory.high") || refused.contains("memory controller"));
    }
    assert_eq!(control_files(stage, "s1"), before);
    asked.stage.end();
}

// --- Descriptors ---

fn descriptors(to: u64) -> Lever {
    Lever::Descriptors { node: "a".into(), to }
}

/// Soft and hard limit of open files, as the kernel shows them.
fn open_files_limit(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    text.lines().find(|l| l.starts_with("Max open files")).unwrap().to_string()
}

#[test]
fn a_node_runs_out_of_descriptors_and_has_them_back() {
    const EMFILE: i32 = 24;
    let asked = Asked::new("l-files");
    let stage = &asked.stage;
    let limits = |node: &str| open_files_limit(stage.process(node).pid);
    let (before, other) = (limits("a"), limits("b"));
    assert_eq!(asked.ask("open 100"), "100 0");
    let held = stage.fleet.hold("h", &descriptors(40)).unwrap();
    assert!(held.proof.contains("soft limit 40"), "{held:?}");
    let got = |text: String| -> (u64, i32) {
        let (got, error) = text.split_once(' ').unwrap();
        (got.parse().unwrap(), error.parse().unwrap())
    };
    let (few, error) = got(asked.ask("open 100"));
    assert!(few < 40 && error == EMFILE, "{few} {error}");
    // The strongest of two wins, and taking one off leaves the other.
    stage.fleet.hold("weaker", &descriptors(60)).unwrap();
    let (still, error) = got(asked.ask("open 100"));
    assert_eq!((still, error), (few, EMFILE));
    let released = stage.fleet.release("h").unwrap();
    assert!(released.proof.contains("of 40 descriptors open; now"), "{released:?}");
    let (more, error) = got(asked.ask("open 100"));
    assert_eq!((more, error), (few + 20, EMFILE));
    // A process that starts meanwhile has no more.
    stage.fleet.kill_node("a").unwrap();
    stage.fleet.start_node("a").unwrap();
    let (again, error) = got(asked.ask("open 100"));
    assert!(again < 60 && error == EMFILE, "{again} {error}");
    let released = stage.fleet.release("weaker").unwrap();
    eprintln!("{released:?}");
    assert_eq!(asked.ask("open 100"), "100 0");
    assert_eq!((limits("a"), limits("b")), (before, other));
    let too_many = stage.fleet.hold("h", &descriptors(u64::MAX)).unwrap_err().to_string();
    assert!(too_many.contains("takes nothing away"), "{too_many}");
    asked.stage.end();
}

#[test]
fn what_a_node_starts_meanwhile_is_given_back_its_descriptors_too() {
    // A child each 5 ms, of which the last is always there.
    let script = "while :; do sleep 1000 & child=$!; sleep 0.005; kill $child; done";
    let stage = stage("l-files-child", &plan(&[("s1", 0.5, &["a"])]), script, false);
    let before = open_files_limit(stage.process("a").pid);
    let limits = || -> Vec<String> {
        let all = brunt::host::heal::marked(&stage.run).into_iter().map(|p| p.pid);
        let read = |pid| std::fs::read_to_string(format!("/proc/{pid}/limits")).ok();
        let line =
            |text: String| text.lines().find(|l| l.starts_with("Max open files")).map(String::from);
        all.filter_map(read).filter_map(line).collect()
    };
    stage.fleet.hold("h", &descriptors(50)).unwrap();
    assert!(within(|| {
        let all = limits();
        all.len() >= 2 && all.iter().all(|l| *l != before)
    }));
    stage.fleet.release("h").unwrap();
    assert!(within(|| {
        let all = limits();
        all.len() >= 2 && all.iter().all(|l| *l == before)
    }));
    stage.end();
}

// --- The disk ---

#[test]
fn a_slow_disk_takes_its_time_or_is_refused_with_the_reason() {
    const RATE: u64 = 2 * MIB;
    const WRITTEN_MIB: u64 = 3;
    let asked = Asked::new("l-disk");
    let stage = &asked.stage;
    let before = control_files(stage, "s1");
    let slow = |to| Lever::DiskRate { server: server("s1"), to: Bytes(to) };
    let device = Device::of(stage.folder.path());
    let has_group = has(stage, "blkio.throttle.write_bps_device") || has(stage, "io.max");
    if let (true, Ok(device)) = (has_group, device) {
        let free = Duration::from_nanos(asked.ask("write 3").parse().unwrap());
        let held = stage.fleet.hold("h", &slow(RATE)).unwrap();
        assert!(held.proof.contains(&format!("disk {device}")), "{held:?}");
        stage.fleet.hold("weaker", &slow(2 * RATE)).unwrap();
        let took = Duration::from_nanos(asked.ask("write 3").parse().unwrap());
        // One burst: the kernel hands out its slices of 100 ms ahead.
        let least = Duration::from_secs_f64((WRITTEN_MIB * MIB) as f64 / RATE as f64)
            - Duration::from_millis(200);
        eprintln!("{WRITTEN_MIB} MiB took {took:?}, without the fault {free:?}");
        assert!(took >= least, "{took:?} of at least {least:?}");
        let released = stage.fleet.release("h").unwrap();
        eprintln!("{released:?}");
        assert!(released.proof.contains("wrote 3."), "{released:?}");
        assert!(released.proof.contains("4MiB"), "{released:?}");
        let released = stage.fleet.release("weaker").unwrap();
        assert!(released.proof.contains("write unlimited"), "{released:?}");
        let after = Duration::from_nanos(asked.ask("write 3").parse().unwrap());
        eprintln!("and afterwards {after:?}");
    } else {
        let refused = stage.fleet.hold("h", &slow(RATE)).unwrap_err().to_string();
        eprintln!("{refused}");
        assert!(refused.contains("no disk") || refused.contains("controller"), "{refused}");
    }
    assert!(stage.fleet.hold("none", &slow(0)).is_err());
    assert_eq!(control_files(stage, "s1"), before);
    asked.stage.end();
}

#[test]
fn holds_of_every_kind_are_on_at_once_and_undone_one_by_one() {
    let plan = plan(&[("s1", 0.5, &["a"]), ("s2", 0.3, &["b"])]);
    let stage = stage("l-all", &plan, IDLE, false);
    let before = control_files(&stage, "s1");
    let other = control_files(&stage, "s2");
    let limits = open_files_limit(stage.process("a").pid);
    let holds = [
        ("share", Lever::CpuShare { server: server("s1"), to: 0.5 }),
        ("competitor", competitor(1.0)),
        ("memory", memory(64)),
        ("files", descriptors(64)),
        ("disk", Lever::DiskRate { server: server("s1"), to: Bytes(MIB) }),
    ];
    for (id, lever) in &holds {
        let held = stage.fleet.hold(id, lever).unwrap();
        eprintln!("{id}: {} ({})", held.proof, held.mechanism);
    }
    assert_ne!(control_files(&stage, "s1"), before);
    assert_eq!(control_files(&stage, "s2"), other);
    for (id, _) in holds {
        let released = stage.fleet.release(id).unwrap();
        eprintln!("{id}: {}", released.proof);
    }
    assert_eq!(control_files(&stage, "s1"), before);
    assert_eq!(open_files_limit(stage.process("a").pid), limits);
    assert_eq!(burners(&stage), 0);
    stage.end();
}
