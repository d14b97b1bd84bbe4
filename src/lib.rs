//! brunt: load testing and chaos benchmarking, judged by measurement.

pub mod base;
pub mod cli;
pub mod fault;
pub mod plan;
pub mod profile;
pub mod record;
pub mod stack;
pub mod target;
pub mod wire;
