//! Doubts about the machine: time that the hypervisor took, and stalls that any thread would have
//! seen.

use super::{About, Doubt, Health, LAG_HARMLESS, Level, busiest_calm, doubt};
use crate::analysis::summary::{Summary, TimeSummary};
use crate::record::{Record, Tag};

/// Share of the machine's time that the hypervisor took, on average and in the worst second; a
/// tenth of a second is enough to make requests late.
pub const STEAL_DOUBT: f64 = 0.01;
pub const STEAL_WORST_DOUBT: f64 = 0.1;
/// A core that takes so many times longer than at its best for the same computation is slow: turbo
/// modes and neighbours on a core's other thread stay below it.
pub const SLOW: f64 = 1.5;
/// A run may have slow cores for this share of its measured time, and still be held against another.
pub const SLOW_SHARE: f64 = 0.05;
/// Hiccups ÷ response times at the same quantile (jHiccup's use).
pub const HICCUP_OF_RESPONSE: f64 = 0.1;

/// At the highest quantile that both can name: few runs have the samples for a p99.9. Faults make
/// response times long, so only a calm phase is held against the stalls.
pub(super) fn hiccups(record: &Record, s: &Summary) -> Option<Doubt> {
    let stalls = TimeSummary::of(record.latency.get(&Tag::Hiccup)?);
    let calm = busiest_calm(s)?;
    let (name, hiccup, response) = ["p9999", "p999", "p99", "p95", "p90"]
        .into_iter()
        .find_map(|name| Some((name, stalls.named(name)?, calm.named(name)?)))?;
    let is_much = hiccup > LAG_HARMLESS && hiccup.0 as f64 > response.0 as f64 * HICCUP_OF_RESPONSE;
    is_much.then(|| {
        doubt(
            About::Hiccups,
            Level::Doubt,
            format!(
                "the machine stalled brunt: {name} of the stalls {hiccup}, of the response times in a calm phase {response}"
            ),
            "stop what else runs here; tails below this are the machine's",
        )
    })
}

pub(super) fn steal(health: &Health) -> Option<Doubt> {
    let (mean, worst) = health.steal_share.zip(health.steal_worst_share)?;
    (mean > STEAL_DOUBT || worst > STEAL_WORST_DOUBT).then(|| {
        doubt(
            About::Steal,
            Level::Doubt,
            format!(
                "the hypervisor took {:.1} % of the machine's time, {:.0} % in the worst second",
                mean * 100.0,
                worst * 100.0
            ),
            "run at a quieter time or on a machine of your own",
        )
    })
}

/// Seconds of slow cores: what the target was given then is not what it was promised.
pub(super) fn pace(health: &Health) -> Option<Doubt> {
    let slow = health.slow_seconds.filter(|n| *n > 0)?;
    let worst = health.slowdown_worst?;
    Some(doubt(
        About::Pace,
        Level::Doubt,
        format!(
            "the machine itself was slow: a core took up to {worst:.1} × as long for the same computation, in {slow} s of what was measured"
        ),
        "run at a quieter time; on a machine of your own, set its CPU governor to performance",
    ))
}
