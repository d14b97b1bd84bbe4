//! One server's group, in as many hierarchies as its facilities need.

use super::clear;
use super::disk::DiskGroup;
use super::files::read;
use super::memory::MemoryGroup;
use super::place::Place;
use super::v1::{self, CpuV1};
use super::v2;
use crate::base::Nanos;
use crate::host::quota::{CpuUse, Quota};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where the CPU share is set.
#[derive(Clone, Debug)]
pub enum QuotaGroup {
    V1(CpuV1),
    V2(PathBuf),
}

/// Where the group is frozen and killed as one.
#[derive(Clone, Debug)]
pub enum ControlGroup {
    V2(PathBuf),
    V1Freezer(PathBuf),
}

/// What a server's processes are attached to. Each part may be missing.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub quota: Option<QuotaGroup>,
    pub control: Option<ControlGroup>,
    pub memory: Option<MemoryGroup>,
    pub disk: Option<DiskGroup>,
}

impl Group {
    /// All folders of this group, without doubles.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        match &self.quota {
            Some(QuotaGroup::V1(group)) => {
                all.push(group.cpu.clone());
                all.extend(group.acct.clone());
            }
            Some(QuotaGroup::V2(folder)) => all.push(folder.clone()),
            None => {}
        }
        match &self.control {
            Some(ControlGroup::V2(folder) | ControlGroup::V1Freezer(folder)) => {
                all.push(folder.clone());
            }
            None => {}
        }
        let places = self.memory.iter().map(|m| &m.0).chain(self.disk.iter().map(|d| &d.0));
        all.extend(places.map(|place| Place::folder(place).to_path_buf()));
        all.sort();
        all.dedup();
        all
    }

    /// Opened files that attach whoever writes `0` to them: done by a child before it executes.
    ///
    /// # Errors
    /// When a group is gone.
    pub fn attach_files(&self) -> io::Result<Vec<File>> {
        let open = |folder: PathBuf| {
            std::fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"))
        };
        self.folders().into_iter().map(open).collect()
    }

    /// Sets the quota; returns what is seen afterwards. Nothing to do without a quota group.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_quota(&self, quota: Quota) -> io::Result<Option<String>> {
        match &self.quota {
            Some(QuotaGroup::V1(group)) => group.set(quota).map(Some),
            Some(QuotaGroup::V2(folder)) => v2::set_quota(folder, quota).map(Some),
            None => Ok(None),
        }
    }

    /// What the group used and was denied, as far as the kernel counts it here.
    pub fn cpu_use(&self) -> Option<CpuUse> {
        let by_tree = match &self.control {
            Some(ControlGroup::V2(folder)) => v2::used(folder),
            _ => None,
        };
        let (used, throttled) = match &self.quota {
            Some(QuotaGroup::V1(group)) => (group.used().or(by_tree), group.throttled()),
            Some(QuotaGroup::V2(folder)) => (v2::used(folder), v2::throttled(folder)),
            None => (by_tree, None),
        };
        Some(CpuUse { used: used?, throttled: throttled.unwrap_or_default() })
    }

    /// Time in which at least one of its processes waited for `memory` or `io`, where the kernel
    /// keeps it (`psi.rst`): in v2 groups only, also beside v1 controllers.
    pub fn stalled(&self, resource: &str) -> Option<Nanos> {
        let Some(ControlGroup::V2(folder)) = &self.control else { return None };
        let text = read(folder, &format!("{resource}.pressure")).ok()?;
        let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
        let total = some.split(' ').find_map(|pair| pair.strip_prefix("total="))?;
        total.parse().ok().map(Nanos::from_micros)
    }

    /// `Ok(None)` where nothing here can freeze.
    ///
    /// # Errors
    /// When the kernel does not do it within the bound.
    pub fn freeze(&self, is_frozen: bool) -> io::Result<Option<String>> {
        match (&self.control, is_frozen) {
            (Some(ControlGroup::V2(folder)), _) => v2::freeze(folder, is_frozen, clear::BOUND),
            (Some(ControlGroup::V1Freezer(folder)), true) => v1::freeze(folder, clear::BOUND),
            (Some(ControlGroup::V1Freezer(folder)), false) => v1::thaw(folder, clear::BOUND),
            (None, _) => return Ok(None),
        }
        .map(Some)
    }

    /// Kills all that is in it, frozen or not; `Ok(None)` where there is no group at all.
    ///
    /// # Errors
    /// When a process is left after the bound.
    pub fn kill(&self) -> io::Result<Option<String>> {
        self.control_folder().map(|folder| clear::kill(&folder)).transpose()
    }

    /// For people: which mechanism freezes and kills.
    pub fn control_mechanism(&self) -> &'static str {
        match (&self.control, &self.quota) {
            (Some(ControlGroup::V2(_)), _) => "cgroup v2",
            (Some(ControlGroup::V1Freezer(_)), _) => "cgroup v1 freezer",
            (None, Some(_)) => "cgroup members by pidfd",
            (None, None) => "pidfd",
        }
    }

    fn control_folder(&self) -> Option<PathBuf> {
        match (&self.control, &self.quota) {
            (Some(ControlGroup::V2(folder) | ControlGroup::V1Freezer(folder)), _) => {
                Some(folder.clone())
            }
            (None, Some(QuotaGroup::V1(group))) => Some(group.cpu.clone()),
            (None, Some(QuotaGroup::V2(folder))) => Some(folder.clone()),
            (None, None) => None,
        }
    }
}

/// Creates a folder that may exist already.
pub fn make(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(e.kind(), format!("creating {}: {e}", folder.display())))
        }
        _ => Ok(()),
    }
}
