//! Floor 8: findings as text, JSON, Markdown and HTML. Formats values; computes none.
//! (JUnit is not written yet.)

mod capacity;
mod drill;
mod html;
mod json;
mod markdown;
mod run_text;
mod text;

pub use capacity::{capacity_markdown, capacity_text};
pub use drill::{RunLink, drill_html, drill_markdown, drill_text};
pub use html::{compare_html, run_html};
pub use json::{capacity_json, compare_json, drill_json, run_json};
pub use markdown::{compare_markdown, run_markdown};
pub use run_text::run_text;
pub use text::compare_text;
