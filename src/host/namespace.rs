//! A network and a view of the file system that one run has for itself.
//!
//! They belong to the calling thread and to what is started from it afterwards, so nothing outside
//! is changed, and they end with their last process however that ends: nothing is to be undone.

use super::{bounded, loopback};
use crate::base::Bytes;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

/// A name that exists only in a network which was made here.
const MARK: &str = "brunt-own-network";

#[derive(Debug, thiserror::Error)]
#[error("cannot give the run {what} of its own, which {fault} needs: {cause}; {remedy}")]
pub struct NamespaceError {
    what: &'static str,
    fault: &'static str,
    cause: io::Error,
    remedy: &'static str,
}

/// What the thread came from, to which it returns when this is dropped. Other threads that were
/// started meanwhile stay inside.
#[must_use = "the thread leaves its namespaces when this is dropped"]
pub struct Namespaces {
    mounts: Option<Outside>,
    network: Option<File>,
    _mark: Option<UnixListener>,
    /// It is the thread that has entered.
    _of_thread: PhantomData<*const ()>,
}

/// Where the thread was in the file system.
struct Outside {
    mounts: File,
    root: File,
    current: File,
}

impl Namespaces {
    /// Enters a network with a loopback interface only, and bounds a folder to so many bytes, where
    /// these are wanted. Without either nothing is done.
    ///
    /// # Errors
    /// Without the right to, which is root's. Nothing is changed then.
    pub fn enter(
        wants_network: bool,
        folder: Option<(&Path, Bytes)>,
    ) -> Result<Namespaces, NamespaceError> {
        let (mounts, network, _mark) = (None, None, None);
        let mut entered = Namespaces { mounts, network, _mark, _of_thread: PhantomData };
        if wants_network {
            entered.enter_network().map_err(|cause| {
                let remedy = remedy(&cause);
                NamespaceError { what: "a network", fault: "a fault on packets", cause, remedy }
            })?;
        }
        if let Some((folder, size)) = folder {
            entered.bound(folder, size).map_err(|cause| {
                let remedy = remedy(&cause);
                NamespaceError { what: "a data folder", fault: "a full disk", cause, remedy }
            })?;
        }
        Ok(entered)
    }

    fn enter_network(&mut self) -> io::Result<()> {
        let outside = File::open("/proc/thread-self/ns/net")?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        self.network = Some(outside);
        loopback::bring_up()?;
        self._mark = Some(UnixListener::bind_addr(&SocketAddr::from_abstract_name(MARK)?)?);
        Ok(())
    }

    fn bound(&mut self, folder: &Path, size: Bytes) -> io::Result<()> {
        let outside = Outside {
            mounts: File::open("/proc/thread-self/ns/mnt")?,
            root: File::open("/")?,
            current: File::open(".")?,
        };
        unshare(CloneFlags::CLONE_NEWNS)?;
        self.mounts = Some(outside);
        bounded::keep_mounts_inside()?;
        bounded::mount(folder, size)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let left = self.network.take().map_or(Ok(()), |outside| {
            setns(outside.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
        });
        let left = left.and_then(|()| self.mounts.take().map_or(Ok(()), |o| o.return_to()));
        if let Err(e) = left {
            eprintln!("brunt: cannot leave the run's own namespaces: {e}");
        }
    }
}

impl Outside {
    fn return_to(&self) -> io::Result<()> {
        // Threads that still run share the current folder with this one; they keep theirs.
        unshare(CloneFlags::CLONE_FS)?;
        setns(self.mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
        rustix::process::fchdir(&self.root)?;
        nix::unistd::chroot(".")?;
        rustix::process::fchdir(&self.current)?;
        Ok(())
    }
}

/// Whether this process is in a network that [`Namespaces::enter`] made, and that is still held.
pub fn is_in_own_network() -> bool {
    let name = SocketAddr::from_abstract_name(MARK);
    name.and_then(|name| UnixStream::connect_addr(&name)).is_ok()
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "run brunt as root, or by `unshare --user --map-root-user brunt …` where users may"
        }
        _ => "take that fault out of the profile, or run brunt on a machine that can",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(what: &str) -> std::path::PathBuf {
        std::fs::read_link(format!("/proc/thread-self/ns/{what}")).unwrap()
    }

    #[test]
    fn nothing_wanted_is_nothing_done() {
        let before = (identity("net"), identity("mnt"));
        let entered = Namespaces::enter(false, None).unwrap();
        assert_eq!((identity("net"), identity("mnt")), before);
        drop(entered);
        assert!(!is_in_own_network());
    }

    #[test]
    fn a_thread_enters_and_returns_to_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = || (identity("net"), identity("mnt"), std::env::current_dir().unwrap());
        let before = place();
        let entered = match Namespaces::enter(true, Some((folder.path(), Bytes(1 << 20)))) {
            Ok(entered) => entered,
            Err(e) if !rustix::process::geteuid().is_root() => {
                // An ordinary user is told what it takes.
                assert!(e.to_string().contains("run brunt as root"), "{e}");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let inside = place();
        assert!(inside.0 != before.0 && inside.1 != before.1 && inside.2 == before.2);
        assert!(is_in_own_network());
        std::fs::write(folder.path().join("within"), "x").unwrap();
        // A thread that outlives the guard stays inside, and does not keep it from returning.
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let _ = wait.recv();
            (identity("net"), identity("mnt"))
        });
        drop(entered);
        assert_eq!(place(), before);
        assert!(!is_in_own_network());
        assert!(!folder.path().join("within").exists());
        drop(done);
        assert_eq!(other.join().unwrap(), (inside.0, inside.1));
    }
}
