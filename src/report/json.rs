//! What `--json` prints and `summary.json` holds.

use crate::analysis::capacity::CapacityReport;
use crate::analysis::drill::DrillCard;
use crate::analysis::{Comparison, Run, Summary};
use serde_json::json;

/// One run: the contract's `summary.json`.
pub fn run_json(s: &Summary) -> String {
    serde_json::to_string_pretty(s).expect("a summary is plain data") + "\n"
}

/// A comparison: the runs' summaries, the findings and the table they come from.
pub fn compare_json(c: &Comparison, runs: &[Run<'_>]) -> String {
    let summaries: Vec<&Summary> = runs.iter().map(|r| r.summary).collect();
    let value = json!({
        "schema": crate::analysis::SCHEMA,
        "kind": "compare",
        "runs": summaries,
        "findings": c.findings,
        "verdict": c.verdict,
        "reasons": c.reasons,
        "headline": c.headline,
        "sentences": c.sentences,
        "targets": c.targets,
        "header": c.header,
        "rows": c.rows,
        "footnotes": c.footnotes,
        "notes": c.notes,
    });
    serde_json::to_string_pretty(&value).expect("a comparison is plain data") + "\n"
}

/// What `capacity.json` holds.
pub fn capacity_json(report: &CapacityReport) -> String {
    serde_json::to_string_pretty(report).expect("a report is plain data") + "\n"
}

/// The card of a drill.
pub fn drill_json(card: &DrillCard) -> String {
    serde_json::to_string_pretty(card).expect("a card is plain data") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::with_trio;

    #[test]
    fn a_comparison_has_the_contracts_keys() {
        with_trio(|c, runs| {
            let value: serde_json::Value = serde_json::from_str(&compare_json(c, runs)).unwrap();
            assert_eq!((&value["schema"], &value["kind"]), (&json!(1), &json!("compare")));
            assert_eq!(value["runs"].as_array().unwrap().len(), 3);
            assert!(value["findings"][0]["text"].is_string());
            assert_eq!(value["verdict"], json!("pass"));
            assert!(value["runs"][0]["faults"][0]["recovery_time_s"].is_null());
        });
    }

    #[test]
    fn a_summary_reads_back() {
        with_trio(|_, runs| {
            let read: Summary = serde_json::from_str(&run_json(runs[1].summary)).unwrap();
            assert_eq!(read.ledger, runs[1].summary.ledger);
            assert_eq!(read.faults, runs[1].summary.faults);
            assert_eq!(read.phases.len(), runs[1].summary.phases.len());
        });
    }
}
