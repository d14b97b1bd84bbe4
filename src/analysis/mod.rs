//! Floor 6: what a record says. Pure functions from records to values: summaries, recovery from
//! faults, the data check, validity and comparisons. Judges nothing and prints nothing.

pub mod capacity;
pub mod comparison;
mod data;
pub mod drill;
mod load;
pub mod queueing;
mod recovery;
pub mod stats;
mod summarise;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod timeline;
mod validity;

pub use comparison::{Comparison, Run, compare};
pub use data::check_data;
pub use load::server_loads;
pub use recovery::{Impact, impacts};
pub use summarise::{merged, summarise};
pub use summary::{
    CpuSummary, DataSummary, FaultSummary, GeneratorSummary, Outage, PhaseSummary, RateSummary,
    RequestSummary, SCHEMA, ServerLoad, Summary, TimeSummary,
};
pub use timeline::{Second, Timeline, share};
pub use validity::{About, Doubt, Health, Level};
