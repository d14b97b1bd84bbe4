//! The answer of a capacity search, for people.

mod data;
mod html;
mod markdown;
mod text;
mod words;

pub use html::capacity_html;
pub use markdown::capacity_markdown;
pub use text::capacity_text;
