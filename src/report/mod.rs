//! Floor 8: findings as text, JSON, JUnit, Markdown and HTML. Formats values; computes none.

mod capacity;
mod drill;
mod gate;
mod html;
mod json;
mod markdown;
mod run_text;
mod staleness;
mod text;

pub use capacity::{capacity_html, capacity_markdown, capacity_text};
pub use drill::{RunLink, drill_html, drill_markdown, drill_text};
pub use gate::{
    Check, CheckResult, Checks, annotations, checks_markdown, checks_of_pairs, checks_of_run,
    checks_text, gate_html, gate_json, gate_markdown, gate_text, gated_run_json, junit,
    with_baselines,
};
pub use html::{compare_html, live_html, run_html};
pub use json::{capacity_json, compare_json, drill_json, run_json};
pub use markdown::{compare_markdown, run_markdown};
pub use run_text::run_text;
pub use text::compare_text;
