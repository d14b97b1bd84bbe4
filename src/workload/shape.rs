//! How a rate goes from one value to another.

use crate::base::Nanos;
use serde::{Deserialize, Serialize};

/// The rate λ of a segment over its time t, between its two rates `from` and `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// From `from` to `to` along a line; level when they are equal.
    #[default]
    Linear,
    /// `levels` equal stretches of level rates, the first `from`, the last `to`.
    Steps { levels: u32 },
    /// Between `from` (at the start) and `to` (half a period later): mid − amplitude · cos 2πt/period.
    Sine { period: Nanos },
    /// Jumps to `to` and falls back to `from`: from + (to − from) · exp(−t/decay).
    Spike { decay: Nanos },
}
