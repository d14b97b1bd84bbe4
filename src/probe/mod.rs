//! Floor 5: is the machine healthy, and what do the nodes use? Measured beside the load, once a
//! second, on brunt's own cores.

mod hiccup;
mod machine;
mod nodes;
mod pace;

pub use hiccup::HiccupMeter;
pub use machine::{Machine, MachineSample, OwnUsage, free_memory};
pub use nodes::{NodeSample, NodeSampler};
pub use pace::PaceMeter;
