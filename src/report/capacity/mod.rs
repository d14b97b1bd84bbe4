//! The answer of a capacity search, for people.

mod markdown;
mod text;
mod words;

pub use markdown::capacity_markdown;
pub use text::capacity_text;
