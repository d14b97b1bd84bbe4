//! What a run changes in the system, on disk before it is changed, so that whoever comes after a
//! killed brunt and a killed keeper can undo it: `brunt heal`.
//!
//! One file a run, JSON lines, appended and synced ahead of each change. Processes are added as soon
//! as they exist; the moment before is covered by their parent-death signal and their cgroup. What is
//! written afterwards is not synced: it outlives every process, and with the machine ends what it is about.

use super::attach::{Lent, Was};
use super::process::Identity;
use crate::fault::Lever;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const ENDING: &str = "journal";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Always the first line.
    Begin(Header),
    /// These folders are about to be made, with groups below them.
    Groups { folders: Vec<PathBuf> },
    /// This node is about to be started.
    Starting { node: String },
    /// It runs; it leads a session of its own.
    Process { node: String, process: Identity },
    /// A fault is about to hold this. Written for people and for what outlives its processes; most
    /// of it ends with the groups and processes that are in the journal already.
    Holding { hold: String, lever: Lever },
    /// And does not any more.
    Released { hold: String },
    /// These processes of a user's are about to be changed by a fault; so they were.
    Attached { server: String, node: String, was: Vec<Was> },
    /// They are about to be moved to this group for a while.
    Lent { server: String, lent: Lent },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub run: String,
    pub boot: String,
    pub brunt: Identity,
    pub keeper: Identity,
    /// What nodes keep on disk is in this folder, which bears the run's name. It is there already.
    pub work_folder: Option<PathBuf>,
}

/// An open journal of a run.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Where the last complete line ends.
    end: u64,
    /// Half a line is after it, which could not be taken back.
    is_torn: bool,
}

impl Journal {
    /// Begins a journal; it appears under its name only when its header is on disk.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(folder: &Path, header: Header) -> io::Result<Journal> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.{ENDING}", header.run));
        let hidden = folder.join(format!(".{}.{}", header.run, std::process::id()));
        let file = File::create(&hidden)?;
        let mut journal = Journal { file, path, end: 0, is_torn: false };
        journal.append(&Entry::Begin(header))?;
        std::fs::rename(&hidden, &journal.path)?;
        File::open(folder)?.sync_all()?;
        Ok(journal)
    }

    /// On disk when this returns.
    ///
    /// # Errors
    /// When the disk is full or gone; nothing of the entry is in the journal then.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.write(entry, |file| file.sync_data())
    }

    /// Of what has been done already: any process reads it when this returns, and the disk has it
    /// some time later.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn note(&mut self, entry: &Entry) -> io::Result<()> {
        self.write(entry, |_| Ok(()))
    }

    fn write(&mut self, entry: &Entry, sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry).expect("an entry is plain data");
        line.push(b'\n');
        if self.is_torn {
            line.insert(0, b'\n');
        }
        let written = self.file.write_all(&line).and_then(|()| sync(&self.file));
        match written {
            Ok(()) => {
                self.end = self.file.stream_position()?;
                self.is_torn = false;
            }
            // The next line would be glued to the half of this one.
            Err(_) => self.is_torn |= self.take_back().is_err(),
        }
        written
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.is_torn = false;
        Ok(())
    }

    /// Everything is undone and was looked at.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A journal as read back.
#[derive(Clone, Debug)]
pub struct Story {
    pub path: PathBuf,
    pub header: Header,
    pub entries: Vec<Entry>,
}

impl Story {
    /// `None` when the file has no complete header, or is another user's: what it says is done with
    /// our rights. A torn line is left out, and hides none of those after it.
    pub fn read(path: &Path) -> Option<Story> {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::symlink_metadata(path).ok()?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return None;
        }
        let text = std::fs::read(path).ok()?;
        let lines = text.split(|byte| *byte == b'\n');
        let mut entries = lines.filter_map(|line| serde_json::from_slice(line).ok());
        let Some(Entry::Begin(header)) = entries.next() else { return None };
        Some(Story { path: path.to_path_buf(), header, entries: entries.collect() })
    }

    /// All journals of a folder.
    pub fn all(folder: &Path) -> Vec<Story> {
        let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut all: Vec<Story> = files
            .flatten()
            .map(|f| f.path())
            .filter(|p| p.extension().is_some_and(|e| e == ENDING))
            .filter_map(|p| Story::read(&p))
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Whether it is about this boot and its brunt or its keeper still runs.
    pub fn is_live(&self) -> bool {
        self.is_this_boot() && (self.header.brunt.is_alive() || self.header.keeper.is_alive())
    }

    pub fn is_this_boot(&self) -> bool {
        self.header.boot == super::process::boot_id()
    }

    pub fn processes(&self) -> impl Iterator<Item = (&str, Identity)> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Process { node, process } => Some((node.as_str(), *process)),
            _ => None,
        })
    }

    /// What faults may still hold: written ahead, and not written as released.
    pub fn held(&self) -> Vec<(&str, &Lever)> {
        let mut held: Vec<(&str, &Lever)> = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Holding { hold, lever } => held.push((hold, lever)),
                Entry::Released { hold } => held.retain(|(id, _)| id != hold),
                _ => {}
            }
        }
        held
    }

    /// How processes that brunt did not start were, of the server or node of this name.
    pub fn was(&self, object: &str) -> Vec<Was> {
        let of = |e: &Entry| match e {
            Entry::Attached { server, node, was } if server == object || node == object => {
                Some(was.clone())
            }
            _ => None,
        };
        self.entries.iter().filter_map(of).flatten().collect()
    }

    /// Groups into which they may have been moved, with their server.
    pub fn lent(&self) -> impl Iterator<Item = (&str, &Lent)> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Lent { server, lent } => Some((server.as_str(), lent)),
            _ => None,
        })
    }

    /// The run's folder for what nodes keep on disk.
    pub fn work_folder(&self) -> Option<&Path> {
        self.header.work_folder.as_deref()
    }

    /// Cgroup folders of the run.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.entries
            .iter()
            .flat_map(|e| match e {
                Entry::Groups { folders } => folders.as_slice(),
                _ => &[],
            })
            .map(PathBuf::as_path)
    }
}

/// Where this user's journals are: `$XDG_STATE_HOME/brunt`, `~/.local/state/brunt`, or
/// `/tmp/brunt-UID` where neither can be written.
pub fn state_folder() -> PathBuf {
    let from =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|h| h.join(".local/state")));
    let candidate = home.map(|h| h.join("brunt")).filter(|f| is_writable(f));
    candidate.unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        std::env::temp_dir().join(format!("brunt-{uid}"))
    })
}

fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    std::fs::create_dir_all(folder).is_ok()
        && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_reads_back_without_its_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let own = Identity::own();
        let boot = super::super::process::boot_id();
        let header = Header { run: "r1".into(), boot, brunt: own, keeper: own, work_folder: None };
        let mut journal = Journal::begin(folder.path(), header.clone()).unwrap();
        journal.append(&Entry::Groups { folders: vec!["/a/brunt-r1".into()] }).unwrap();
        journal.append(&Entry::Process { node: "app-1".into(), process: own }).unwrap();
        // As from a writer that could not take it back; half a character is no text either.
        journal.file.write_all(b"{\"entry\":\"proc\xc3").unwrap();
        journal.is_torn = true;
        journal.append(&Entry::Released { hold: "h".into() }).unwrap();
        journal.file.write_all(b"{\"entry\":\"proc").unwrap();
        let all = Story::all(folder.path());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].header, header);
        assert!(all[0].is_live());
        assert_eq!(all[0].folders().count(), 1);
        assert_eq!(all[0].processes().collect::<Vec<_>>(), [("app-1", own)]);
        assert_eq!(all[0].entries.last(), Some(&Entry::Released { hold: "h".into() }));
        journal.remove().unwrap();
        assert!(Story::all(folder.path()).is_empty());
    }
    /// A small file system is full after whole pages, so in the middle of a line.
    #[test]
    fn what_a_full_disk_cut_off_is_taken_back() {
        use super::super::{bounded, namespace::Namespaces};
        use crate::base::Bytes;
        let folder = tempfile::tempdir().unwrap();
        let entered = match Namespaces::enter(false, Some((folder.path(), Bytes(8192)))) {
            Ok(entered) => entered,
            Err(e) => return eprintln!("not tried, as no file system can be made here: {e}"),
        };
        let own = Identity::own();
        let boot = super::super::process::boot_id();
        let header =
            Header { run: "full".into(), boot, brunt: own, keeper: own, work_folder: None };
        let mut journal = Journal::begin(folder.path(), header).unwrap();
        let starting = |n: usize| Entry::Starting { node: format!("node-{n:040}") };
        let written = (0..8192).take_while(|n| journal.append(&starting(*n)).is_ok()).count();
        assert!(written < 8192, "the disk was never full");
        bounded::resize(folder.path(), Bytes(1 << 20)).unwrap();
        journal.append(&Entry::Released { hold: "h".into() }).unwrap();
        let story = Story::read(journal.path()).unwrap();
        let mut expected: Vec<Entry> = (0..written).map(starting).collect();
        expected.push(Entry::Released { hold: "h".into() });
        assert_eq!(story.entries, expected);
        let lines = std::fs::read(journal.path()).unwrap();
        let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        assert_eq!(lines, written + 2, "half a line is left in the file");
        drop(entered);
    }
}
