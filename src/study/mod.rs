//! Floor 8: several runs with a purpose. A study prepares the machine's facts once, lets `run`
//! conduct each plan, and hands records to `analysis`. The next plan is a pure function of what
//! came before.

mod capacity;
mod compare;
mod drill;
mod outlook;
mod pairs;
pub mod selftest;
mod setup;
mod single;

pub use capacity::{Capacities, CapacityOptions, Outline, capacity, outline};
pub use compare::{
    CompareOptions, Compared, LADDER, compare, compare_stored, folder_name, plan_all,
};
pub use drill::{DrillOptions, Drills, PREFIX as DRILL_PREFIX, drill, explain_drills};
pub use pairs::{
    PairOptions, PairStudy, explain_pairs, holds_pairs, pairs, runs_of_pairs, stored_gate,
    stored_pairs,
};
pub use setup::{Setup, StudyError, prepare, prepare_for_service};
pub use single::{Ran, RunOptions, run_once, stored_runs};
