//! A gate in plain text.

use super::pairs;
use super::{Checks, checks::CheckResult};
use crate::gate::GatedPairs;
use crate::report::text::{push_table, push_wrapped};

/// Pairs: the table, what they cannot show, the verdict.
pub fn gate_text(g: &GatedPairs, page: Option<&str>) -> String {
    let mut out = format!("brunt compare {} {} --gate\n", g.case.a, g.case.b);
    push_wrapped(&mut out, &pairs::subject(g));
    out.push('\n');
    if !g.gate.measures.is_empty() {
        let rows: Vec<_> = g.gate.measures.iter().map(pairs::cells).collect();
        push_table(&mut out, &pairs::HEAD, &rows);
        out.push('\n');
    }
    pairs::notes(g).iter().for_each(|note| push_wrapped(&mut out, note));
    out.push_str(&format!("GATE {}\n", g.gate.verdict));
    g.gate.reasons.iter().for_each(|reason| push_wrapped(&mut out, &format!("- {reason}")));
    if let Some(page) = page {
        out.push_str(&format!("report {page}\n"));
    }
    out
}

/// A run: each check, the verdict.
pub fn checks_text(c: &Checks) -> String {
    let mut out = format!("{}        {}\n\n", c.title, c.class);
    let rows: Vec<[String; 3]> = (c.checks.iter())
        .map(|check| [check.result.word().to_string(), check.name.clone(), check.seen.clone()])
        .collect();
    push_table(&mut out, &["", "", ""], &rows);
    out.push_str(&format!("\nGATE {}\n", c.verdict));
    let is_told = |reason: &&String| {
        !c.checks
            .iter()
            .any(|k| k.result == CheckResult::Invalid && k.seen.contains(reason.as_str()))
    };
    c.reasons.iter().filter(is_told).for_each(|r| push_wrapped(&mut out, &format!("- {r}")));
    out
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{gated, measure};
    use super::*;
    use crate::analysis::stats::PairVerdict;
    use crate::gate::Measure;
    use crate::objective::Verdict;

    #[test]
    fn effect_interval_margin_and_what_can_be_detected_are_always_there() {
        let mut p99 = measure(Measure::P99, PairVerdict::Inconclusive, 0.05);
        p99.detectable = Some(0.18);
        let cpu = measure(Measure::Cpu, PairVerdict::Regression, 0.163);
        let text = gate_text(&gated(Verdict::Fail, vec![cpu, p99]), None);
        for part in [
            "+16.3 %",
            "[+11.8, +21.0]",
            "10.0 %",
            "3.8 %",
            "0.004",
            "WORSE",
            "GATE FAIL",
            "took 231 s of 300 s",
            "a change of 10 % would often go unseen in response p99 (18 % would",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
