//! Which disk a folder is on.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A whole block device, as cgroups name it: `MAJ:MIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Device {
    /// The disk of this folder; of a partition the whole one, which is what the kernel throttles.
    ///
    /// # Errors
    /// When the folder is on no disk: a tmpfs, an overlay, a network or several disks at once.
    pub fn of(folder: &Path) -> io::Result<Device> {
        let dev = std::fs::metadata(folder)?.dev();
        let own = Device { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev) };
        let known = own.known();
        if !known.exists() {
            let text = format!(
                "{} is on no disk of its own (device {own} is a tmpfs, an overlay, a network or \
                 several disks at once)",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        match known.join("partition").exists() {
            true => whole(&known),
            false => Ok(own),
        }
    }

    fn known(self) -> PathBuf {
        PathBuf::from(format!("/sys/dev/block/{self}"))
    }
}

/// A partition's folder is inside its disk's.
fn whole(partition: &Path) -> io::Result<Device> {
    let disk = partition.canonicalize()?.join("../dev");
    let text = std::fs::read_to_string(&disk)?;
    parse(text.trim()).ok_or_else(|| io::Error::other(format!("{}: `{text}`", disk.display())))
}

fn parse(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_on_no_disk() {
        assert_eq!(parse("254:1"), Some(Device { major: 254, minor: 1 }));
        let error = Device::of(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("on no disk"), "{error}");
    }

    #[test]
    fn a_partition_is_found_by_its_disk() {
        let all = std::fs::read_dir("/sys/dev/block").into_iter().flatten().flatten();
        for entry in all.filter(|e| e.path().join("partition").exists()) {
            let disk = whole(&entry.path()).unwrap();
            assert!(!disk.known().join("partition").exists(), "{disk}");
        }
    }
}
