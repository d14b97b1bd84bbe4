//! brunt: load testing and chaos benchmarking, judged by measurement.

pub mod analysis;
pub mod base;
pub mod cli;
pub mod fault;
pub mod gate;
pub mod live;
pub mod objective;
pub mod plan;
pub mod profile;
pub mod record;
pub mod report;
pub mod stack;
pub mod target;
