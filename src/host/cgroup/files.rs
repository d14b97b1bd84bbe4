//! Control files: small reads and writes whose errors name the file.

use crate::base::Nanos;
use std::io;
use std::path::Path;

/// # Errors
/// With the file and the value in the message.
pub fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = folder.join(file);
    // Not `fs::write`: a control file is neither created nor truncated.
    let result = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut f| io::Write::write_all(&mut f, value.as_bytes()));
    result.map_err(|e| told(&e, &format!("writing `{value}` to {}", path.display())))
}

/// Without surrounding white space.
///
/// # Errors
/// With the file in the message.
pub fn read(folder: &Path, file: &str) -> io::Result<String> {
    let path = folder.join(file);
    std::fs::read_to_string(&path)
        .map(|text| text.trim().to_string())
        .map_err(|e| told(&e, &format!("reading {}", path.display())))
}

/// The number after `key` in a file of `key number` lines.
pub fn keyed(folder: &Path, file: &str, key: &str) -> Option<u64> {
    let text = read(folder, file).ok()?;
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

pub fn number(folder: &Path, file: &str) -> Option<u64> {
    read(folder, file).ok()?.parse().ok()
}

/// The processes of a group; empty when it is gone.
pub fn processes(folder: &Path) -> Vec<i32> {
    let text = read(folder, "cgroup.procs").unwrap_or_default();
    text.lines().filter_map(|l| l.parse().ok()).collect()
}

/// Polls a condition every half millisecond; true when it held within the bound.
pub fn within(at_most: Nanos, mut holds: impl FnMut() -> bool) -> bool {
    let until = crate::base::clock::now() + at_most;
    loop {
        if holds() {
            return true;
        }
        if crate::base::clock::now() > until {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

fn told(e: &io::Error, what: &str) -> io::Error {
    io::Error::new(e.kind(), format!("{what}: {e}"))
}
