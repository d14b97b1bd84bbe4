//! The go/no-go card that ends `brunt drill`: one screen for the meeting before the campaign.

mod html;
mod markdown;
mod text;
mod words;

pub use html::drill_html;
pub use markdown::drill_markdown;
pub use text::drill_text;

/// Where a drill's own report is, relative to the card's: its folder, and the name it is told by.
pub struct RunLink {
    pub name: String,
    pub href: String,
}
