//! A gate as Markdown: for a pull request, and for the summary of a GitHub job.

use super::{Checks, pairs};
use crate::gate::GatedPairs;
use crate::report::markdown::{escape, push_table};

pub fn gate_markdown(g: &GatedPairs) -> String {
    let mut out = format!(
        "## brunt gate: {} — {} against {}\n\n",
        g.gate.verdict,
        escape(&g.case.b),
        escape(&g.case.a)
    );
    push_reasons(&mut out, &g.gate.reasons);
    if !g.gate.measures.is_empty() {
        push_table(&mut out, &pairs::HEAD, g.gate.measures.iter().map(pairs::cells));
        out.push('\n');
    }
    for note in pairs::notes(g) {
        out.push_str(&format!("- {}\n", escape(&note)));
    }
    out.push_str(&format!("\n{}\n", escape(&pairs::subject(g))));
    out
}

pub fn checks_markdown(c: &Checks) -> String {
    let mut out = format!("## {} — {}\n\n", escape(&c.title), c.verdict);
    push_reasons(&mut out, &c.reasons);
    let rows = c.checks.iter().map(|k| [k.result.word().into(), k.name.clone(), k.seen.clone()]);
    push_table(&mut out, &["", "check", "seen"], rows);
    out.push('\n');
    out
}

fn push_reasons(out: &mut String, reasons: &[String]) {
    for reason in reasons {
        out.push_str(&format!("- **{}**\n", escape(reason)));
    }
    if !reasons.is_empty() {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{gated, measure};
    use super::*;
    use crate::analysis::stats::PairVerdict;
    use crate::gate::Measure;
    use crate::objective::Verdict;

    #[test]
    fn names_cannot_break_the_table_and_the_verdict_is_first() {
        let text = gate_markdown(&gated(
            Verdict::Fail,
            vec![measure(Measure::P99, PairVerdict::Regression, 0.163)],
        ));
        assert!(text.starts_with("## brunt gate: FAIL — new against old\\|er"), "{text}");
        assert!(text.contains("| response p99 | 41.2 ms"), "{text}");
        assert!(text.contains("- **response p99 is worse"), "{text}");
    }
}
