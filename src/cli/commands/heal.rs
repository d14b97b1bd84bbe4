//! `brunt heal`

use crate::cli::args::HealArgs;
use crate::cli::exit;
use crate::host;
use anyhow::Result;

pub fn run(args: &HealArgs) -> Result<u8> {
    let state = host::state_folder();
    if args.dry_run {
        let stale = host::stale(&state);
        if stale.is_empty() {
            println!("nothing was left behind");
        }
        for run in &stale {
            println!("run {run} was killed; `brunt heal` would undo it");
        }
        return Ok(exit::PASS);
    }
    let healed = host::heal(&state);
    if healed.is_empty() {
        println!("nothing was left behind");
    }
    let mut is_clean = true;
    for run in &healed {
        println!("run {}", run.run);
        for done in &run.done {
            println!("  {done}");
        }
        for left in &run.left {
            println!("  STILL THERE: {left}");
            is_clean = false;
        }
    }
    Ok(if is_clean { exit::PASS } else { exit::INTERNAL })
}
