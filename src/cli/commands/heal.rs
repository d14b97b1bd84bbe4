//! `brunt heal`

use super::output::say_line;
use crate::cli::args::HealArgs;
use crate::cli::exit;
use crate::host;
use anyhow::Result;

pub fn run(args: &HealArgs) -> Result<u8> {
    let state = host::state_folder();
    if args.dry_run {
        let found = host::preview(&state);
        if found.is_empty() {
            say_line("nothing was left behind")?;
        }
        for run in &found {
            say_line(&format!("run {} was killed; `brunt heal` would", run.run))?;
            for what in &run.done {
                say_line(&format!("  {what}"))?;
            }
        }
        return Ok(exit::PASS);
    }
    let healed = host::heal(&state);
    if healed.is_empty() {
        say_line("nothing was left behind")?;
    }
    let mut is_clean = true;
    for run in &healed {
        say_line(&format!("run {}", run.run))?;
        for done in &run.done {
            say_line(&format!("  {done}"))?;
        }
        for left in &run.left {
            say_line(&format!("  STILL THERE: {left}"))?;
            is_clean = false;
        }
    }
    Ok(if is_clean { exit::PASS } else { exit::INTERNAL })
}
