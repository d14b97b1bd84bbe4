//! A program of the system that is asked to do one thing, with a bound on its time.

use super::heal::RUN_VARIABLE;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// None of them works; they only ask the kernel.
const BOUND: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_micros(200);
/// Where an administrator's programs are, also for users whose `PATH` does not say so.
const FOLDERS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// A program, and the package of Debian that brings it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

pub const NFT: Program = Program { name: "nft", package: "nftables" };
pub const TC: Program = Program { name: "tc", package: "iproute2" };

/// Where it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Where this process is.
    Here,
    /// In a network that is made for it and ends with it: to try something without doing it.
    ScratchNetwork,
}

impl Program {
    /// Runs it for a run of brunt and returns what it says.
    ///
    /// # Errors
    /// When it is missing, says no, or does not end.
    pub fn run(
        self,
        run: &str,
        inside: Inside,
        arguments: &[&str],
        input: &str,
    ) -> io::Result<String> {
        // Files in memory: a pipe could fill up while nobody reads it.
        let mut stdin = memory()?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let (mut output, mut errors) = (memory()?, memory()?);
        let mut command = Command::new(self.find()?);
        command
            .args(arguments)
            .env(RUN_VARIABLE, run)
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?);
        if inside == Inside::ScratchNetwork {
            // SAFETY: one system call.
            unsafe { command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWNET)?)) };
        }
        let mut child = command.spawn().map_err(|e| self.failed(e))?;
        match await_exit(&mut child).map_err(|e| self.failed(e))? {
            true => text(&mut output),
            false => {
                let why = text(&mut errors)?.replace('\n', "; ");
                Err(self.failed(io::Error::other(why)))
            }
        }
    }

    fn failed(self, e: io::Error) -> io::Error {
        io::Error::new(e.kind(), format!("{}: {e}", self.name))
    }

    fn find(self) -> io::Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(std::env::split_paths(FOLDERS));
        let found = folders.map(|f| f.join(self.name)).find(|f| is_program(f));
        found.ok_or_else(|| {
            let (name, package) = (self.name, self.package);
            let what = format!("the program `{name}` is missing: install {package}");
            io::Error::new(io::ErrorKind::NotFound, what)
        })
    }
}

fn is_program(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create("told", MemfdFlags::CLOEXEC)?))
}

/// What was written into it.
fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_string())
}

/// Whether it ended well.
fn await_exit(child: &mut Child) -> io::Result<bool> {
    let until = Instant::now() + BOUND;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end and was killed"));
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &'static str, arguments: &[&str], input: &str) -> io::Result<String> {
        Program { name, package: "a-package" }.run("test", Inside::Here, arguments, input)
    }

    #[test]
    fn what_it_says_comes_back_and_what_is_missing_is_named() {
        assert_eq!(run("cat", &[], "words\n").unwrap(), "words");
        let failed = run("sh", &["-c", "echo no such thing >&2; exit 3"], "").unwrap_err();
        assert!(failed.to_string().contains("sh: no such thing"), "{failed}");
        let missing = run("brunt-no-such-program", &[], "").unwrap_err().to_string();
        assert!(missing.contains("install a-package"), "{missing}");
    }
}
