//! Floor 6: what a record says. Pure functions from records to values: summaries, recovery from
//! faults, the data check, validity and comparisons. Judges nothing and prints nothing.

mod bounds;
mod broken;
pub mod capacity;
mod comeback;
pub mod comparison;
mod data;
pub mod drill;
mod lateness;
mod load;
pub mod queueing;
mod recovery;
pub mod stats;
mod summarise;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod timeline;
mod trials;
mod validity;

pub use broken::broken_by_second;
pub use comeback::{Comeback, ComebackOutcome, LoadSecond, comeback};
pub use comparison::{Comparison, Run, asked_differently, compare};
pub use data::{
    Bucket, Linearizability, Linearizable, Loss, Sessions, Staleness, Violation, check_data,
};
pub use lateness::Lateness;
pub use load::server_loads;
pub use recovery::{Failover, Impact, Recovery, impacts};
use summarise::seconds_of;
pub use summarise::{merged, summarise};
pub use summary::{
    BudgetSpent, CpuSummary, DataSummary, FaultSummary, GeneratorSummary, Outage, PhaseSummary,
    RateSummary, RequestSummary, SCHEMA, ServerLoad, Summary, TimeSummary,
};
pub use timeline::{Second, Timeline, share};
pub use trials::{FaultTrials, MedianInterval, Point, Spread, fault_trials};
pub use validity::{About, Doubt, Health, Level, SLOW_SHARE};
