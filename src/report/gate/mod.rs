//! What a gate says, to people and to CI: text, Markdown, JSON, JUnit, and GitHub's annotations.
//! Of pairs, text, Markdown and HTML show the whole table; everything else sees a list of checks.

mod checks;
mod github;
mod html;
mod junit;
mod markdown;
mod pairs;
mod text;

pub use checks::{Check, CheckResult, Checks, checks_of_pairs, checks_of_run, with_baselines};
pub use github::annotations;
pub use html::gate_html;
pub use junit::junit;
pub use markdown::{checks_markdown, gate_markdown};
pub use text::{checks_text, gate_text};

use crate::analysis::Summary;
use crate::gate::{GATE_KIND, GatedPairs, HistoryGate};

/// The pairs, the decision and what it rests on.
pub fn gate_json(gated: &GatedPairs) -> String {
    serde_json::to_string_pretty(gated).expect("a decision is plain data") + "\n"
}

/// A run that was judged again: its checks, its summary, and what baselines say.
pub fn gated_run_json(checks: &Checks, run: &Summary, baselines: Option<&HistoryGate>) -> String {
    let value = serde_json::json!({
        "schema": crate::analysis::SCHEMA,
        "kind": GATE_KIND,
        "verdict": checks.verdict,
        "reasons": checks.reasons,
        "checks": checks.checks,
        "run": run,
        "baselines": baselines,
    });
    serde_json::to_string_pretty(&value).expect("a decision is plain data") + "\n"
}
