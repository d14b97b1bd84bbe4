//! One file a command.

pub mod capacity;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod drill;
pub mod explain;
pub mod gate;
pub mod heal;
pub mod init;
pub mod load;
pub mod output;
pub mod report;
pub mod run;
pub mod schema;
pub mod selftest;
pub mod serve;
pub mod up;
pub mod verdict;

use crate::live::{Live, Web};

use crate::run::{End, Silent, Watcher};
use crate::study::{Ran, RunOptions};
use anyhow::{Context, Result};
use std::net::SocketAddr;

/// Who watches a run: the terminal, plain lines or nobody, and browsers where an address is given.
fn watcher(quiet: bool, plain: bool, dashboard: Option<SocketAddr>) -> Result<Box<dyn Watcher>> {
    let mut here: Box<dyn Watcher> = match (quiet, plain) {
        (true, _) => Box::new(Silent),
        (false, true) => Box::new(Live::new(false, std::io::stderr())),
        (false, false) => Box::new(Live::stderr()),
    };
    let Some(address) = dashboard else { return Ok(here) };
    let web = Web::listen(address, crate::report::live_html())
        .with_context(|| format!("--dashboard {address}: cannot listen there"))?;
    here.say(&format!("dashboard http://{}/", web.address()));
    Ok(Box::new((here, web)))
}

/// How runs are made; a signal ends them from here on.
fn run_options(workers: Option<u32>, owns_these: bool) -> RunOptions {
    RunOptions { workers, owns_these, signal: super::signals::install() }
}

/// The exit code that the way a run ended asks for, before any judgement.
fn code_of_end<'a>(runs: impl IntoIterator<Item = &'a Ran>) -> Option<u8> {
    runs.into_iter().find_map(|ran| code_of(&ran.end))
}

fn code_of(end: &End) -> Option<u8> {
    match end {
        End::Interrupted(signal) => Some(super::exit::of_signal(*signal)),
        End::Guard(_) => Some(super::exit::GUARD),
        End::DiskFull(_) => Some(super::exit::INVALID),
        // Its judgement says so.
        End::Lost(_) | End::Complete => None,
    }
}
