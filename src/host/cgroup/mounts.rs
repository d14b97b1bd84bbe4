//! Where the cgroup hierarchies are mounted, and where this process stands in each.

use std::path::{Path, PathBuf};

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub is_v2: bool,
    /// Of a v1 hierarchy; empty for v2, whose `cgroup.controllers` tells.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// This process's own group.
    pub own: PathBuf,
}

/// Every hierarchy that this process can see and stands in.
pub fn hierarchies() -> Vec<Hierarchy> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

/// The group of a process in the hierarchy of the cpu controller, where that is one of version 1.
pub fn home_of(pid: i32) -> Option<PathBuf> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let all = parse(&read("/proc/self/mountinfo"), &read(&format!("/proc/{pid}/cgroup")));
    let cpu = all.into_iter().find(|h| h.controllers.iter().any(|c| c == "cpu"))?;
    cpu.own.is_dir().then_some(cpu.own)
}

/// The folders of a group that is named by one of them, or by its path inside the hierarchies.
pub fn group_folders(path: &Path) -> Vec<PathBuf> {
    let is_group = |folder: &PathBuf| folder.join("cgroup.procs").is_file();
    let named = path.to_path_buf();
    if is_group(&named) {
        return vec![named];
    }
    let inside = path.strip_prefix("/").unwrap_or(path);
    hierarchies().into_iter().map(|h| h.mount.join(inside)).filter(is_group).collect()
}

fn parse(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(|line| hierarchy(line, own)).collect()
}

/// `36 35 0:30 ROOT MOUNT rw,… [optional …] - cgroup NAME rw,cpu,cpuacct`
fn hierarchy(line: &str, own: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let is_v2 = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options: Vec<String> = right.nth(1)?.split(',').map(String::from).collect();
    let mut left = left.split(' ').skip(3);
    let (root, mount) = (unescape(left.next()?), unescape(left.next()?));
    let (controllers, path) = own.lines().find_map(|l| entry(l, is_v2, &options))?;
    let inside = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("/");
    let mount = PathBuf::from(mount);
    let own = mount.join(inside.trim_start_matches('/'));
    Some(Hierarchy { is_v2, controllers, mount, own })
}

/// `3:cpu,cpuacct:/path`, or `0::/path` for v2.
fn entry(line: &str, is_v2: bool, options: &[String]) -> Option<(Vec<String>, String)> {
    let mut parts = line.splitn(3, ':');
    let (id, names, path) = (parts.next()?, parts.next()?, parts.next()?);
    let path = path.to_string();
    if is_v2 {
        return (id == "0" && names.is_empty()).then_some((Vec::new(), path));
    }
    let names: Vec<String> = names.split(',').map(String::from).collect();
    (!names[0].is_empty() && names.iter().all(|n| options.contains(n))).then_some((names, path))
}

/// The kernel writes a space as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// This group and those above it, up to the mount.
pub fn upwards<'a>(own: &'a Path, mount: &'a Path) -> impl Iterator<Item = &'a Path> {
    own.ancestors().take_while(move |p| p.starts_with(mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_and_a_container_are_read() {
        let mountinfo = "\
            30 29 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
            31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            32 29 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
            33 29 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            40 29 8:1 / /home rw - ext4 /dev/sda1 rw\n";
        let own = "4:memory:/docker/abc/x\n3:cpu,cpuacct:/jobs\n2:name=systemd:/\n0::/user.slice\n";
        let found = parse(mountinfo, own);
        assert_eq!(found.len(), 4);
        assert!(found[0].is_v2);
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/unified/user.slice"));
        assert_eq!(found[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[1].own, Path::new("/sys/fs/cgroup/cpu,cpuacct/jobs"));
        assert_eq!(found[2].own, Path::new("/sys/fs/cgroup/memory/x"));
        let up: Vec<_> = upwards(&found[1].own, &found[1].mount).collect();
        assert_eq!(up.len(), 2);
    }
}
