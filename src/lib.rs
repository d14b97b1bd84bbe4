//! brunt: load testing and chaos benchmarking, judged by measurement.

pub mod analysis;
pub mod audience;
pub mod base;
pub mod chaos;
pub mod cli;
pub mod fault;
pub mod fleet;
pub mod gate;
pub mod generator;
pub mod host;
pub mod live;
pub mod objective;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod record;
pub mod report;
pub mod run;
pub mod stack;
pub mod study;
pub mod target;
pub mod wire;
pub mod workload;
