//! Little's law, L = λW, which holds for anything that requests go into and come out of: the mean
//! number in flight is the rate times the mean service time. The three are measured in different
//! places, so that they agree is a check on all of brunt at once.

use super::{About, Doubt, Level, doubt};
use crate::analysis::summarise::{merged, seconds_of};
use crate::analysis::summary::Summary;
use crate::analysis::timeline::Timeline;
use crate::base::Nanos;
use crate::record::Record;

/// How far the two sides may be apart.
pub const OFF: f64 = 0.2;
/// In flight, summed over the seconds looked at. The number in flight is sampled once a second and
/// scatters like a Poisson number: with four hundred in all by one in twenty, a quarter of
/// the limit.
const IN_FLIGHT_MIN: f64 = 400.0;
/// Longer services make one second's sample resemble the next one's.
const SERVICE_MAX: Nanos = Nanos::SECOND;
/// Requests that failed were in flight too, but their service times are not known.
const OK_SHARE: f64 = 0.99;

/// Looks at the calm phases, in which the number in flight neither rises nor falls.
pub(super) fn little(record: &Record, s: &Summary) -> Option<Doubt> {
    let timeline = Timeline::of(record);
    let (mut seen, mut expected) = (0.0, 0.0);
    for (index, phase) in record.manifest.plan.load.phases.iter().enumerate() {
        let summary = s.phases.get(index)?;
        let is_settled = summary.is_calm && !summary.is_overloaded;
        if !is_settled || summary.ok_share().is_none_or(|share| share < OK_SHARE) {
            continue;
        }
        let service = merged(record, false, |_, p| usize::from(p) == index);
        let Some(mean) = service.mean().filter(|mean| *mean < SERVICE_MAX) else { continue };
        let seconds = seconds_of(phase);
        let sampled = seconds.filter_map(|at| timeline.seconds.get(at as usize));
        let (n, in_flight) =
            sampled.fold((0.0, 0.0), |(n, sum), at| (n + 1.0, sum + f64::from(at.in_flight)));
        let lasts = (phase.end - phase.start).as_secs_f64();
        seen += in_flight;
        expected += summary.ledger.ok as f64 / lasts * mean.as_secs_f64() * n;
    }
    let ratio = seen / expected;
    let is_off = expected >= IN_FLIGHT_MIN && (ratio - 1.0).abs() > OFF;
    is_off.then(|| {
        doubt(
            About::LittlesLaw,
            Level::Doubt,
            format!(
                "in flight were {:+.0} % of what rate times service time makes (Little's law)",
                (ratio - 1.0) * 100.0
            ),
            "the load came in waves, or brunt has a bug; look at requests in flight over time",
        )
    })
}
