//! `brunt selftest`: brunt's own error on this machine.

use super::output;
use crate::cli::{exit, signals};
use crate::study::selftest::{SelfTestOptions, selftest, table};
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;

#[derive(Debug, Args)]
pub struct SelfTestArgs {
    /// Half a minute instead of two
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The server sleeps between requests: less exact, for a machine that has other work
    #[arg(long)]
    pub no_spin: bool,
    /// Print the result as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}

pub fn run(args: &SelfTestArgs) -> Result<u8> {
    let options = SelfTestOptions {
        is_quick: args.quick,
        seed: args.seed,
        spins: !args.no_spin,
        program: std::env::current_exe().context("cannot find brunt's own program")?,
        folder: std::env::temp_dir().join(format!("brunt-selftest-{}", std::process::id())),
        signal: signals::install(),
    };
    let mut tell = |text: &str| {
        if !args.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    };
    let result = selftest(&options, &mut tell);
    let _ = std::fs::remove_dir_all(&options.folder);
    let result = result?;
    match args.json {
        true => output::say_line(&serde_json::to_string_pretty(&result)?)?,
        false => output::say(&table(&result))?,
    }
    Ok(match result.interrupted {
        Some(signal) => exit::of_signal(signal),
        None if result.is_ok => exit::PASS,
        None => exit::INVALID,
    })
}
