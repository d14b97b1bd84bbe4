//! Floor 0: what every other module may rely on. Units, the clock, seeded random
//! streams, the latency histogram and calibrated CPU work. No I/O beyond reading clocks.

pub mod bars;
pub mod clock;
pub mod document;
pub mod histogram;
pub mod library;
pub mod random;
pub mod schema;
pub mod units;
pub mod work;

pub use histogram::Histogram;
pub use units::{Bytes, Nanos, Quantile, Rate};
