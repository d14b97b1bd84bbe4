//! Finds what runs already. A number is held by a pidfd first and looked at again afterwards: what
//! it was found by must still be true of the process that is held.

use crate::host::cgroup::group_folders;
use crate::host::process::{Identity, Process, Stat};
use std::io;
use std::path::Path;
use std::time::Duration;

fn not_found<T>(what: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::NotFound, what))
}

/// The process that this number means now.
fn hold(pid: i32) -> io::Result<Process> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, format!("no process has number {pid}"));
    let process = Process::open(Identity::of(pid).ok_or_else(gone)?)?;
    // The stat file was read while the pidfd was open if the process is still there.
    match process.wait_exit(Duration::ZERO) {
        true => Err(gone()),
        false => Ok(process),
    }
}

/// # Errors
/// When the file cannot be read, or names no process that runs.
pub fn by_pid_file(file: &Path) -> io::Result<Vec<Process>> {
    let read = || -> io::Result<i32> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| io::Error::new(e.kind(), format!("reading {}: {e}", file.display())))?;
        // PostgreSQL writes more lines below the number.
        let first = text.lines().next().unwrap_or_default().trim();
        let wrong = || io::Error::other(format!("{} holds no number: `{first}`", file.display()));
        first.parse().ok().filter(|pid| *pid > 0).ok_or_else(wrong)
    };
    let pid = read()?;
    let process = hold(pid)
        .map_err(|e| io::Error::new(e.kind(), format!("{} says {pid}: {e}", file.display())))?;
    match read()? == pid {
        true => Ok(vec![process]),
        false => not_found(format!("{} changed meanwhile; try again", file.display())),
    }
}

/// # Errors
/// When nothing listens there that this user may see.
pub fn by_port(port: u16) -> io::Result<Vec<Process>> {
    let sockets = listening(port);
    if sockets.is_empty() {
        return not_found(format!(
            "nothing listens on TCP port {port} (`ss -ltn` shows what does)"
        ));
    }
    let has_it = |pid: i32| holds_socket(pid, &sockets);
    let pids: Vec<i32> = Stat::all().iter().map(|s| s.pid).filter(|pid| has_it(*pid)).collect();
    let found = topmost(&pids, has_it);
    match found.is_empty() {
        false => Ok(found),
        true => not_found(format!(
            "something listens on TCP port {port}, but no process of yours; it is another user's"
        )),
    }
}

/// # Errors
/// When there is no such group, or nothing is in it.
pub fn by_cgroup(path: &Path) -> io::Result<Vec<Process>> {
    let folders = group_folders(path);
    if folders.is_empty() {
        return not_found(format!("there is no cgroup {}", path.display()));
    }
    let members = || folders.iter().flat_map(|f| all_below(f)).collect::<Vec<i32>>();
    let found = topmost(&members(), |pid| members().contains(&pid));
    match found.is_empty() {
        false => Ok(found),
        true => not_found(format!("nothing runs in the cgroup {}", path.display())),
    }
}

/// Of these, held, those whose parent is not one of them; each is asked again once it is held.
fn topmost(pids: &[i32], is_still: impl Fn(i32) -> bool) -> Vec<Process> {
    let is_top =
        |pid: &&i32| Stat::read(**pid).is_some_and(|s| s.state != 'Z' && !pids.contains(&s.parent));
    let held = pids.iter().filter(is_top).filter_map(|pid| hold(*pid).ok());
    held.filter(|process| is_still(process.identity.pid)).collect()
}

/// Inodes of the sockets that listen on a port, on any address.
fn listening(port: u16) -> Vec<u64> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| listener(line, port)));
    }
    found
}

/// `0: 0100007F:1F90 00000000:0000 0A ... INODE`: state 0A listens.
fn listener(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    let is_it = local == port && *fields.get(3)? == "0A";
    is_it.then(|| fields.get(9)?.parse().ok()).flatten()
}

fn holds_socket(pid: i32, inodes: &[u64]) -> bool {
    let Ok(folder) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let names = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>();
    folder.flatten().any(|entry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
    })
}

fn all_below(folder: &Path) -> Vec<i32> {
    let mut all = crate::host::cgroup::files::processes(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            all.extend(all_below(&entry.path()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port_and_a_pid_file_by_its_number() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = by_port(listener.local_addr().unwrap().port()).unwrap();
        let pids: Vec<i32> = found.iter().map(|p| p.identity.pid).collect();
        assert_eq!(pids, [std::process::id() as i32]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        std::fs::write(&file, format!("{}\nmore\n", std::process::id())).unwrap();
        assert_eq!(by_pid_file(&file).unwrap()[0].identity, Identity::own());
    }

    #[test]
    fn what_is_not_there_is_said() {
        // Bound, so that no other test takes the port, and not listening.
        let idle = tokio::net::TcpSocket::new_v4().unwrap();
        idle.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = by_port(idle.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("nothing listens on TCP port"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        for (text, says) in
            [("x", "holds no number"), ("-1", "no number"), ("4194305", "no process")]
        {
            std::fs::write(&file, text).unwrap();
            let error = by_pid_file(&file).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(by_pid_file(Path::new("/no/such")).unwrap_err().to_string().contains("/no/such"));
        assert!(by_cgroup(Path::new("/no/such")).unwrap_err().to_string().contains("no cgroup"));
    }
}
