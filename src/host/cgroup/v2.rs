//! cgroup v2: `cpu.max` where the cpu controller is here; `cgroup.freeze` and `cgroup.kill` on any
//! v2 tree, also beside v1 controllers.

use super::files::{keyed, read, within, write};
use crate::base::Nanos;
use crate::host::quota::Quota;
use std::io;
use std::path::Path;

/// Sets `cpu.max` and returns what is there afterwards.
///
/// # Errors
/// When the kernel refuses it, or does not have it afterwards.
pub fn set_quota(folder: &Path, quota: Quota) -> io::Result<String> {
    let value = format!("{} {}", quota.quota_us, quota.period_us);
    write(folder, "cpu.max", &value)?;
    let seen = read(folder, "cpu.max")?;
    match seen == value {
        true => Ok(format!("cpu.max {seen}")),
        false => Err(io::Error::other(format!("cpu.max reads back as {seen}, not {value}"))),
    }
}

/// Also there without the cpu controller.
pub fn used(folder: &Path) -> Option<Nanos> {
    keyed(folder, "cpu.stat", "usage_usec").map(Nanos::from_micros)
}

pub fn throttled(folder: &Path) -> Option<Nanos> {
    keyed(folder, "cpu.stat", "throttled_usec").map(Nanos::from_micros)
}

/// Freezes or thaws, and waits until the kernel says that it is so.
///
/// # Errors
/// When `cgroup.events` does not say it within the bound.
pub fn freeze(folder: &Path, is_frozen: bool, bound: Nanos) -> io::Result<String> {
    let wanted = u64::from(is_frozen);
    write(folder, "cgroup.freeze", &wanted.to_string())?;
    match within(bound, || keyed(folder, "cgroup.events", "frozen") == Some(wanted)) {
        true => Ok(format!("cgroup.events frozen {wanted}")),
        false => Err(io::Error::other(format!("cgroup.events has no `frozen {wanted}`"))),
    }
}

/// Whether any process is in the group or below it.
pub fn is_populated(folder: &Path) -> Option<bool> {
    keyed(folder, "cgroup.events", "populated").map(|n| n != 0)
}

/// Lets groups below have this controller. Stays on: another brunt may rely on it.
///
/// # Errors
/// `EBUSY` when processes are in this very group (the no-internal-process rule).
pub fn enable(folder: &Path, controller: &str) -> io::Result<()> {
    let has = |file| read(folder, file).is_ok_and(|t| t.split(' ').any(|c| c == controller));
    if has("cgroup.subtree_control") {
        return Ok(());
    }
    if !has("cgroup.controllers") {
        let text = format!("no {controller} controller in {}", folder.display());
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    write(folder, "cgroup.subtree_control", &format!("+{controller}"))
}
