//! What a search for a capacity comes to. Reaching an answer is a pass; nothing is asked of the
//! number itself.

use super::exit_code;
use crate::analysis::capacity::{Answer, CapacityReport, Outcome};
use crate::objective::Verdict;

/// Judges all answers, and writes the verdict and its reasons into the report.
pub fn judge_capacity(report: &mut CapacityReport) -> Verdict {
    let judged: Vec<(Verdict, String)> = report.answers.iter().filter_map(of_answer).collect();
    report.verdict = match report.answers.is_empty() {
        true => Verdict::Invalid,
        false => judged.iter().map(|(v, _)| *v).max().unwrap_or(Verdict::Pass),
    };
    report.reasons = judged.into_iter().map(|(_, reason)| reason).collect();
    report.verdict
}

fn of_answer(answer: &Answer) -> Option<(Verdict, String)> {
    let target = &answer.target;
    Some(match &answer.outcome {
        Outcome::Found { .. } | Outcome::AboveMaximum { .. } => return None,
        Outcome::FirstFails { rate_per_s, .. } => (
            Verdict::Fail,
            format!("{target}: the objectives fail at the first rate, {rate_per_s:.1}/s"),
        ),
        Outcome::GeneratorLimited { at_per_s, .. } => (
            Verdict::Invalid,
            format!("{target}: brunt could not send {at_per_s:.1}/s; give it more cores"),
        ),
        Outcome::Invalid { reason, .. } => (Verdict::Invalid, format!("{target}: {reason}")),
        Outcome::OutOfTrials { trials, .. } => {
            (Verdict::Inconclusive, format!("{target}: no end after {trials} trials"))
        }
        Outcome::Stopped { why, .. } => (Verdict::Invalid, format!("{target}: ended early: {why}")),
    })
}

/// The exit code of `brunt capacity`.
pub fn capacity_exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => exit_code::PASS,
        Verdict::Inconclusive => exit_code::INCONCLUSIVE,
        Verdict::Fail => exit_code::FAILED,
        Verdict::Invalid => exit_code::INVALID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(outcomes: &[Outcome]) -> u8 {
        let answer =
            |outcome: &Outcome| Answer::new("t".into(), None, vec![], outcome.clone(), vec![], 1);
        let answers = outcomes.iter().map(answer).collect();
        let mut report = CapacityReport::new("p", 1, vec![], answers);
        capacity_exit_code(judge_capacity(&mut report))
    }

    #[test]
    fn an_answer_is_a_pass_and_a_generator_at_its_limit_is_none() {
        let above = Outcome::AboveMaximum { held_per_s: 9.0 };
        let limited = Outcome::GeneratorLimited {
            at_per_s: 9.0,
            held_per_s: None,
            reason: "start lag".into(),
        };
        let fails = Outcome::FirstFails { rate_per_s: 1.0, limiting: None };
        let endless = Outcome::OutOfTrials { trials: 100, held_per_s: None };
        assert_eq!(judged(std::slice::from_ref(&above)), 0);
        assert_eq!(judged(&[above.clone(), limited.clone()]), 4);
        assert_eq!(judged(&[above.clone(), fails.clone()]), 3);
        assert_eq!(judged(&[fails, limited]), 4);
        assert_eq!(judged(&[above, endless]), 5);
        assert_eq!(judged(&[]), 4);
    }
}
