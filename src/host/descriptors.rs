//! How many descriptors another process may have open: its soft `RLIMIT_NOFILE`, and only that. A
//! hard limit that was lowered cannot be raised again without `CAP_SYS_RESOURCE`.

use super::process::Process;
use nix::libc::{RLIMIT_NOFILE, prlimit, rlimit};
use rustix::process::{Resource, Rlimit};
use std::io;

/// # Errors
/// When it is gone, or another user's and brunt has no `CAP_SYS_RESOURCE`.
pub fn soft_limit(of: &Process) -> io::Result<u64> {
    Ok(ask(of, None)?.rlim_cur)
}

/// Sets it and returns what is there afterwards: at most the hard limit. What is open stays open.
///
/// # Errors
/// As [`soft_limit`].
pub fn set_soft_limit(of: &Process, to: u64) -> io::Result<u64> {
    let hard = ask(of, None)?.rlim_max;
    ask(of, Some(rlimit { rlim_cur: to.min(hard), rlim_max: hard }))?;
    soft_limit(of)
}

/// Raises this process's own to its hard limit, for itself and those that it starts; what it is then.
pub fn raise_own() -> u64 {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Nofile);
    match rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

/// There is no `prlimit` by pidfd, so it is looked at before and after: a number whose process lives
/// afterwards was its own all the time.
fn ask(of: &Process, new: Option<rlimit>) -> io::Result<rlimit> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "the process is gone");
    let pid = of.identity.pid;
    if !of.identity.is_alive() {
        return Err(gone());
    }
    let mut old = rlimit { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both point to a structure of this type, or to none, for the length of the call.
    let result = unsafe { prlimit(pid, RLIMIT_NOFILE, new, &raw mut old) };
    let failed = (result != 0).then(io::Error::last_os_error);
    match failed {
        _ if !of.identity.is_alive() => Err(gone()),
        Some(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let text = format!("process {pid} is another user's, and brunt lacks CAP_SYS_RESOURCE");
            Err(io::Error::new(e.kind(), text))
        }
        Some(e) => Err(e),
        None => Ok(old),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_goes_down_and_up_again_below_the_hard_one() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let held = Process::of_child(child.id() as i32).unwrap();
        let was = soft_limit(&held).unwrap();
        assert_eq!(set_soft_limit(&held, 7).unwrap(), 7);
        assert_eq!(set_soft_limit(&held, was).unwrap(), was);
        let most = set_soft_limit(&held, u64::MAX).unwrap();
        assert!(most >= was, "{most}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(soft_limit(&held).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
