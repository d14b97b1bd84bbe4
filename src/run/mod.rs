//! Floor 6: the conductor of one run: start, warm up, check, measure, inject, heal, recover, seal.
//!
//! It starts everything, carries values from who makes them to who needs them, and stops
//! everything. It never judges: that is for `analysis` and `gate`, from the record alone.

mod conductor;
mod guarded;
mod in_time;
mod progress;
mod read_back;
mod sampler;
mod stand;
mod steady;
mod target_now;
mod tell;
mod thresholds;
mod watch;
mod worker_rows;

pub use conductor::{End, Finished, Options, RunError, conduct};
pub use thresholds::can_be_lost;
pub use watch::{
    FaultNow, HEAT_EDGES, HeatSecond, NodeNow, Percentiles, Progress, Runs, Silent, SoFar,
    Standing, StudyNow, Watcher,
};
