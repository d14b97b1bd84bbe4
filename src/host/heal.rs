//! Undoes what a journal says, and only that; then looks whether it is so.

use super::attach;
use super::bounded;
use super::cgroup::clear;
use super::journal::Story;
use super::process::{Identity, Process, Stat};
use super::scratch;
use crate::base::Nanos;
use rustix::process::Signal;
use std::path::Path;

/// Nodes and what they start bear the run's id in this variable of their environment.
pub const RUN_VARIABLE: &str = "BRUNT_RUN";

/// What was undone for one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    pub run: String,
    /// Sentences for people.
    pub done: Vec<String>,
    /// What is still there; empty when all is clean.
    pub left: Vec<String>,
}

/// Undoes every run whose brunt and keeper are both gone.
pub fn heal(state: &Path) -> Vec<Healed> {
    Story::all(state).iter().filter(|s| !s.is_live()).map(undo).collect()
}

/// What [`heal`] would do, in sentences; nothing is touched.
pub fn preview(state: &Path) -> Vec<Healed> {
    Story::all(state).iter().filter(|s| !s.is_live()).map(would_undo).collect()
}

fn would_undo(story: &Story) -> Healed {
    let run = story.header.run.clone();
    let mut done: Vec<String> = Vec::new();
    if story.is_this_boot() {
        for (hold, lever) in story.held() {
            done.push(format!("end what fault hold `{hold}` does to {}", lever.object()));
        }
        let folders = story.folders().filter(|f| f.exists());
        done.extend(folders.map(|f| format!("end what is in {} and remove it", f.display())));
        done.extend(own_processes(story).iter().map(|p| format!("kill process {}", p.pid)));
    }
    let work = story.work_folder().filter(|f| is_work_folder(f, &run) && f.exists());
    done.extend(work.map(|_| "remove what its nodes kept on disk".to_string()));
    done.push(format!("remove {}", story.path.display()));
    Healed { run, done, left: Vec::new() }
}

/// Runs whose brunt and keeper are both gone: what [`heal`] would undo.
pub fn stale(state: &Path) -> Vec<String> {
    Story::all(state).into_iter().filter(|s| !s.is_live()).map(|s| s.header.run).collect()
}

/// Runs of other brunts that live right now: they share this machine, and its noise.
pub fn other_brunts(state: &Path, own_run: &str) -> Vec<String> {
    // What is only tried or measured disturbs nothing for long.
    let is_run = |s: &Story| s.header.run != own_run && !s.header.run.starts_with(scratch::PREFIX);
    let others = Story::all(state).into_iter().filter(|s| is_run(s) && s.is_live());
    others.map(|s| s.header.run).collect()
}

/// Undoes one run and removes its journal when nothing is left. The caller knows that its keeper
/// is gone.
pub fn undo(story: &Story) -> Healed {
    let run = story.header.run.clone();
    let mut healed = Healed { run, ..Healed::default() };
    if story.is_this_boot() {
        give_back_attached(story, &mut healed);
        undo_groups(story, &mut healed);
        undo_processes(story, &mut healed);
    } else {
        healed.done.push("the journal is of an earlier boot; no process of it can be left".into());
    }
    undo_work(story, &mut healed);
    if healed.left.is_empty()
        && let Err(e) = std::fs::remove_file(&story.path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        healed.left.push(format!("{}: {e}", story.path.display()));
    }
    healed
}

/// What was done to processes that brunt did not start.
fn give_back_attached(story: &Story, healed: &mut Healed) {
    for (server, lent) in story.lent().filter(|(_, lent)| lent.folder.exists()) {
        match lent.give_back(&story.was(server)) {
            Ok(()) => healed.done.push(format!("moved {server} back to {}", lent.home.display())),
            Err(e) => healed.left.push(format!("{server} is not where it was: {e}")),
        }
    }
    for (hold, lever) in story.held() {
        let (object, was) = (lever.object(), story.was(&lever.object()));
        if was.iter().any(|w| w.process.is_alive()) {
            match attach::give_back(lever, &was) {
                Ok(_) => healed.done.push(format!("ended what `{hold}` did to {object}")),
                Err(e) => healed.left.push(format!("what `{hold}` did to {object}: {e}")),
            }
        }
    }
}

fn undo_groups(story: &Story, healed: &mut Healed) {
    for folder in story.folders().filter(|f| f.exists()) {
        match clear::remove(folder, &story.header.run) {
            Ok(()) => healed.done.push(format!("removed {}", folder.display())),
            Err(e) => healed.left.push(e.to_string()),
        }
    }
}

fn undo_processes(story: &Story, healed: &mut Healed) {
    let find = || own_processes(story);
    for process in find() {
        healed.done.push(format!("killed process {}", process.pid));
    }
    let is_gone = || kill_all(&find()) == 0;
    if !super::cgroup::files::within(Nanos::from_secs(2), is_gone) {
        healed.left.extend(find().iter().map(|p| format!("process {} still runs", p.pid)));
    }
}

/// The run's processes that are alive.
fn own_processes(story: &Story) -> Vec<Identity> {
    let mut all: Vec<Identity> = story.processes().map(|(_, p)| p).collect();
    all.extend(in_sessions_of(&all));
    all.extend(marked(&story.header.run));
    all.retain(|p| p.is_alive());
    all.sort_by_key(|p| p.pid);
    all.dedup();
    all
}

/// What is in a session that one of these led, also once that one has ended. Some servers (nginx)
/// write over their workers' environment, so that no mark is left in it. The number of a session is
/// nobody else's while anyone is in it; where it leads another process now, the session is not ours.
fn in_sessions_of(leaders: &[Identity]) -> Vec<Identity> {
    let is_another = |leader: &Identity| {
        Stat::read(leader.pid).is_some_and(|s| s.start_time != leader.start_time)
    };
    let leaders: Vec<&Identity> = leaders.iter().filter(|l| !is_another(l)).collect();
    let is_in =
        |s: &Stat| leaders.iter().any(|l| s.session == l.pid && s.start_time >= l.start_time);
    Stat::all().iter().filter(|s| is_in(s)).map(Stat::identity).collect()
}

fn undo_work(story: &Story, healed: &mut Healed) {
    match story.work_folder().map(|folder| remove_work_folder(folder, &story.header.run)) {
        Some(Ok(true)) => healed.done.push("removed what its nodes kept on disk".into()),
        Some(Err(e)) => healed.left.push(format!("the work folder: {e}")),
        Some(Ok(false)) | None => {}
    }
}

/// Removes a run's work folder with everything in it; false when it was not there. Only a folder
/// that bears the run's name is touched.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_work_folder(folder: &Path, run: &str) -> std::io::Result<bool> {
    if !is_work_folder(folder, run) || !folder.exists() {
        return Ok(false);
    }
    // Where it is a file system of its own, the keeper is inside with it and can take it off.
    bounded::detach(folder)?;
    std::fs::remove_dir_all(folder).map(|()| true)
}

fn is_work_folder(folder: &Path, run: &str) -> bool {
    folder.file_name().is_some_and(|name| *name == *format!("brunt-{run}"))
}

/// SIGKILL to each that is still itself; returns how many there were.
pub fn kill_all(processes: &[Identity]) -> usize {
    for identity in processes {
        if let Ok(held) = Process::open(*identity) {
            let _ = held.signal(Signal::KILL);
        }
    }
    processes.len()
}

/// Processes whose environment says that this run started them.
pub fn marked(run: &str) -> Vec<Identity> {
    let wanted = format!("{RUN_VARIABLE}={run}");
    let is_marked = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|text| text.split(|b| *b == 0).any(|v| v == wanted.as_bytes()))
    };
    // The identity is read before the environment: a reused number then fails on its start time.
    let all = Stat::all();
    let all = all.iter().filter(|s| s.state != 'Z').map(Stat::identity);
    all.filter(|identity| is_marked(identity.pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Entry, Header, Journal};
    use super::super::process::boot_id;
    use super::*;

    fn gone() -> Identity {
        Identity { pid: i32::MAX, start_time: 1 }
    }

    fn header(run: &str, brunt: Identity, boot: String) -> Header {
        Header { run: run.into(), boot, brunt, keeper: gone(), work_folder: None }
    }

    #[test]
    fn the_work_folder_is_known_from_the_first_line() {
        let (state, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own, strange) = (work.path().join("brunt-r4"), work.path().join("brunt-r5"));
        for folder in [&own, &strange] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("kept"), "x").unwrap();
            let work_folder = Some(folder.clone());
            let header = Header { work_folder, ..header("r4", gone(), boot_id()) };
            Journal::begin(state.path(), header).unwrap();
            assert_eq!(heal(state.path())[0].left, Vec::<String>::new());
        }
        assert!(!own.exists() && strange.exists());
    }

    #[test]
    fn only_the_dead_brunts_own_processes_are_killed() {
        let state = tempfile::tempdir().unwrap();
        let run = format!("test-{}-heal", std::process::id());
        let header = header(&run, gone(), boot_id());
        let mut journal = Journal::begin(state.path(), header).unwrap();
        let sleep = |marked: bool| {
            let mut command = std::process::Command::new("sleep");
            if marked {
                command.env(RUN_VARIABLE, &run);
            }
            command.arg("100").spawn().unwrap()
        };
        let (mut listed, mut marked, mut stranger) = (sleep(false), sleep(true), sleep(false));
        let listed_identity = Identity::of(listed.id() as i32).unwrap();
        let wrong = Identity { start_time: 1, pid: stranger.id() as i32 };
        for process in [listed_identity, wrong] {
            journal.append(&Entry::Process { node: "n".into(), process }).unwrap();
        }
        let healed = heal(state.path());
        assert_eq!(healed[0].left, Vec::<String>::new());
        assert_eq!(healed[0].done.len(), 2, "{healed:?}");
        listed.wait().unwrap();
        marked.wait().unwrap();
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(heal(state.path()).is_empty());
    }

    #[test]
    fn what_an_ended_node_has_left_in_its_session_is_killed_without_any_mark() {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        let state = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sleep 100 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
        let mut leader = command.spawn().unwrap();
        let process = Identity::of(leader.id() as i32).unwrap();
        let mut line = String::new();
        std::io::BufReader::new(leader.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let worker = Identity::of(line.trim().parse().unwrap()).unwrap();
        leader.kill().unwrap();
        leader.wait().unwrap();
        let mut journal = Journal::begin(state.path(), header("r6", gone(), boot_id())).unwrap();
        // Another process has this number: whoever is in a session of it is a stranger's.
        let strange = Identity { start_time: process.start_time + 1, pid: Identity::own().pid };
        for process in [strange, process] {
            journal.append(&Entry::Process { node: "n".into(), process }).unwrap();
        }
        assert!(worker.is_alive());
        assert_eq!(heal(state.path())[0].left, Vec::<String>::new());
        assert!(!worker.is_alive());
    }

    #[test]
    fn a_living_brunt_is_left_alone_and_named() {
        let state = tempfile::tempdir().unwrap();
        let own = Identity::own();
        let header = header("r2", own, boot_id());
        let _journal = Journal::begin(state.path(), header).unwrap();
        assert!(heal(state.path()).is_empty());
        assert_eq!(other_brunts(state.path(), "r1"), ["r2"]);
        assert!(other_brunts(state.path(), "r2").is_empty());
    }

    #[test]
    fn a_journal_of_another_boot_is_just_removed() {
        let state = tempfile::tempdir().unwrap();
        let own = Identity::own();
        let header = header("r3", own, "another".into());
        let mut journal = Journal::begin(state.path(), header).unwrap();
        journal.append(&Entry::Process { node: "n".into(), process: own }).unwrap();
        assert_eq!(heal(state.path()).len(), 1);
        assert!(Story::all(state.path()).is_empty());
    }
}
