//! The CPU quota by `cpu.max`, by the kernel's own counters, and fewer cores.

use crate::guest;
use crate::stage::{SPIN, Stage, TWO_SPIN};
use crate::support::within;
use brunt::fault::Lever;
use brunt::host::affinity;
use brunt::host::cgroup::files::{processes, read};
use std::path::Path;
use std::time::{Duration, Instant};

const PERIODS: u64 = 20;
const PERIOD_US: u64 = 20_000;
/// Much more than the periods below take, also where the guest's processor is emulated.
const BOUND: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    used_us: u64,
    periods: u64,
    throttled: u64,
}

impl Counters {
    /// In one reading, so that they belong together.
    fn of(group: &Path) -> Counters {
        let text = read(group, "cpu.stat").unwrap();
        let number = |key: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {key} in {text}")).parse().unwrap()
        };
        Counters {
            used_us: number("usage_usec"),
            periods: number("nr_periods"),
            throttled: number("nr_throttled"),
        }
    }

    fn since(self, began: Counters) -> Counters {
        Counters {
            used_us: self.used_us - began.used_us,
            periods: self.periods - began.periods,
            throttled: self.throttled - began.throttled,
        }
    }

    /// Beyond the periods' quotas and the one that was under way when the counting began.
    fn excess_us(self, quota_us: u64) -> i64 {
        self.used_us as i64 - ((self.periods + 1) * quota_us) as i64
    }

    /// Not more than its quota, and about as much: it wanted all.
    fn is_kept(self, quota_us: u64) -> bool {
        self.excess_us(quota_us) <= 0
            && self.used_us >= self.periods * quota_us / 2
            && self.throttled >= self.periods / 2
    }
}

/// Counts from now on, until what is wanted is so after `PERIODS` or more.
fn count(group: &Path, wanted: impl Fn(Counters) -> bool) -> Vec<Counters> {
    let (began, until) = (Counters::of(group), Instant::now() + BOUND);
    let mut seen = Vec::new();
    loop {
        let now = Counters::of(group).since(began);
        if now.periods >= PERIODS {
            seen.push(now);
            if wanted(now) {
                return seen;
            }
        }
        assert!(Instant::now() < until, "{now:?} after {BOUND:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A quota is enforced at ticks, and an emulated processor may be held back by its host for long in
/// the middle of one: what was overrun then is paid back in the next periods. So the first reading
/// without such a debt is wanted; where the quota is not kept, none ever comes.
fn assert_kept(group: &Path, quota_us: u64) {
    let seen = count(group, |now| now.is_kept(quota_us));
    let most = seen.iter().map(|c| c.excess_us(quota_us)).max().unwrap();
    eprintln!("quota {quota_us} us: {:?}; beyond it at most {most} us", seen[seen.len() - 1]);
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn a_busy_server_never_exceeds_its_quota() {
    guest();
    let stage = Stage::new("quota", 0.2, SPIN);
    assert_eq!(read(&stage.group, "cpu.max").unwrap(), "4000 20000");
    assert_kept(&stage.group, 4_000);
    stage.end();
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn what_a_fault_takes_of_a_quota_is_given_back() {
    guest();
    let stage = Stage::new("share", 1.5, SPIN);
    let share = Lever::CpuShare { server: "s1".into(), to: 0.1 };
    let stamp = stage.fleet.hold("f", &share).unwrap();
    assert_eq!((&*stamp.mechanism, &*stamp.proof), ("cgroup quota", "cpu.max 3000 20000"));
    assert_kept(&stage.group, 3_000);
    let stamp = stage.fleet.release("f").unwrap();
    eprintln!("{}", stamp.proof);
    assert_eq!(read(&stage.group, "cpu.max").unwrap(), "30000 20000");
    let seen = count(&stage.group, |now| now.used_us > 2 * now.periods * 3_000);
    let last = seen[seen.len() - 1];
    let cores = last.used_us as f64 / (last.periods * PERIOD_US) as f64;
    eprintln!("afterwards {last:?}: {cores:.2} cores");
    stage.end();
}

/// Where every thread of the server may run; one list where all agree.
fn cores_of(group: &Path) -> Vec<Vec<u32>> {
    // What has just ended runs nowhere.
    let threads = processes(group).into_iter().filter_map(|p| affinity::threads(p).ok()).flatten();
    let mut all: Vec<_> = threads.filter_map(|thread| affinity::of(thread).ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
#[ignore = "runs in the virtual machine: tests/vm/run tests"]
fn a_server_keeps_some_of_its_cores_and_has_all_of_them_back() {
    guest();
    let all = affinity::split(&affinity::own().unwrap()).stack;
    assert!(all.len() >= 2, "brunt has one core, and the stack needs two: {all:?}");
    let (half, whole) = (all.len() / 2, vec![all.clone()]);
    let kept = vec![all[..half].to_vec()];
    let stage = Stage::new("cores", all.len() as f64, TWO_SPIN);
    assert!(within(|| processes(&stage.group).len() == 2));
    assert_eq!(cores_of(&stage.group), whole);

    let to = |to| Lever::CpuCores { server: "s1".into(), to };
    let stamp = stage.fleet.hold("one", &to(0.5)).unwrap();
    assert_eq!((&*stamp.mechanism, &*stamp.proof), ("sched_setaffinity", "2 threads on 1 cores"));
    assert_eq!(cores_of(&stage.group), kept);
    // Two that want a core each have one together, and wait for each other.
    let (before, began) = (Counters::of(&stage.group).used_us, Instant::now());
    // A measurement takes its time; nothing is waited for.
    std::thread::sleep(Duration::from_millis(500));
    let is_one = within(|| {
        let (used, lasted) =
            (Counters::of(&stage.group).used_us - before, began.elapsed().as_micros() as u64);
        eprintln!("{used} us of one core's {lasted}");
        // What was counted late of the time before is soon little beside it.
        used > 0 && used <= lasted + lasted / 10
    });
    assert!(is_one, "more than one core");
    let stamp = stage.fleet.release("one").unwrap();
    eprintln!("{}", stamp.proof);
    let has_waited = !stamp.proof.contains("ready but not running for 0s");
    assert!(stamp.proof.starts_with("ready but not running for") && has_waited, "{stamp:?}");
    assert_eq!(cores_of(&stage.group), whole);

    // The strongest of two wins; who starts meanwhile has no more.
    stage.fleet.hold("one", &to(0.5)).unwrap();
    stage.fleet.hold("more", &to(0.9)).unwrap();
    stage.fleet.kill_node("a").unwrap();
    stage.fleet.start_node("a").unwrap();
    assert!(within(|| processes(&stage.group).len() >= 2 && cores_of(&stage.group) == kept));
    let error = stage.fleet.hold("all", &to(1.0)).unwrap_err().to_string();
    assert!(error.contains("takes nothing away"), "{error}");

    stage.fleet.release("more").unwrap();
    assert_eq!(cores_of(&stage.group), kept);
    stage.fleet.release("one").unwrap();
    assert_eq!(cores_of(&stage.group), whole);
    stage.end();
}
