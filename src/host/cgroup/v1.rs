//! cgroup v1: the `cpu` controller for the quota, `cpuacct` for the usage, `freezer` where there is
//! no v2 tree beside it.

use super::files::{keyed, number, read, within, write};
use crate::base::Nanos;
use crate::host::quota::Quota;
use std::io;
use std::path::{Path, PathBuf};

/// A server's group in the `cpu` hierarchy.
#[derive(Clone, Debug)]
pub struct CpuV1 {
    pub cpu: PathBuf,
    pub acct: Option<PathBuf>,
}

impl CpuV1 {
    /// Sets the quota and returns what is there afterwards.
    ///
    /// # Errors
    /// When the kernel refuses it, or does not have it afterwards.
    pub fn set(&self, quota: Quota) -> io::Result<String> {
        let period = || write(&self.cpu, "cpu.cfs_period_us", &quota.period_us.to_string());
        let share = || write(&self.cpu, "cpu.cfs_quota_us", &quota.quota_us.to_string());
        // Two writes, checked one by one against the parent's ratio: one of the two orders is fine.
        period().and_then(|()| share()).or_else(|_| share().and_then(|()| period()))?;
        let seen = read(&self.cpu, "cpu.cfs_quota_us")?;
        let of = read(&self.cpu, "cpu.cfs_period_us")?;
        if seen != quota.quota_us.to_string() || of != quota.period_us.to_string() {
            return Err(io::Error::other(format!("the quota reads back as {seen} of {of} us")));
        }
        Ok(format!("cpu.cfs_quota_us {seen} of {of}"))
    }

    pub fn used(&self) -> Option<Nanos> {
        number(self.acct.as_deref()?, "cpuacct.usage").map(Nanos)
    }

    pub fn throttled(&self) -> Option<Nanos> {
        keyed(&self.cpu, "cpu.stat", "throttled_time").map(Nanos)
    }
}

/// Freezes and waits until all of the group is frozen.
///
/// # Errors
/// When it is still `FREEZING` after the bound.
pub fn freeze(folder: &Path, bound: Nanos) -> io::Result<String> {
    write(folder, "freezer.state", "FROZEN")?;
    let is_frozen = || read(folder, "freezer.state").is_ok_and(|s| s == "FROZEN");
    match within(bound, is_frozen) {
        true => Ok("freezer.state FROZEN".into()),
        false => Err(io::Error::other("freezer.state is not FROZEN within the bound")),
    }
}

/// # Errors
/// When it is not thawed within the bound.
pub fn thaw(folder: &Path, bound: Nanos) -> io::Result<String> {
    write(folder, "freezer.state", "THAWED")?;
    let is_thawed = || read(folder, "freezer.state").is_ok_and(|s| s == "THAWED");
    match within(bound, is_thawed) {
        true => Ok("freezer.state THAWED".into()),
        false => Err(io::Error::other("freezer.state is not THAWED within the bound")),
    }
}
