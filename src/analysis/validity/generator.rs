//! Doubts about the generator: was each request noticed in time, were the gaps those that were
//! planned, and had its threads the CPU for it? A late generator invalidates (invariant 11).

use super::{About, Doubt, Health, LAG_HARMLESS, Level, busiest_calm, doubt};
use crate::analysis::queueing::shifted_share;
use crate::analysis::summary::Summary;
use crate::base::Nanos;
use crate::plan::Plan;
use crate::record::{Cause, EventKind, Outcome, Record, Tag};

/// Start lag p99 ÷ response p99 of the calm phases beyond which the lag is a part of the result
/// (Nighthawk's and Lancet's practice; brunt's research on generator health).
pub const LAG_OF_P99: f64 = 0.1;
/// Start lag p99 ÷ the in-time limit beyond which the share in time is the generator's doing.
pub const LAG_OF_LIMIT: f64 = 0.1;
/// Planned requests that the generator must have noticed in time (Nighthawk's send-rate
/// threshold) …
pub const NOTICED: f64 = 0.99;
/// … which is a tenth of the second that rates are given for: what is later than that belongs, for
/// a good part, to the rate of another second.
pub const NOTICED_WITHIN: Nanos = Nanos::from_millis(100);
/// CPU ÷ the cores, or the one core of a worker: doubt, and invalid. Beyond three quarters,
/// queueing inside the generator begins to show …
pub const CPU_DOUBT: f64 = 0.75;
pub const CPU_INVALID: f64 = 0.95;
/// … and where it does, requests start late: a worker that is busy because it polls for the next
/// start is on time. One loop starts requests and reads answers, so the lag speaks for both.
pub const BUSY_LAG: Nanos = Nanos::from_micros(200);
/// A gap is off by this or by a tenth of the mean gap, whichever is more: what a timer of a busy
/// machine costs, and what does not change the shape of the arrivals.
pub const GAP_OFF: Nanos = Nanos::from_micros(200);
pub const GAP_OFF_OF_MEAN: f64 = 0.1;
/// Share of the gaps that may be: the queues that form in the target come from short gaps, and
/// with one in twenty of them wrong its p95 is that of other arrivals than were planned.
pub const GAPS_OFF: f64 = 0.05;
/// Fewer gaps than this say nothing of a twentieth.
const GAPS_MIN: u64 = 200;

pub(super) fn start_lag(health: &Health, s: &Summary, plan: &Plan) -> Option<Doubt> {
    let lag = health.start_lag_p99_ns.filter(|lag| *lag > LAG_HARMLESS)?;
    let remedy = "give brunt a core of its own, lower the rate, or stop what else runs here";
    let response = busiest_calm(s).and_then(|times| times.highest()).map(|(_, at)| at);
    let of_response = response.map_or(0.0, |r| lag.0 as f64 / r.0.max(1) as f64);
    let of_limit = lag.0 as f64 / plan.load.in_time.0.max(1) as f64;
    let level = match of_response > LAG_OF_P99 || of_limit > LAG_OF_LIMIT {
        true => Level::Invalid,
        false => Level::Doubt,
    };
    let seen = format!(
        "the generator started late: p99 {lag}, {:.0} % of the response times of a calm phase",
        of_response * 100.0
    );
    Some(doubt(About::StartLag, level, seen, remedy))
}

/// The achieved rate: what the run's end or a late generator kept from being due in time.
pub(super) fn unnoticed(record: &Record, s: &Summary) -> Option<Doubt> {
    let planned = s.ledger_run.planned;
    let missed = |n: u64| (planned - n.min(planned)) as f64 / (planned.max(1) as f64) < NOTICED;
    let is_stopped = |(outcome, cause, _): &&(Outcome, Cause, u64)| {
        *outcome == Outcome::NeverSent && *cause == Cause::Stopped
    };
    // What a run was asked for that ended with a lost threshold has its answer.
    let is_lost = record.events.iter().any(|e| e.kind == EventKind::ThresholdLost);
    let stopped: u64 = record.causes.iter().filter(is_stopped).map(|(_, _, n)| n).sum();
    let late = record.latency.get(&Tag::StartLag).map_or(0, |lag| {
        let within = lag.hdr().count_between(0, NOTICED_WITHIN.0);
        lag.count().saturating_sub(within)
    });
    let (seen, remedy) = match (missed(stopped) && !is_lost, missed(late)) {
        (true, _) => (
            format!("{stopped} of {planned} requests were never due: the run was cut short"),
            "let the run end, or shorten the profile",
        ),
        (_, true) => (
            format!(
                "{late} of {planned} requests were noticed more than {NOTICED_WITHIN} late: the \
                 planned rate was not offered"
            ),
            "lower the rate, or give brunt a core of its own",
        ),
        _ => return None,
    };
    Some(doubt(About::StartLag, Level::Invalid, seen, remedy))
}

/// The arrivals as they were against the arrivals as they were meant.
pub(super) fn gaps(record: &Record) -> Option<Doubt> {
    let planned = record.latency.get(&Tag::PlannedGap).filter(|h| h.count() >= GAPS_MIN)?;
    let due = record.latency.get(&Tag::DueGap).filter(|h| h.count() >= GAPS_MIN)?;
    let part = Nanos((planned.hdr().mean() * GAP_OFF_OF_MEAN) as u64);
    let slack = GAP_OFF.max(part);
    let share = shifted_share(planned, due, slack);
    (share > GAPS_OFF).then(|| {
        doubt(
            About::Gaps,
            Level::Invalid,
            format!(
                "the arrivals were not those of the plan: at least {:.0} % of the gaps between \
                 starts were off by more than {slack}",
                share * 100.0
            ),
            "give brunt a core of its own, lower the rate, or stop what else runs here",
        )
    })
}

/// Its cores together, and the busiest of its workers: one that is saturated is late, however idle
/// the others are.
pub(super) fn busy(health: &Health, plan: &Plan) -> Option<Doubt> {
    let is_closed = plan.load.is_closed();
    let is_late = health.start_lag_p99_ns.is_none_or(|lag| lag > BUSY_LAG);
    let share = busiest(health).filter(|share| *share > CPU_DOUBT && (is_closed || is_late))?;
    let level = if share > CPU_INVALID && !is_closed { Level::Invalid } else { Level::Doubt };
    let what = match health.busiest_worker_share {
        Some(worker) if worker >= share => "the busiest of brunt's workers was",
        _ => "brunt's own cores were",
    };
    let bound = match is_closed && share > CPU_INVALID {
        true => ": the generator was the limit, so the rate is a lower bound of the target's",
        false => "",
    };
    let seen = format!("{what} {:.0} % busy{bound}", share * 100.0);
    Some(doubt(About::Generator, level, seen, "lower the rate or give brunt more cores"))
}

/// In a closed loop nothing is late; a saturated generator just sends less than the target bears.
pub(super) fn is_lower_bound(health: &Health, plan: &Plan) -> bool {
    plan.load.is_closed() && busiest(health).is_some_and(|share| share > CPU_INVALID)
}

fn busiest(health: &Health) -> Option<f64> {
    let shares = [health.generator_core_share, health.busiest_worker_share];
    shares.into_iter().flatten().reduce(f64::max)
}
