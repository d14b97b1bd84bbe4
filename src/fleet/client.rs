//! brunt's end of the socket pair: asks from several threads at once, and a thread that hears.

use super::FleetError;
use super::protocol::{Answer, Ask, HANDED_FD, LINE_BYTES_MAX, Request, Tell};
use crate::host::Identity;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The keeper bounds each operation; this is for a keeper that does not answer at all.
const ANSWER_BOUND: Duration = Duration::from_secs(15);

/// The hidden command under which brunt runs its keeper.
pub const KEEPER_COMMAND: &str = "__keeper";

pub struct Client {
    writer: Mutex<UnixStream>,
    waiting: Mutex<BTreeMap<u64, mpsc::SyncSender<Answer>>>,
    next_id: AtomicU64,
    child: Mutex<Child>,
    pub keeper: Identity,
}

impl Client {
    /// Starts a keeper. The returned reader is for [`Client::hear`].
    pub fn start(program: &Path, log: &Path) -> std::io::Result<(Client, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.arg0("brunt").arg(KEEPER_COMMAND).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(log)?);
        let fd = theirs.as_raw_fd();
        // SAFETY: between fork and exec only system calls on numbers.
        unsafe { command.pre_exec(move || hand_over(fd)) };
        let child = command.spawn()?;
        drop(theirs);
        let pid = child.id() as i32;
        let gone = || std::io::Error::other("the keeper ended at once");
        let keeper = Identity::of(pid).ok_or_else(gone)?;
        let reader = ours.try_clone()?;
        let client = Client {
            writer: Mutex::new(ours),
            waiting: Mutex::default(),
            next_id: AtomicU64::new(1),
            child: Mutex::new(child),
            keeper,
        };
        Ok((client, reader))
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the keeper refuses, or is gone.
    pub fn ask(&self, ask: Ask) -> Result<Answer, FleetError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::sync_channel(1);
        lock(&self.waiting).insert(id, sender);
        let what = format!("{ask:?}");
        let sent = self.send(&Request { id, ask });
        let answer = match sent {
            Ok(()) => receiver.recv_timeout(ANSWER_BOUND).map_err(|_| FleetError::KeeperLost),
            Err(_) => Err(FleetError::KeeperLost),
        };
        lock(&self.waiting).remove(&id);
        match answer? {
            Answer::Refused(why) => {
                let what = what.chars().take(120).collect();
                Err(FleetError::Refused { what, why })
            }
            answer => Ok(answer),
        }
    }

    fn send(&self, request: &Request) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(request).expect("a message is plain data");
        line.push(b'\n');
        lock(&self.writer).write_all(&line)
    }

    /// Reads until the keeper is gone; answers go to who asked, the rest to `take`.
    pub fn hear(&self, reader: UnixStream, mut take: impl FnMut(Tell)) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let bounded = (&mut reader).take(LINE_BYTES_MAX as u64);
            if !matches!({ bounded }.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(Tell::Answer { id, answer }) => {
                    if let Some(waiting) = lock(&self.waiting).remove(&id) {
                        let _ = waiting.send(answer);
                    }
                }
                Ok(tell) => take(tell),
                Err(_) => break,
            }
        }
        // Who still waits learns that no answer comes.
        lock(&self.waiting).clear();
    }

    /// Closes the connection, which ends the keeper, and waits for its end. False when it had to
    /// be killed.
    pub fn close(&self, bound: Duration) -> bool {
        let _ = lock(&self.writer).shutdown(std::net::Shutdown::Both);
        let until = Instant::now() + bound;
        let mut child = lock(&self.child);
        while Instant::now() < until {
            if !matches!(child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

/// In a session of its own, the terminal's signals do not reach the keeper.
fn hand_over(fd: i32) -> std::io::Result<()> {
    rustix::process::setsid()?;
    let result = if fd == HANDED_FD {
        // SAFETY: clears the close-on-exec mark of a number that is ours.
        unsafe { nix::libc::fcntl(fd, nix::libc::F_SETFD, 0) }
    } else {
        // SAFETY: `dup2` on two numbers in the child.
        unsafe { nix::libc::dup2(fd, HANDED_FD) }
    };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// What the locks guard is whole after each statement, so a panic elsewhere does not spoil it.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
