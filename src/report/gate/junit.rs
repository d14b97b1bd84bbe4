//! A gate as JUnit XML, in the form that Jenkins, GitLab and GitHub's reporters read: a failure is a
//! failed check, an error a measurement that may not be believed, skipped what could not be told.

use super::{Check, CheckResult, Checks};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub fn junit(c: &Checks) -> String {
    let took = Duration::from_secs_f64(c.took_s.max(0.0));
    let mut suite = TestSuite::new(c.title.as_str());
    suite.set_time(took);
    suite.add_test_cases(c.checks.iter().map(|check| case(check, &c.class)));
    let mut report = Report::new("brunt");
    report.set_time(took);
    report.add_test_suite(suite);
    report.to_string().expect("checks are text, and writing to memory does not fail")
}

fn case(check: &Check, class: &str) -> TestCase {
    let mut status = match check.result {
        CheckResult::Passed => TestCaseStatus::success(),
        CheckResult::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        CheckResult::Invalid => TestCaseStatus::non_success(NonSuccessKind::Error),
        CheckResult::Open => TestCaseStatus::skipped(),
    };
    if check.result != CheckResult::Passed {
        status.set_message(check.seen.as_str());
    }
    let mut case = TestCase::new(check.name.as_str(), status);
    case.set_classname(class);
    case.set_system_out(check.seen.as_str());
    case
}

#[cfg(test)]
mod tests {
    use super::super::checks::{
        checks_of_pairs,
        tests::{gated, measure},
    };
    use super::*;
    use crate::analysis::stats::PairVerdict;
    use crate::gate::Measure;
    use crate::objective::Verdict;

    #[test]
    fn a_check_is_a_test_case_and_counts_as_what_it_is() {
        let text = junit(&checks_of_pairs(&gated(
            Verdict::Fail,
            vec![
                measure(Measure::Cpu, PairVerdict::Equivalent, 0.0),
                measure(Measure::P99, PairVerdict::Regression, 0.163),
                measure(Measure::P50, PairVerdict::Inconclusive, 0.05),
            ],
        )));
        for part in [
            "tests=\"4\"",
            "failures=\"1\"",
            "errors=\"0\"",
            "<testcase name=\"response p99\" classname=\"gate\">",
            "<failure message=\"41.2 ms",
            "<skipped message=",
            "time=\"231.400\"",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let invalid = junit(&checks_of_pairs(&gated(Verdict::Invalid, Vec::new())));
        assert!(
            invalid.contains("errors=\"1\"") && invalid.contains("<error message="),
            "{invalid}"
        );
    }
}
