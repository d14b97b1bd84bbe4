//! The CPU quota by `cpu.max`, by the kernel's own counters.

use crate::guest;
use crate::stage::{SPIN, Stage};
use brunt::fault::Lever;
use brunt::host::cgroup::files::read;
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
}

/// All readings from `PERIODS` on to half as many more.
fn readings(group: &Path) -> Vec<Counters> {
    let (began, until) = (Counters::of(group), Instant::now() + BOUND);
    let mut seen = Vec::new();
    loop {
        let now = Counters::of(group).since(began);
        if now.periods >= PERIODS {
            seen.push(now);
        }
        if now.periods >= PERIODS + PERIODS / 2 {
            return seen;
        }
        assert!(Instant::now() < until, "{now:?} after {BOUND:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A quota is enforced at ticks, and the emulated processor may be held back by its host in the
/// middle of one: what was overrun then is paid back in the next periods. So it is judged at the
/// reading that owes least.
fn assert_kept(group: &Path, quota_us: u64) {
    let seen = readings(group);
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    let excess = seen.iter().map(|c| c.excess_us(quota_us));
    let (least, most) = (excess.clone().min().unwrap(), excess.max().unwrap());
    eprintln!("quota {quota_us} us: {first:?}, {last:?}; beyond it {least} to {most} us");
    assert!(least <= 0, "{least} us more than given");
    assert!(last.used_us >= last.periods * quota_us / 2, "{last:?}");
    assert!(last.throttled >= last.periods / 2, "{last:?}");
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
    let seen = readings(&stage.group);
    let last = seen[seen.len() - 1];
    eprintln!(
        "afterwards {last:?}: {:.2} cores",
        last.used_us as f64 / (last.periods * PERIOD_US) as f64
    );
    assert!(last.used_us > 2 * last.periods * 3_000, "{last:?}");
    stage.end();
}
