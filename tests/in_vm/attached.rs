//! A process that runs already, attached to: what brunt does to it on cgroup v2 and to its cores, and
//! that it is given back.

use crate::group::{Group, ROOT};
use crate::guest;
use crate::support::{is_clean, run_id, within};
use brunt::fault::Lever;
use brunt::fleet::{Fleet, Options};
use brunt::host::affinity;
use brunt::host::attach::Was;
use brunt::host::process::{Identity, Process, Stat};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::channel;

fn group_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().trim().to_string()
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn an_attached_process_is_held_and_given_back() {
    guest();
    let folder = tempfile::tempdir().unwrap();
    let session = Group::new(Path::new(ROOT), "own.scope");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    // Orphaned, since what brunt started is nothing to attach to; it ends with its group.
    let mut command = session.command("sh");
    let script = "setsid \"$0\" \"$@\" </dev/null >/dev/null 2>&1 & echo $!";
    command.args(["-c", script, env!("CARGO_BIN_EXE_brunt"), "serve", "known"]);
    command.args(["--service", "fixed:1ms", "--listen", &address.to_string()]);
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let pid: i32 = said.trim().parse().unwrap();
    assert!(within(|| TcpStream::connect(address).is_ok()), "the user's own server");
    let now = || Was::of(&Process::open(Identity::of(pid).unwrap()).unwrap()).unwrap();
    let (was, group) = (now(), group_of(pid));
    assert_eq!(group, "0::/own.scope");

    let file = folder.path().join("own.toml");
    let target = format!(
        "public = {{ entry = [\"own\"] }}\n[attach]\nallow = [\"pause\", \"throttle\", \
         \"descriptors\"]\nmax_duration = \"1m\"\n[server.own]\n[[server.own.node]]\nrole = \
         \"own\"\nstart = {{ attach = {{ port = {} }} }}\n",
        address.port()
    );
    std::fs::write(&file, target).unwrap();
    let machine = brunt::host::resolve(17_170).unwrap();
    let target = brunt::target::load(file.to_str().unwrap()).unwrap();
    let profile = brunt::profile::load("web[fault=[]]").unwrap();
    let plan = brunt::plan::compile(&target, &profile, 1, &machine.facts).unwrap();
    let server = plan.servers[0].name.clone();
    let run = run_id("attached");
    let options = Options {
        program: env!("CARGO_BIN_EXE_brunt").into(),
        state_folder: folder.path().join("state"),
        ..Options::default()
    };
    let (sender, _events) = channel();
    let (work, logs) = (folder.path().join("work"), folder.path().join("logs"));
    let fleet = Fleet::start_with(&plan, &run, &work, &logs, sender, options).unwrap();
    assert_eq!((fleet.process_of("own-1").unwrap().pid, group_of(pid)), (pid, group.clone()));

    // A group of version 2 is the user's, and stays: the share is kept by stopping.
    let share = Lever::CpuShare { server: server.clone(), to: 0.2 };
    let stamp = fleet.hold("slow", &share).unwrap();
    eprintln!("{}: {}", stamp.mechanism, stamp.proof);
    assert_eq!(group_of(pid), group);
    eprintln!("{}", fleet.release("slow").unwrap().proof);
    assert_ne!(Stat::read(pid).unwrap().state, 'T');

    let all = affinity::of(pid).unwrap();
    assert!(all.len() >= 3, "{all:?}");
    fleet.hold("cores", &Lever::CpuCores { server, to: 0.7 }).unwrap();
    let kept = now().threads;
    assert!(kept.iter().all(|(_, on)| *on == all[..all.len() * 7 / 10]), "{kept:?}");
    fleet.release("cores").unwrap();
    assert!(now().threads.iter().all(|(_, on)| *on == all));

    fleet.hold("pause", &Lever::Pause { node: "own-1".into() }).unwrap();
    assert_eq!(Stat::read(pid).unwrap().state, 'T');
    fleet.release("pause").unwrap();
    assert_ne!(Stat::read(pid).unwrap().state, 'T');

    fleet.hold("files", &Lever::Descriptors { node: "own-1".into(), to: 40 }).unwrap();
    assert_ne!(now().open_files, was.open_files);
    fleet.release("files").unwrap();

    // Held to the end: the end gives it back.
    fleet.hold("end", &Lever::Pause { node: "own-1".into() }).unwrap();
    assert_eq!(fleet.shutdown(), Vec::<String>::new());
    let after = now();
    assert_eq!((after.open_files, group_of(pid)), (was.open_files, group));
    assert!(TcpStream::connect(address).is_ok() && Stat::read(pid).unwrap().state != 'T');
    assert!(is_clean(&run, folder.path()));
}
