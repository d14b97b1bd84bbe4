//! cgroups, chosen per facility and found out by doing: the CPU quota, memory and the disk each from
//! v1 or v2, freeze and kill from a v2 tree even where the controllers are on v1, else from the v1
//! freezer.
//!
//! Every group is `brunt-<run id>/<server>`, made below the group in which brunt was started.

pub mod clear;
mod disk;
pub mod files;
mod group;
mod memory;
mod mounts;
mod place;
mod v1;
mod v2;

pub use disk::{DiskGroup, Moved, Rates};
pub use group::{ControlGroup, Group, QuotaGroup};
pub use memory::{MemoryEvents, MemoryGroup};
pub use mounts::{group_folders, home_of};
pub use place::{Limit, Place};

use crate::base::Nanos;
use crate::host::quota::Quota;
use mounts::{Hierarchy, hierarchies, upwards};
use std::io;
use std::path::{Path, PathBuf};
use v1::CpuV1;

/// Sets the quota of a group in a hierarchy of version 1; what is seen afterwards.
///
/// # Errors
/// When the kernel refuses it.
pub fn set_quota_v1(folder: &Path, quota: Quota) -> io::Result<String> {
    CpuV1 { cpu: folder.to_path_buf(), acct: None }.set(quota)
}

/// The folder that holds all of a run's groups in one hierarchy.
pub fn run_name(run: &str) -> String {
    format!("brunt-{run}")
}

#[derive(Clone, Debug)]
enum QuotaTree {
    V1 { cpu: PathBuf, acct: Option<PathBuf> },
    V2 { base: PathBuf, is_delegated: bool },
}

#[derive(Clone, Debug)]
enum ControlTree {
    V2(PathBuf),
    V1Freezer(PathBuf),
}

/// What this machine gives a run of this name.
#[derive(Clone, Debug)]
pub struct Cgroups {
    run: String,
    quota: Option<QuotaTree>,
    control: Option<ControlTree>,
    memory: Option<Place>,
    disk: Option<Place>,
}

impl Cgroups {
    /// Tries each facility for real, in groups that are removed again.
    pub fn probe(run: &str) -> Cgroups {
        let all = hierarchies();
        let quota = quota_v1(&all).or_else(|| quota_v2(&all));
        let control = control_v2(&all, quota.as_ref()).or_else(|| control_v1(&all));
        let v2 = v2_base(quota.as_ref(), control.as_ref());
        let memory = place(&all, "memory", v2, limits_memory);
        let disk = place(&all, "blkio", v2, throttles_disks);
        Cgroups { run: run.to_string(), quota, control, memory, disk }
    }

    /// As on a machine where no cgroup is writable.
    pub fn none(run: &str) -> Cgroups {
        let run = run.to_string();
        Cgroups { run, quota: None, control: None, memory: None, disk: None }
    }

    /// The run that they are for.
    pub fn run(&self) -> &str {
        &self.run
    }

    pub fn has_quota(&self) -> bool {
        self.quota.is_some()
    }

    /// How CPU shares are enforced; one of the words of `HostFacts::quota_mechanism`.
    pub fn quota_mechanism(&self) -> &'static str {
        match self.quota {
            Some(QuotaTree::V1 { .. }) => "cgroup v1",
            Some(QuotaTree::V2 { is_delegated: false, .. }) => "cgroup v2",
            Some(QuotaTree::V2 { is_delegated: true, .. }) => "cgroup v2 (delegated)",
            None => "stop-when-spent",
        }
    }

    /// The run's own folder in each hierarchy that is used.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let mut bases: Vec<&Path> = Vec::new();
        match &self.quota {
            Some(QuotaTree::V1 { cpu, acct }) => {
                bases.push(cpu);
                bases.extend(acct.as_deref());
            }
            Some(QuotaTree::V2 { base, .. }) => bases.push(base),
            None => {}
        }
        match &self.control {
            Some(ControlTree::V2(base) | ControlTree::V1Freezer(base)) => bases.push(base),
            None => {}
        }
        bases.extend(self.memory.iter().chain(&self.disk).map(Place::folder));
        bases.sort();
        bases.dedup();
        bases.into_iter().map(|b| b.join(run_name(&self.run))).collect()
    }

    /// Makes a server's group. Write the journal ahead: [`Cgroups::run_folders`].
    ///
    /// # Errors
    /// When the kernel refuses a folder or a controller.
    pub fn create(&self, server: &str) -> io::Result<Group> {
        for folder in self.run_folders() {
            group::make(&folder)?;
        }
        if let Some(QuotaTree::V2 { base, .. }) = &self.quota {
            v2::enable(&base.join(run_name(&self.run)), "cpu")?;
        }
        for (place, controller) in [(&self.memory, "memory"), (&self.disk, "io")] {
            if let Some(Place::V2(base)) = place {
                v2::enable(&base.join(run_name(&self.run)), controller)?;
            }
        }
        let leaf = |base: &Path| base.join(run_name(&self.run)).join(server);
        let own = |place: &Place| place.below(&run_name(&self.run)).below(server);
        let group = Group {
            quota: self.quota.as_ref().map(|tree| match tree {
                QuotaTree::V1 { cpu, acct } => {
                    QuotaGroup::V1(CpuV1 { cpu: leaf(cpu), acct: acct.as_deref().map(leaf) })
                }
                QuotaTree::V2 { base, .. } => QuotaGroup::V2(leaf(base)),
            }),
            control: self.control.as_ref().map(|tree| match tree {
                ControlTree::V2(base) => ControlGroup::V2(leaf(base)),
                ControlTree::V1Freezer(base) => ControlGroup::V1Freezer(leaf(base)),
            }),
            memory: self.memory.as_ref().map(|place| MemoryGroup(own(place))),
            disk: self.disk.as_ref().map(|place| DiskGroup(own(place))),
        };
        for folder in group.folders() {
            group::make(&folder)?;
        }
        Ok(group)
    }

    /// Kills whatever is left in the run's groups and removes them; says what could not be.
    pub fn remove_all(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in self.run_folders() {
            if let Err(e) = clear::remove(&folder, &self.run) {
                left.push(e.to_string());
            }
        }
        left
    }
}

fn v1_base(all: &[Hierarchy], controller: &str) -> Option<PathBuf> {
    let found = all.iter().find(|h| h.controllers.iter().any(|c| c == controller))?;
    Some(found.own.clone())
}

fn quota_v1(all: &[Hierarchy]) -> Option<QuotaTree> {
    let cpu = v1_base(all, "cpu")?;
    let acct = v1_base(all, "cpuacct");
    let works = try_in(&cpu, |leaf| {
        CpuV1 { cpu: leaf.to_path_buf(), acct: None }.set(trial()).is_ok() && can_attach(leaf)
    });
    let acct = acct.filter(|base| *base == cpu || try_in(base, can_attach));
    works.then_some(QuotaTree::V1 { cpu, acct })
}

/// The nearest group, from our own upwards, below which a quota can be set and entered.
fn quota_v2(all: &[Hierarchy]) -> Option<QuotaTree> {
    let tree = all.iter().find(|h| h.is_v2)?;
    let base = upwards(&tree.own, &tree.mount).find(|base| {
        v2::enable(base, "cpu").is_ok()
            && try_in(base, |leaf| v2::set_quota(leaf, trial()).is_ok() && can_attach(leaf))
    })?;
    let is_delegated = !rustix::process::geteuid().is_root();
    Some(QuotaTree::V2 { base: base.to_path_buf(), is_delegated })
}

fn control_v2(all: &[Hierarchy], quota: Option<&QuotaTree>) -> Option<ControlTree> {
    if let Some(QuotaTree::V2 { base, .. }) = quota {
        return Some(ControlTree::V2(base.clone()));
    }
    let tree = all.iter().find(|h| h.is_v2)?;
    let base = upwards(&tree.own, &tree.mount).find(|base| {
        try_in(base, |leaf| leaf.join("cgroup.freeze").exists() && can_attach(leaf))
    })?;
    Some(ControlTree::V2(base.to_path_buf()))
}

fn control_v1(all: &[Hierarchy]) -> Option<ControlTree> {
    let base = v1_base(all, "freezer")?;
    try_in(&base, |leaf| leaf.join("freezer.state").exists() && can_attach(leaf))
        .then_some(ControlTree::V1Freezer(base))
}

/// The tree of v2 that is used; a process is in one group of it, so all facilities share it.
fn v2_base<'a>(quota: Option<&'a QuotaTree>, control: Option<&'a ControlTree>) -> Option<&'a Path> {
    match (quota, control) {
        (Some(QuotaTree::V2 { base, .. }), _) | (_, Some(ControlTree::V2(base))) => Some(base),
        _ => None,
    }
}

/// Where groups of this controller (in v1's words) can be made, limited and entered.
fn place(
    all: &[Hierarchy],
    controller: &str,
    v2: Option<&Path>,
    works: impl Fn(&Place) -> bool,
) -> Option<Place> {
    let tried = |place: Place, below: fn(PathBuf) -> Place| {
        let is_fine = try_in(place.folder(), |leaf| works(&below(leaf.into())) && can_attach(leaf));
        is_fine.then_some(place)
    };
    let in_v1 = || tried(Place::V1(v1_base(all, controller)?), Place::V1);
    let in_v2 = || {
        let base = v2?;
        v2::enable(base, if controller == "blkio" { "io" } else { controller }).ok()?;
        tried(Place::V2(base.into()), Place::V2)
    };
    in_v1().or_else(in_v2)
}

fn limits_memory(leaf: &Place) -> bool {
    let limit = Limit(Some(crate::base::Bytes(64 << 20)));
    MemoryGroup(leaf.clone()).set_limit(limit).is_ok_and(|seen| seen == limit)
}

/// Without asking which disk: that is known when one is to be slowed down.
fn throttles_disks(leaf: &Place) -> bool {
    DiskGroup(leaf.clone()).rates(super::block::Device { major: 0, minor: 0 }).is_ok()
}

fn trial() -> Quota {
    Quota::new(0.5, Nanos::from_millis(20))
}

/// Makes a group, asks, removes it.
fn try_in(base: &Path, ask: impl FnOnce(&Path) -> bool) -> bool {
    sweep(base);
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let leaf = base.join(format!("brunt-probe-{}-{n}", std::process::id()));
    if std::fs::create_dir(&leaf).is_err() {
        return false;
    }
    let answer = ask(&leaf);
    // The trial's child was waited for, but its last reference may go a moment later.
    files::within(clear::BOUND, || std::fs::remove_dir(&leaf).is_ok());
    answer
}

/// Removes trials of processes that were killed in the middle of one; they are empty.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("brunt-probe-")?.split('-').next());
        let Some(pid) = pid.and_then(|p| p.parse().ok()) else { continue };
        if super::process::Stat::read(pid).is_none() {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Whether a new child of ours can enter this group: asked with one, which then ends at once.
fn can_attach(leaf: &Path) -> bool {
    let Ok(file) = std::fs::OpenOptions::new().write(true).open(leaf.join("cgroup.procs")) else {
        return false;
    };
    super::forked::run(move || u64::from(rustix::io::write(&file, b"0").is_ok())) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_limited_and_removed_where_they_can_be() {
        let run = format!("test-{}-groups", std::process::id());
        let cgroups = Cgroups::probe(&run);
        let group = cgroups.create("app-1").unwrap();
        assert_eq!(cgroups.has_quota(), group.quota.is_some());
        let proof = group.set_quota(Quota::new(0.1, Nanos::from_millis(20))).unwrap();
        assert_eq!(proof.is_some(), cgroups.has_quota());
        if let Some(proof) = proof {
            assert!(proof.contains("2000"), "{proof}");
        }
        assert_eq!(cgroups.remove_all(), Vec::<String>::new());
        assert!(cgroups.run_folders().iter().all(|f| !f.exists()));
    }

    fn spawn_in(group: &Group) -> std::process::Child {
        let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        for folder in group.folders() {
            files::write(&folder, "cgroup.procs", &child.id().to_string()).unwrap();
        }
        child
    }

    /// Each fallback that this machine has: the v1 freezer, and a quota group that cannot freeze.
    #[test]
    fn a_group_is_killed_whole_by_every_mechanism() {
        let all = hierarchies();
        let none = |name: &str| Cgroups::none(&format!("test-{}-{name}", std::process::id()));
        let fallbacks = [
            Cgroups { control: control_v1(&all), ..none("freezer") },
            Cgroups { quota: quota_v1(&all), ..none("members") },
            Cgroups { control: control_v2(&all, None), ..none("unified") },
        ];
        for cgroups in fallbacks {
            let group = cgroups.create("s").unwrap();
            if group.folders().is_empty() {
                continue;
            }
            let mut child = spawn_in(&group);
            let frozen = group.freeze(true).unwrap();
            assert_eq!(frozen.is_some(), group.control.is_some());
            let proof = group.kill().unwrap().unwrap();
            eprintln!("{}: {frozen:?}, {proof}", group.control_mechanism());
            assert_eq!(child.wait().unwrap().code(), None);
            group.freeze(false).unwrap();
            assert_eq!(cgroups.remove_all(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_folder_without_the_runs_name_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(clear::remove(folder.path(), "some-run").is_err());
        assert!(folder.path().exists());
    }
}
