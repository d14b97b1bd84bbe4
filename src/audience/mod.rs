//! Floor 1: from an audience to a rate, and from a rate to servers. Pure arithmetic whose every
//! assumption has a name, a value and a source; measures nothing.
//!
//! "Three million views" and "a million people watching live" are different questions, so an
//! audience has no default timing: the caller must say which.

mod campaign;
mod course;
mod flash_crowd;
mod presets;
mod sizing;
mod spec;

pub use campaign::{Assumption, Audience, AudienceError, Demand, Timing};
pub use course::Piece;
pub use flash_crowd::FlashCrowd;
pub use presets::{PRESETS, Preset, preset};
pub use sizing::{
    Answer, Reserve, Size, Supply, cost_per_million, count_for_zones, design_rate, retry_factor,
    smallest_count, smallest_size,
};
pub use spec::Forecast;
