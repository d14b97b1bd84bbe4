//! Which cores belong to brunt and which to the stack, inside the mask that brunt was started with.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Cores for brunt (a quarter, at least one) and for the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub brunt: Vec<u32>,
    pub stack: Vec<u32>,
    /// With one core both share it, and the generator disturbs what it measures.
    pub is_shared: bool,
}

/// Splits these cores; brunt gets the last ones, interrupts usually go to the first.
pub fn split(cores: &[u32]) -> Split {
    if cores.len() < 2 {
        return Split { brunt: cores.to_vec(), stack: cores.to_vec(), is_shared: true };
    }
    let n_brunt = (cores.len() / 4).max(1);
    let (stack, brunt) = cores.split_at(cores.len() - n_brunt);
    Split { brunt: brunt.to_vec(), stack: stack.to_vec(), is_shared: false }
}

/// The cores that the calling thread may run on.
///
/// # Errors
/// When the kernel has more cores than the mask can name.
pub fn own() -> io::Result<Vec<u32>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu as u32).collect())
}

/// The mask that names these cores.
pub fn mask(cores: &[u32]) -> CpuSet {
    let mut set = CpuSet::new();
    for cpu in cores.iter().map(|c| *c as usize).filter(|c| *c < CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    set
}

/// Pins the calling thread, and the threads and processes it starts from now on.
///
/// # Errors
/// When none of these cores is allowed here.
pub fn pin_self(cores: &[u32]) -> io::Result<()> {
    Ok(sched_setaffinity(None, &mask(cores))?)
}

/// The cores that a thread may run on.
///
/// # Errors
/// When it is gone.
pub fn of(thread: i32) -> io::Result<Vec<u32>> {
    let set = sched_getaffinity(Pid::from_raw(thread))?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu as u32).collect())
}

/// Pins one thread.
///
/// # Errors
/// When it is not ours, or none of these cores is allowed; one that is gone needs no mask.
pub fn pin_thread(thread: i32, cores: &[u32]) -> io::Result<()> {
    match sched_setaffinity(Pid::from_raw(thread), &mask(cores)) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Pins every thread of a process; looks again until no thread was missed (bounded).
/// Returns how many threads have the new mask.
///
/// # Errors
/// When the process is gone or not ours.
pub fn pin_process(pid: i32, cores: &[u32]) -> io::Result<usize> {
    let mask = mask(cores);
    let mut done: Vec<i32> = Vec::new();
    for _round in 0..8 {
        let fresh: Vec<i32> = threads(pid)?.into_iter().filter(|t| !done.contains(t)).collect();
        if fresh.is_empty() {
            break;
        }
        for thread in fresh {
            match sched_setaffinity(Pid::from_raw(thread), &mask) {
                // A thread that ended meanwhile needs no mask.
                Ok(()) | Err(rustix::io::Errno::SRCH) => done.push(thread),
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(done.len())
}

/// # Errors
/// When the process is gone.
pub fn threads(pid: i32) -> io::Result<Vec<i32>> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(folder.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brunt_gets_a_quarter_and_at_least_one() {
        let check = |cores: &[u32], brunt: &[u32], stack: &[u32], is_shared| {
            let expected = Split { brunt: brunt.into(), stack: stack.into(), is_shared };
            assert_eq!(split(cores), expected);
        };
        check(&[3], &[3], &[3], true);
        check(&[0, 1], &[1], &[0], false);
        check(&[0, 2, 4, 6], &[6], &[0, 2, 4], false);
        check(&[0, 1, 2, 3, 4, 5, 6, 7], &[6, 7], &[0, 1, 2, 3, 4, 5], false);
    }

    #[test]
    fn every_thread_of_a_process_is_pinned() {
        let cores = own().unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id() as i32;
        assert_eq!(pin_process(pid, &cores[..1]).unwrap(), 1);
        let set = sched_getaffinity(Pid::from_raw(pid)).unwrap();
        assert_eq!(set.count(), 1);
        assert!(set.is_set(cores[0] as usize));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
