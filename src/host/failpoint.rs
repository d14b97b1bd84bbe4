//! Points of a run at which a test ends brunt, its keeper, or both, exactly there, as a SIGKILL at
//! that moment would. Without the feature `failpoints` this is nothing at all.
//!
//! `BRUNT_FAILPOINT=keeper@hold.applied` ends the keeper when it reaches that point for the first
//! time; `brunt@…` ends the brunt that it works for, and waits until it is gone; `both@…` does both.
//! `BRUNT_FAILPOINT=list@` writes the name of each point that is reached to the keeper's log.

#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn reach(_point: &str, _brunt: super::Identity) {}

#[cfg(feature = "failpoints")]
pub fn reach(point: &str, brunt: super::Identity) {
    use super::process::Process;
    use rustix::process::Signal;
    const GONE: std::time::Duration = std::time::Duration::from_secs(5);

    let Ok(wanted) = std::env::var("BRUNT_FAILPOINT") else { return };
    let Some((who, at)) = wanted.split_once('@') else { return };
    if who == "list" {
        eprintln!("failpoint {point}");
    }
    if at != point {
        return;
    }
    if matches!(who, "brunt" | "both")
        && let Ok(held) = Process::open(brunt)
    {
        let _ = held.signal(Signal::KILL);
        held.wait_exit(GONE);
    }
    if matches!(who, "keeper" | "both") {
        let own = Process::open(super::Identity::own()).expect("a process can hold itself");
        let _ = own.signal(Signal::KILL);
        unreachable!("killed at {point}");
    }
}
