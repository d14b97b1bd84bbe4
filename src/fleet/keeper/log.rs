//! A node's output in a file that cannot grow without bound.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug)]
pub struct Log {
    file: File,
    room: u64,
    dropped: u64,
}

impl Log {
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Log> {
        Ok(Log { file: File::create(path)?, room: BYTES_MAX, dropped: 0 })
    }

    /// What does not fit, or what a full disk refuses, is counted.
    pub fn write(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.room as usize);
        let is_written = self.file.write_all(&bytes[..fits]).is_ok();
        self.room -= fits as u64;
        self.dropped += (bytes.len() - if is_written { fits } else { 0 }) as u64;
    }

    /// Says at the end what is missing.
    pub fn finish(&mut self) {
        if self.dropped > 0 {
            let _ = writeln!(self.file, "\n[brunt: {} bytes more were not kept]", self.dropped);
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_talkative_node_is_cut_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-1.log");
        let mut log = Log::create(&path).unwrap();
        for _ in 0..5 {
            log.write(&vec![b'x'; 1 << 20]);
        }
        log.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("[brunt: 1048576 bytes more were not kept]\n"));
        assert!(text.len() < (4 << 20) + 100);
    }
}
