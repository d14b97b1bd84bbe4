//! Annotations of a GitHub job: workflow commands, one a line. GitHub shows ten of a kind and step.

use super::{Check, CheckResult, Checks};
use crate::objective::Verdict;

const SHOWN: usize = 10;

/// The verdict, and each check that failed or may not be believed.
pub fn annotations(c: &Checks) -> String {
    let kind = |verdict| match verdict {
        Verdict::Pass => "notice",
        Verdict::Inconclusive => "warning",
        Verdict::Fail | Verdict::Invalid => "error",
    };
    let mut lines = Vec::new();
    let why =
        if c.reasons.is_empty() { String::new() } else { format!(": {}", c.reasons.join("; ")) };
    lines.push(command(kind(c.verdict), &c.title, &format!("{}{why}", c.verdict)));
    let bad = |check: &&Check| matches!(check.result, CheckResult::Failed | CheckResult::Invalid);
    let of = |check: &Check| command("error", &check.name, &check.seen);
    lines.extend(c.checks.iter().filter(bad).map(of).take(SHOWN - 1));
    lines.concat()
}

fn command(kind: &str, title: &str, message: &str) -> String {
    format!("::{kind} title={}::{}\n", property(title), data(message))
}

/// What a message may not hold as it is.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
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

    #[test]
    fn a_regression_is_an_error_and_its_percent_signs_are_escaped() {
        let worse = vec![
            measure(Measure::Cpu, PairVerdict::Equivalent, 0.0),
            measure(Measure::P99, PairVerdict::Regression, 0.163),
        ];
        let text = annotations(&checks_of_pairs(&gated(Verdict::Fail, worse)));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].starts_with("::error title=brunt gate new against old|er::FAIL: "),
            "{text}"
        );
        assert!(lines[1].starts_with("::error title=response p99::41.2 ms"), "{text}");
        assert!(lines[1].contains("+16.3 %25 ["), "{text}");
        let passed = annotations(&checks_of_pairs(&gated(Verdict::Pass, Vec::new())));
        assert_eq!(passed, "::notice title=brunt gate new against old|er::PASS\n");
        assert_eq!(property("a: b,c\n"), "a%3A b%2Cc%0A");
    }
}
