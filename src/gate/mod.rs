//! Floor 7: judges what analysis found. Measures nothing, and never turns missing data into a pass.

mod capacity;
mod drill;
mod history;
mod pairs;
mod threshold;

pub use crate::objective::Verdict;
pub use capacity::{capacity_exit_code, judge_capacity};
pub use drill::{drill_exit_code, judge_drills};
pub use history::{
    FEWEST_BASELINES, HistoryGate, HistoryMeasure, NotComparable, Stored, judge_history,
};
pub use pairs::{
    ABOVE_NEEDED, DETECT, GateCase, GateRule, GatedPairs, KIND as GATE_KIND, LeftOut, Measure,
    MeasureResult, NotJudged, Pair, PairGate, change_text, is_more_better, judge_pair_runs,
    unbelievable, unit, wants_another,
};
pub use threshold::evaluate;

use crate::analysis::{About, Comparison, Doubt, Level, Recovery, Summary, broken_by_second};
use crate::objective::{Met, Objective, Threshold, ThresholdError};
use crate::record::{EventKind, Record, RecordError};

/// Exit codes; documented, and never reused for something else.
pub mod exit_code {
    pub const PASS: u8 = 0;
    /// A bug or an unforeseen failure of brunt.
    pub const INTERNAL: u8 = 1;
    /// Usage, configuration, or a target that did not become ready.
    pub const USAGE: u8 = 2;
    /// An objective, a threshold or a gate failed; also `abort_on_fail`.
    pub const FAILED: u8 = 3;
    /// The measurement may not be believed, or there is no data for an objective.
    pub const INVALID: u8 = 4;
    /// A verdict was asked for and cannot be given (unless `--allow-inconclusive`).
    pub const INCONCLUSIVE: u8 = 5;
    /// Aborted by a guard.
    pub const GUARD: u8 = 6;
    pub const INTERRUPTED: u8 = 130;
    pub const TERMINATED: u8 = 143;
}

/// Evaluates thresholds on a record and its summary, then judges.
///
/// # Errors
/// When the record's seconds cannot be read.
pub fn judge_by(
    s: &mut Summary,
    record: &Record,
    thresholds: &[Threshold],
) -> Result<Verdict, JudgeError> {
    let seconds = broken_by_second(record, thresholds)?;
    let both = thresholds.iter().zip(&seconds);
    s.objectives = both.map(|(t, seconds)| evaluate(t, s, seconds.as_deref())).collect();
    if let Some(lost) = record.events.iter().find(|e| e.kind == EventKind::ThresholdLost) {
        let is_lower_bound = s.validity.is_lower_bound;
        s.objectives.iter_mut().for_each(|o| end_early(o, &lost.subject, is_lower_bound));
    }
    Ok(judge(s))
}

/// Of a run that ended because a threshold was lost: that one failed, by more requests than may break
/// it of all that were planned, however they were bunched (unless a closed loop was brunt's own limit).
/// What else was missed may be so because requests were cut off, or came too early to be made up for.
fn end_early(o: &mut Objective, lost: &str, is_lower_bound: bool) {
    o.verdict = match (o.expression == lost, o.verdict) {
        (true, Met::Inconclusive) if !is_lower_bound => Met::Fail,
        (false, Met::Fail | Met::NoData) => Met::Inconclusive,
        (_, verdict) => verdict,
    };
}

/// Judges a run by what its plan asks for.
///
/// # Errors
/// When a threshold cannot be read (another brunt's, or a manifest that was changed), or the
/// record's seconds.
pub fn judge_as_planned(s: &mut Summary, record: &Record) -> Result<Verdict, JudgeError> {
    let asked = record.manifest.plan.thresholds.iter();
    let thresholds: Vec<Threshold> = asked.map(|text| text.parse()).collect::<Result<_, _>>()?;
    judge_by(s, record, &thresholds)
}

/// Why a record cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error("manifest.json: {0}")]
    Threshold(#[from] ThresholdError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Judges a run by its validity and its objectives, and writes the verdict into the summary.
pub fn judge(s: &mut Summary) -> Verdict {
    let mut verdict = Verdict::Pass;
    let mut reasons = Vec::new();
    for doubt in &s.validity.doubts {
        let of_doubt = match doubt.level {
            Level::Invalid => Verdict::Invalid,
            _ if is_open(doubt) => Verdict::Inconclusive,
            _ => continue,
        };
        verdict = verdict.max(of_doubt);
        reasons.push(doubt.seen.clone());
    }
    for objective in &s.objectives {
        let (of_objective, what) = match objective.verdict {
            Met::Pass => continue,
            Met::Fail => (Verdict::Fail, "failed"),
            Met::Inconclusive => (Verdict::Inconclusive, "is inconclusive"),
            // Contract: no data for an objective is an invalid measurement.
            Met::NoData => (Verdict::Invalid, "has no data"),
        };
        verdict = verdict.max(of_objective);
        reasons.push(format!("objective {} {what}{}", objective.expression, why(objective)));
    }
    let is_lost = s.validity.doubts.iter().any(|d| d.about == About::Lost);
    if let Some((of_recovery, reason)) = unrecovered(s).filter(|_| !is_lost) {
        verdict = verdict.max(of_recovery);
        reasons.push(reason);
    }
    (s.verdict, s.reasons) = (verdict, reasons);
    verdict
}

/// Whether a doubt leaves a lone run without a verdict. Work off its calibration is a matter of
/// comparisons.
pub fn is_open(doubt: &Doubt) -> bool {
    doubt.level == Level::Inconclusive && doubt.about != About::Work
}

/// What an objective about a share rests on, and how much it lacks.
fn why(objective: &Objective) -> String {
    let Some(seen) = &objective.evidence else { return String::new() };
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let broke = format!(
        ": {} % of {} requests broke it (95 % bounds {} to {}), {} % may",
        percent(seen.share),
        seen.requests,
        percent(seen.low),
        percent(seen.high),
        percent(seen.allowed)
    );
    match seen.needed {
        Some(needed) => format!("{broke}; about {needed} requests would decide"),
        None => broke,
    }
}

/// What speaks against a run that had to be well again after its faults.
pub fn unrecovered(s: &Summary) -> Option<(Verdict, String)> {
    match s.recovery.as_ref().filter(|_| s.must_recover)? {
        Recovery::Held { .. } => None,
        Recovery::NotRecovered { in_time_share, needed, watched_s } => {
            let (share, needed) = (in_time_share * 100.0, needed * 100.0);
            Some((
                Verdict::Fail,
                format!(
                    "not recovered: {share:.1} % in time at the end, {watched_s:.1} s after the last \
                     heal, {needed:.1} % needed"
                ),
            ))
        }
        Recovery::NotEnoughTime { watched_s, needed_s } => Some((
            Verdict::Inconclusive,
            format!(
                "recovery is not known: the load ended {watched_s:.1} s after the last heal, and must \
                 have been steady for {needed_s:.0} s by then"
            ),
        )),
    }
}

/// The exit code of `run` and `load`.
pub fn run_exit_code(s: &Summary, allow_inconclusive: bool) -> u8 {
    let has_guard = s.validity.doubts.iter().any(|d| d.about == About::Guard);
    match s.verdict {
        Verdict::Invalid => exit_code::INVALID,
        _ if has_guard => exit_code::GUARD,
        Verdict::Fail => exit_code::FAILED,
        // Thresholds ask for a verdict, and so does a profile that must recover.
        Verdict::Inconclusive if allow_inconclusive => exit_code::PASS,
        Verdict::Inconclusive if s.objectives.is_empty() && !s.must_recover => exit_code::PASS,
        Verdict::Inconclusive => exit_code::INCONCLUSIVE,
        Verdict::Pass => exit_code::PASS,
    }
}

/// The exit code of `compare`: only an invalid run matters, unless a verdict was asked for.
pub fn compare_exit_code(c: &Comparison, is_gate: bool, allow_inconclusive: bool) -> u8 {
    match c.verdict {
        Verdict::Invalid => exit_code::INVALID,
        Verdict::Fail if is_gate => exit_code::FAILED,
        Verdict::Inconclusive if is_gate && !allow_inconclusive => exit_code::INCONCLUSIVE,
        _ => exit_code::PASS,
    }
}

/// The exit code of a verdict that was asked for.
pub fn verdict_exit_code(verdict: Verdict, allow_inconclusive: bool) -> u8 {
    match verdict {
        Verdict::Invalid => exit_code::INVALID,
        Verdict::Fail => exit_code::FAILED,
        Verdict::Inconclusive if !allow_inconclusive => exit_code::INCONCLUSIVE,
        Verdict::Inconclusive | Verdict::Pass => exit_code::PASS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, compared_trio, power_off_story};
    use crate::objective::Objective;
    use crate::record::EventKind;

    fn objective(verdict: Met) -> Objective {
        let expression = "errors: rate<0.01".into();
        Objective { expression, observed: None, verdict, evidence: None }
    }

    fn judged(builder: Builder, objectives: &[Met]) -> (Verdict, u8) {
        let mut s = summarise(&builder.build());
        s.objectives = objectives.iter().map(|m| objective(*m)).collect();
        let verdict = judge(&mut s);
        assert_eq!(s.reasons.is_empty(), verdict == Verdict::Pass, "{:?}", s.reasons);
        (verdict, run_exit_code(&s, false))
    }

    #[test]
    fn invalid_dominates_then_fail_then_inconclusive() {
        let sound = || Builder::new("vertical");
        assert_eq!(judged(sound(), &[]), (Verdict::Pass, 0));
        assert_eq!(judged(sound(), &[Met::Pass, Met::Fail]), (Verdict::Fail, 3));
        assert_eq!(judged(sound(), &[Met::Inconclusive]), (Verdict::Inconclusive, 5));
        assert_eq!(judged(sound(), &[Met::Inconclusive, Met::Fail]), (Verdict::Fail, 3));
        assert_eq!(judged(sound(), &[Met::Fail, Met::NoData]), (Verdict::Invalid, 4));
        assert_eq!(judged(sound().start_lag_ms(40.0), &[Met::Fail]), (Verdict::Invalid, 4));
        assert_eq!(judged(sound().all_refused(), &[]), (Verdict::Invalid, 4));
        assert_eq!(judged(sound().cost_ms(1.5), &[]), (Verdict::Pass, 0));
    }

    #[test]
    fn a_record_is_judged_by_the_thresholds_in_its_plan() {
        let mut record = Builder::new("vertical").build();
        let asked = ["response_time: p(99)<1ns", "errors: rate<0.5"];
        record.manifest.plan.thresholds = asked.map(String::from).to_vec();
        let text = serde_json::to_string(&record.manifest.plan).unwrap();
        record.manifest.plan = serde_json::from_str(&text).unwrap();
        let mut s = summarise(&record);
        assert_eq!(judge_as_planned(&mut s, &record).unwrap(), Verdict::Fail);
        assert_eq!(s.objectives.iter().map(|o| &o.expression).collect::<Vec<_>>(), asked);
        record.manifest.plan.thresholds = vec!["moods: good".into()];
        let error = judge_as_planned(&mut s, &record).unwrap_err().to_string();
        assert!(error.contains("moods"), "{error}");
    }

    #[test]
    fn a_plan_of_before_asks_for_nothing() {
        let mut record = Builder::new("vertical").build();
        let mut old = serde_json::to_value(&record.manifest.plan).unwrap();
        old.as_object_mut().unwrap().remove("thresholds").unwrap();
        record.manifest.plan = serde_json::from_value(old).unwrap();
        let mut s = summarise(&record);
        assert_eq!(judge_as_planned(&mut s, &record).unwrap(), Verdict::Pass);
        assert!(s.objectives.is_empty());
    }

    #[test]
    fn what_had_to_recover_and_did_not_fails() {
        let judged = |builder: Builder, must_recover| {
            let mut record = builder.build();
            record.manifest.plan.must_recover = must_recover;
            for event in record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed) {
                event.at_ns = 12_250_000_000;
            }
            let mut s = summarise(&record);
            judge(&mut s);
            (s.verdict, s.reasons.join(" "))
        };
        let broken = || power_off_story().share(10..20, 0.5);
        assert_eq!(judged(broken(), false).0, Verdict::Pass);
        let (verdict, reason) = judged(broken(), true);
        assert_eq!(verdict, Verdict::Fail);
        assert!(reason.contains("50.0 % in time at the end, 7.8 s after"), "{reason}");
        assert_eq!(judged(power_off_story(), true).0, Verdict::Pass);
        let (verdict, reason) = judged(power_off_story().share(10..17, 0.5), true);
        assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
    }

    #[test]
    fn a_guard_has_its_own_code() {
        let tripped = Builder::new("vertical").event(5.0, EventKind::GuardTripped, "disk", "");
        assert_eq!(judged(tripped, &[]).1, exit_code::GUARD);
    }

    #[test]
    fn a_lost_threshold_fails_and_what_was_cut_off_with_it_is_not_blamed() {
        // One burst, which by itself proves nothing of other seconds.
        let lost = "errors: rate<0.01";
        let burst = || Builder::new("vertical").answered(12..13, 0.7);
        let judged = |builder: Builder| {
            let record = builder.build();
            let mut s = summarise(&record);
            let asked = [lost, "in_time: rate>0.9999", "errors{phase:night}: rate<0.1"];
            let thresholds = asked.map(|text| text.parse().unwrap());
            judge_by(&mut s, &record, &thresholds).unwrap();
            let met = [0, 1, 2].map(|i: usize| s.objectives[i].verdict);
            (met, s.verdict, run_exit_code(&s, true))
        };
        let (met, ..) = judged(burst());
        assert_eq!(met, [Met::Inconclusive, Met::Inconclusive, Met::NoData]);
        let ended = judged(burst().event(13.0, EventKind::ThresholdLost, lost, ""));
        let met = [Met::Fail, Met::Inconclusive, Met::Inconclusive];
        assert_eq!(ended, (met, Verdict::Fail, exit_code::FAILED));
    }

    #[test]
    fn compare_fails_only_when_asked_to_judge() {
        let mut c = compared_trio();
        assert_eq!(compare_exit_code(&c, true, false), 0);
        c.verdict = Verdict::Inconclusive;
        assert_eq!(compare_exit_code(&c, false, false), 0);
        assert_eq!(compare_exit_code(&c, true, false), 5);
        c.verdict = Verdict::Invalid;
        assert_eq!(compare_exit_code(&c, false, true), 4);
    }
}
