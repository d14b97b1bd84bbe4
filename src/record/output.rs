//! A file of the record that is written front to back, and the reserve that lets a record be
//! sealed on a full disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes reserved at the start (invariant 12).
const BALLAST_BYTES: usize = 4 * 1024 * 1024;
const BALLAST_NAME: &str = ".reserve";

/// A file and the bytes that it has not taken yet. After a failed flush the rest is kept, so that
/// the flush can be tried again when there is room.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    unwritten: Vec<u8>,
}

impl Output {
    pub fn create(path: &Path) -> io::Result<Output> {
        Ok(Output { file: File::create(path)?, unwritten: Vec::new() })
    }

    #[cfg(test)]
    pub fn append(path: &Path) -> io::Result<Output> {
        let file = File::options().append(true).open(path)?;
        Ok(Output { file, unwritten: Vec::new() })
    }

    /// Where to append.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.unwritten
    }

    pub fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            if written == self.unwritten.len() {
                break Ok(());
            }
            match self.file.write(&self.unwritten[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.unwritten.drain(..written);
        result
    }

    /// Drops what could not be written; says how many bytes that was.
    pub fn give_up(&mut self) -> usize {
        let lost = self.unwritten.len();
        self.unwritten = Vec::new();
        lost
    }

    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Space on the record's disk that is given back when it is needed.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    pub fn reserve(folder: &Path) -> io::Result<Ballast> {
        let path = folder.join(BALLAST_NAME);
        // Written rather than truncated to length: a hole reserves nothing.
        std::fs::write(&path, vec![0x5a; BALLAST_BYTES])?;
        Ok(Ballast { path })
    }

    /// Gives the space back. That fails only when the file is gone already.
    pub fn release(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        self.release();
    }
}
