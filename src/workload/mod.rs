//! Floor 1: when requests are meant to start and what they ask for, as pure functions of time and
//! seed. No clock, no socket, no thread: what is drawn for request `index` of a shard is the same
//! whoever asks, whenever, and however many workers there are.

mod agenda;
mod curve;
mod draws;
mod feeder;
mod mix;
mod root;
mod shape;
mod text;
mod values;
mod zipf;

pub use agenda::{Agenda, Due};
pub use curve::{Curve, CurveError, Segment, ShardStarts, Spacing, quotas};
pub use draws::Draws;
pub use feeder::{Feeder, RowOrder};
pub use mix::Mix;
pub use shape::{Course, Shape};
pub use text::is_path_byte;
pub use values::{Value, Values};
pub use zipf::Zipf;
