//! A folder that is a small file system of its own, in memory, so that a disk can be full without
//! being anyone else's. It takes only the memory of what is written into it.

use crate::base::Bytes;
use nix::mount::{MntFlags, MsFlags, umount2};
use rustix::fs::{stat, statfs, statvfs};
use std::io;
use std::path::Path;

const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
/// `linux/magic.h`
const TMPFS: rustix::fs::FsWord = 0x0102_1994;
const NOTHING: Option<&str> = None;

/// From here on what this thread mounts is seen by nobody outside of its mount namespace; what is
/// mounted and unmounted outside is still seen.
pub(super) fn keep_mounts_inside() -> io::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    Ok(nix::mount::mount(NOTHING, "/", NOTHING, flags, NOTHING)?)
}

/// Mounts one over a folder. It bears the folder's name.
pub(super) fn mount(folder: &Path, size: Bytes) -> io::Result<()> {
    let options = format!("mode=0755,{}", size_option(size));
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    Ok(nix::mount::mount(Some(name), folder, Some("tmpfs"), FLAGS, Some(options.as_str()))?)
}

/// Whether the folder is one.
pub fn is_bounded(folder: &Path) -> bool {
    let Some(parent) = folder.parent() else { return false };
    let device = |path: &Path| stat(path).ok().map(|s| s.st_dev);
    device(folder) != device(parent) && statfs(folder).is_ok_and(|s| s.f_type == TMPFS)
}

/// Changes the size of a folder that is one; what is in it stays.
///
/// # Errors
/// When more than that is in it already.
pub fn resize(folder: &Path, size: Bytes) -> io::Result<()> {
    let flags = FLAGS | MsFlags::MS_REMOUNT;
    let options = size_option(size);
    Ok(nix::mount::mount(NOTHING, folder, NOTHING, flags, Some(options.as_str()))?)
}

/// Bytes that are used and bytes that are free.
///
/// # Errors
/// When the folder is gone.
pub fn room(folder: &Path) -> io::Result<(Bytes, Bytes)> {
    let all = statvfs(folder)?;
    let used = all.f_blocks.saturating_sub(all.f_bfree) * all.f_frsize;
    Ok((Bytes(used), Bytes(all.f_bavail * all.f_frsize)))
}

/// Takes it off a folder, which then is as it was before. Nothing is done to any other folder.
///
/// # Errors
/// Without the right to.
pub fn detach(folder: &Path) -> io::Result<()> {
    match is_bounded(folder) {
        true => Ok(umount2(folder, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?),
        false => Ok(()),
    }
}

/// Zero would mean without a bound.
fn size_option(size: Bytes) -> String {
    format!("size={}", size.0.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_folder_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_bounded(folder.path()));
        assert!(detach(folder.path()).is_ok());
        assert!(folder.path().exists());
        assert!(!is_bounded(Path::new("/")));
    }
}
