//! Whom brunt never touches, whatever a target says.

use crate::host::heal::RUN_VARIABLE;
use crate::host::process::{Process, Stat};
use std::io;
use std::os::unix::fs::MetadataExt;

/// Remote logins: pausing one may lock out whoever could end the pause.
const LOGINS: [&str; 4] = ["sshd", "sshd-session", "sshd-auth", "login"];
/// `PF_KTHREAD` of the kernel's flags, field 9 of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// brunt and its keeper.
    pub own: [i32; 2],
    /// Whether processes of other users may be touched.
    pub owns_these: bool,
}

/// # Errors
/// A sentence about why this process must be left alone.
pub fn check(process: &Process, asker: Asker) -> io::Result<()> {
    match reason(process.identity.pid, asker) {
        None if process.identity.is_alive() => Ok(()),
        None => Err(io::Error::other("the process is gone")),
        Some(why) => {
            let text = format!("process {} is left alone: {why}", process.identity.pid);
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
    }
}

fn reason(pid: i32, asker: Asker) -> Option<String> {
    let Some(stat) = Stat::read(pid) else { return Some("it is gone".into()) };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.trim();
    if pid == 1 {
        return Some("it is process 1".into());
    }
    if is_kernel_thread(pid) {
        return Some("it is a thread of the kernel".into());
    }
    if asker.own.iter().any(|own| ancestry(*own).contains(&pid)) {
        return Some(format!("brunt itself runs below it (`{name}`)"));
    }
    if asker.own.iter().any(|own| ancestry(pid).contains(own)) {
        return Some("brunt started it".into());
    }
    let sessions = asker.own.iter().filter_map(|own| Stat::read(*own));
    if sessions.into_iter().any(|own| own.session == pid) {
        return Some(format!("brunt's own session is led by it (`{name}`)"));
    }
    if LOGINS.contains(&name) {
        return Some(format!("it is `{name}`, which lets people in"));
    }
    if matches!(stat.state, 'T' | 't') {
        return Some("it is stopped already; continue it first".into());
    }
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = format!("{RUN_VARIABLE}=");
    if environment.split(|b| *b == 0).any(|v| v.starts_with(mark.as_bytes())) {
        return Some("a run of brunt started it".into());
    }
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid());
    let own = rustix::process::geteuid().as_raw();
    (owner != Some(own) && !asker.owns_these).then(|| {
        let owner = owner.map_or("somebody".into(), |uid| format!("user {uid}"));
        format!("it belongs to {owner}; say --i-own-these if it is yours to disturb")
    })
}

/// A process and those that it comes from.
fn ancestry(pid: i32) -> Vec<i32> {
    let mut line = vec![pid];
    while let Some(stat) = line.last().and_then(|pid| Stat::read(*pid)) {
        // Bounded by the tree's depth; a loop cannot be, but a changing tree may look like one.
        if stat.parent <= 0 || line.contains(&stat.parent) {
            break;
        }
        line.push(stat.parent);
    }
    line
}

fn is_kernel_thread(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6));
    flags.and_then(|f| f.parse::<u64>().ok()).is_some_and(|f| f & KERNEL_THREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker() -> Asker {
        let own = std::process::id() as i32;
        Asker { own: [own, own], owns_these: false }
    }

    #[test]
    fn init_the_kernel_ones_own_line_and_children_are_left_alone() {
        let own = std::process::id() as i32;
        let parent = Stat::read(own).unwrap().parent;
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let kernel = Stat::all().into_iter().find(|s| is_kernel_thread(s.pid));
        for (pid, says) in [
            (1, "process 1"),
            (own, "runs below it"),
            (parent, "runs below it"),
            (child.id() as i32, "brunt started it"),
        ] {
            let why = reason(pid, asker()).unwrap();
            assert!(why.contains(says), "{pid}: {why}");
        }
        if let Some(kernel) = kernel {
            assert!(reason(kernel.pid, asker()).unwrap().contains("kernel"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
